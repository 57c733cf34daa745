"""Pictures of the cameras, made by a short-lived process (``vision.snapshot``)."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json

from commands.actions.snapshot import Picture
from commands.errors import ActionError
from commands.process import run_process
from contract.limits import MAX_MEDIA_BYTES

_TIME_S = 45.0
_MAX_HEADER_BYTES = 1024
_PROGRAM = (sys.executable, "-m", "vision.snapshot")


class _Header(BaseModel):
    """``vision.snapshot.Header``, which cannot be imported here: OpenCV would come with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error: str | None
    size: int
    width_px: int
    height_px: int
    faces_hidden: int | None
    plates_hidden: int | None
    frame_age_ms: int


class Pictures:
    """Takes pictures, one at a time: memory is short.

    Args:
        frames: where the newest frame of each camera lies, by the camera's name; may change.
    """

    def __init__(self, frames: Mapping[str, Path]) -> None:
        self._frames = frames
        self._one_at_a_time = asyncio.Lock()

    async def take(self, camera: str, blur: bool, max_width_px: int) -> Picture:  # noqa: FBT001 - commands.actions.snapshot.Take
        """Take the newest picture of a camera; its process is gone when this returns.

        Raises:
            ActionError: no such camera, no frame yet, or the process failed.
        """
        frames = self._frames.get(camera)
        if frames is None:
            known = ", ".join(sorted(self._frames)) or "none"
            msg = f"there is no camera {camera!r}; this kiosk has {known}"
            raise ActionError(msg)
        order: dict[str, Any] = {"blur": blur, "max_width_px": max_width_px}
        async with self._one_at_a_time:
            done = await run_process(
                [*_PROGRAM, str(frames)],
                timeout_s=_TIME_S,
                stdin=to_json(order),
                limit=MAX_MEDIA_BYTES + _MAX_HEADER_BYTES,
            )
        line, _, jpeg = done.stdout.partition(b"\n")
        try:
            header = _Header.model_validate_json(line)
        except ValidationError:
            # Of a trace the last line says what happened.
            last = "".join(done.stderr.decode(errors="replace").strip().splitlines()[-1:])[:500]
            msg = f"the picture of {camera} failed (status {done.status}): {last or 'no word'}"
            raise ActionError(msg) from None
        if header.error is not None:
            msg = f"camera {camera}: {header.error}"
            raise ActionError(msg)
        if len(jpeg) != header.size:
            msg = f"the picture of {camera} has {len(jpeg)} bytes instead of {header.size}"
            raise ActionError(msg)
        return Picture(
            jpeg=jpeg,
            width_px=header.width_px,
            height_px=header.height_px,
            faces_hidden=header.faces_hidden,
            plates_hidden=header.plates_hidden,
            frame_age_ms=header.frame_age_ms,
        )
