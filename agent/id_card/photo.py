"""The portrait of an identity card: 1,024 bytes in a compression (WLT) that is not public.

A program of the user's makes a picture of it. The bytes reach it on standard input and leave it on
standard output: no file, no argument and no variable of the environment carries anything of them.
"""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from agent.id_card.errors import PhotoError

LIMIT_S = 5.0
MAX_PICTURE_BYTES = 1024 * 1024
_END_S = 2.0
_CHUNK = 64 * 1024
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM")
"""What JPEG, PNG and BMP files begin with."""


async def decode_photo(program: Path | None, photo: bytes, *, limit_s: float = LIMIT_S) -> bytes:
    """Return a JPEG, PNG or BMP file of a card's portrait.

    Raises:
        PhotoError: there is no program, or it makes no picture within the time.
    """
    if program is None:
        text = "the settings name no program for the card's picture: identity.photo_decoder"
        raise PhotoError(code="no_decoder", text=text)
    process = await _start(program)
    try:
        async with asyncio.timeout(limit_s):
            picture = await _run(process, photo)
            if len(picture) > MAX_PICTURE_BYTES:
                text = f"{program} made a picture of more than {MAX_PICTURE_BYTES} bytes"
                raise PhotoError(code="too_large", text=text)
            status = await process.wait()
    except TimeoutError:
        text = f"{program} made no picture within {limit_s:g} s"
        raise PhotoError(code="decoder_slow", text=text) from None
    finally:
        await asyncio.shield(asyncio.ensure_future(_end(process)))
    if status != 0:
        raise PhotoError(code="decoder_failed", text=f"{program} ended with status {status}")
    if not picture.startswith(_PICTURES):
        text = f"what {program} made is no JPEG, PNG or BMP file"
        raise PhotoError(code="not_picture", text=text)
    return picture


async def _start(program: Path) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # it might quote the card
            env=_ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        text = f"{program} cannot be started: {error.strerror}"
        raise PhotoError(code="decoder_failed", text=text) from None


async def _run(process: asyncio.subprocess.Process, photo: bytes) -> bytes:
    """Give it the bytes and take what it says, up to one byte more than it may."""
    assert process.stdin is not None  # noqa: S101 - asked for in _start
    assert process.stdout is not None  # noqa: S101
    with contextlib.suppress(ConnectionError):  # it may end without reading
        process.stdin.write(photo)
        await process.stdin.drain()
    process.stdin.close()
    picture = bytearray()
    while chunk := await process.stdout.read(MAX_PICTURE_BYTES + 1 - len(picture)):
        picture += chunk
    return bytes(picture)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Reap it, and whatever it started."""
    assert process.stdout is not None  # noqa: S101 - asked for in _start
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_END_S):
            while await process.stdout.read(_CHUNK):
                pass  # asyncio takes no process for ended while something waits in its pipes
            await process.wait()
