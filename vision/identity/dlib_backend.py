"""Faces by dlib: found by its HOG detector, aligned by its five points, embedded by its network."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import dlib
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from vision.identity.base import FaceDetector, FaceRecogniser, Picture, Template
from vision.identity.dlib_network import CHIP_PX, DESCRIPTOR, INPUT, OUTPUT
from vision.identity.face import Face, Point
from vision.models.errors import UnusableModelError
from vision.models.manifest import Model
from vision.models.memory_file import memory_file, path_of

_LIVE_WIDTH_PX, _LIVE_HEIGHT_PX = 480, 960
"""Of a camera's frame, or less: a face is found where it is a sixth as wide."""
_STILL_EDGES_PX = (640, 1280)
"""Longer edges of a still, one after the other until a face is found: an eighth, a sixteenth."""
_LEAST_PX = 40
"""Of each edge: the network cannot look at less."""
_TURNED_SCORE = 0.5
"""Of a face in a picture that had to be turned: those that are really there score more."""
_CLOSE_BOX_PX = 200
"""Width of a face's box where its points are looked for; they come in whole pixels."""
_CLOSE_EYES_PX = 110
"""Between the eyes of what a face is cut out of: twice what the network sees."""
_PADDING = 0.25
"""Around the face, of its width: as the network was trained."""
_RADIUS = 1.3
"""Of the sphere that descriptors are put on; they lie some 0.5 from its pole."""


class DlibDetector(FaceDetector):
    """Finds frontal faces with dlib's HOG detector and their points with its predictor.

    A face is looked for in a small picture, its points in the picture itself.

    Args:
        landmarks: the predictor of five points.
        second: a network for stills: it looks where the HOG detector finds nothing at two sizes
            and with the picture turned (a second, and 300 MB for as long). None: live video, where
            there is no time for that and a face that is not upright is none.

    Raises:
        ModelError: a model is missing, has another hash or is another one.
    """

    def __init__(self, landmarks: Model, second: Model | None = None) -> None:
        self.name = f"dlib-hog-{dlib.__version__}"
        self._hog = dlib.get_frontal_face_detector()
        self._points = _load(dlib.shape_predictor, landmarks)
        self._network = None if second is None else _load(dlib.cnn_face_detection_model_v1, second)

    def find(self, picture: Picture) -> list[Face]:
        """Find all faces, the largest first, in a picture of any size."""
        found = self._find(picture) if self._network is None else self._find_in_still(picture)
        return sorted(found, key=lambda face: face.width * face.height, reverse=True)

    def _find(self, picture: Picture) -> list[Face]:
        height, width = picture.shape[:2]
        return self._upright(picture, min(_LIVE_WIDTH_PX / width, _LIVE_HEIGHT_PX / height))

    def _find_in_still(self, picture: Picture) -> list[Face]:
        first, *others = (edge / max(picture.shape[:2]) for edge in _STILL_EDGES_PX)
        for share in (first, *others):
            if found := self._upright(picture, share):
                return found
        for quarters in (1, 3, 2):
            turned = np.ascontiguousarray(np.rot90(picture, quarters))
            found = [one for one in self._upright(turned, first) if one.score >= _TURNED_SCORE]
            if found:
                return [_turned_back(face, turned, quarters) for face in found]
        assert self._network is not None  # noqa: S101 - see find
        small = _scaled(picture, first)
        if min(small.shape[:2]) < _LEAST_PX:
            return []
        seen = self._network(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), 0)
        return [self._face(picture, one.rect, one.confidence, first) for one in seen]

    def _upright(self, picture: Picture, share: float) -> list[Face]:
        """Find upright faces with the picture at ``share`` of its size."""
        grey = cv2.cvtColor(_scaled(picture, share), cv2.COLOR_BGR2GRAY)
        boxes, scores, _ = self._hog.run(grey, 0, 0.0)
        return [
            self._face(picture, box, score, share) for box, score in zip(boxes, scores, strict=True)
        ]

    def _face(self, picture: Picture, box: Any, score: float, share: float) -> Face:
        left, top = box.left() / share, box.top() / share
        width, height = box.width() / share, box.height() / share
        piece = _Piece(
            picture, (left + width / 2, top + height / 2), reach=width, scale=_CLOSE_BOX_PX / width
        )
        corner, opposite = piece.inside((left, top)), piece.inside((left + width, top + height))
        near = dlib.rectangle(*(round(value) for value in (*corner, *opposite)))
        grey = cv2.cvtColor(piece.pixels, cv2.COLOR_BGR2GRAY)
        points = tuple(
            piece.outside((point.x, point.y)) for point in self._points(grey, near).parts()
        )
        left_outer, left_inner, right_outer, right_inner, nose = points
        return Face(
            left=left,
            top=top,
            width=width,
            height=height,
            score=float(score),
            right_eye=_middle(right_outer, right_inner),
            left_eye=_middle(left_outer, left_inner),
            nose=nose,
            landmarks=points,
        )


