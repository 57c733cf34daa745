"""Faces by OpenCV: YuNet finds them, SFace compares them; the user brings both files.

YuNet and SFace are networks of the OpenCV zoo (``face_detection_yunet_*.onnx``, MIT;
``face_recognition_sface_*.onnx``, Apache-2.0), which are not part of the project. What is tried
with OpenCV 5.0 is the way to them and back, on tiny networks with the same inputs and outputs; the
zoo's own files were not at hand, and how well they tell persons apart was not measured here.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.identity.base import FaceDetector, FaceRecogniser, Picture, Template
from vision.identity.face import Face, Point
from vision.models.errors import UnusableModelError
from vision.models.manifest import Model

LIVE_EDGES_PX = (480,)
"""Longer edge of what YuNet sees of a camera's frame; it finds faces of 10 to 300 pixels."""
STILL_EDGES_PX = (640, 1280, 320)
"""Of a still, one after the other until a face is found: the last is for a face that fills it."""
_CHIP_PX = 112
_SCORE = 0.7
_OVERLAP = 0.3
_CANDIDATES = 500

T = TypeVar("T")


class YuNetDetector(FaceDetector):
    """Finds faces with YuNet (Wu et al., Machine Intelligence Research 2023).

    Args:
        model: YuNet's file.
        edges: the longer edges to look at a picture with.

    Raises:
        ModelError: it is missing, has another hash or is another network.
    """

    def __init__(self, model: Model, *, edges: Sequence[int] = LIVE_EDGES_PX) -> None:
        self.name = model.name
        self._edges = edges
        content, nothing = _buffers(model)
        self._detector = _tried(
            model,
            lambda: cv2.FaceDetectorYN.create(
                "onnx", content, nothing, (320, 320), _SCORE, _OVERLAP, _CANDIDATES
            ),
        )
        _tried(model, lambda: self.find(np.zeros((32, 32, 3), np.uint8)))

    def find(self, picture: Picture) -> list[Face]:
        """Find all faces, the largest first, in a picture of any size."""
        for edge in self._edges:
            if found := self._look(picture, edge):
                return sorted(found, key=lambda face: face.width * face.height, reverse=True)
        return []

    def _look(self, picture: Picture, edge: int) -> list[Face]:
        height, width = picture.shape[:2]
        share = edge / max(height, width)
        size = max(1, round(width * share)), max(1, round(height * share))
        way = cv2.INTER_AREA if share < 1 else cv2.INTER_LINEAR
        self._detector.setInputSize(size)
        _, rows = self._detector.detect(cv2.resize(picture, size, interpolation=way))
        scale = np.array((width / size[0], height / size[1]))
        return [] if rows is None else [_face(row, scale) for row in rows]


class SFaceRecogniser(FaceRecogniser):
    """Makes templates with SFace (Zhong et al., IEEE TIP 2021), compared by their angle.

    Raises:
        ModelError: its file is missing, has another hash or is another network.
    """

    def __init__(self, model: Model) -> None:
        self.name = model.name
        content, nothing = _buffers(model)
        self._recogniser = _tried(
            model, lambda: cv2.FaceRecognizerSF.create("onnx", content, nothing)
        )
        empty = np.full((_CHIP_PX, _CHIP_PX, 3), 128, np.uint8)
        self.dimension = _tried(model, lambda: len(self._feature(empty)))

    def align(self, picture: Picture, face: Face) -> Picture:
        """Cut the face out, 112 pixels square; beyond the picture it is black."""
        row = np.zeros((1, 15), np.float32)
        row[0, 4:14] = np.array(face.landmarks).ravel()
        return np.asarray(self._recogniser.alignCrop(picture, row), np.uint8)

    def embed(self, chips: Sequence[Picture]) -> list[Template]:
        """Make a template of each aligned face."""
        features = [self._feature(chip) for chip in chips]
        return [feature / max(float(np.linalg.norm(feature)), 1e-9) for feature in features]

    def _feature(self, chip: Picture) -> NDArray[np.float32]:
        return np.array(self._recogniser.feature(chip), np.float32).ravel()


def _face(row: NDArray[np.float32], scale: NDArray[np.float64]) -> Face:
    """A row is the box, right eye, left eye, nose, right and left corner of the mouth, score."""
    corner, size, *points = (row[:14].reshape(7, 2) * scale).tolist()
    landmarks: tuple[Point, ...] = tuple((x, y) for x, y in points)
    right_eye, left_eye, nose, *_ = landmarks
    return Face(
        left=corner[0],
        top=corner[1],
        width=size[0],
        height=size[1],
        score=float(row[14]),
        right_eye=right_eye,
        left_eye=left_eye,
        nose=nose,
        landmarks=landmarks,
    )


def _buffers(model: Model) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The network, whose hash was right, and the description that an ONNX file needs not."""
    return np.frombuffer(model.read(), np.uint8), np.empty(0, np.uint8)


def _tried(model: Model, use: Callable[[], T]) -> T:
    try:
        return use()
    except cv2.error as error:
        reason = str(getattr(error, "err", error)).strip().splitlines() or ["no reason given"]
        msg = f"model {model.name}: OpenCV cannot use it as a {model.role} ({reason[0][:200]})"
        raise UnusableModelError(msg) from error
