"""The release on trial looks at itself: it confirms itself when it is well, or goes back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent import VERSION
from agent.release.launched import Launched
from agent.release.order import InstallReport
from agent.release.settings import UpdateSettings
from agent.release.slots import Releases, Slot, State, Trial
from agent.release.updates import STAYED_UP_S, Updates, forgive_start
from commands.errors import ActionError
from contract.actions import UpdateInstall
from contract.state import UpdateChanged
from telemetry.transport import LinkError
from tests.support.clock import ManualClock

COMMAND = "01890a5d-ac96-774b-bcce-b302099a8057"
SLOT = Slot(name="a", version="1.1.0", manifest="0" * 64, packaged="1.0.0")
RUNNING = SLOT.model_copy(update={"starts": 4})
"""Confirmed, and started for the fourth time in a row."""
ORDER = UpdateInstall(file="x", sha256="0" * 64, version="1.1.0")


class FakeWellness:
    def __init__(self):
        self.is_wrong: str | None = None
        self.answers = True
        self.proofs = 0
        self.asked: tuple[str, ...] = ()

    def problem(self, cameras):
        self.asked = cameras
        return self.is_wrong

    def cameras_online(self):
        return ("front",)

    async def prove(self) -> None:
        self.proofs += 1
        if not self.answers:
            await asyncio.Event().wait()


class FakeChild:
    """The process that installs."""

    def __init__(self, *reports: InstallReport | bytes):
        self._lines = [
            one if isinstance(one, bytes) else one.model_dump_json().encode() for one in reports
        ]
        self.last_words = "MemoryError"
        self.closed = False

    async def read(self) -> bytes | None:
        return self._lines.pop(0) if self._lines else None

    async def close(self, *, kill: bool) -> int | None:
        self.closed = True
        return 0


class SlowChild(FakeChild):
    """One that says nothing until it is ready."""

    def __init__(self, *reports: InstallReport):
        super().__init__(*reports)
        self.ready = asyncio.Event()

    async def read(self) -> bytes | None:
        await self.ready.wait()
        return await super().read()


class Bench:
    """The agent's side of updates, as a start of the launcher finds it."""

    def __init__(self, folder: Path):
        self.clock = ManualClock()
        self.releases = Releases(folder / "releases")
        self.wellness = FakeWellness()
        self.told: list[UpdateChanged] = []
        self.restarts = 0
        self.child = FakeChild()
        self.orders: list = []
        self.slot: str | None = None

    def on_trial(self, **changes) -> None:
        self.slot = "a"
        trial = Trial(
            **{
                "slot": SLOT,
                "before": "1.0.0",
                "command": COMMAND,
                "signers": ("li", "wang"),
                "cameras": ("front",),
                "confirm_s": 60.0,
                "deadline_s": 600.0,
                "max_starts": 3,
                "starts": 1,
                "boot_id": self.clock.boot_id,
                "since_s": 0.0,
            }
            | changes
        )
        self.save(State(trial=trial))

    def launched(self) -> Launched:
        return Launched(
            argv=("x",), releases=str(self.releases.folder), slot=self.slot, packaged="1.0.0"
        )

    def updates(self, *, launched: bool = True) -> Updates:
        def restart() -> None:
            self.restarts += 1

        async def publish(event, _stamp) -> None:
            self.told.append(event)

        async def start(order):
            self.orders.append(order)
            return self.child

        return Updates(
            launched=self.launched() if launched else None,
            settings=UpdateSettings(confirm_s=60, deadline_s=600),
            folder=self.releases.folder.parent / "update",
            floor_bytes=0,
            clock=self.clock,
            publish=publish,
            wellness=self.wellness,
            restart=restart,
            start_install=start,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Updates]:
        updates = self.updates()
        await updates.start()
        tasks = [asyncio.ensure_future(one()) for one in (updates.run, updates.stay_up)]
        try:
            yield updates
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            await self.clock.advance(1)
            await asyncio.sleep(0)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)
                await self.clock.settle()

    @property
    def file(self) -> Path:
        return self.releases.folder / "state.json"

    @property
    def state(self) -> State:
        return State.model_validate_json(self.file.read_bytes()) if self.file.exists() else State()

    def save(self, state: State) -> None:
        self.releases.folder.mkdir(exist_ok=True)
        self.file.write_text(state.model_dump_json())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_well_for_long_enough_is_confirmed(bench):
    """Proved at both ends; the command ends, and it is told."""
    bench.on_trial()
    async with bench.running() as updates:
        ending = asyncio.ensure_future(updates.outcome(COMMAND))
        await bench.pass_time(58)
        assert bench.state.trial is not None
        await bench.pass_time(5)
        await bench.until(lambda: bool(bench.told) and not bench.state.untold)
        end = await ending
    assert (end.outcome, end.version, end.before) == ("confirmed", "1.1.0", "1.0.0")
    assert bench.state.current == RUNNING.model_copy(update={"starts": 0})
    assert bench.wellness.proofs == 2
    assert bench.wellness.asked == ("front",)
    (event,) = bench.told
    assert (event.outcome, event.command_id, event.signers) == (
        "confirmed",
        COMMAND,
        ("li", "wang"),
    )
    assert bench.restarts == 0


