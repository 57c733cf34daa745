"""The plate process of one camera: ``python -m vision.plates.watch``, started by the agent.

Standard input gives one line, the order; its end means: stop. Reports go to standard output.
Frames are looked at while something moves, or a plate is in view that was not reported yet; a
parked car costs no more than an empty street.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import NoReturn

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import cv2

from vision.child import Reporter, await_end, begin, rss_bytes
from vision.frames import Frame, NewFrames
from vision.freed_memory import give_large_blocks_back
from vision.life import Beat, Failed
from vision.models.errors import ModelError
from vision.motion import FINE, QUIET_S, Motion
from vision.picture import as_bgr
from vision.plates.backends import open_recogniser
from vision.plates.passage import Passage, PassageRules, Passages
from vision.plates.plate import Plate
from vision.plates.recognise import Recogniser
from vision.plates.report import Opened, PlateOrder, Seen
from vision.plates.settings import PlateSettings
from vision.scene import small_grey

_BEAT_S = 1.0


class Follower:
    """Decides which frames are looked at, and makes passages of what is found. Times in seconds."""

    def __init__(self, recogniser: Recogniser, rules: PassageRules) -> None:
        self._recogniser = recogniser
        self._rules = rules
        self._passages = Passages(rules)
        self._motion = Motion(FINE)
        self._size = (0, 0)
        self._busy_until: float | None = None
        self._resting = False
        self._last_s = 0.0
        self._rested_s = 0.0
        """What follows plates does not know of this time: a parked car stays the same one."""
        self.looks = 0

    def take(self, picture: Frame, now: float) -> list[Seen]:
        """Take a frame; look for plates in it if that is worth it."""
        if self._busy_until is None:
            self._busy_until = now + QUIET_S  # something may stand there already
        self._motion.update(small_grey(as_bgr(picture)), now)
        if self._motion.quiet_s(now) > QUIET_S and now > self._busy_until:
            self._resting = True
            return []
        if self._resting:
            self._resting = False
            self._rested_s += now - self._last_s
        self.looks += 1
        self._size = picture.shape[1], picture.shape[0]
        return self._update(self._recogniser.find(picture), now)

    def miss(self, now: float) -> list[Seen]:
        """Say that there is no frame, so that what was followed comes to its end."""
        if self._resting or self._busy_until is None or now > self._busy_until:
            return []
        return self._update([], now)

    def _update(self, plates: list[Plate], now: float) -> list[Seen]:
        self._last_s = now
        over = self._passages.update(plates, now - self._rested_s, self._size)
        early = self._passages.confident()
        # What stands for long was reported, or is a sign board.
        rules, current = self._rules, self._passages.current()
        if any(passage.end_s - passage.begin_s < rules.max_s for passage in current):
            self._busy_until = now + rules.end_s + 1.0
        return [
            *(self._seen(passage, final=False) for passage in early),
            *(self._seen(passage, final=True) for passage in over),
        ]

    def _seen(self, passage: Passage, *, final: bool) -> Seen:
        return Seen(
            number=passage.number,
            begin_ms=round((passage.begin_s + self._rested_s) * 1000),
            end_ms=round((passage.end_s + self._rested_s) * 1000),
            final=final,
            reading=passage.reading,
            doubtful=passage.doubtful,
            width_px=round(passage.width_px),
            views=passage.views,
        )


class Worker:
    """Takes frames at a steady rate and reports."""

    def __init__(self, order: PlateOrder, recogniser: Recogniser, reporter: Reporter) -> None:
        self._frames = NewFrames(order.frames)
        self._period = 1 / order.settings.per_s
        rules = PassageRules(min_character=order.settings.min_character)
        self._follower = Follower(recogniser, rules)
        self._reporter = reporter
        self._look_ms: float | None = None

    def run(self) -> NoReturn:
        """Work until the process is ended."""
        due = beat = time.monotonic()
        while True:
            self._take_newest()
            now = time.monotonic()
            if now >= beat:
                beat = now + _BEAT_S
                self._beat()
            due = max(due + self._period, now)
            time.sleep(min(due, beat) - now if min(due, beat) > now else 0)

    def _take_newest(self) -> None:
        frame = self._frames.take()
        if frame is None:
            seen = self._follower.miss(time.clock_gettime(time.CLOCK_BOOTTIME))
        else:
            looks, began = self._follower.looks, time.monotonic()
            seen = self._follower.take(frame.picture, frame.monotonic_ms / 1000)
            if self._follower.looks > looks:
                self._look_ms = round((time.monotonic() - began) * 1000, 1)
        for report in seen:
            self._reporter.send(report)

    def _beat(self) -> None:
        looks = self._follower.looks
        self._reporter.send(Beat(looks=looks, look_ms=self._look_ms, rss_bytes=rss_bytes()))


def load(plates: PlateSettings) -> Recogniser:
    """Load what the settings ask for. Raises ``ModelError``."""
    return open_recogniser(
        detector=plates.detector, detector_file=plates.detector_file, threads=plates.threads
    )


def main(load: Callable[[PlateSettings], Recogniser] = load) -> NoReturn:
    """Read the order and work until that fails or the agent has enough."""
    line, reporter = begin()
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        give_large_blocks_back()
        cv2.setNumThreads(1)
        order = PlateOrder.model_validate_json(line)
        recogniser = load(order.plates)
        worker = Worker(order, recogniser, reporter)
        opened = Opened(detector=recogniser.detector.name, reader=recogniser.reader.name)
        reporter.send(opened)
        worker.run()
    except ModelError as error:
        failure = Failed(reason="model", text=str(error)[:1024])
    except Exception as error:  # noqa: BLE001 - told to the agent, which restarts us
        failure = Failed(reason="crashed", text=f"{type(error).__name__}: {error}"[:1024])
    reporter.send(failure)
    os._exit(1)  # a thread still waits at standard input


def _end_with_stdin() -> None:
    await_end(lambda: os._exit(0), grace_s=0)


if __name__ == "__main__":
    main()
