"""One picture of a camera with faces and plates made unrecognisable.

``python -m vision.snapshot FRAMES``: ``FRAMES`` is where the newest frame lies
(``Camera.frames``). Standard input gives the order, one JSON object; standard output gets a
header, one JSON line, and the JPEG. A process of its own: the detectors take hundreds of megabytes
and seconds of a core, which the agent has not.

Two detectors look for faces, and what either takes for one is hidden: dlib's frontal one
(histograms of gradients) finds upright faces from 22 pixels of a picture 1280 wide; its neural one
also turned, lying and half-covered ones, but only from about a tenth of the picture's width. What
both miss stays visible: small faces that look away, profiles, faces that are tiny, upside down,
blurred or behind a visor. Plates are hidden as far as the plate detector finds them; clothes and
documents are not hidden at all.
"""

import contextlib
import os
import signal
import sys
import time
from math import ceil, floor
from pathlib import Path
from typing import Annotated, Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import cv2
import dlib
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from contract.limits import MAX_MEDIA_BYTES
from vision.child import end_with_the_agent
from vision.frames import Frame, FrameReader, SharedFrame
from vision.models.errors import MissingModelError
from vision.models.manifest import load_manifest
from vision.models.memory_file import memory_file, path_of
from vision.plates.backends import open_recogniser
from vision.plates.onnx_detector import STILL

MAX_ORDER_BYTES = 4096
Box = tuple[int, int, int, int]
"""Left, top, right, bottom; the last two are outside."""

_LIFE_S = 60
"""A picture that takes longer is not waited for by anybody."""
_HOG_PIXELS = 520_000
_HOG_UPSAMPLE = 2
_HOG_THRESHOLD = -0.2
"""Below dlib's own 0: rather hide what is no face."""
_CNN_PIXELS = 360_000
"""Some 3 seconds on one core of a small PC."""
_MARGIN = 0.6
"""Of the face's size, added on each side: hair, chin and ears tell who somebody is."""
_PLATE_MARGIN = 0.1
_SURELY_PLATE = 0.75
"""Score of the detector; real look-alikes in which nothing is read stay below."""
_CELLS = 6
"""Squares that are left across the enlarged box: some three across a face, five across a plate."""
_QUALITIES = (88, 80, 70, 60, 50, 40, 30)


class Order(BaseModel):
    """How the picture is wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    blur: bool = True
    max_width_px: Annotated[int, Field(ge=16, le=8192)] = 1280
    max_bytes: Annotated[int, Field(ge=4096, le=MAX_MEDIA_BYTES)] = MAX_MEDIA_BYTES


class Header(BaseModel):
    """What stands before the JPEG; with ``error`` there is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error: str | None = None
    size: int = 0
    width_px: int = 0
    height_px: int = 0
    faces_hidden: int | None = None
    """None: nobody looked for faces."""
    plates_hidden: int | None = None
    """None: nobody looked for plates."""
    frame_age_ms: int = 0


def find_faces(picture: Frame) -> list[Box]:
    """Find faces in a BGR picture ``(height, width, 3)``; the same face may be found twice."""
    return [*_frontal(picture), *_neural(picture)]


def find_plates(picture: Frame) -> list[Box]:
    """Find number plates in a BGR picture.

    What the reader sees no character in is a headlight or a badge, unless the detector is sure: of
    a plate that is half covered, nothing is read, and a person still knows it.

    Raises:
        ModelError: a model is missing or damaged.
    """
    boxes = []
    for plate in open_recogniser(long_edges=STILL).suspect(picture):
        if not plate.reading.characters and plate.detection.score < _SURELY_PLATE:
            continue
        xs, ys = zip(*plate.detection.corners, strict=True)
        boxes.append((floor(min(xs)), floor(min(ys)), ceil(max(xs)) + 1, ceil(max(ys)) + 1))
    return boxes


def hide(picture: Frame, boxes: list[Box], margin: float = _MARGIN) -> None:
    """Make what is in boxes of a BGR picture unrecognisable, in place, and a part around them."""
    height, width = picture.shape[:2]
    for left, top, right, bottom in boxes:
        x, y = round((right - left) * margin), round((bottom - top) * margin)
        part = picture[max(0, top - y) : max(0, bottom + y), max(0, left - x) : max(0, right + x)]
        if not part.size:
            continue
        rows, columns = part.shape[:2]
        # A box that is cut off by the border of the picture has cells no smaller than others.
        cell = max(1.0, max(right - left + 2 * x, bottom - top + 2 * y) / _CELLS)
        few = max(1, round(columns / cell)), max(1, round(rows / cell))
        coarse = cv2.resize(part, few, interpolation=cv2.INTER_AREA)
        squares = cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_NEAREST)
        part[:] = cv2.GaussianBlur(squares, (0, 0), min(cell / 2, width, height))


