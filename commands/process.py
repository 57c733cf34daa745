"""Other programs: each in a session of its own, with bounded output, gone whole when it must go."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from commands.errors import ActionError

MAX_OUTPUT_BYTES = 10 * 1024
"""What a receipt has room for."""
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR")
"""The agent's environment may hold a password of the broker; these are all that programs need."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What is left of a program that came to its end."""

    status: int
    """Exit status; negative: the signal that ended it."""
    stdout: bytes
    stderr: bytes

    @property
    def words(self) -> str:
        """What it said, its complaints first, fit for a receipt."""
        said = b"\n".join(part.strip() for part in (self.stderr, self.stdout) if part.strip())
        text = said.decode(errors="replace").encode()
        return cut_middle(text, MAX_OUTPUT_BYTES).decode(errors="ignore")


async def run_process(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: bytes = b"",
    limit: int = MAX_OUTPUT_BYTES,
) -> Finished:
    """Run a program to its end; when cancelled, it and all its children are killed first.

    Of standard output at most ``limit`` bytes are kept, of standard error
    :data:`MAX_OUTPUT_BYTES`; what is more is cut out of the middle. ``stdin`` is for what must
    not stand in ``argv``, where every user of the machine can read it.

    Raises:
        ActionError: it is not installed, or did not end in time and was killed.
    """
    loop = asyncio.get_running_loop()
    try:
        transport, program = await loop.subprocess_exec(
            lambda: _Program(limit),
            *argv,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        )
    except OSError as error:
        msg = f"{argv[0]} cannot be run: {error.strerror or error}"
        raise ActionError(msg) from None
    try:
        if isinstance(pipe := transport.get_pipe_transport(0), asyncio.WriteTransport):
            pipe.write(stdin)
            pipe.write_eof()
        async with asyncio.timeout(timeout_s):
            await asyncio.shield(program.ended)
    except TimeoutError:
        msg = f"{argv[0]} did not end within {timeout_s:g} s and was killed"
        raise ActionError(msg, code="timed_out") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(transport.get_pid(), signal.SIGKILL)  # whether its first process lives or not
        transport.close()
        await program.ended
    return Finished(
        status=transport.get_returncode() or 0,
        stdout=program.outputs[1].join(),
        stderr=program.outputs[2].join(),
    )


def cut_middle(output: bytes, limit: int = MAX_OUTPUT_BYTES) -> bytes:
    """Return at most ``limit`` bytes: the beginning and the end, and how much is missing."""
    kept = _Ends(limit)
    kept.add(output)
    return kept.join()


class _Program(asyncio.SubprocessProtocol):
    """Listens to a program; what is too much is dropped at once, so that it never has to wait."""

    def __init__(self, limit: int) -> None:
        self.outputs = {1: _Ends(limit), 2: _Ends(MAX_OUTPUT_BYTES)}
        self.ended = asyncio.get_running_loop().create_future()
        """It has ended, and nobody holds its pipes any more."""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.outputs[fd].add(data)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if not self.ended.done():
            self.ended.set_result(None)


class _Ends:
    """Takes any amount of output, and keeps its beginning and its end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = bytearray()
        self._tail = bytearray()
        self._length = 0

    def add(self, chunk: bytes) -> None:
        self._length += len(chunk)
        room = self._limit - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        if len(self._tail) > 2 * self._limit:
            del self._tail[: -self._limit]

    def join(self) -> bytes:
        if self._length <= self._limit:
            return bytes(self._head)
        # The digits of the whole length are room enough for those of what is left out.
        room = max(0, self._limit - len(_cut_mark(self._length)))
        first, last = (room + 1) // 2, room // 2
        mark = _cut_mark(self._length - first - last)
        return bytes(self._head[:first] + mark + self._last(last))[: self._limit]

    def _last(self, count: int) -> bytes:
        """The last bytes of all that came."""
        both = self._head + self._tail if len(self._tail) < count else self._tail
        return bytes(both[len(both) - count :])


def _cut_mark(count: int) -> bytes:
    return f"\n[... {count} bytes left out ...]\n".encode()
