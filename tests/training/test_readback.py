import numpy as np
import pytest

from training.plates import KINDS, draw
from training.strips import synthetic
from training.typeface import Typeface
from vision.models.manifest import load_manifest
from vision.models.session import load_session
from vision.plates.onnx_reader import OnnxPlateReader


@pytest.fixture(scope="module")
def reader() -> OnnxPlateReader:
    model = load_manifest().pick("plate-reader")
    return OnnxPlateReader(load_session(model), name=model.name)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_what_is_drawn_reads_back(name: str, typeface: Typeface, reader: OnnxPlateReader):
    """Every class, as text, colour and number of rows."""
    rng = np.random.default_rng(11)
    drawn = [draw(typeface, rng, name) for _ in range(20)]
    right = 0
    for plate in drawn:
        height, width = plate.image.shape[:2]
        street = np.full((height + 120, width + 160, 3), 70, np.uint8)
        street[60 : 60 + height, 80 : 80 + width] = plate.image
        corners = (80, 60), (80 + width, 60), (80 + width, 60 + height), (80, 60 + height)
        (reading,) = reader.read(street, [corners])
        right += reading.text == plate.text
        assert reading.rows == plate.layout.rows
    assert right >= 18, name


def test_photographs_read_back_as_far_as_an_eye_could(typeface: Typeface, reader: OnnxPlateReader):
    """Worn, blurred, dark and badly cut as they are; what is sure is right."""
    rng = np.random.default_rng(12)
    strips = [strip for _ in range(300) for strip in synthetic(typeface, rng)]
    readings = reader.read_strips(np.stack([strip.image for strip in strips]))
    pairs = list(zip(strips, readings, strict=True))
    right = [strip.text == reading.text for strip, reading in pairs]
    sure = [s.text == r.text for s, r in pairs if r.characters and r.confidence >= 0.9]
    assert np.mean(right) > 0.6
    assert np.mean(sure) > 0.95
