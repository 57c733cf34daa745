"""Lives of a gallery that end by SIGKILL at any statement: ``python -m ... CHANGE``.

One process forks every life. A life opens the gallery, where one person is enrolled, and makes
the change; before its ``kill_at``-th statement it kills itself. Another life then finds the
gallery as it was, or as it was to be. Prints one JSON object: how many deaths were tried, and what
broke the promise.
"""

import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vision.identity.gallery import Gallery
from vision.identity.gallery_record import Moment, NewPerson

MEMORY = Path("/dev/shm")  # noqa: S108 - fsync there costs nothing
KEY = b"k" * 32
NOW = Moment(datetime(2026, 11, 1, 8, 0, tzinfo=UTC), synced=True)
LATER = Moment(NOW.time + timedelta(days=30), synced=True)
OLD, NEW = b"old!" * 128, b"new!" * 128


def told(_) -> tuple[str]:
    return ("told",)


def enrol(gallery: Gallery, template: bytes, note=told) -> None:
    person = NewPerson("P-1", ("presence",), "HR/1", 30, "dlib-20", "li")
    gallery.enrol(person, template, NOW, note)


CHANGES: dict[str, tuple[Callable[[Gallery], object], list[bytes]]] = {
    "enrol": (lambda gallery: enrol(gallery, NEW), [NEW]),
    "remove": (lambda gallery: gallery.remove("P-1", told), []),
    "remove_all": (lambda gallery: gallery.remove_all(told), []),
    "expire": (lambda gallery: gallery.expire(LATER, 365, told, limit=64), []),
}
"""By name: the change, and the templates after it."""


def mortal(kill_at: int) -> Callable[..., sqlite3.Connection]:
    """Connect so that the life ends before one of its statements."""
    steps, genuine = 0, sqlite3.connect

    def step(_: str) -> None:
        nonlocal steps
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def connect(*arguments, **options) -> sqlite3.Connection:
        db = genuine(*arguments, **options)
        db.set_trace_callback(step)
        return db

    return connect


def live(path: Path, change: Callable[[Gallery], object], kill_at: int) -> int:
    """Fork a life; returns its exit status, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        sqlite3.connect = mortal(kill_at)
        with closing(Gallery(path, KEY)) as gallery:
            change(gallery)
        status = 0
    finally:
        os._exit(status)


def judge(path: Path, record: bytes, after: list[bytes], *, died: bool) -> str | None:
    """What broke the promise, or ``None``."""
    with closing(Gallery(path, KEY)) as gallery:
        templates = [one.template for one in gallery.templates("dlib-20")]
        notes, damaged = gallery.notes(), gallery.damaged()
    left = b"".join(file.read_bytes() for file in path.parent.iterdir())
    if damaged:
        return "a damaged record"
    if templates == [OLD] and died:
        return "told of what did not happen" if notes else None
    if templates != after:
        return f"{len(templates)} persons"
    if len(notes) != 1:
        return f"told of {len(notes)} times"
    return "remains of what was deleted" if record[:16] in left else None


def try_out(change: str, kill_at: int) -> tuple[bool, str | None]:
    """One story; returns whether anybody died in it, and what broke the promise."""
    folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    try:
        path = folder / "gallery.db"
        with closing(Gallery(path, KEY)) as gallery:
            enrol(gallery, OLD, lambda _: ())
        with closing(sqlite3.connect(path)) as db:
            record = db.execute("SELECT sealed FROM person").fetchone()[0]
        status = live(path, CHANGES[change][0], kill_at)
        died = status == -signal.SIGKILL
        if status and not died:
            return died, f"a life ended with {status}"
        return died, judge(path, record, CHANGES[change][1], died=died)
    finally:
        shutil.rmtree(folder)


def main(change: str) -> None:
    deaths, faults, kill_at, died = 0, [], 1, True
    while died:
        died, fault = try_out(change, kill_at)
        deaths += died
        if fault:
            faults.append(f"killed at statement {kill_at}: {fault}")
        kill_at += 1
    print(json.dumps({"deaths": deaths, "faults": faults}))


if __name__ == "__main__":
    main(sys.argv[1])
