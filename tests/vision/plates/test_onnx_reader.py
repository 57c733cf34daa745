import numpy as np
import pytest

from tests.support.plate_networks import reader_of, white_box_detector
from vision.models.errors import UnusableModelError
from vision.models.session import open_session
from vision.plates.onnx_reader import OnnxPlateReader

GREY = np.full((100, 200, 3), 90, np.uint8)
QUAD = ((20.0, 20.0), (120.0, 20.0), (120.0, 52.0), (20.0, 52.0))


def reader(*arguments, **options):
    network = reader_of(*arguments, **options)
    return OnnxPlateReader(open_session(network, name="same-1"), name="same-1")


def read(*arguments, **options):
    (reading,) = reader(*arguments, **options).read(GREY, [QUAD])
    return reading


@pytest.mark.parametrize("text", ["京A12345", "粤BD12345", "WJ京1234X", "", "A"])
def test_the_text_ends_where_nothing_is_likeliest(text):
    """Plates of every length; the first empty place ends them."""
    reading = read(text)
    assert reading.text == text
    assert reading.absence == pytest.approx(1.0 if len(text) == 8 else 0.97)


def test_what_stands_after_an_empty_place_counts_for_nothing():
    """It neither lengthens the text nor lowers its confidence."""
    reading = read("京A1234", places={7: {"8": 0.9, "": 0.1}})
    assert reading.text == "京A1234"
    assert reading.absence == pytest.approx(0.97)


def test_runners_up_are_told_best_first_and_only_likely_ones():
    """Three at most, none below one percent; "nothing" may be one of them."""
    shares = {"D": 0.5, "0": 0.3, "Q": 0.1, "": 0.06, "B": 0.03, "8": 0.005}
    character = read("京AX2345", places={2: shares}).characters[2]
    assert character.text == "D"
    assert character.confidence == pytest.approx(0.5)
    assert [text for text, _ in character.alternatives] == ["0", "Q", ""]
    (certain,) = {len(each.alternatives) for each in read("京A12345", 0.995).characters}
    assert certain == 0


def test_colour_and_rows_are_read_beside_the_text():
    """Each is the likeliest."""
    reading = read("京A1234挂", colour="yellow", rows=2)
    assert (reading.colour, reading.rows) == ("yellow", 2)
    assert reading.colour_confidence == pytest.approx(0.9)


@pytest.mark.parametrize("count", [0, 1, 8, 19])
def test_each_quad_has_its_reading(count):
    """Any number of plates, in their order."""
    readings = reader("京A12345").read(GREY, [QUAD] * count)
    assert [each.text for each in readings] == ["京A12345"] * count


def test_another_network_is_refused():
    """The error names the model."""
    session = open_session(white_box_detector(), name="boxes-1")
    with pytest.raises(UnusableModelError, match="boxes-1: no plate reader"):
        OnnxPlateReader(session, name="boxes-1")
