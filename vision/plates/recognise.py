"""Whole pictures and cut-out plates, found and read."""

from collections.abc import Sequence

from vision.picture import as_bgr
from vision.plates.base import Picture, PlateDetector, PlateReader
from vision.plates.plate import Detection, Plate, Quad

_SURE = 0.9
"""Confidence that a closer look would not change, of a reading or of there being none."""


class Recogniser:
    """Finds plates and reads them."""

    def __init__(self, detector: PlateDetector, reader: PlateReader) -> None:
        self.detector = detector
        self.reader = reader

    def find(self, picture: Picture) -> list[Plate]:
        """Find and read all plates of a picture, as the detector orders them.

        What the reader sees no character in is no plate: it is trained on what looks like one.

        Raises:
            PictureError: it is no picture.
        """
        return [plate for plate in self.suspect(picture) if plate.reading.characters]

    def suspect(self, picture: Picture) -> list[Plate]:
        """Find and read all that the detector takes for a plate, legible or not.

        Raises:
            PictureError: it is no picture.
        """
        picture = as_bgr(picture)
        return self._read(picture, self.detector.detect(picture))

    def read_crop(self, picture: Picture) -> Plate:
        """Read a cut-out plate.

        Raises:
            PictureError: it is no picture.
        """
        picture = as_bgr(picture)
        right, bottom = picture.shape[1] - 0.5, picture.shape[0] - 0.5
        whole: Quad = ((-0.5, -0.5), (right, -0.5), (right, bottom), (-0.5, bottom))
        return self._read(picture, [Detection(corners=whole, score=1.0)])[0]

    def _read(self, picture: Picture, found: Sequence[Detection]) -> list[Plate]:
        """Read each plate by its corners, and where that is not sure by those seen from near.

        The surer reading counts.
        """
        readings = self.reader.read(picture, [each.corners for each in found])
        plates = [Plate(*pair) for pair in zip(found, readings, strict=True)]
        for at, plate in enumerate(plates):
            nothing = plate.reading.absence if not plate.reading.characters else 0.0
            if max(plate.reading.confidence, nothing) >= _SURE:
                continue
            closer = self.detector.look_closer(picture, plate.detection.corners)
            if closer is None:
                continue
            (reading,) = self.reader.read(picture, [closer.corners])
            if reading.confidence > plate.reading.confidence:
                plates[at] = Plate(closer, reading)
        return plates
