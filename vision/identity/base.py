"""The two seams of face recognition: what finds faces, and what compares them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vision.identity.face import Face

Picture = NDArray[np.uint8]
"""``(height, width, 3)``, BGR."""
Template = NDArray[np.float32]
"""``(dimension,)``, of length 1: the similarity of two is their scalar product, -1 to 1."""


class FaceDetector(ABC):
    """Finds faces and their landmarks."""

    name: str
    """Model and version, for the events."""

    @abstractmethod
    def find(self, picture: Picture) -> list[Face]:
        """Find all faces, the largest first, in a picture of any size."""


class FaceRecogniser(ABC):
    """Makes templates of faces whose landmarks are known."""

    name: str
    """Model and version, for the events; templates of different names are not comparable."""
    dimension: int

    @abstractmethod
    def align(self, picture: Picture, face: Face) -> Picture:
        """Cut the face out, upright and of the recogniser's own size."""

    @abstractmethod
    def embed(self, chips: Sequence[Picture]) -> list[Template]:
        """Make a template of each aligned face."""