async def test_break_begins_the_spell_anew(bench):
    bench.on_trial()
    async with bench.running():
        await bench.pass_time(50)
        bench.wellness.is_wrong = "no picture of camera front"
        await bench.pass_time(2)
        bench.wellness.is_wrong = None
        await bench.pass_time(55)
        assert bench.state.trial is not None
        await bench.pass_time(10)
        await bench.until(lambda: bench.state.trial is None)
    assert bench.state.outcomes[0].outcome == "confirmed"


@pytest.mark.parametrize(
    ("wrong", "answers", "why"),
    [
        ("no line to the broker: refused", True, "no line to the broker: refused"),
        (None, False, "the broker did not acknowledge its birth message"),
    ],
)
async def test_not_well_in_time_goes_back(bench, wrong, answers, why):
    """It is recorded and the agent restarts; who comes next tells it and ends the command."""
    bench.on_trial()
    bench.wellness.is_wrong, bench.wellness.answers = wrong, answers
    async with bench.running() as updates:
        ending = asyncio.ensure_future(updates.outcome(COMMAND))
        await bench.pass_time(605)
        await bench.until(lambda: bench.restarts == 1)
        assert bench.told == []
        assert not ending.done()
        ending.cancel()
    assert bench.state.outcomes[0].why == f"it did not prove itself within 600 s: {why}"

    bench.slot = None
    async with bench.running() as updates:
        await bench.until(lambda: bool(bench.told))
        end = await updates.outcome(COMMAND)
        assert end.outcome == "rolled_back"
    assert why in bench.told[0].text
    assert bench.restarts == 1


async def test_time_of_earlier_starts_in_this_boot_counts(bench):
    bench.on_trial(since_s=-500.0)
    bench.wellness.is_wrong = "nothing works"
    async with bench.running():
        await bench.pass_time(98)
        assert bench.restarts == 0
        await bench.pass_time(5)
        await bench.until(lambda: bench.restarts == 1)


async def test_confirmation_that_cannot_be_recorded_goes_back(bench, monkeypatch):
    """What is not on disk would be taken back by the next start anyway."""
    bench.on_trial()
    async with bench.running():
        monkeypatch.setattr(Releases, "save", fails)
        await bench.pass_time(610)
        await bench.until(lambda: bench.restarts == 1)


async def test_trial_that_the_launcher_did_not_begin_ends(bench):
    bench.on_trial()
    bench.slot = None
    async with bench.running() as updates:
        end = await updates.outcome(COMMAND)
        await bench.until(lambda: bool(bench.told))
    assert end.why == "it could not be started"
    assert bench.restarts == 0


async def test_what_nobody_needs_is_removed(bench):
    for name in ("a", "b", "a.new"):
        (bench.releases.folder / name / "lib").mkdir(parents=True)
    bench.save(State(current=SLOT))
    bench.slot = "a"
    async with bench.running():
        await bench.until(lambda: not (bench.releases.folder / "b").exists())
    assert (bench.releases.folder / "a").exists()
    assert not (bench.releases.folder / "a.new").exists()