def count(faces: list[Box]) -> int:
    """Count persons: boxes that hold each other's middle are one."""
    persons: list[Box] = []
    for face in faces:
        if not any(_holds(face, other) or _holds(other, face) for other in persons):
            persons.append(face)
    return len(persons)


def encode(picture: Frame, max_bytes: int) -> tuple[bytes, int, int]:
    """Return a JPEG without metadata of at most ``max_bytes``, its width and its height."""
    while True:
        for quality in _QUALITIES:
            _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if len(jpeg) <= max_bytes:
                return jpeg.tobytes(), picture.shape[1], picture.shape[0]
        picture = _shrunk(picture, 0.7)


def take(frame: SharedFrame, order: Order) -> tuple[Header, bytes]:
    """Make the picture of a frame."""
    picture = frame.picture
    if picture.shape[2] == 1:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8)
    faces = find_faces(picture) if order.blur else []
    plates = find_plates(picture) if order.blur else []
    # Hidden in full size, so that shrinking has nothing left to show.
    hide(picture, faces)
    hide(picture, plates, _PLATE_MARGIN)
    small = _shrunk(picture, order.max_width_px / picture.shape[1])
    jpeg, width, height = encode(small, order.max_bytes)
    age_ms = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000 - frame.monotonic_ms
    header = Header(
        size=len(jpeg),
        width_px=width,
        height_px=height,
        faces_hidden=count(faces) if order.blur else None,
        plates_hidden=len(plates) if order.blur else None,
        frame_age_ms=max(0, age_ms),
    )
    return header, jpeg


def _frontal(picture: Frame) -> list[Box]:
    scale = _scale_to(_HOG_PIXELS, picture)
    grey = cv2.cvtColor(_shrunk(picture, scale), cv2.COLOR_BGR2GRAY)
    found, _, _ = dlib.get_frontal_face_detector().run(grey, _HOG_UPSAMPLE, _HOG_THRESHOLD)
    return [_box(one, scale) for one in found]


def _neural(picture: Frame) -> list[Box]:
    """Look with the neural detector, where the models are installed."""
    try:
        file = memory_file(load_manifest().pick("face-detector").read())
    except MissingModelError:
        return []
    scale = _scale_to(_CNN_PIXELS, picture)
    colours = cv2.cvtColor(_shrunk(picture, scale), cv2.COLOR_BGR2RGB)
    with file:
        found = dlib.cnn_face_detection_model_v1(path_of(file))(colours, 0)
    return [_box(one.rect, scale) for one in found]


def _scale_to(pixels: int, picture: Frame) -> float:
    return float(min(1.0, (pixels / (picture.shape[0] * picture.shape[1])) ** 0.5))


def _box(found: Any, scale: float) -> Box:
    edges = found.left(), found.top(), found.right() + 1, found.bottom() + 1
    left, top, right, bottom = (round(edge / scale) for edge in edges)
    return left, top, right, bottom


def _holds(box: Box, other: Box) -> bool:
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return box[0] <= x < box[2] and box[1] <= y < box[3]


def _shrunk(picture: Frame, scale: float) -> Frame:
    if scale >= 1:
        return picture
    height, width = picture.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _newest(path: Path) -> SharedFrame | None:
    try:
        reader = FrameReader(path)
    except OSError:
        return None
    try:
        return reader.newest()
    finally:
        reader.close()


def main() -> int:
    """Take one picture; the exit status is 1 where there is no frame."""
    end_with_the_agent()
    signal.alarm(_LIFE_S)  # nobody may be left to end a process that hangs
    with contextlib.suppress(OSError):  # a sandbox may not allow it
        os.nice(5)  # cameras and plates come first
    cv2.setNumThreads(1)
    # The picture has the pipe to itself: a library that prints must not get into it.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    order = Order.model_validate_json(sys.stdin.buffer.read(MAX_ORDER_BYTES))
    frame = _newest(Path(sys.argv[1]))
    if frame is None:
        header, jpeg = Header(error="it has given no picture yet"), b""
    else:
        header, jpeg = take(frame, order)
    out.write(header.model_dump_json().encode() + b"\n" + jpeg)
    out.close()
    return 1 if header.error else 0


if __name__ == "__main__":
    sys.exit(main())
