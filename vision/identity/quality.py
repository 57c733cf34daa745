"""Whether a face will do for a comparison, and why not.

Lengths count in distances between the eyes, light in what a picture can show of any skin: a limit
on how dark or bright skin itself is would be one on its tone.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.identity.base import Picture
from vision.identity.covering import is_covered
from vision.identity.face import Face, Quality
from vision.identity.reasons import Reason
from vision.identity.upright import cut_upright


@dataclass(frozen=True, slots=True)
class Limits:
    """What a face has to keep to. The defaults are for a person before the camera."""

    eye_distance_px: float = 24.0
    """At 24 pixels, and JPEG quality 75, the mean similarity to the same person had fallen by 0.009
    (at 40 by 0.002, at 16 by 0.022), which is a fifth of the way to other persons' highest."""
    beyond: float = 0.08
    """Share of the box that may lie beyond the picture."""
    yaw: float = 0.30
    """Of the nose to either side of the middle of the eyes, in eye distances: about 25 degrees."""
    pitch: tuple[float, float] = (0.35, 1.15)
    """Of the nose (its tip or base) below the eyes: faces that look ahead have 0.55 to 1.0."""
    roll_degrees: float = 25.0
    sharpness: float = 0.14
    """Share of the gradients that another blur takes away. Real faces: 0.25 to 0.47, soft video
    0.17. Blurred by 0.03 eye distances 0.13 to 0.27, and the similarity to the same person stays;
    by 0.06 0.09 to 0.16, and it falls by up to 0.04."""
    brightest: float = 40.0
    """Grey level of the brightest twentieth of a face: eyes, teeth and gloss on any skin. A fifth
    of the light, about this limit, made the similarity to the same person fall by 0.006, an eighth
    by 0.013."""
    contrast: float = 25.0
    """Grey levels from the darkest twentieth to the brightest: brows and nostrils are dark on any
    skin. Glare and fog leave less."""
    burnt: float = 0.40
    """Share of a face that is lost in white, in two colours at least: doubled light makes 0.46 on
    average (the similarity to the same person falls by 0.013), light of 2.5 times 0.59 (0.025)."""
    uneven: float = 2.0
    """How many times (log2) one cheek is as bright as the other. Faces in side light had up to 1.0;
    painted shade of 3.0 across the face made the similarity to the same person fall by 0.006."""


LIVE = Limits()
PORTRAIT = Limits(
    eye_distance_px=15.0, beyond=0.25, sharpness=0.06, brightest=30.0, contrast=20.0, burnt=0.60
)
"""Of a document: an identity card's has 102 by 126 pixels, 25 of them between the eyes, and is
compressed to 1,024 bytes. It is what there is; nobody can be asked to hold still again."""

_MIDDLE = slice(20, 110), slice(24, 88)
"""Of the cut-out face: brows to chin, without ears and background."""
_SIDES = (slice(54, 90), slice(28, 52)), (slice(54, 90), slice(60, 84))
"""The cheeks."""
_ORDER: tuple[Reason, ...] = (
    "cut_off",
    "too_small",
    "turned",
    "tilted",
    "too_dark",
    "covered",
    "too_bright",
    "uneven_light",
    "blurred",
)
"""What a person should mend first: what comes later may be gone with it."""
_GOOD_EYE_DISTANCE_PX = 60.0
_GOOD_SHARPNESS = 0.4
"""More of either makes no better template."""


def judge(picture: Picture, face: Face, limits: Limits = LIVE) -> Quality:
    """Tell what one face of a picture is worth."""
    cut = cut_upright(picture, face)
    grey = np.asarray(cv2.cvtColor(cut, cv2.COLOR_BGR2GRAY), np.uint8)
    pose, sharpness = _Pose.of(face), _sharpness(grey)
    lost = np.sort((cut[_MIDDLE] >= 250).mean(axis=(0, 1)))
    found: set[Reason] = {*_place(picture, face, limits), *_light(grey, float(lost[1]), limits)}
    if abs(pose.yaw) > limits.yaw or not limits.pitch[0] <= pose.pitch <= limits.pitch[1]:
        found.add("turned")
    if abs(pose.roll_degrees) > limits.roll_degrees:
        found.add("tilted")
    if sharpness < limits.sharpness:
        found.add("blurred")
    # A turned face shows other parts where these are looked for, a dark one shows none.
    if not found & {"cut_off", "turned", "too_dark"} and is_covered(cut):
        found.add("covered")
    score = (
        min(1.0, face.eye_distance / _GOOD_EYE_DISTANCE_PX) ** 0.5
        * min(1.0, sharpness / _GOOD_SHARPNESS)
        * max(0.0, 1 - abs(pose.yaw))
        * max(0.0, math.cos(math.radians(pose.roll_degrees)))
        * 0.5 ** len(found)
    )
    return Quality(score, tuple(reason for reason in _ORDER if reason in found))


@dataclass(frozen=True, slots=True)
class _Pose:
    """Where the nose lies in the eyes' own frame, in eye distances, and how the eyes lie."""

    yaw: float
    pitch: float
    roll_degrees: float

    @classmethod
    def of(cls, face: Face) -> "_Pose":
        (ax, ay), (bx, by) = face.right_eye, face.left_eye
        across, down = bx - ax, by - ay
        square = max(across**2 + down**2, 1.0)
        x, y = face.nose[0] - (ax + bx) / 2, face.nose[1] - (ay + by) / 2
        return cls(
            yaw=(x * across + y * down) / square,
            pitch=(y * across - x * down) / square,
            roll_degrees=math.degrees(math.atan2(down, across)),
        )


def _place(picture: Picture, face: Face, limits: Limits) -> set[Reason]:
    found: set[Reason] = set()
    if face.eye_distance < limits.eye_distance_px:
        found.add("too_small")
    height, width = picture.shape[:2]
    across = min(width, face.left + face.width) - max(0.0, face.left)
    down = min(height, face.top + face.height) - max(0.0, face.top)
    inside = max(0.0, across) * max(0.0, down)
    if inside < (1 - limits.beyond) * face.width * face.height:
        found.add("cut_off")
    return found


def _light(grey: NDArray[np.uint8], lost: float, limits: Limits) -> set[Reason]:
    found: set[Reason] = set()
    middle = grey[_MIDDLE]
    dark, bright = (float(level) for level in np.percentile(middle, (5, 95)))
    if bright < limits.brightest:
        found.add("too_dark")
    elif lost > limits.burnt:
        found.add("too_bright")
    elif bright - dark < limits.contrast:
        found.add("too_dark" if bright < 128 else "too_bright")
    right, left = (float(np.median(grey[side])) + 4 for side in _SIDES)
    if abs(math.log2(right / left)) > limits.uneven:
        found.add("uneven_light")
    return found


def _sharpness(grey: NDArray[np.uint8]) -> float:
    """Share of the gradients that a blur takes away: little, where a picture is blurred already.

    After Crété-Roffet et al., "The blur effect" (2007).
    """
    sharp = grey[_MIDDLE].astype(np.float32)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 1.5)
    before, after = (
        float(np.abs(np.diff(plane, axis=0)).sum() + np.abs(np.diff(plane, axis=1)).sum())
        for plane in (sharp, blurred)
    )
    return 1 - after / before if before else 0.0