async def test_what_is_being_installed_is_not_removed(bench):
    """An order may come before all is tidied up after a start."""
    for name in ("a", "b", "b.new"):
        (bench.releases.folder / name / "lib").mkdir(parents=True)
    bench.save(State(current=SLOT))
    bench.slot = "a"
    bench.child = SlowChild(InstallReport(manifest="0" * 64))
    updates = bench.updates()
    await updates.start()
    preparing = asyncio.ensure_future(updates.prepare(ORDER, say))
    await bench.until(lambda: bool(bench.orders))
    running = asyncio.ensure_future(updates.run())
    await asyncio.sleep(0.2)
    assert (bench.releases.folder / "b.new").exists()
    bench.child.ready.set()
    await preparing
    await bench.until(lambda: not (bench.releases.folder / "b.new").exists())
    assert (bench.releases.folder / "b").exists()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_running_release_is_not_overwritten(bench):
    """Even where somebody removed the file that says which it is."""
    bench.slot = "a"
    async with bench.running() as updates:
        with pytest.raises(ActionError):
            await updates.prepare(ORDER, say)
    assert bench.orders[0].slot == "b"


async def test_unreadable_state_is_nothing(bench):
    bench.releases.folder.mkdir()
    (bench.releases.folder / "state.json").write_bytes(b"{")
    async with bench.running() as updates:
        assert await updates.outcome(COMMAND) is None


# -- starts of a confirmed release -----------------------------------------------------------------


@pytest.fixture
def confirmed(bench: Bench) -> Bench:
    """A kiosk whose confirmed release was started four times without staying up."""
    bench.slot = "a"
    bench.save(State(current=RUNNING))
    return bench


def starts(bench: Bench) -> int | None:
    assert bench.state.current is not None
    return bench.state.current.starts


async def test_starts_are_forgiven_when_the_release_stayed_up(confirmed):
    """Whether the kiosk is well and has a line or not: it can be reached and mended."""
    confirmed.wellness.is_wrong = "no line to the broker"
    async with confirmed.running():
        await confirmed.pass_time(STAYED_UP_S - 5)
        assert starts(confirmed) == 4
        await confirmed.pass_time(10)
        await confirmed.until(lambda: starts(confirmed) == 0)


async def test_starts_are_forgiven_later_where_the_disk_was_full(confirmed, monkeypatch):
    async with confirmed.running():
        with monkeypatch.context() as full:
            full.setattr(Releases, "save", fails)
            await confirmed.pass_time(STAYED_UP_S + 5)
            await asyncio.sleep(0.05)
        assert starts(confirmed) == 4
        await confirmed.pass_time(STAYED_UP_S)
        await confirmed.until(lambda: starts(confirmed) == 0)


async def test_release_says_by_itself_that_it_forgives_starts(confirmed):
    """A launcher of old passes over the count whenever it writes."""
    confirmed.save(State(current=SLOT))
    async with confirmed.running():
        await confirmed.pass_time(STAYED_UP_S + 5)
        await confirmed.until(lambda: starts(confirmed) == 0)


async def test_end_in_order_forgives_this_start_alone(confirmed):
    async with confirmed.running() as updates:
        pass
    await updates.forgive()
    assert starts(confirmed) == 3


async def test_start_that_wrong_settings_ended_is_forgiven(confirmed):
    """Any release would read the same."""
    await asyncio.to_thread(forgive_start, confirmed.launched())
    assert starts(confirmed) == 3
    await asyncio.to_thread(forgive_start, None)
    assert starts(confirmed) == 3


@pytest.mark.parametrize("slot", [None, "b"])
async def test_only_the_release_that_runs_is_forgiven(confirmed, slot):
    """The packaged one, or one on trial, says nothing of the confirmed one."""
    confirmed.slot = slot
    async with confirmed.running() as updates:
        await confirmed.pass_time(STAYED_UP_S + 5)
        await updates.forgive()
    await asyncio.to_thread(forgive_start, confirmed.launched())
    assert starts(confirmed) == 4


