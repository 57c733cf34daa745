"""The two seams of plate recognition: what finds plates, and what reads them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vision.plates.plate import Detection, Quad, Reading

Picture = NDArray[np.uint8]
"""``(height, width, 3)``, BGR."""


class PlateDetector(ABC):
    """Finds plates and their four corners."""

    name: str
    """Model and version, for the events."""

    @abstractmethod
    def detect(self, picture: Picture) -> list[Detection]:
        """Find all plates, best first; corners in pixels of ``picture``, which may be any size."""

    def look_closer(self, picture: Picture, about: Quad) -> Detection | None:  # noqa: ARG002
        """Find the plate that is about there once more, from near; None where it is not seen.

        A detector that gains nothing by it need not.
        """
        return None


class PlateReader(ABC):
    """Reads plates whose corners are known."""

    name: str
    """Model and version, for the events."""

    @abstractmethod
    def read(self, picture: Picture, quads: Sequence[Quad]) -> list[Reading]:
        """Read the plate in each quad of ``picture``; one reading a quad, in their order."""