class DlibRecogniser(FaceRecogniser):
    """Makes templates with dlib's network, of each face and its mirror image.

    dlib compares descriptors by their distance. Here their mean is taken from the descriptor of an
    empty picture and put on a sphere (stereographic projection): so the scalar product of two
    templates falls with the distance of the faces, and weighs it by how much the network saw in
    each. On the project's sample of faces this parts persons better than distance or angle alone.

    Raises:
        UnusableModelError: the network is another one.
    """

    dimension = DESCRIPTOR + 1

    def __init__(self, session: ort.InferenceSession, *, name: str) -> None:
        names = [value.name for value in (*session.get_inputs(), *session.get_outputs())]
        if names != [INPUT, OUTPUT]:
            msg = f"model {name}: not dlib's face recognition network"
            raise UnusableModelError(msg)
        self.name = name
        self._session = session
        empty = [
            np.full((1, CHIP_PX, CHIP_PX, 3), grey, np.uint8) for grey in (0, 64, 128, 191, 255)
        ]
        self._empty = np.concatenate([self.describe(chip) for chip in empty]).mean(0)

    def align(self, picture: Picture, face: Face) -> Picture:
        """Cut the face out as dlib does, 150 pixels square; beyond the picture it is black."""
        (ax, ay), (bx, by) = face.right_eye, face.left_eye
        distance = max(face.eye_distance, 1.0)
        piece = _Piece(
            picture,
            ((ax + bx) / 2, (ay + by) / 2),
            reach=3 * distance,
            scale=_CLOSE_EYES_PX / distance,
        )
        points = [dlib.point(*map(round, piece.inside(point))) for point in face.landmarks]
        near = dlib.full_object_detection(dlib.rectangle(), points)
        return np.asarray(dlib.get_face_chip(piece.pixels, near, CHIP_PX, _PADDING), np.uint8)

    def embed(self, chips: Sequence[Picture]) -> list[Template]:
        """Make a template of each aligned face."""
        if not chips:
            return []
        upright = np.stack(chips)
        both = self.describe(np.concatenate([upright, upright[:, :, ::-1]]))
        mean = both.reshape(2, len(upright), DESCRIPTOR).mean(0) - self._empty
        square = (mean**2).sum(1, keepdims=True)
        lifted = np.concatenate([2 * _RADIUS * mean, square - _RADIUS**2], 1)
        return list((lifted / (square + _RADIUS**2)).astype(np.float32))

    def describe(self, chips: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Give dlib's own descriptors of aligned faces, ``(n, 128)``."""
        (found,) = self._session.run([OUTPUT], {INPUT: chips})
        return np.asarray(found, np.float32)


class _Piece:
    """A square of a picture, scaled: what is far from a face needs no work."""

    def __init__(self, picture: Picture, middle: Point, *, reach: float, scale: float) -> None:
        height, width = picture.shape[:2]
        x, y = middle
        left, top = (max(0, round(value - reach)) for value in (x, y))
        right, bottom = min(width, round(x + reach)), min(height, round(y + reach))
        piece = picture[min(top, height - 1) : max(bottom, 1), min(left, width - 1) : max(right, 1)]
        self.pixels = _scaled(piece, scale)
        self._corner = min(left, width - 1), min(top, height - 1)
        rows, columns = piece.shape[:2]
        self._scale = self.pixels.shape[1] / columns, self.pixels.shape[0] / rows

    def inside(self, point: Point) -> Point:
        """From a place in the picture to the one in the piece."""
        (x, y), (left, top), (across, down) = point, self._corner, self._scale
        return (x + 0.5 - left) * across - 0.5, (y + 0.5 - top) * down - 0.5

    def outside(self, point: Point) -> Point:
        """And back."""
        (x, y), (left, top), (across, down) = point, self._corner, self._scale
        return (x + 0.5) / across - 0.5 + left, (y + 0.5) / down - 0.5 + top


def _scaled(picture: Picture, share: float) -> Picture:
    size = max(1, round(picture.shape[1] * share)), max(1, round(picture.shape[0] * share))
    if size == (picture.shape[1], picture.shape[0]):
        return np.ascontiguousarray(picture)
    way = cv2.INTER_AREA if share < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=way), np.uint8)


def _middle(a: Point, b: Point) -> Point:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2


def _turned_back(face: Face, turned: Picture, quarters: int) -> Face:
    """Give a face of a picture turned by ``np.rot90`` its place in the picture as it was."""
    height, width = turned.shape[:2]

    def back(point: Point) -> Point:
        x, y = point
        return {
            1: (height - 1 - y, x),
            2: (width - 1 - x, height - 1 - y),
            3: (y, width - 1 - x),
        }[quarters]

    corners = back((face.left, face.top)), back((face.left + face.width, face.top + face.height))
    (left, right), (top, bottom) = (sorted(values) for values in zip(*corners, strict=True))
    return replace(
        face,
        left=left,
        top=top,
        width=right - left,
        height=bottom - top,
        right_eye=back(face.right_eye),
        left_eye=back(face.left_eye),
        nose=back(face.nose),
        landmarks=tuple(map(back, face.landmarks)),
    )


def _load(kind: Any, model: Model) -> Any:
    """Load one of dlib's models from the bytes whose hash was right; dlib reads only files."""
    with memory_file(model.read()) as file:
        try:
            return kind(path_of(file))
        except RuntimeError as error:
            msg = f"model {model.name}: dlib cannot load it ({error})"
            raise UnusableModelError(msg) from error
