"""The identity checks at one camera as the agent has them: a process, kept alive, and its word."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from contract import Clock
from contract.health import IdentityHealth
from vision.identity.report import (
    Answered,
    Ask,
    Beat,
    Blind,
    Cancel,
    Enrol,
    Forget,
    GalleryAccess,
    Hint,
    Identify,
    IdentityOrder,
    Opened,
    Outcome,
    Present,
    Reload,
    Report,
    Verify,
    parse_report,
    refer,
)
from vision.identity.settings import Liveness
from vision.keeper import Keeper
from vision.process import ChildProcess, TellableChild, start

log = structlog.get_logger()

_GRACE_S = 2.0
"""The process answers at its limit; this much later the agent does."""
_MAX_WAITING = 16
_TEXT_LIMIT = 200

OnHint = Callable[[Hint], None]
OnPresent = Callable[[str, Present | None], None]
StartIdentity = Callable[[IdentityOrder], Awaitable[TellableChild]]


async def start_identity(order: IdentityOrder) -> TellableChild:
    """Start an identity process.

    Raises:
        OSError: the machine cannot start another process.
    """
    return await start(ChildProcess, "vision.identity.watch", order)


class IdentityWatch:
    """Compares the faces before one camera: asks its process, and answers where that cannot.

    Args:
        camera: the camera's name.
        order: what its process is told.
        clock: the time of pauses and limits.
        present: told who is before the camera when that changes; None: it is not known.
        start: starts the process.
        jitter: gives a number from 0 to 1.
    """

    def __init__(
        self,
        camera: str,
        order: IdentityOrder,
        *,
        clock: Clock,
        present: OnPresent,
        start: StartIdentity = start_identity,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._camera = camera
        self._order = order
        self._clock = clock
        self._present = present
        self._keeper = Keeper(
            camera,
            "identity",
            clock=clock,
            start=lambda: start(self._order),
            parse=parse_report,
            take=self._take,
            gone=self._gone,
            jitter=jitter,
        )
        self._log = log.bind(camera=camera)
        self._asks: asyncio.Queue[Ask] = asyncio.Queue(_MAX_WAITING)
        self._check: _Check | None = None
        self._opened: Opened | None = None
        self._enrolled: int | None = None
        self._gallery_problem: str | None = None
        self._outcomes: Counter[Outcome] = Counter()

    @property
    def detector(self) -> str | None:
        """Name and version of what finds faces; None before the models were first loaded."""
        return self._opened.detector if self._opened else None

    @property
    def recogniser(self) -> str | None:
        """Name and version of what compares them."""
        return self._opened.recogniser if self._opened else None

    @property
    def calibration(self) -> str | None:
        """Version of the thresholds."""
        return self._opened.calibration if self._opened else None

    @property
    def liveness(self) -> Liveness:
        """How a person shows to be there, unless a check says otherwise."""
        return self._order.identity.liveness

    def health(self) -> IdentityHealth:
        """Say how the checks are now."""
        kept, outcomes = self._keeper, self._outcomes
        problem = self._gallery_problem or ""
        return IdentityHealth(
            state=kept.state,
            text=kept.failure or problem[:_TEXT_LIMIT],
            looks=kept.looks,
            look_ms=kept.look_ms,
            enrolled=self._enrolled,
            checks=outcomes.total(),
            matches=outcomes["match"],
            no_matches=outcomes["no_match"],
            referrals=outcomes["refer"],
            restarts=kept.restarts,
            rss_bytes=kept.rss_bytes,
        )

    async def run(self) -> None:
        """Be ready for checks until cancelled; the process is gone when this returns."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hand_on(), name=f"{self._camera} identity asks")
            await self._keeper.run()

    async def ask(self, ask: Verify | Identify | Enrol, on_hint: OnHint) -> Answered:
        """Have a check done; it is answered whatever becomes of the process.

        One at a time: a second one is answered with ``busy``. Cancelling this ends the check.
        """
        if self._check is not None:
            answered = refer(ask.id, "busy")
        elif self._keeper.child is None or not self._tell(ask):
            answered = refer(ask.id, "models_unavailable")
        else:
            answered = await self._await_answer(ask, on_hint)
        self._outcomes[answered.outcome] += 1
        return answered

    def reload(self, gallery: GalleryAccess | None) -> None:
        """Say that the gallery has changed."""
        self._order = self._order.model_copy(update={"gallery": gallery})
        self._tell(Reload(gallery=gallery))

    def forget(self, session: str) -> None:
        """Say that a session is over: who was verified in it is forgotten."""
        self._tell(Forget(session=session))

    async def _await_answer(self, ask: Verify | Identify | Enrol, on_hint: OnHint) -> Answered:
        limit_s = ask.limit_s + _GRACE_S
        check = self._check = _Check(ask.id, on_hint)
        limit = asyncio.create_task(
            self._clock.sleep(limit_s), name=f"{self._camera} check's limit"
        )
        waiting: set[asyncio.Future[Any]] = {check.answered, limit}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if check.answered.done():
                return check.answered.result()
            self._tell(Cancel(id=ask.id))
            return refer(ask.id, "timeout", took_ms=round(limit_s * 1000))
        except asyncio.CancelledError:
            self._tell(Cancel(id=ask.id))
            raise
        finally:
            limit.cancel()
            self._check = None

    def _tell(self, ask: Ask) -> bool:
        """Send a line to the process, where there is one that takes lines."""
        with contextlib.suppress(asyncio.QueueFull):
            if self._keeper.child is not None:
                self._asks.put_nowait(ask)
                return True
        return False

    async def _hand_on(self) -> None:
        while True:
            ask = await self._asks.get()
            if self._keeper.child is not None:
                await self._keeper.child.tell(ask)
            del ask  # a portrait is not to be kept

    def _take(self, report: Report) -> None:
        check = self._check
        match report:
            case Opened():
                self._opened = report
            case Beat():
                self._enrolled = report.enrolled
                self._gallery_problem = report.gallery_problem
            case Hint() if check and check.id == report.id:
                check.on_hint(report)
            case Answered() if check and check.id == report.id and not check.answered.done():
                check.answered.set_result(report)
            case Present():
                self._present(self._camera, report)
            case Blind():
                self._present(self._camera, None)

    def _gone(self) -> None:
        while not self._asks.empty():
            self._asks.get_nowait()
        self._enrolled = self._gallery_problem = None
        check = self._check
        if check is not None and not check.answered.done():
            check.answered.set_result(refer(check.id, "models_unavailable"))
        self._present(self._camera, None)


class _Check:
    """The check that is under way."""

    def __init__(self, id_: str, on_hint: OnHint) -> None:
        self.id = id_
        self.on_hint = on_hint
        self.answered: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
