"""An identity process is kept alive, and every check is answered whatever becomes of it."""

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from tests.support.children import FakeChild
from tests.support.clock import ManualClock
from vision.identity.report import (
    Answered,
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
    Present,
    Reload,
    Verify,
)
from vision.identity.settings import CameraIdentitySettings, IdentitySettings
from vision.identity.watcher import IdentityWatch
from vision.life import Failed

ORDER = IdentityOrder(
    frames=Path("/frames"),
    settings=CameraIdentitySettings(enabled=True),
    identity=IdentitySettings(),
)
OPENED = Opened(detector="hog-1", recogniser="resnet-1", calibration="set-1")
VERIFY = Verify(id="a", limit_s=20, liveness="off", portrait=b"picture", session="s")
ACCESS = GalleryAccess(file=Path("/gallery"), key=bytes(32))


def answered(outcome="match", *, id_="a", reasons=()):
    return Answered(id=id_, outcome=outcome, reasons=reasons, took_ms=900, frames=3)


class Stage:
    """A watch with a clock, processes and listeners in the test's hand."""

    def __init__(self):
        self.clock = ManualClock()
        self.orders = []
        self.started = []
        self.hints = []
        self.present = []
        self.watch = IdentityWatch(
            "front",
            ORDER,
            clock=self.clock,
            present=lambda camera, present: self.present.append((camera, present)),
            start=self._start,
            jitter=lambda: 1.0,
        )

    async def _start(self, order):
        self.orders.append(order)
        self.started.append(FakeChild())
        return self.started[-1]

    @property
    def child(self):
        return self.started[-1]

    async def say(self, *reports):
        self.child.say(*reports)
        await self.clock.settle()

    async def die(self):
        self.child.die()
        await self.clock.settle()

    async def ask(self, check=VERIFY):
        task = asyncio.create_task(self.watch.ask(check, self.hints.append))
        await self.clock.settle()
        return task


@pytest.fixture
async def stage():
    stage = Stage()
    task = asyncio.create_task(stage.watch.run())
    await stage.clock.settle()
    yield stage
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_check_is_asked_hinted_and_answered(stage):
    """The process is asked; its hints and its answer reach whoever asked."""
    await stage.say(OPENED)
    check = await stage.ask()
    assert stage.child.told == [VERIFY]
    hint = Hint(id="a", reasons=("too_small",))
    await stage.say(hint, answered())
    assert check.result() == answered()
    assert stage.hints == [hint]


async def test_models_are_named_once_they_are_loaded(stage):
    """Detector, recogniser and thresholds have names for the events, also after a crash."""
    assert (stage.watch.detector, stage.watch.recogniser, stage.watch.calibration) == (None,) * 3
    await stage.say(OPENED)
    await stage.die()
    watch = stage.watch
    assert (watch.detector, watch.recogniser, watch.calibration) == ("hog-1", "resnet-1", "set-1")
    assert watch.liveness == "challenge"


@pytest.mark.parametrize(
    "check",
    [VERIFY, Identify(id="a", limit_s=5, liveness="off"), Enrol(id="a", limit_s=5, liveness="off")],
)
async def test_without_a_process_a_human_decides(stage, check):
    """Before the models are loaded, and while a process is dead, the answer is there at once."""
    refused = Answered(id="a", outcome="refer", reasons=("models_unavailable",), took_ms=0)
    assert (await stage.ask(check)).result() == refused
    await stage.say(OPENED, Failed(reason="model", text="no model for the task face-recogniser"))
    assert (await stage.ask(check)).result() == refused
    assert stage.watch.health().referrals == 2


async def test_a_process_that_dies_leaves_the_check_to_a_human(stage):
    """A crash in the middle of a check is an answer, too."""
    await stage.say(OPENED)
    check = await stage.ask()
    await stage.die()
    assert check.result().reasons == ("models_unavailable",)


async def test_a_silent_process_is_not_waited_for(stage):
    """Two seconds after the limit the agent answers by itself, and ends the check."""
    await stage.say(OPENED)
    check = await stage.ask()
    await stage.clock.advance(21.9)
    assert not check.done()
    await stage.clock.advance(0.2)
    assert (check.result().outcome, check.result().reasons) == ("refer", ("timeout",))
    assert check.result().took_ms == 22_000
    assert stage.child.told == [VERIFY, Cancel(id="a")]


