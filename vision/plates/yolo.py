"""YOLO models as plate detectors: exported to ONNX, or in their own format with ultralytics.

Detection, oriented-box (OBB) and pose models serve. A detection model knows no corners: its boxes
stand upright, and tilted plates are read less well. A pose model must have four keypoints, the
plate's corners. Of several classes those count whose names speak of plates.
"""

import ast
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from vision.models.errors import MissingModelError, UnusableModelError
from vision.picture import as_bgr
from vision.plates.base import Picture, PlateDetector
from vision.plates.overlap import Quads, Scores, merge
from vision.plates.plate import Detection

Task = Literal["detect", "obb", "pose"]
TASKS: tuple[Task, ...] = get_args(Task)

_PLATE_NAMES = ("plate", "车牌", "号牌")
_GREY = 114
_CORNERS = 4
_LONG_EDGE = 960
"""What a picture is brought to where the model leaves it open: as the project's own detector sees a
camera's. A training on windows of pictures, which the model file tells of, was smaller."""


class YoloOnnxDetector(PlateDetector):
    """A YOLO that ultralytics exported to ONNX; its metadata say what it is.

    Raises:
        UnusableModelError: it is no such export, or finds no plates.
    """

    def __init__(self, session: ort.InferenceSession, *, name: str, threshold: float = 0.4) -> None:
        self.name = name
        self._session = session
        self._threshold = threshold
        self._form = _Form.of(session.get_modelmeta().custom_metadata_map, name)
        image = session.get_inputs()[0]
        self._input = image.name
        self._type = "float16" if image.type == "tensor(float16)" else "float32"
        sides = zip(image.shape[2:], self._form.size, strict=True)
        self._height, self._width = (
            fixed if isinstance(fixed, int) else usual for fixed, usual in sides
        )

    def detect(self, picture: Picture) -> list[Detection]:
        """Find all plates, best first.

        Raises:
            PictureError: it is no picture.
        """
        picture = as_bgr(picture)
        image, scale, border = self._letterbox(picture)
        (output, *_) = self._session.run(None, {self._input: image})
        quads, scores = self._form.decode(np.asarray(output[0], np.float32), self._threshold)
        # Its pixels have their corners, OpenCV's their centres, at whole numbers.
        quads = (quads - border) / scale - np.float32(0.5)
        # The best find's corners count alone, as with ultralytics: each is a look of its own.
        return merge(quads, scores, np.arange(len(scores)))

    def _letterbox(
        self, picture: Picture
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
        """Fit a picture in the middle of the input; also returns scale and border, (x, y) each."""
        height, width = picture.shape[:2]
        share = min(self._height / height, self._width / width)
        size = max(1, round(width * share)), max(1, round(height * share))
        left, top = (self._width - size[0]) // 2, (self._height - size[1]) // 2
        canvas = np.full((self._height, self._width, 3), _GREY, np.uint8)
        inner = canvas[top : top + size[1], left : left + size[0]]
        inner[:] = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)  # as it was trained
        image = np.ascontiguousarray(canvas[None, :, :, ::-1].transpose(0, 3, 1, 2))
        scale = np.array((size[0] / width, size[1] / height), np.float32)
        border = np.array((left, top), np.float32)
        return (image / np.float32(255)).astype(self._type), scale, border


class _Form:
    """How to read the output of an export."""

    def __init__(
        self,
        task: Task,
        *,
        classes: int,
        plates: list[int],
        keypoint: int,
        final: bool,
        size: tuple[int, int],
    ) -> None:
        self._task = task
        self._classes = classes
        self._plates = plates
        self._keypoint = keypoint
        self._final = final
        self.size = size
        """Height and width where the network leaves them open."""

    @classmethod
    def of(cls, metadata: Mapping[str, str], name: str) -> "_Form":
        """Read what the export says of itself."""
        try:
            task = metadata["task"]
            names: dict[int, str] = ast.literal_eval(metadata["names"])
            height, width = ast.literal_eval(metadata["imgsz"])
            points, values = ast.literal_eval(metadata.get("kpt_shape", "[4, 2]"))
            nms = ast.literal_eval(metadata.get("args", "{}")).get("nms", False)
        except (KeyError, ValueError, SyntaxError, TypeError, AttributeError) as error:
            msg = f"model {name}: no YOLO that ultralytics exported to ONNX: {error!r}"
            raise UnusableModelError(msg) from error
        return cls(
            _usable(task, points, name),
            classes=len(names),
            plates=_of_plates(names, name),
            keypoint=values,
            final=bool(nms) or metadata.get("end2end") == "True",
            size=(height, width),
        )

    def decode(self, output: NDArray[np.float32], threshold: float) -> tuple[Quads, Scores]:
        """Return corners, in pixels of the input, and scores of all finds over the threshold.

        ``output`` is ``(n, 6 + more)``, box, score, class and more, where the network itself
        keeps the best; else ``(4 + classes + more, n)``, boxes by centre.
        """
        if self._final:
            boxes, scores, kinds, more = np.split(output, (4, 5, 6), 1)
            keep = (scores[:, 0] >= threshold) & np.isin(kinds[:, 0], self._plates)
            by_centre = self._task == "obb"
            best = scores[:, 0]
        else:
            boxes, scores, more = np.split(output.T, (4, 4 + self._classes), 1)
            best = scores[:, self._plates].max(1)
            keep = best >= threshold
            by_centre = True
        boxes, more = boxes[keep], more[keep]
        if self._task == "pose":
            points = more.reshape(len(more), _CORNERS, self._keypoint)[..., :2]
            return upright(points), best[keep]
        if not by_centre:
            boxes = np.hstack(((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]))
        angles = more[:, 0] if self._task == "obb" else np.zeros(len(boxes), np.float32)
        return upright(_turned(boxes, angles)), best[keep]


