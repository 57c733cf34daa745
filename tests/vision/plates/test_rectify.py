import cv2
import numpy as np
import pytest

from vision.clip.plate import plate
from vision.plates.rectify import HEIGHT, READER_MARGIN, WIDTH, rectify


def corners_of(picture):
    height, width = picture.shape[:2]
    right, bottom = width - 0.5, height - 0.5
    return ((-0.5, -0.5), (right, -0.5), (right, bottom), (-0.5, bottom))


def inside(strip):
    """The plate itself, without the margin."""
    x, y = (
        round(side * share / (1 + 2 * share))
        for side, share in zip((WIDTH, HEIGHT), READER_MARGIN, strict=True)
    )
    return strip[y : HEIGHT - y, x : WIDTH - x]


def difference(a, b):
    return float(np.abs(a.astype(float) - b).mean())


def test_a_straight_plate_fills_the_strip_but_for_the_margin():
    """The plate lies in the middle of the strip, a margin of its surroundings around it."""
    picture = np.full((200, 400, 3), 40, np.uint8)
    picture[60:124, 100:260] = 220
    strip = rectify(picture, ((99.5, 59.5), (259.5, 59.5), (259.5, 123.5), (99.5, 123.5)))
    assert strip.shape == (HEIGHT, WIDTH, 3)
    assert strip.dtype == np.uint8
    assert inside(strip)[2:-2, 2:-2].min() == 220
    assert strip[0].max() == strip[:, 0].max() == 40


def test_a_tilted_plate_is_straightened():
    """Whatever the perspective, the strip shows the plate from the front."""
    straight = plate("苏E05EV8")
    quad = np.array(((300, 180), (700, 260), (690, 400), (310, 330)), np.float32)
    turn = cv2.getPerspectiveTransform(np.array(corners_of(straight), np.float32), quad)
    picture = cv2.warpPerspective(straight, turn, (1000, 600), flags=cv2.INTER_AREA)
    strip = rectify(picture, tuple(map(tuple, quad.tolist())))
    front = inside(rectify(straight, corners_of(straight)))
    assert difference(inside(strip), front) < 12


def test_a_plate_that_fills_a_large_picture_keeps_its_strokes():
    """A plate much larger than the strip is averaged, not sampled here and there."""
    fine = np.zeros((1200, 3200, 3), np.uint8)
    fine[:, ::2] = 255
    strip = rectify(fine, corners_of(fine))
    assert 110 < strip[10:-10, 10:-10].min() <= strip[10:-10, 10:-10].max() < 146


@pytest.mark.parametrize(
    "quad",
    [
        ((5.0, 5.0),) * 4,
        ((0.0, 0.0), (9.0, 9.0), (0.0, 9.0), (9.0, 0.0)),
        ((float("nan"), 0.0), (float("inf"), 0.0), (1.0, 1.0), (0.0, 1.0)),
        ((-1e9, -1e9), (1e9, -1e9), (1e9, 1e9), (-1e9, 1e9)),
    ],
)
def test_corners_that_are_none_give_a_strip_all_the_same(quad):
    """A degenerate quad is no error: what it shows is not read as a plate anyway."""
    assert rectify(np.zeros((20, 30, 3), np.uint8), quad).shape == (HEIGHT, WIDTH, 3)


def test_a_picture_of_one_pixel_can_be_straightened():
    """The border repeats beyond the picture."""
    strip = rectify(np.full((1, 1, 3), 77, np.uint8), ((0, 0), (9, 0), (9, 3), (0, 3)))
    assert (strip == 77).all()