async def test_one_check_at_a_time(stage):
    """A second one is told that the first is under way; the first goes on."""
    await stage.say(OPENED)
    first = await stage.ask()
    second = await stage.ask(Identify(id="b", limit_s=5, liveness="off"))
    assert second.result().reasons == ("busy",)
    await stage.say(answered())
    assert first.result() == answered()
    assert (await stage.ask()).done() is False


async def test_who_no_longer_waits_ends_the_check(stage):
    """Cancelling cancels in the process; its late answer is nobody's."""
    await stage.say(OPENED)
    check = await stage.ask()
    check.cancel()
    await stage.clock.settle()
    assert stage.child.told == [VERIFY, Cancel(id="a")]
    following = await stage.ask(VERIFY.model_copy(update={"id": "b"}))
    await stage.say(answered("refer", reasons=("cancelled",)), Hint(id="a"))
    assert not following.done()
    assert stage.hints == []
    await stage.say(answered("no_match", id_="b"))
    assert following.result().outcome == "no_match"


async def test_a_changed_gallery_is_told_now_and_after_a_crash(stage):
    """Who is enrolled is known to the process that runs and to those that follow."""
    await stage.say(OPENED)
    stage.watch.reload(ACCESS)
    await stage.clock.settle()
    assert stage.child.told == [Reload(gallery=ACCESS)]
    await stage.die()
    stage.watch.reload(None)
    stage.watch.reload(ACCESS)
    await stage.clock.advance(1)
    assert [order.gallery for order in stage.orders] == [None, ACCESS]
    assert stage.child.told == []


async def test_a_session_that_is_over_is_forgotten(stage):
    """The process is told so."""
    await stage.say(OPENED)
    stage.watch.forget("s")
    await stage.clock.settle()
    assert stage.child.told == [Forget(session="s")]


async def test_presence_is_handed_on_and_unknown_without_a_process(stage):
    """Who is there is told as the process tells it; without frames or process nobody knows."""
    present = Present(faces=1, staff=("0123456789abcdef",))
    await stage.say(OPENED, present, Blind(), present)
    await stage.die()
    assert stage.present == [
        ("front", present),
        ("front", None),
        ("front", present),
        ("front", None),
    ]


async def test_health(stage):
    """Health counts what was answered, and says what a gallery is missing for."""
    assert stage.watch.health().state == "starting"
    await stage.say(
        OPENED,
        Beat(
            looks=10,
            look_ms=25.5,
            enrolled=12,
            gallery_problem="the key is another one",
            rss_bytes=1000,
        ),
    )
    for outcome in ("match", "match", "no_match", "refer"):
        await stage.ask()
        await stage.say(answered(outcome))
    health = stage.watch.health()
    assert (health.state, health.text) == ("watching", "the key is another one")
    assert (health.looks, health.look_ms, health.enrolled, health.rss_bytes) == (10, 25.5, 12, 1000)
    assert (health.checks, health.matches, health.no_matches, health.referrals) == (4, 2, 1, 1)
    await stage.die()
    health = stage.watch.health()
    assert (health.state, health.enrolled, health.looks) == ("failed", None, 10)
    assert health.text == "the process ended with status 1; libgomp: no memory"
    await stage.clock.advance(1)
    await stage.say(OPENED)
    assert (stage.watch.health().restarts, stage.watch.health().text) == (1, "")


async def test_a_process_that_takes_nothing_holds_up_nobody():
    """Where lines pile up before a stuck process, further checks are answered at once."""
    stage = Stage()
    task = asyncio.create_task(stage.watch.run())
    await stage.clock.settle()
    await stage.say(OPENED)
    stage.child.tell = lambda order: asyncio.Event().wait()
    for _ in range(20):
        stage.watch.forget("s")
        await stage.clock.settle()
    assert (await stage.ask()).result().reasons == ("models_unavailable",)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert stage.child.killed is False


async def test_stopping_ends_the_process():
    """When the watch is cancelled its process has ended, and a check is answered."""
    stage = Stage()
    task = asyncio.create_task(stage.watch.run())
    await stage.clock.settle()
    await stage.say(OPENED)
    check = await stage.ask()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert stage.child.killed is False
    assert (await check).outcome == "refer"


def test_what_must_not_be_seen_is_not_shown():
    """No ``repr`` and no error shows a portrait, a key or a template."""
    secret = os.urandom(32)
    enrolled = answered().model_copy(update={"template": secret})
    check = VERIFY.model_copy(update={"portrait": secret})
    shown = f"{check!r} {enrolled!r} {GalleryAccess(file=Path('/g'), key=secret)!r}"
    assert repr(secret) not in shown
    assert repr(secret)[2:10] not in shown