async def test_end_in_order_that_cannot_be_recorded_is_none_the_worse(confirmed, monkeypatch):
    async with confirmed.running() as updates:
        pass
    monkeypatch.setattr(Releases, "save", fails)
    await updates.forgive()
    await asyncio.to_thread(forgive_start, confirmed.launched())
    assert starts(confirmed) == 4


async def test_count_and_trial_do_not_write_over_each_other(confirmed):
    """A switch just when the release stayed up, and the end in order that follows it."""
    confirmed.child = FakeChild(InstallReport(manifest="0" * 64))
    async with confirmed.running() as updates:
        await updates.prepare(ORDER, say)
        await confirmed.pass_time(STAYED_UP_S - 1)
        await asyncio.gather(
            updates.switch(command=COMMAND, signers=()), confirmed.clock.advance(2)
        )
        await confirmed.until(lambda: starts(confirmed) == 0)
    await updates.forgive()
    assert confirmed.state.trial is not None
    assert confirmed.state.trial.command == COMMAND
    assert starts(confirmed) == 0


def fails(*_: object) -> None:
    msg = "the disk is full"
    raise OSError(msg)


# -- what the command asks for -------------------------------------------------------------------


async def say(_text: str, _percent: float | None = None) -> None:
    pass


async def test_prepared_release_goes_on_trial(bench):
    """With the cameras that give pictures now; recorded before the restart."""
    bench.child = FakeChild(
        InstallReport(text="unpacks the release", percent=50.0), InstallReport(manifest="0" * 64)
    )
    async with bench.running() as updates:
        await updates.prepare(ORDER, say)
        assert bench.child.closed
        await updates.switch(command=COMMAND, signers=("li", "wang"))
    (order,) = bench.orders
    assert (order.slot, order.running) == ("a", VERSION)
    assert order.file == str(bench.releases.folder.parent / "update/x")
    trial = bench.state.trial
    assert trial is not None
    assert trial.slot == SLOT
    assert (trial.before, trial.cameras, trial.starts) == (VERSION, ("front",), 0)
    assert (bench.restarts, bench.told[0].outcome) == (1, "trial")


@pytest.mark.parametrize(
    ("child", "why"),
    [
        (FakeChild(InstallReport(error="the disk is full")), "the disk is full"),
        (FakeChild(), "ended before its time: MemoryError"),
        (FakeChild(b"what?\n"), "said something else"),
    ],
)
async def test_what_cannot_be_installed_changes_nothing(bench, child, why):
    bench.child = child
    async with bench.running() as updates:
        with pytest.raises(ActionError, match=why):
            await updates.prepare(ORDER, say)
    assert child.closed
    assert bench.state == State()


async def test_one_trial_at_a_time(bench):
    bench.on_trial()
    async with bench.running() as updates:
        with pytest.raises(ActionError, match="a release is on trial"):
            await updates.prepare(ORDER, say)


async def test_switch_that_cannot_be_recorded_does_not_happen(bench, monkeypatch):
    bench.child = FakeChild(InstallReport(manifest="0" * 64))
    async with bench.running() as updates:
        await updates.prepare(ORDER, say)
        bench.releases.folder.mkdir(exist_ok=True)
        (bench.releases.folder / "state.json").mkdir()
        with pytest.raises(ActionError, match="the trial could not be recorded"):
            await updates.switch(command=COMMAND, signers=())
    assert bench.restarts == 0


async def test_without_the_launcher_nothing_can_be_done(bench):
    updates = bench.updates(launched=False)
    await updates.start()
    assert "not started by its launcher" in (updates.missing() or "")
    with pytest.raises(ActionError, match="not started by its launcher"):
        await updates.prepare(ORDER, say)


async def test_refusal_of_the_broker_is_no_proof(bench):
    bench.on_trial(deadline_s=20.0)

    async def refuse() -> None:
        msg = "not authorised"
        raise LinkError(msg)

    bench.wellness.prove = refuse
    async with bench.running():
        await bench.pass_time(25)
        await bench.until(lambda: bench.restarts == 1)
