"""The capture process of one camera: ``python -m vision.capture``, started by the agent.

Standard input gives one line, the order; its end means: stop. Reports go to standard output.
One thread reads frames, so that the newest is always at hand; another analyses a few of them;
the main one sends a beat each second. A reader that hangs in a driver hurts nobody else.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

# FFmpeg speaks plain TCP to cameras: UDP loses packets, and with them pictures.
os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "rtsp_transport;tcp"
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

import cv2
import numpy as np

from vision.analysis import Analysis
from vision.child import Reporter, await_end, begin, rss_bytes
from vision.frames import Frame, FrameWriter
from vision.order import Order
from vision.report import Beat, Failed, Learned, LossReason, Opened
from vision.source import device_path, redact

_BEAT_S = 1.0
_TELL_SCENE_S = 300.0
_EXIT_S = 1.0
_READ_GRACE_S = 5.0
_FALLBACK_FPS = 25.0
_LATE_S = 0.1


class CaptureError(Exception):
    """The source gives no frames; ``reason`` is told to the agent."""

    def __init__(self, text: str, *, reason: LossReason) -> None:
        super().__init__(text)
        self.reason: LossReason = reason


class Grabber:
    """Reads a source at its own rate and puts a steady few of its frames into shared memory."""

    def __init__(self, order: Order, deliver: Callable[[Frame, float], None]) -> None:
        self._order = order
        self._kind = order.settings.kind
        self._deliver = deliver
        self._writer = FrameWriter(order.frames_fd)
        self.frames = 0
        self.decode_errors = 0
        self.last_s = 0.0
        self.size = (0, 0)
        self.stopping = False

    def run(self) -> None:
        """Read until told to stop.

        Raises:
            CaptureError: it cannot be opened, or gives no more frames.
        """
        capture = self._open()
        try:
            while not self.stopping:
                self._play(capture)
                if not self.stopping:
                    capture = self._again(capture)
        finally:
            capture.release()

    def _open(self) -> cv2.VideoCapture:
        source, settings = self._order.source, self._order.settings
        if self._kind == "device":
            capture = cv2.VideoCapture(str(device_path(source)), cv2.CAP_V4L2)
        else:
            options = [cv2.CAP_PROP_N_THREADS, 1]
            if self._kind == "stream":
                # The agent's own limit comes first while a stream is read: it says "hung".
                read_s = settings.hang_s + _READ_GRACE_S
                options += [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(settings.open_timeout_s * 1000)]
                options += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(read_s * 1000)]
            capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, options)
        if not capture.isOpened():
            raise CaptureError(self._why_closed(), reason="open_failed")
        return capture

    def _why_closed(self) -> str:
        source = self._order.source
        path = device_path(source) if self._kind == "device" else Path(source)
        if self._kind != "stream" and not path.exists():
            return f"{path} does not exist"
        return f"{redact(source)} cannot be opened"

    def _again(self, capture: cv2.VideoCapture) -> cv2.VideoCapture:
        """Start over at the end of a file."""
        if self._kind != "file" or not self._order.settings.loop or not self.frames:
            text = f"{redact(self._order.source)} gives no more frames"
            raise CaptureError(text, reason="ended")
        capture.release()
        return self._open()

    def _play(self, capture: cv2.VideoCapture) -> None:
        """Read to the end: what has an end at its own pace, anything else as it comes."""
        fps = capture.get(cv2.CAP_PROP_FPS)
        recorded = self._kind == "file" or capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
        step = 1 / (fps if 0 < fps <= 240 else _FALLBACK_FPS) if recorded else 0.0
        period = 1 / self._order.settings.frames_per_s
        due = wanted = time.monotonic()
        while not self.stopping and capture.grab():
            now = time.monotonic()
            self.frames += 1
            self.last_s = now
            if now >= wanted:
                wanted = max(wanted + period, now)
                self._share(capture, now)
            if step:
                due = max(due + step, now - _LATE_S)
                time.sleep(max(0.0, due - time.monotonic()))

    def _share(self, capture: cv2.VideoCapture, now: float) -> None:
        height, width = self.size
        if not height:
            height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
            width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        slot = self._writer.slot(height, width)
        ok, picture = capture.retrieve(slot)
        if not ok or picture is None:
            self.decode_errors += 1
            return
        if picture is not slot:  # the stream changed its size, or is grey
            picture = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
            slot = self._writer.slot(*picture.shape)
            np.copyto(slot, picture)
        self._writer.commit()
        self.size = slot.shape[0], slot.shape[1]
        self._deliver(slot, now)


class Mailbox:
    """Holds the newest frame for the analysis; an older one that nobody took is dropped."""

    def __init__(self) -> None:
        self._filled = threading.Condition()
        self._newest: tuple[Frame, float] | None = None
        self.dropped = 0

    def put(self, frame: Frame, now: float) -> None:
        """Leave a frame."""
        with self._filled:
            self.dropped += self._newest is not None
            self._newest = frame, now
            self._filled.notify()

    def take(self) -> tuple[Frame, float]:
        """Wait for a frame."""
        with self._filled:
            while self._newest is None:
                self._filled.wait()
            newest, self._newest = self._newest, None
            return newest


class Worker:
    """The threads of one capture process and what ends them."""

    def __init__(self, order: Order, reporter: Reporter) -> None:
        self._order = order
        self._reporter = reporter
        self._mailbox = Mailbox()
        self._grabber = Grabber(order, self._mailbox.put)
        self._over = threading.Event()
        self._failure: Failed | None = None

    def run(self) -> int:
        """Work until the source fails or the agent has enough; returns the exit status."""
        self._start(self._grabber.run)
        self._start(self._analyse)
        self._start(self._await_end)
        frames, since = 0, time.monotonic()
        while not self._over.wait(_BEAT_S):
            now = time.monotonic()
            if self._grabber.frames:
                self._beat((self._grabber.frames - frames) / (now - since), now)
            frames, since = self._grabber.frames, now
        if self._failure:
            self._reporter.send(self._failure)
        return 1 if self._failure else 0

    def _start(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except CaptureError as error:
                self._failure = Failed(reason=error.reason, text=str(error)[:1024])
            except Exception as error:  # noqa: BLE001 - told to the agent, which restarts us
                text = redact(f"{type(error).__name__}: {error}")
                self._failure = Failed(reason="crashed", text=text[:1024])
            self._over.set()

        threading.Thread(target=guarded, daemon=True).start()

    def _await_end(self) -> None:
        def stop() -> None:
            self._grabber.stopping = True

        # A driver that hangs must not keep a process that nobody wants.
        await_end(stop, grace_s=_EXIT_S)

    def _beat(self, frames_per_s: float, now: float) -> None:
        grabber = self._grabber
        self._reporter.send(
            Beat(
                frames=grabber.frames,
                frames_per_s=round(frames_per_s, 2),
                frame_age_s=round(now - grabber.last_s, 3),
                decode_errors=grabber.decode_errors,
                dropped=self._mailbox.dropped,
                rss_bytes=rss_bytes(),
            )
        )

    def _analyse(self) -> None:
        settings = self._order.settings
        analysis = Analysis(settings, scene=self._order.scene)
        told: Literal[False] | float = False
        opened = False
        while True:
            frame, now = self._mailbox.take()
            if not opened:
                opened = True
                height, width = frame.shape[:2]
                self._reporter.send(Opened(width_px=width, height_px=height))
            for finding in analysis.update(frame, now):
                self._reporter.send(finding)
            if told is False or now - told >= _TELL_SCENE_S:
                scene = analysis.scene()
                if scene:
                    told = now
                    self._reporter.send(Learned(scene=scene))


def main() -> int:
    """Read the order and work; the exit status says whether the source failed."""
    line, reporter = begin()
    cv2.setNumThreads(1)
    status = Worker(Order.model_validate_json(line), reporter).run()
    os._exit(status)  # threads in FFmpeg or a driver are not waited for


if __name__ == "__main__":
    sys.exit(main())
