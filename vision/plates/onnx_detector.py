"""The project's own plate detector, run by ONNX Runtime."""

from collections.abc import Sequence

import cv2
import numpy as np
import onnxruntime as ort

from vision.models.errors import UnusableModelError
from vision.plates.base import Picture, PlateDetector
from vision.plates.overlap import Quads, Scores, merge
from vision.plates.picture import as_bgr
from vision.plates.plate import Detection

STEP = 32
"""Height and width of what the network sees are multiples of it."""
CAMERA: tuple[int, ...] = (320, 960)
"""What a camera's stream has time for: near plates and far ones. The small look costs a tenth."""
STILL: tuple[int, ...] = (320, 960, 1920)
"""And a look at what is small in a large picture."""


class OnnxPlateDetector(PlateDetector):
    """Finds plates with a network from ``image`` to ``score`` and ``quad``.

    ``image`` is ``(1, H, W, 3)`` BGR of 8 bits, ``score`` ``(h, w)`` and ``quad`` ``(4, 2, h, w)``
    the corners in pixels of ``image`` as each cell sees them. A picture is looked at once for each
    of ``long_edges``, shrunk to that size where it is larger and never enlarged; a look that
    would show the same again is left out.

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
        looks = [
            self._look(picture, edge)
            for edge in sorted({min(longest, e) for e in self._long_edges})
        ]
        return merge(
            np.concatenate([quads for quads, _ in looks]),
            np.concatenate([scores for _, scores in looks]),
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


def _padded(picture: Picture) -> Picture:
    """Fill up with black on the right and below, and add the batch's dimension."""
    height, width = (-(-side // STEP) * STEP for side in picture.shape[:2])
    if (height, width) == picture.shape[:2]:
        return picture[None]
    image = np.zeros((1, height, width, 3), np.uint8)
    image[0, : picture.shape[0], : picture.shape[1]] = picture
    return image
