"""The trail as a file: whoever asks for it writes it, and the service's user reads what is in it.

So root follows no link that lies in the service's folder, and the file may go where the service
cannot. Without root there is one process and one user.
"""

import multiprocessing
import os
import pwd
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

from agent.audit_trail import Trail
from agent.errors import TrailError
from agent.service_user import become
from contract.errors import ContractError
from contract.wire import WireModel, parse

_MAX_BYTES = 64 * 1024


class Exported(WireModel):
    """How far an export goes."""

    first: int
    number: int
    problem: str | None = None
    """Why there is no signed head, where there is none."""


class _Said(WireModel):
    """What the process that reads tells the one that writes."""

    exported: Exported | None = None
    error: str = ""


def export(trail: Trail, out: Path, reader: pwd.struct_passwd | None) -> Exported:
    """Write the trail and its signed head into a file, whole or not at all.

    Args:
        trail: what to write.
        out: the file; what is there is replaced.
        reader: as whom to read the trail; ``None``: as who we are.

    Raises:
        TrailError: the trail cannot be read, or the file not be written.
    """
    with _whole(out) as file:
        return _fill(trail, file) if reader is None else _fill_as(reader, trail, file, out)


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """Give a file that takes its name when all is in it; raises :class:`TrailError`."""
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise TrailError(_cannot_write(path, error)) from None


def _fill(trail: Trail, file: BinaryIO) -> Exported:
    head, problem = trail.export(file)
    file.flush()
    os.fsync(file.fileno())
    return Exported(first=head.first, number=head.number, problem=problem)


def _fill_as(user: pwd.struct_passwd, trail: Trail, file: BinaryIO, out: Path) -> Exported:
    """Have a process of this user's fill the file; believe nothing of it but numbers and text."""
    fork = multiprocessing.get_context("fork")  # it gets the open file
    ours, theirs = fork.Pipe(duplex=False)
    process = fork.Process(target=_read_as, args=(user, trail, file, out, theirs), daemon=True)
    process.start()
    theirs.close()
    with ours:
        try:
            said = parse(_Said, ours.recv_bytes(_MAX_BYTES), limit=_MAX_BYTES)
        except (EOFError, OSError, ContractError):
            said = _Said(error="the process that reads the trail ended before its end")
    process.join()
    if said.exported is None:
        raise TrailError(said.error)
    return said.exported


def _read_as(
    user: pwd.struct_passwd, trail: Trail, file: BinaryIO, out: Path, pipe: Connection
) -> None:
    try:
        become(user)
    except OSError as error:
        said = _Said(error=f"{user.pw_name}: {error.strerror}")
    else:
        try:
            said = _Said(exported=_fill(trail, file))
        except TrailError as error:
            said = _Said(error=str(error))
        except OSError as error:
            said = _Said(error=_cannot_write(out, error))
    pipe.send_bytes(said.model_dump_json().encode())


def _cannot_write(path: Path, error: OSError) -> str:
    return f"{path}: {error.strerror}"
