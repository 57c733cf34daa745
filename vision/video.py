"""The frames of a recorded or live video, so many a second, as it is read."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from vision.frames import Frame
from vision.picture import PictureError, as_bgr
from vision.source import redact

_USUAL_FPS = 25.0
_OPEN_MS = 10_000
_READ_MS = 20_000


def frames_of(
    source: str, *, per_s: float, progress: Callable[[float | None], None] = lambda _: None
) -> Iterator[tuple[float, Frame]]:
    """Yield frames (BGR) with their times, in seconds since the first.

    ``per_s`` frames of each second are given, the others only decoded as far as they must be.
    ``progress`` is told how far the video is, 0 to 1, or None where nobody knows its length.

    Raises:
        PictureError: the video cannot be opened, or has no frame.
    """
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _READ_MS]
    capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
    if not capture.isOpened():
        msg = f"{redact(source)} is no video that can be opened"
        raise PictureError(msg)
    try:
        fps = capture.get(cv2.CAP_PROP_FPS)
        step = 1 / (fps if 0 < fps <= 240 else _USUAL_FPS)
        total = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        frames, due = 0, 0.0
        while capture.grab():
            now = frames * step
            frames += 1
            progress(frames / total if total > 0 else None)
            if now + step / 2 < due:
                continue
            due = max(due + 1 / per_s, now)
            shown, frame = capture.retrieve()
            if shown and frame is not None:
                yield now, as_bgr(np.asarray(frame, np.uint8))
        if not frames:
            msg = f"{redact(source)} has no frame that can be read"
            raise PictureError(msg)
    finally:
        capture.release()
