"""The project's own plate detector, run by ONNX Runtime."""

from collections.abc import Sequence

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from vision.models.errors import UnusableModelError
from vision.picture import as_bgr
from vision.plates.base import Picture, PlateDetector
from vision.plates.overlap import Quads, Scores, detection, merge
from vision.plates.plate import Detection, Quad

STEP = 32
"""Height and width of what the network sees are multiples of it."""
CAMERA: tuple[int, ...] = (960,)
"""What a camera's stream has time for."""
STILL: tuple[int, ...] = (320, 960, 1920)
"""And looks at what is large and what is small in a large picture."""
_LARGE = 320
"""A plate that fills the picture is too large for the other looks; at this size it is not."""
_NEAR_PX = 100
"""Width of a plate in the window of a closer look: about what scenes of the training show."""
_NEAR_WINDOW = (192, 128)
_NEAR_CENTRE = np.array(_NEAR_WINDOW) / 2 - 0.5
_NEAR_MIDDLE = (0.4, 0.25)
"""How far the plate's middle may be from the window's, in plate widths."""


class OnnxPlateDetector(PlateDetector):
    """Finds plates with a network from ``image`` to ``score`` and ``quad``.

    ``image`` is ``(1, H, W, 3)`` BGR of 8 bits, ``score`` ``(h, w)`` and ``quad`` ``(4, 2, h, w)``
    the corners in pixels of ``image`` as each cell sees them. A picture is looked at once for each
    of ``long_edges``, shrunk to that size where it is larger and never enlarged; a look that
    would show the same again is left out. Where nothing is found, a small look for a plate that
    fills the picture comes last.

    Raises:
        UnusableModelError: the network is another one.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        *,
        name: str,
        threshold: float = 0.5,
        long_edges: Sequence[int] = CAMERA,
    ) -> None:
        outputs = {output.name for output in session.get_outputs()}
        if [i.name for i in session.get_inputs()] != ["image"] or not {"score", "quad"} <= outputs:
            msg = f"model {name}: no plate detector of this project (image to score and quad)"
            raise UnusableModelError(msg)
        self.name = name
        self._session = session
        self._threshold = threshold
        self._long_edges = sorted(long_edges)

    def detect(self, picture: Picture) -> list[Detection]:
        """Find all plates, best first.

        Raises:
            PictureError: it is no picture.
        """
        picture = as_bgr(picture)
        longest = max(picture.shape[:2])
        edges = sorted({min(longest, edge) for edge in self._long_edges}, reverse=True)
        found = self._merged(picture, edges)
        if not found and edges[-1] > _LARGE:
            return self._merged(picture, [_LARGE])
        return found

    def look_closer(self, picture: Picture, about: Quad) -> Detection | None:
        """Find the plate that is about there once more, in a small window around it."""
        corners = np.array(about, np.float32)
        middle = corners.mean(0)
        width = float(np.linalg.norm(corners[1] - corners[0]))
        scale = _NEAR_PX / max(width, 1.0)
        window = _window(as_bgr(picture), middle, scale)
        for found in merge(*self._look(window, max(_NEAR_WINDOW))):
            there = np.array(found.corners) - _NEAR_CENTRE
            if (np.abs(there.mean(0)) < np.array(_NEAR_MIDDLE) * _NEAR_PX).all():
                return detection(there / scale + middle, found.score)
        return None

    def _merged(self, picture: Picture, edges: Sequence[int]) -> list[Detection]:
        looks = [self._look(picture, edge) for edge in edges]
        return merge(
            np.concatenate([quads for quads, _ in looks]),
            np.concatenate([scores for _, scores in looks]),
            np.repeat(np.arange(len(looks)), [len(scores) for _, scores in looks]),
        )

    def _look(self, picture: Picture, long_edge: int) -> tuple[Quads, Scores]:
        height, width = picture.shape[:2]
        share = long_edge / max(height, width)
        size = max(1, round(width * share)), max(1, round(height * share))
        if size != (width, height):
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        score, quad = self._session.run(["score", "quad"], {"image": _padded(picture)})
        rows, columns = np.nonzero(score >= self._threshold)
        quads = np.moveaxis(quad[:, :, rows, columns], -1, 0)
        scale = np.array((width / size[0], height / size[1]), np.float32)
        return (quads + 0.5) * scale - 0.5, score[rows, columns]


def _window(picture: Picture, middle: NDArray[np.float32], scale: float) -> Picture:
    """Show what is around ``middle``, scaled; the picture's edges go on where it ends."""
    size = np.array(picture.shape[1::-1])
    reach = np.array(_NEAR_WINDOW) / (2 * scale) + 2
    low = np.clip(np.floor(middle - reach), 0, size - 1).astype(int)
    high = np.clip(np.ceil(middle + reach), low + 1, size).astype(int)
    part = picture[low[1] : high[1], low[0] : high[0]]
    shrunk = np.ones(2)
    if scale < 0.5:  # averaged, so that no stroke is lost between samples
        target = np.maximum(np.rint((high - low) * 1.3 * scale), 1).astype(int)
        shrunk = target / (high - low)
        width, height = target.tolist()
        part = np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    across, down = scale / shrunk
    x, y = (0.5 / shrunk - 0.5 + low - middle) * scale + _NEAR_CENTRE
    turn = np.array(((across, 0, x), (0, down, y)))
    shown = cv2.warpAffine(part, turn, _NEAR_WINDOW, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(shown, np.uint8)


def _padded(picture: Picture) -> Picture:
    """Fill up with black on the right and below, and add the batch's dimension."""
    height, width = (-(-side // STEP) * STEP for side in picture.shape[:2])
    if (height, width) == picture.shape[:2]:
        return picture[None]
    image = np.zeros((1, height, width, 3), np.uint8)
    image[0, : picture.shape[0], : picture.shape[1]] = picture
    return image
