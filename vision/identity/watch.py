"""The identity process of one camera: ``python -m vision.identity.watch``, started by the agent.

The first line of standard input is the order, each further one an ask; its end means: stop.
Reports go to standard output. Pictures and templates are in memory only, and only while they are
needed; what is told of a crash is its kind and place.
"""

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import NoReturn

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import cv2
from pydantic import BaseModel

from vision.child import Reporter, begin, keep_memory_in, read_on, rss_bytes
from vision.frames import NewFrames
from vision.freed_memory import give_all_back, give_large_blocks_back
from vision.identity.backends import open_backend
from vision.identity.chain import Chain
from vision.identity.gallery import Gallery
from vision.identity.gallery_key import GalleryError
from vision.identity.liveness.attack_model import AttackModel, open_attack_model
from vision.identity.observer import Observer
from vision.identity.report import (
    MAX_PORTRAIT_BYTES,
    Ask,
    Beat,
    Cancel,
    Forget,
    GalleryAccess,
    IdentityOrder,
    Opened,
    Reload,
    parse_ask,
)
from vision.identity.search import Index
from vision.identity.settings import IdentitySettings
from vision.life import Failed
from vision.models.errors import ModelError

_BEAT_S = 1.0
_MAX_LINE_BYTES = 2 * MAX_PORTRAIT_BYTES
_MAX_WAITING = 8
_OLD_S = 2.0
"""A frame that was captured so long ago shows nothing of now."""


@dataclass(frozen=True, slots=True)
class Models:
    """What a process works with."""

    chain: Chain
    attack: AttackModel | None


@dataclass(frozen=True, slots=True)
class Staff:
    """What was found in the gallery."""

    index: Index | None
    """None: it cannot be used."""
    problem: str | None = None


Inbox = Queue[Ask | Staff]


class Worker:
    """Takes frames at a steady rate, hears what is asked, and reports."""

    def __init__(
        self, order: IdentityOrder, models: Models, reporter: Reporter, inbox: Inbox
    ) -> None:
        backend = models.chain.backend
        self._frames = NewFrames(order.frames)
        self._per_s, self._check_per_s = order.settings.per_s, order.settings.check_per_s
        self._recogniser = backend.recogniser.name, backend.recogniser.dimension
        self._reporter = reporter
        self._inbox = inbox
        self._observer = Observer(models.chain, attack=models.attack, now_s=_now_s())
        self._loader = ThreadPoolExecutor(1, "gallery")
        self._look_ms: float | None = None
        self._gallery_problem: str | None = None
        self._know(self._load(order.gallery))
        reporter.send(
            Opened(
                detector=backend.detector.name,
                recogniser=backend.recogniser.name,
                calibration=backend.calibration.version,
                attack_model=models.attack.name if models.attack else None,
            )
        )

    def run(self) -> NoReturn:
        """Work until the process is ended."""
        beat = taken = 0.0
        while True:
            now = time.monotonic()
            if now >= beat:
                beat = now + _BEAT_S
                self._beat()
            if now >= taken + self._period:
                taken = now
                self._take_newest()
            self._listen(min(taken + self._period, beat) - time.monotonic())

    @property
    def _period(self) -> float:
        return 1 / (self._check_per_s if self._observer.is_checking else self._per_s)

    def _listen(self, wait_s: float) -> None:
        try:
            heard = self._inbox.get(timeout=max(wait_s, 0))
        except Empty:
            return
        match heard:
            case Staff():
                self._know(heard)
            case Reload():
                self._loader.submit(self._load_later, heard.gallery)
            case Forget():
                self._observer.forget(heard.session)
            case Cancel():
                self._tell(self._observer.cancel(heard.id, _now_s()))
            case _:
                self._tell(self._observer.begin(heard, _now_s()))

    def _tell(self, *reports: BaseModel | None) -> None:
        for report in reports:
            if report is not None:
                self._reporter.send(report)

    def _take_newest(self) -> None:
        now_s, frame = _now_s(), self._frames.take()
        if frame is None or now_s - frame.monotonic_ms / 1000 > _OLD_S:
            self._tell(*self._observer.miss(now_s))
            return
        looks, was_checking = self._observer.looks, self._observer.is_checking
        said = self._observer.take(frame.picture, frame.monotonic_ms / 1000)
        if self._observer.looks > looks:
            self._look_ms = round((_now_s() - now_s) * 1000, 1)
        self._tell(*said)
        if was_checking and not self._observer.is_checking:
            give_all_back()  # what held pictures of a face, too

    def _beat(self) -> None:
        observer = self._observer
        self._tell(
            Beat(
                looks=observer.looks,
                look_ms=self._look_ms,
                enrolled=observer.enrolled,
                gallery_problem=self._gallery_problem,
                rss_bytes=rss_bytes(),
            )
        )

    def _know(self, staff: Staff) -> None:
        self._observer.know(staff.index)
        self._gallery_problem = staff.problem
        give_all_back()  # what loading took: of the gallery and, at first, of the models

    def _load_later(self, access: GalleryAccess | None) -> None:
        self._inbox.put(self._load(access))

    def _load(self, access: GalleryAccess | None) -> Staff:
        name, dimension = self._recogniser
        if access is None:
            return Staff(Index((), dimension))
        try:
            with closing(Gallery(access.file, access.key)) as gallery:
                return Staff(Index(gallery.templates(name), dimension))
        except (GalleryError, ValueError) as error:
            return Staff(None, str(error)[:200])


def load(identity: IdentitySettings) -> Models:
    """Load what the settings ask for. Raises ``ModelError``."""
    threads = identity.threads
    backend = open_backend(identity.models, threads=threads)
    attack = open_attack_model(backend.attack, threads=threads) if backend.attack else None
    return Models(Chain(backend), attack)


def main(load: Callable[[IdentitySettings], Models] = load) -> NoReturn:
    """Read the order and work until that fails or the agent has enough."""
    line, reporter = begin()
    keep_memory_in()
    inbox: Inbox = Queue(_MAX_WAITING)
    threading.Thread(target=_receive, args=(inbox,), daemon=True).start()
    try:
        give_large_blocks_back()
        cv2.setNumThreads(1)
        order = IdentityOrder.model_validate_json(line)
        Worker(order, load(order.identity), reporter, inbox).run()
    except ModelError as error:
        failure = Failed(reason="model", text=str(error)[:1024])
    except Exception as error:  # noqa: BLE001 - told to the agent, which restarts us
        failure = Failed(reason="crashed", text=_kind_and_place(error))
    reporter.send(failure)
    os._exit(1)  # a thread still waits at standard input


def _receive(inbox: Inbox) -> NoReturn:
    def take(line: bytes) -> None:
        try:
            inbox.put(parse_ask(line))
        except ValueError:
            sys.stderr.write("an ask cannot be read\n")

    try:
        read_on(take, max_bytes=_MAX_LINE_BYTES)
    finally:
        os._exit(0)


def _kind_and_place(error: Exception) -> str:
    """Tell of an error what holds nothing of a picture."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"


def _now_s() -> float:
    """Seconds since boot, as frames have them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


if __name__ == "__main__":
    main()
