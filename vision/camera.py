"""A camera as the agent has it: a capture process, kept alive, and its reports made events."""

import asyncio
import contextlib
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from contract import Clock, Data, Event, Stamp
from contract.events import (
    CameraBlack,
    CameraBlurred,
    CameraCondition,
    CameraCovered,
    CameraFrozen,
    CameraLost,
    CameraMoved,
    CameraOnline,
    MotionBegin,
    MotionEnd,
    PresenceBegin,
    PresenceEnd,
)
from contract.health import CameraHealth
from contract.message import Publish
from vision.order import Order
from vision.process import Capture, StartCapture, start_capture
from vision.report import (
    Beat,
    Condition,
    Failed,
    Finding,
    Learned,
    LossReason,
    Moving,
    Opened,
    Present,
    Report,
    Tampered,
    parse_report,
)
from vision.settings import CameraSettings

log = structlog.get_logger()

_CONDITIONS: dict[Condition, type[CameraCondition]] = {
    "black": CameraBlack,
    "frozen": CameraFrozen,
    "blurred": CameraBlurred,
    "covered": CameraCovered,
    "moved": CameraMoved,
}
_START_S = 10.0
"""Time for the process itself to come up, beside the time to open the source."""
_STEADY_S = 60.0
"""Online for so long: the next loss is a new one, tried again at once."""
_MAX_WAITING = 256
_TEXT_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Loss:
    """Why a capture process gives no frames any more."""

    reason: LossReason
    text: str


@dataclass(slots=True)
class _Ongoing:
    """Something that began and has not ended; the report is its latest."""

    begun: Stamp
    since_s: float
    report: Finding


