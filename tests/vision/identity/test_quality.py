"""Which faces will do for a comparison: each fault is named, and no tone of skin is one."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.drawn_face import (
    FACE,
    LOW_MASK,
    drawn,
    light,
    masked,
    moved,
    rotated,
    scaled,
    with_glasses,
)
from vision.identity.backends import open_backend
from vision.identity.face import Face
from vision.identity.quality import PORTRAIT, judge

FACES = Path(__file__).parents[4] / "shared" / "data" / "faces"

SKIN = {"light": 1.0, "brown": (0.5, 0.55, 0.6), "dark": (0.28, 0.32, 0.38)}
"""Of the drawn person's, in blue, green and red."""
CLOTH = {
    "blue": (215, 190, 140),
    "white": (220, 220, 218),
    "black": (32, 30, 30),
    "green": (150, 180, 120),
    "navy": (80, 45, 30),
}


@pytest.fixture(params=SKIN)
def person(request):
    return light(drawn(), SKIN[request.param])


def reasons(picture, face=FACE, **options):
    return judge(picture, face, **options).reasons


def test_a_face_that_looks_ahead_is_good(person):
    """Whatever the tone of its skin."""
    quality = judge(person, FACE)
    assert quality.is_good
    assert quality.score > 0.6


@pytest.mark.parametrize(
    "lamp", [(0.7, 0.9, 1.0), (1.0, 0.9, 0.75), (0.7, 0.7, 0.7)], ids=["warm", "cold", "dim"]
)
def test_another_lamp_is_no_fault(person, lamp):
    """Warm, cold, less bright."""
    assert reasons(light(person, lamp)) == ()


def test_a_picture_without_colour_is_no_fault():
    """As of a camera at night."""
    grey = cv2.cvtColor(drawn(), cv2.COLOR_BGR2GRAY)
    assert reasons(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)) == ()


def test_a_far_face_is_too_small():
    """The same face near and far."""
    assert reasons(*scaled(drawn(), FACE, 0.4)) == ()
    assert "too_small" in reasons(*scaled(drawn(), FACE, 0.25))


def test_a_face_at_the_edge_is_cut_off():
    """Part of it is beyond the picture."""
    whole = drawn()[:, 540:]
    assert reasons(whole, moved(FACE, [[1, 0, -540], [0, 1, 0]])) == ()
    assert "cut_off" in reasons(whole[:, 60:], moved(FACE, [[1, 0, -600], [0, 1, 0]]))


@pytest.mark.parametrize("aside", [-0.4, 0.4])
def test_a_nose_to_one_side_is_a_turned_head(aside):
    """To the left or to the right."""
    x, y = FACE.nose
    turned = replace(FACE, nose=(x + aside * FACE.eye_distance, y))
    assert reasons(drawn(), turned) == ("turned",)


@pytest.mark.parametrize("below", [0.2, 1.3])
def test_a_nose_too_high_or_low_is_a_turned_head(below):
    """Who looks up or down does not look at the camera."""
    up_or_down = replace(FACE, nose=(641.0, 348 + below * FACE.eye_distance))
    assert "turned" in reasons(drawn(), up_or_down)


def test_a_head_may_be_tilted_a_little():
    """Upside down it may not be."""
    assert reasons(*rotated(drawn(), FACE, 15)) == ()
    for degrees in (40, -90, 180):
        assert reasons(*rotated(drawn(), FACE, degrees)) == ("tilted",)


@pytest.mark.parametrize("size", [0.4, 1.0])
def test_blur_counts_by_the_size_of_the_face(size):
    """A near face blurred by as much of itself as a far one is as bad."""
    picture, face = scaled(drawn(), FACE, size)
    blur = face.eye_distance
    assert reasons(cv2.GaussianBlur(picture, (0, 0), 0.01 * blur), face) == ()
    assert reasons(cv2.GaussianBlur(picture, (0, 0), 0.08 * blur), face) == ("blurred",)


def test_too_little_light(person):
    """Hardly anything is to be seen; the first hint is about the light."""
    assert reasons(light(person, 0.08))[0] == "too_dark"


