"""Whole pictures and cut-out plates, found and read."""

import cv2
import numpy as np

from vision.plates.base import Picture, PlateDetector, PlateReader
from vision.plates.picture import as_bgr
from vision.plates.plate import Detection, Plate, Point, Quad

_CROP_PX = 240
"""A cut-out plate is made so wide before its corners are looked for."""
_SURROUNDINGS = 0.25
"""What is put around it, as a share of its width: plates are found in front of something."""


class Recogniser:
    """Finds plates and reads them."""

    def __init__(self, detector: PlateDetector, reader: PlateReader) -> None:
        self.detector = detector
        self.reader = reader

    def find(self, picture: Picture) -> list[Plate]:
        """Find and read all plates of a picture, as the detector orders them.

        Raises:
            PictureError: it is no picture.
        """
        picture = as_bgr(picture)
        detections = self.detector.detect(picture)
        readings = self.reader.read(picture, [found.corners for found in detections])
        return [Plate(*pair) for pair in zip(detections, readings, strict=True)]

    def read_crop(self, picture: Picture) -> Plate:
        """Read a cut-out plate: as it is cut, and by the corners that are found in it.

        The surer reading counts.

        Raises:
            PictureError: it is no picture.
        """
        picture = as_bgr(picture)
        height, width = picture.shape[:2]
        right, bottom = width - 0.5, height - 0.5
        whole: Quad = ((-0.5, -0.5), (right, -0.5), (right, bottom), (-0.5, bottom))
        detections = [Detection(corners=whole, score=1.0), *self._found_in(picture)]
        readings = self.reader.read(picture, [found.corners for found in detections])
        plates = [Plate(*pair) for pair in zip(detections, readings, strict=True)]
        return max(plates, key=lambda plate: plate.reading.confidence)

    def _found_in(self, crop: Picture) -> list[Detection]:
        """Look for a plate's corners in its crop; at most the likeliest."""
        scale = _CROP_PX / crop.shape[1]
        border = round(_CROP_PX * _SURROUNDINGS)
        height = min(max(1, round(crop.shape[0] * scale)), 4 * _CROP_PX)
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(crop, (_CROP_PX, height), interpolation=way)
        edges = (border,) * 4
        framed = cv2.copyMakeBorder(resized, *edges, borderType=cv2.BORDER_REPLICATE)
        back = crop.shape[1] / _CROP_PX, crop.shape[0] / height

        def in_crop(corner: Point) -> Point:
            x, y = ((at - border + 0.5) * s - 0.5 for at, s in zip(corner, back, strict=True))
            return x, y

        found = self.detector.detect(np.asarray(framed, np.uint8))[:1]
        return [
            Detection(
                corners=(
                    in_crop(best.corners[0]),
                    in_crop(best.corners[1]),
                    in_crop(best.corners[2]),
                    in_crop(best.corners[3]),
                ),
                score=best.score,
            )
            for best in found
        ]
