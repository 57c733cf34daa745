"""The person drawn for the demo, before the kiosk's camera, and what can be done to a face."""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np

from vision.clip import counter
from vision.identity.face import Face

_STANDS_S = 10.0
FACE = Face(
    left=547,
    top=291,
    width=193,
    height=193,
    score=1.8,
    right_eye=(598.0, 347.5),
    left_eye=(683.5, 348.5),
    nose=(641.0, 416.0),
    landmarks=((704.0, 346.0), (663.0, 351.0), (577.0, 345.0), (619.0, 350.0), (641.0, 416.0)),
)
"""Where the detector finds it."""

MASK = [(0, 0.3), (0.6, 0.5), (0.98, 0.55), (0.92, 1.2), (0.6, 1.75), (0, 2)]
LOW_MASK = [(0, 0.85), (0.6, 0.8), (0.98, 0.75), (0.92, 1.2), (0.6, 1.75), (0, 2)]
"""Right halves of outlines, in eye distances from the middle of the eyes."""


@cache
def _drawn():
    noise = np.random.default_rng(1).normal(0, 2.5, (720, 1280, 1))
    picture = counter.frame(counter.background(720, 1280), counter.person(), _STANDS_S)
    return light(picture, noise=noise)


def drawn():
    """A frame of 1280 by 720 with one person, whose face is ``FACE``."""
    return _drawn().copy()


def light(picture, factor=1.0, *, noise=0.0):
    """The same in other light: a factor for all, for blue, green and red, or for each place."""
    return np.clip(picture * np.asarray(factor, float) + noise, 0, 255).astype(np.uint8)


def moved(face, turn):
    """The same face where an affine map (2 by 3) takes it."""
    turn = np.asarray(turn, float)

    def to(point):
        x, y = turn[:, :2] @ point + turn[:, 2]
        return float(x), float(y)

    scale = float(np.hypot(*turn[:, 0]))
    x, y = to(face.middle)
    width, height = face.width * scale, face.height * scale
    return replace(
        face,
        left=x - width / 2,
        top=y - height / 2,
        width=width,
        height=height,
        right_eye=to(face.right_eye),
        left_eye=to(face.left_eye),
        nose=to(face.nose),
        landmarks=tuple(map(to, face.landmarks)),
    )


def scaled(picture, face, factor):
    """Both at another size."""
    small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return small, moved(face, [[factor, 0, 0], [0, factor, 0]])


def rotated(picture, face, degrees):
    """Both turned about the middle of the face."""
    turn = cv2.getRotationMatrix2D(face.middle, degrees, 1)
    return cv2.warpAffine(picture, turn, picture.shape[1::-1]), moved(face, turn)


def painted(picture, outline, colour):
    """An outline (eye distances from the middle of the eyes) filled; shaded like the face."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(_places(outline)).astype(np.int32)], 255)
    mask = cv2.GaussianBlur(mask, (0, 0), 1)[..., None] / 255
    shade = cv2.GaussianBlur(picture.mean(axis=2), (0, 0), FACE.eye_distance / 3)
    shade = np.clip(shade / np.median(shade[291:484, 547:740]), 0.5, 1.2)[..., None]
    return np.clip(picture * (1 - mask) + colour * shade * mask, 0, 255).astype(np.uint8)


def masked(picture, colour, half=MASK):
    """With a mask over the lower face."""
    return painted(picture, [*half, *((-x, y) for x, y in reversed(half))], np.array(colour, float))


def with_glasses(picture, colour, *, rim=1.0):
    """With glasses; ``rim``: share of the lens that is of this colour, 1 for dark glasses."""
    covered = picture
    for side in (-1, 1):
        covered = painted(covered, _oval(side, 1.0), np.array(colour, float))
    if rim == 1:
        return covered
    inside = np.zeros(picture.shape[:2], np.uint8)
    for side in (-1, 1):
        oval = np.round(_places(_oval(side, 1 - rim))).astype(np.int32)
        cv2.fillPoly(inside, [oval], 255)
    return np.where(inside[..., None] > 0, picture, covered)


def _oval(side, size):
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return [(side * 0.5 + 0.4 * size * np.cos(a), 0.08 + 0.3 * size * np.sin(a)) for a in angles]


def _places(outline):
    (ax, ay), (bx, by) = FACE.right_eye, FACE.left_eye
    across = np.array([bx - ax, by - ay])
    down = np.array([-across[1], across[0]])
    return [np.array([(ax + bx) / 2, (ay + by) / 2]) + x * across + y * down for x, y in outline]