class UltralyticsDetector(PlateDetector):
    """Any YOLO model file that ultralytics (AGPL-3.0, an optional extra) can run.

    A ``.pt`` file is a program: load none that you would not run.

    Raises:
        MissingModelError: there is no such file.
        UnusableModelError: ultralytics is not installed, or the model finds no plates.
    """

    def __init__(self, file: Path, *, threshold: float = 0.4) -> None:
        # A kiosk neither reports its use nor installs anything by itself.
        os.environ.setdefault("YOLO_OFFLINE", "true")
        os.environ.setdefault("YOLO_AUTOINSTALL", "false")
        self.name = file.stem
        if not file.exists():  # ultralytics would look for it on GitHub
            msg = f"model {file} cannot be read: there is no such file"
            raise MissingModelError(msg)
        try:
            from ultralytics import YOLO  # noqa: PLC0415 - an extra of several gigabytes
        except ImportError as error:
            msg = f"model {file}: ultralytics is not installed (pip install ultralytics)"
            raise UnusableModelError(msg) from error
        self._threshold = threshold
        try:
            self._model: Any = YOLO(file)
            # Only running it shows whether all its parts work, and loads an exported one.
            self._predict(np.zeros((_LONG_EDGE, _LONG_EDGE, 3), np.uint8))
        except Exception as error:  # it raises whatever its parts raise
            msg = f"model {file}: ultralytics cannot run it: {error}"
            raise UnusableModelError(msg) from error
        points = getattr(self._model.predictor.model, "kpt_shape", None) or (_CORNERS, 2)
        self._task = _usable(self._model.task, points[0], self.name)
        self._plates = _of_plates(self._model.names, self.name)

    def detect(self, picture: Picture) -> list[Detection]:
        """Find all plates, best first.

        Raises:
            PictureError: it is no picture.
        """
        result = self._predict(as_bgr(picture), classes=self._plates)
        found = result.obb if self._task == "obb" else result.boxes
        if self._task == "detect":
            boxes = found.xywh.numpy()
            quads = _turned(boxes, np.zeros(len(boxes), np.float32))
        else:
            corners = found.xyxyxyxy if self._task == "obb" else result.keypoints.xy
            quads = corners.numpy().reshape(-1, _CORNERS, 2)
        return merge(upright(quads) - np.float32(0.5), found.conf.numpy())

    def _predict(self, picture: Picture, **wanted: Any) -> Any:
        (result,) = self._model.predict(
            picture,
            imgsz=_LONG_EDGE,
            conf=self._threshold,
            device="cpu",
            verbose=False,
            **wanted,
        )
        return result


def upright(quads: Quads) -> Quads:
    """Bring corners in the order of ``Quad``: round, from the top left.

    The plate is taken to be tilted by less than 45 degrees.
    """
    from_centre = quads - quads.mean(1, keepdims=True)
    round_ = np.argsort(np.arctan2(from_centre[..., 1], from_centre[..., 0]), 1)
    quads = np.take_along_axis(quads, round_[..., None], 1)
    along = np.roll(quads, -1, 1) - quads  # from each corner to the next
    along -= np.roll(along, 2, 1)  # less the opposite edge, which runs the other way
    with np.errstate(invalid="ignore"):
        rightward = along[..., 0] / np.linalg.norm(along, axis=2)
    first = np.nan_to_num(rightward).argmax(1)
    order = (first[:, None] + np.arange(_CORNERS)) % _CORNERS
    return np.asarray(np.take_along_axis(quads, order[..., None], 1), np.float32)


def _turned(boxes: NDArray[np.float32], angles: NDArray[np.float32]) -> Quads:
    """Corners of boxes (centre, width, height) turned clockwise by angles in radians."""
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    across = boxes[:, 2:3] / 2 * np.hstack((cos, sin))
    down = boxes[:, 3:4] / 2 * np.hstack((-sin, cos))
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.stack([boxes[:, :2] + x * across + y * down for x, y in signs], 1)


def _usable(task: str, points: int, name: str) -> Task:
    for known in TASKS:
        if task == known and (task != "pose" or points == _CORNERS):
            return known
    msg = (
        f"model {name}: a YOLO for the task {task} with {points} keypoints finds no plates; "
        "detect, obb or pose with four keypoints is expected"
    )
    raise UnusableModelError(msg)


def _of_plates(names: Mapping[int, str], name: str) -> list[int]:
    plates = [
        number
        for number, each in names.items()
        if len(names) == 1 or any(word in each.lower() for word in _PLATE_NAMES)
    ]
    if not plates:
        msg = f"model {name}: none of its classes is a plate: {', '.join(names.values())}"
        raise UnusableModelError(msg[:300])
    return plates
