from collections.abc import Mapping

import numpy as np
import pytest

from training.plates import KINDS, draw
from training.strips import synthetic
from training.typeface import Typeface
from vision.models.manifest import load_manifest
from vision.models.session import load_session
from vision.plates.onnx_reader import OnnxPlateReader

OF_EACH = 20


@pytest.fixture(scope="module")
def reader() -> OnnxPlateReader:
    model = load_manifest().pick("plate-reader")
    return OnnxPlateReader(load_session(model), name=model.name)


@pytest.fixture(scope="module")
def right(typeface: Typeface, reader: OnnxPlateReader) -> Mapping[str, int]:
    """Of each kind: how many clean plates are read exactly, with the right number of rows."""
    counts = dict.fromkeys(sorted(KINDS), 0)
    rng = np.random.default_rng(11)
    for name in counts:
        for _ in range(OF_EACH):
            plate = draw(typeface, rng, name)
            height, width = plate.image.shape[:2]
            street = np.full((height + 120, width + 160, 3), 70, np.uint8)
            street[60 : 60 + height, 80 : 80 + width] = plate.image
            corners = (80, 60), (80 + width, 60), (80 + width, 60 + height), (80, 60 + height)
            (reading,) = reader.read(street, [corners])
            counts[name] += (reading.text, reading.rows) == (plate.text, plate.layout.rows)
    return counts


def test_what_is_drawn_reads_back(right: Mapping[str, int]):
    """With whatever fonts this machine has; some of them no plate ever had."""
    assert sum(right.values()) >= 0.94 * OF_EACH * len(KINDS), right


def test_every_class_reads_back(right: Mapping[str, int]):
    """None is left out: one row and two, all colours, all characters."""
    assert min(right.values()) >= 0.75 * OF_EACH, right


def test_photographs_read_back_as_far_as_an_eye_could(typeface: Typeface, reader: OnnxPlateReader):
    """Worn, blurred, dark and badly cut as they are; what is sure is right."""
    rng = np.random.default_rng(12)
    strips = [strip for _ in range(300) for strip in synthetic(typeface, rng)]
    readings = reader.read_strips(np.stack([strip.image for strip in strips]))
    pairs = list(zip(strips, readings, strict=True))
    exact = [strip.text == reading.text for strip, reading in pairs]
    sure = [s.text == r.text for s, r in pairs if r.characters and r.confidence >= 0.9]
    assert np.mean(exact) > 0.6
    assert np.mean(sure) > 0.95