def test_too_much_light():
    """What is white through and through is lost."""
    assert "too_bright" in reasons(light(drawn(), 3.0))


@pytest.mark.parametrize(("veil", "reason"), [(200, "too_bright"), (60, "too_dark")])
def test_a_veil_leaves_no_contrast(veil, reason):
    """Glare on the glass, or fog."""
    assert reason in reasons(light(drawn(), 0.06, noise=veil))


def test_light_from_one_side(person):
    """A cheek in deep shade."""
    ramp = 2.0 ** -np.clip((np.arange(1280) - FACE.middle[0]) / 12, 0, 6)
    assert "uneven_light" in reasons(light(person, ramp[None, :, None]))


@pytest.mark.parametrize("colour", CLOTH)
def test_a_mask_is_noticed(person, colour):
    """Over mouth and nose, on any skin."""
    assert "covered" in reasons(masked(person, CLOTH[colour]))


@pytest.mark.parametrize("colour", CLOTH)
def test_a_mask_below_the_nose_is_noticed(colour):
    """It covers mouth and jaw alone."""
    assert "covered" in reasons(masked(drawn(), CLOTH[colour], LOW_MASK))


@pytest.mark.parametrize("colour", [(18, 18, 20), (25, 38, 60), (160, 110, 60)])
def test_dark_glasses_are_noticed(colour):
    """Black, brown or mirrored."""
    assert "covered" in reasons(with_glasses(drawn(), colour))


def test_glasses_are_no_fault(person):
    """One sees the eyes through them."""
    assert reasons(with_glasses(person, (25, 25, 28), rim=0.15)) == ()


def test_a_worse_frame_scores_less():
    """The best of several is the one to compare."""
    best = judge(drawn(), FACE).score
    assert judge(cv2.GaussianBlur(drawn(), (0, 0), 2), FACE).score < best
    assert judge(*scaled(drawn(), FACE, 0.4)).score < best
    assert judge(masked(drawn(), CLOTH["blue"]), FACE).score < best


def test_a_documents_portrait_may_be_poorer():
    """Smaller and more compressed than an identity card's; a mask it may not have."""

    def card(picture):
        small, face = scaled(picture, FACE, 20 / FACE.eye_distance)
        left, top = round(face.middle[0] - 51), round(face.middle[1] - 65)
        cut = small[top : top + 126, left : left + 102]
        _, packed = cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, 30])
        return cv2.imdecode(packed, cv2.IMREAD_COLOR), moved(face, [[1, 0, -left], [0, 1, -top]])

    assert reasons(*card(drawn())) == ("too_small",)
    assert reasons(*card(drawn()), limits=PORTRAIT) == ()
    assert reasons(*card(masked(drawn(), CLOTH["blue"])), limits=PORTRAIT) == ("covered",)


places = st.floats(-3000, 3000)
points = st.tuples(places, places)


@example(((2457.0, -2234.0), (-3000.0, 2463.0)), (0.0, 0.0), (0.0, 0.0), 0.0)
@given(st.tuples(points, points), points, points, st.floats(0, 2000))
def test_whatever_a_detector_says_is_judged(eyes, nose, corner, size):
    """Points beyond the picture, one upon the other, a box without extent."""
    face = Face(*corner, size, size, 0.0, *eyes, nose, ())
    quality = judge(np.full((90, 160, 3), 128, np.uint8), face)
    assert 0 <= quality.score <= 1
    assert not quality.is_good
    assert math.isfinite(quality.score)


@pytest.mark.skipif(
    not FACES.is_dir(), reason="no real faces beside this checkout (../shared/data/faces)"
)
def test_portraits_of_real_people_are_good():
    """All that are whole; what is cut off is said to be."""
    detector = open_backend(thorough=True).detector
    with (FACES / "labels.csv").open() as file:
        names = [row["file"] for row in csv.DictReader(file)]
    for name in names:
        picture = cv2.imread(str(FACES / name))
        found = reasons(picture, detector.find(picture)[0])
        assert found == (("cut_off",) if name.startswith("partial") else ())
