"""Where a camera's pictures come from, and how to name that without giving a password away."""

import re
from pathlib import Path
from typing import Literal

SourceKind = Literal["file", "stream", "device"]

_STREAM = re.compile(r"(rtsps?|https?)://[^\s/]\S*", re.IGNORECASE)
"""Without white space: :func:`redact` would not find a password with some in it."""
_DEVICE = re.compile(r"/dev/video\d+|\d{1,3}")
_USER_INFO = re.compile(r"(\w+://)\S*@")
_QUERY = re.compile(r"(\w+://[^\s?]*)\?[^\s'\"]*")


def kind_of(source: str) -> SourceKind:
    """Tell a V4L2 device (path or bare index) and a network stream from a file.

    Raises:
        ValueError: an address of a scheme that is not supported, or an empty source.
    """
    if _DEVICE.fullmatch(source):
        return "device"
    if _STREAM.fullmatch(source):
        return "stream"
    if not source or "://" in source:
        msg = "a file, an rtsp(s):// or http(s):// address, /dev/videoN or its number is expected"
        raise ValueError(msg)
    return "file"


def device_path(source: str) -> Path:
    """Path of a V4L2 device that is given by path or bare index."""
    return Path(source if source.startswith("/") else f"/dev/video{source}")


def redact(text: str) -> str:
    """Replace user, password and query of every address in ``text``; the rest stays."""
    return _QUERY.sub(r"\1?***", _USER_INFO.sub(r"\1***@", text))