class Camera:
    """Watches one camera: publishes what it sees, restarts what fails.

    Nothing that a camera, a line or a capture process does is an exception here.
    """

    def __init__(
        self,
        settings: CameraSettings,
        *,
        clock: Clock,
        publish: Publish,
        start: StartCapture = start_capture,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._publish = publish
        self._start = start
        self._jitter = jitter
        self._log = log.bind(camera=settings.name)
        self._frames_fd = os.memfd_create(f"frames-{settings.name}")
        self._waiting: asyncio.Queue[tuple[Data, Stamp]] = asyncio.Queue(_MAX_WAITING)
        self._ongoing: dict[str, _Ongoing] = {}
        self._scene = ""
        self._state: Literal["starting", "online", "lost"] = "starting"
        self._lost_s: float | None = None
        self._online_s: float | None = None
        self._size: tuple[int, int] | None = None
        self._beat: Beat | None = None
        self._frame_s: float | None = None
        self._progress_s = 0.0
        self._restarts = 0
        self._dropped = 0
        self._decode_errors = 0
        self._capture: Capture | None = None

    @property
    def name(self) -> str:
        """The camera's name."""
        return self._settings.name

    @property
    def frames(self) -> Path:
        """Where other processes of this user find the newest frame (``FrameReader``)."""
        return Path(f"/proc/{os.getpid()}/fd/{self._frames_fd}")

    @property
    def sees_somebody(self) -> bool:
        """Whether a person faces the camera now."""
        return "presence" in self._ongoing

    def health(self) -> CameraHealth:
        """Say how the camera is now."""
        online, beat = self._state == "online", self._beat
        age = None if self._frame_s is None else max(0.0, self._clock.monotonic() - self._frame_s)
        width, height = self._size or (None, None)
        return CameraHealth(
            name=self.name,
            state=self._state,
            frames_per_s=beat.frames_per_s if online and beat else 0.0,
            decode_errors=self._decode_errors + self._complaints(),
            dropped_frames=self._dropped + (beat.dropped if beat else 0),
            restarts=self._restarts,
            frame_age_s=None if age is None else round(age, 3),
            width_px=width,
            height_px=height,
            rss_bytes=beat.rss_bytes if beat else None,
            conditions=tuple(key for key in self._ongoing if key in _CONDITIONS),
        )

    async def run(self) -> None:
        """Watch until cancelled; the capture process is gone when this returns."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hand_on(), name=f"{self.name} events")
            await self._keep()

    def close(self) -> None:
        """Let the shared frames go; call it once, after the last :meth:`run`."""
        os.close(self._frames_fd)

    async def _keep(self) -> None:
        settings = self._settings
        delay = settings.reconnect_min_s
        while True:
            loss = await self._watch()
            now = self._clock.monotonic()
            steady = self._online_s is not None and now - self._online_s >= _STEADY_S
            self._note_loss(loss, now)
            if loss.reason == "ended" and settings.kind == "file" and not settings.loop:
                await asyncio.Event().wait()  # played once, as asked
            if steady:
                delay = settings.reconnect_min_s
            await self._clock.sleep(delay * (0.5 + self._jitter() / 2))
            delay = min(2 * delay, settings.reconnect_max_s)
            self._restarts += 1

    async def _watch(self) -> Loss:
        """Live with one capture process until it fails."""
        self._online_s = self._beat = self._frame_s = None
        self._progress_s = self._clock.monotonic()
        order = Order(
            source=self._settings.source,
            settings=self._settings,
            scene=self._scene,
            frames_fd=self._frames_fd,
        )
        try:
            capture = await self._start(order)
        except OSError as error:
            return Loss("crashed", f"no capture process: {error}")
        self._capture = capture
        reader = asyncio.create_task(self._read(capture), name=f"{self.name} reports")
        watchdog = asyncio.create_task(self._await_hang(), name=f"{self.name} watchdog")
        loss: Loss | None = None
        try:
            done, _ = await asyncio.wait({reader, watchdog}, return_when=asyncio.FIRST_COMPLETED)
            loss = (reader if reader in done else watchdog).result()
        finally:
            reader.cancel()
            watchdog.cancel()
            hung = loss is not None and loss.reason == "hung"
            status = await asyncio.shield(asyncio.create_task(capture.close(kill=hung)))
            self._settle()
        if loss.reason == "crashed" and not loss.text:
            loss = Loss("crashed", f"the capture process ended with status {status}")
        if capture.last_words and loss.reason != "hung":
            loss = Loss(loss.reason, f"{loss.text}; {capture.last_words}")
        return loss

    def _settle(self) -> None:
        """Add the finished process's counts to those before it."""
        self._decode_errors += self._complaints()
        self._dropped += self._beat.dropped if self._beat else 0
        self._beat = self._capture = None

    def _complaints(self) -> int:
        beat = self._beat.decode_errors if self._beat else 0
        return beat + (self._capture.decode_errors if self._capture else 0)

    async def _read(self, capture: Capture) -> Loss:
        while (line := await capture.read()) is not None:
            try:
                report = parse_report(line)
            except ValueError:
                self._log.warning("report unreadable", size=len(line))
                continue
            if isinstance(report, Failed):
                return Loss(report.reason, report.text)
            self._take(report)
        return Loss("crashed", "")

    async def _await_hang(self) -> Loss:
        settings = self._settings
        while True:
            opening = self._frame_s is None
            limit = settings.open_timeout_s + _START_S if opening else settings.hang_s
            age = self._clock.monotonic() - self._progress_s
            if age >= limit:
                return Loss("hung", f"no frame for {age:.0f} s; the capture process was killed")
            await self._clock.sleep(min(limit - age, settings.hang_s))

    def _take(self, report: Report) -> None:
        now = self._clock.monotonic()
        match report:
            case Opened():
                self._note_online(report, now)
            case Beat():
                if self._beat is None or report.frames > self._beat.frames:
                    self._frame_s = self._progress_s = now - report.frame_age_s
                self._beat = report
            case Learned():
                self._scene = report.scene
            case Tampered():
                self._take_finding(report.condition, report, now)
            case Moving():
                self._take_finding("motion", report, now)
            case Present():
                self._take_finding("presence", report, now)

    def _note_online(self, opened: Opened, now: float) -> None:
        outage_s = None if self._lost_s is None else round(now - self._lost_s, 3)
        self._state, self._online_s, self._lost_s = "online", now, None
        self._frame_s = self._progress_s = now
        self._size = opened.width_px, opened.height_px
        self._log.info("camera online", source=self._settings.shown, outage_s=outage_s)
        self._tell(
            CameraOnline(
                camera=self.name,
                width_px=opened.width_px,
                height_px=opened.height_px,
                outage_s=outage_s,
            )
        )

    def _note_loss(self, loss: Loss, now: float) -> None:
        for key in tuple(self._ongoing):
            self._end(key, now)
        if self._state == "lost":
            self._log.debug("camera still lost", reason=loss.reason, text=loss.text)
            return
        self._state, self._lost_s = "lost", now
        self._log.warning("camera lost", reason=loss.reason, text=loss.text)
        self._tell(CameraLost(camera=self.name, reason=loss.reason, text=loss.text[:_TEXT_LIMIT]))

    def _take_finding(self, key: str, report: Finding, now: float) -> None:
        ongoing = self._ongoing.get(key)
        if report.phase == "begin" and ongoing is None:
            stamp = self._clock.stamp()
            self._ongoing[key] = _Ongoing(stamp, now, report)
            self._tell(self._begin_event(report), stamp)
        elif report.phase == "end" and ongoing is not None:
            ongoing.report = report
            self._end(key, now)

    def _begin_event(self, report: Finding) -> Event:
        match report:
            case Moving():
                return MotionBegin(camera=self.name, area_percent=report.area_percent)
            case Present():
                return PresenceBegin(
                    camera=self.name, face_px=report.face_px, faces=max(1, report.faces)
                )
            case Tampered():
                return _CONDITIONS[report.condition](
                    camera=self.name, phase="begin", **report.evidence.model_dump()
                )

    def _end(self, key: str, now: float) -> None:
        """End something, because its end was reported or because the camera is gone."""
        ongoing = self._ongoing.pop(key)
        report, begun = ongoing.report, ongoing.begun.time
        reported = report.duration_s if report.phase == "end" else None
        duration_s = round(now - ongoing.since_s, 3) if reported is None else reported
        match report:
            case Moving():
                self._tell(
                    MotionEnd(
                        camera=self.name,
                        begun=begun,
                        duration_s=duration_s,
                        area_max_percent=report.area_percent,
                    )
                )
            case Present():
                self._tell(
                    PresenceEnd(
                        camera=self.name,
                        begun=begun,
                        duration_s=duration_s,
                        faces_max=max(1, report.faces),
                    )
                )
            case Tampered():
                self._tell(
                    _CONDITIONS[report.condition](
                        camera=self.name,
                        phase="end",
                        duration_s=duration_s,
                        **report.evidence.model_dump(),
                    )
                )

    def _tell(self, event: Event, stamp: Stamp | None = None) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting.put_nowait((event, stamp or self._clock.stamp()))
            return
        self._log.error("camera event dropped: storage too slow", kind=event.KIND)

    async def _hand_on(self) -> None:
        while True:
            await self._publish(*await self._waiting.get())
