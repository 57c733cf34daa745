"""A plate process whose networks are made up: white frames show a plate, others none."""

from tests.support.plates import plate, reading
from vision.models.errors import MissingModelError
from vision.plates.base import PlateDetector, PlateReader
from vision.plates.recognise import Recogniser
from vision.plates.watch import main


class WhiteDetector(PlateDetector):
    name = "white-1"

    def detect(self, picture):
        return [plate(reading("蒙BK2345"), 160, 90).detection] if picture.mean() > 200 else []


class OnePlateReader(PlateReader):
    name = "always-1"

    def read(self, picture, quads):
        return [reading("蒙BK2345", 0.99) for _ in quads]


def load(plates):
    """Two threads stand for a machine without models."""
    if plates.threads == 2:
        msg = "no model for the task plate-reader is listed"
        raise MissingModelError(msg)
    return Recogniser(WhiteDetector(), OnePlateReader())


if __name__ == "__main__":
    main(load)
