import numpy as np
import pytest

from tests.support.plate_networks import picture_with_plate, reader_of, white_box_detector
from tests.support.plates import reading
from vision.models.session import open_session
from vision.plates.base import PlateReader
from vision.plates.onnx_detector import OnnxPlateDetector
from vision.plates.onnx_reader import OnnxPlateReader
from vision.plates.recognise import Recogniser


class ByWidth(PlateReader):
    """Is the surer, the nearer a plate's width is to the one it likes."""

    name = "by width"

    def __init__(self, width):
        self.width = width

    def read(self, picture, quads):
        widths = [quad[1][0] - quad[0][0] for quad in quads]
        return [reading(f"京A{width:05.0f}", 1 / (1 + abs(width - self.width))) for width in widths]


def recogniser(reader=None):
    detector = OnnxPlateDetector(open_session(white_box_detector(), name="d-1"), name="d-1")
    session = open_session(reader_of("京A12345"), name="r-1")
    return Recogniser(detector, reader or OnnxPlateReader(session, name="r-1"))


def test_every_plate_that_is_found_is_read():
    """A plate is where it was found and what stands there."""
    (plate,) = recogniser().find(picture_with_plate())
    assert plate.reading.text == "京A12345"
    assert plate.detection.corners[0] == pytest.approx((200, 200), abs=1)


def test_a_picture_without_a_plate_has_none():
    """Nothing is read where nothing was found."""
    assert recogniser().find(np.zeros((1, 1, 3), np.uint8)) == []


@pytest.mark.parametrize(("liked", "width"), [(100, 100), (79, 79)])
def test_a_cut_out_plate_is_read_the_surer_way(liked, width):
    """As it is cut, or by the corners found in it; those are told in the crop's own pixels."""
    crop = picture_with_plate(100, 36, (10, 4, 80, 28))
    plate = recogniser(ByWidth(liked)).read_crop(crop)
    left, right = plate.detection.corners[0][0], plate.detection.corners[1][0]
    assert right - left == pytest.approx(width, abs=1)
    assert left == pytest.approx(-0.5 if liked == 100 else 10, abs=1)


@pytest.mark.parametrize("shape", [(1, 1), (24, 94, 3), (1, 300, 3), (300, 1, 3), (10_000, 10, 4)])
def test_a_crop_of_any_shape_has_a_reading(shape):
    """There is always the whole crop to read."""
    plate = recogniser().read_crop(np.full(shape, 90, np.uint8))
    assert plate.reading.text == "京A12345"
    assert plate.detection.score == 1.0
