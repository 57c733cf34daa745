"""Pictures as they come, made what the networks take: BGR, 8 bits, upright, of a bearable size."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.frames import Frame

MAX_PIXELS = 100_000_000
"""Of a picture file. ``OPENCV_IO_MAX_IMAGE_PIXELS``, set before OpenCV is imported, has a larger
one refused before it fills the memory."""
_TOO_LARGE = f"more than {MAX_PIXELS // 1_000_000} million pixels: not read"
_MAX_FILE_BYTES = 500_000_000


class PictureError(Exception):
    """A picture cannot be read or used; the text says why."""


def read_picture(file: Path) -> Frame:
    """Read a picture file; turned upright as its EXIF data say, without its alpha.

    Raises:
        PictureError: it is not there, no picture, damaged or too large.
    """
    try:
        if not file.is_file():
            raise PictureError(_why_no_file(file))
        if file.stat().st_size > _MAX_FILE_BYTES:
            msg = f"larger than {_MAX_FILE_BYTES // 1_000_000} MB: not read"
            raise PictureError(msg)
        content = np.fromfile(file, np.uint8)
    except OSError as error:
        raise PictureError(error.strerror or str(error)) from error
    if not content.size:
        msg = "the file is empty"
        raise PictureError(msg)
    try:
        picture = cv2.imdecode(content, cv2.IMREAD_COLOR_BGR)
    except cv2.error as error:
        if "MAX_IMAGE" in str(error):
            raise PictureError(_TOO_LARGE) from error
        picture = None
    if picture is None:
        msg = "no picture that can be read (damaged, or of an unknown kind)"
        raise PictureError(msg)
    if picture.shape[0] * picture.shape[1] > MAX_PIXELS:
        raise PictureError(_TOO_LARGE)
    return np.asarray(picture, np.uint8)


def _why_no_file(file: Path) -> str:
    if file.is_dir():
        return "a folder without pictures"
    return "no file, but a device" if file.exists() else "there is no such file"


def as_bgr(picture: NDArray[np.uint8] | NDArray[np.uint16]) -> Frame:
    """Make BGR of 8 bits of a grey, BGR or BGRA picture of 8 or 16 bits.

    Raises:
        PictureError: it is none of these.
    """
    if picture.dtype == np.uint16:
        picture = np.asarray(picture >> 8, np.uint8)
    channels = 1 if picture.ndim == 2 else picture.shape[2] if picture.ndim == 3 else 0
    if picture.dtype != np.uint8 or channels not in {1, 3, 4} or not picture.size:
        msg = f"a picture of the shape {picture.shape} and type {picture.dtype} is not understood"
        raise PictureError(msg)
    if channels == 3:
        return np.asarray(picture, np.uint8)
    code = cv2.COLOR_GRAY2BGR if channels == 1 else cv2.COLOR_BGRA2BGR
    return np.asarray(cv2.cvtColor(picture, code), np.uint8)
