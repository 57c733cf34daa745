"""A flat picture that is turned: its points move as those of one plane do.

Two views of a plane are related by a homography (Hartley and Zisserman, Multiple View Geometry,
ch. 13). A head that turns is none: the nose moves against the cheeks, and mouth and lids move by
themselves. Only views between which the face's proportions changed as a turn changes them are
judged: whoever stands still, sways or comes nearer looks nearly flat, too.
"""

from statistics import median
from typing import Any

import cv2
import numpy as np

from vision.identity.base import Picture
from vision.identity.face import Face
from vision.identity.liveness.sign import Grey, Sign, upright

_SIZE, _EYE_PX, _EYES_AT = 160, 56.0, 0.38
_POINTS, _LEAST_POINTS = 100, 30
_APART_S = 2.0
"""A view is compared with one at most so old."""
_TURN = 0.24
"""The sine of the least turn that is judged: 14 degrees shrink a plane by 3 %."""
_LEAST_VIEWS = 4


class FlatMotion(Sign):
    """Judges what turned by what a plane leaves unexplained.

    The score is -log10 of that, in eye distances for a turn of 90 degrees, in the middle one of the
    views judged.
    """

    reason = "flat_motion"
    limit = 1.45

    def __init__(self) -> None:
        self._kept: tuple[float, Grey] | None = None
        self._left: list[float] = []

    def update(self, picture: Picture, face: Face, now_s: float) -> None:
        """Compare one view with an earlier one."""
        view = upright(picture, face, eye_px=_EYE_PX, size=_SIZE, middle=_EYES_AT)
        if self._kept is None or now_s - self._kept[0] > _APART_S:
            self._kept = now_s, view
            return
        unexplained = _unexplained(self._kept[1], view)
        if unexplained is not None:
            self._left.append(unexplained)

    def score(self) -> float | None:
        """Tell how flat what turned is."""
        if len(self._left) < _LEAST_VIEWS:
            return None
        return -float(np.log10(max(median(self._left), 1e-4)))


def _unexplained(before: Grey, now: Grey) -> float | None:
    mask = np.zeros_like(before)
    middle = (_SIZE // 2, round(_SIZE * _EYES_AT + 0.5 * _EYE_PX))
    cv2.ellipse(mask, middle, (round(0.85 * _EYE_PX), round(1.15 * _EYE_PX)), 0, 0, 360, 255, -1)
    start = cv2.goodFeaturesToTrack(before, _POINTS, 0.01, 5, mask=mask)
    if start is None or len(start) < _LEAST_POINTS:
        return None
    track: Any = cv2.calcOpticalFlowPyrLK  # its stubs do not know that nothing may be given
    there, seen, _ = track(before, now, start, None, winSize=(15, 15))
    back, seen_back, _ = track(now, before, there, None, winSize=(15, 15))
    sure = (seen & seen_back).ravel().astype(bool)
    sure &= np.linalg.norm(back - start, axis=2).ravel() < 0.5
    if sure.sum() < max(_LEAST_POINTS, len(start) // 2):
        return None
    source, target = start[sure][:, 0], there[sure][:, 0]
    affine, _ = cv2.estimateAffine2D(source, target, method=cv2.LMEDS)
    plane, _ = cv2.findHomography(source, target, cv2.LMEDS)
    if affine is None or plane is None:
        return None
    large, small = np.linalg.svd(affine[:, :2], compute_uv=False)
    turn = float(np.sqrt(max(0.0, 1 - (small / large) ** 2)))
    if turn < _TURN:
        return None
    fitted = cv2.perspectiveTransform(source[:, None], plane)[:, 0]
    off = np.linalg.norm(fitted - target, axis=1)
    return float(np.sqrt((off**2).mean()) / (_EYE_PX * turn))
