"""The supervisor and the pulse: what fails is started again, what is dead is not fed."""

import asyncio
import itertools
import socket
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from agent.pulse import STALE_S, Pulse
from agent.supervisor import LAST_PAUSE_S, Supervisor
from agent.systemd import SlowStart, notify, watchdog_interval_s
from contract.state import Service, ServiceChanged
from tests.support.clock import ManualClock


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_failed_task_is_restarted_with_growing_pauses():
    """A task that fails again and again is restarted, ever more slowly, and others live on."""
    clock = ManualClock()
    supervisor = Supervisor(clock, jitter=lambda: 1.0)
    starts: list[float] = []

    async def broken() -> None:
        starts.append(clock.monotonic())
        msg = "no such device"
        raise OSError(msg)

    async def sound() -> None:
        await asyncio.Event().wait()

    supervisor.start("broken", broken)
    supervisor.start("sound", sound)
    task = asyncio.create_task(supervisor.run())
    await clock.advance(10 * LAST_PAUSE_S)
    pauses = [b - a for a, b in itertools.pairwise(starts)]
    assert pauses[:4] == [0.5, 1, 2, 4]
    assert pauses[-1] == LAST_PAUSE_S
    assert supervisor.is_running("sound")
    assert supervisor.restarts == {"broken": len(starts)}
    assert supervisor.errors == {"broken": "OSError: no such device"}
    await end(task)


async def test_task_that_ends_is_restarted():
    """A long-lived task that returns by itself is a failure, too."""
    clock = ManualClock()
    supervisor = Supervisor(clock, jitter=lambda: 1.0)

    async def brief() -> None:
        return

    supervisor.start("brief", brief)
    task = asyncio.create_task(supervisor.run())
    await clock.advance(2)
    assert supervisor.total_restarts >= 2
    await end(task)


async def test_cancelled_future_is_a_failure():
    """A task that ends because something it waited for was cancelled is started again."""
    clock = ManualClock()
    supervisor = Supervisor(clock, jitter=lambda: 1.0)

    async def waits() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    supervisor.start("waits", waits)
    task = asyncio.create_task(supervisor.run())
    await clock.advance(2)
    assert supervisor.restarts["waits"] >= 2
    await end(task)


async def test_cancelled_with_all_its_tasks():
    """When the supervisor ends, every task has ended before."""
    supervisor = Supervisor(ManualClock())
    ended: list[str] = []

    async def part() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("part")

    supervisor.start("part", part)
    task = asyncio.create_task(supervisor.run())
    await ManualClock.settle()
    await end(task)
    assert ended == ["part"]


class Part:
    """A part that notes when it begins and ends."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def run(self) -> None:
        self.said.append("begins")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.said.append("ends")


async def test_tasks_come_and_go():
    """A task that is stopped has ended; another of its name may begin, and others live on."""
    supervisor, old, new, other = Supervisor(ManualClock()), Part(), Part(), Part()
    supervisor.start("other", other.run)
    task = asyncio.create_task(supervisor.run())
    await ManualClock.settle()
    supervisor.start("part", old.run)
    await ManualClock.settle()
    await supervisor.stop("part")
    assert old.said == ["begins", "ends"]
    assert not supervisor.is_running("part")
    await supervisor.stop("part")
    supervisor.start("part", new.run)
    await ManualClock.settle()
    assert (new.said, other.said) == (["begins"], ["begins"])
    assert supervisor.restarts == {}
    await end(task)
    assert (new.said, other.said) == (["begins", "ends"], ["begins", "ends"])


async def test_all_but_one_end():
    """One task can outlive the others, so that what they say last is still heard."""
    supervisor = Supervisor(ManualClock())
    ended: list[str] = []

    async def part(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(name)

    for name in ("outbox", "link", "camera"):
        supervisor.start(name, partial(part, name))
    task = asyncio.create_task(supervisor.run())
    await ManualClock.settle()
    await supervisor.stop_all(but="outbox")
    assert sorted(ended) == ["camera", "link"]
    assert supervisor.is_running("outbox")
    await end(task)
    assert ended[-1] == "outbox"


async def test_two_tasks_of_one_name():
    """A name is given to one task at a time."""
    supervisor = Supervisor(ManualClock())
    supervisor.start("part", Part().run)
    with pytest.raises(ValueError, match="a task part already"):
        supervisor.start("part", Part().run)


async def test_stopped_while_it_waits_to_be_restarted():
    """A task that failed and is stopped during its pause does not come back."""
    clock = ManualClock()
    supervisor = Supervisor(clock, jitter=lambda: 1.0)
    starts: list[float] = []

    async def broken() -> None:
        starts.append(clock.monotonic())
        msg = "no such device"
        raise OSError(msg)

    supervisor.start("broken", broken)
    task = asyncio.create_task(supervisor.run())
    await clock.advance(1)
    await supervisor.stop("broken")
    tries = len(starts)
    await clock.advance(1000)
    assert len(starts) == tries
    await end(task)


async def test_stopped_although_it_swallows_its_cancellation():
    """A task that returns when it is cancelled is not started again."""
    supervisor, begun = Supervisor(ManualClock()), []

    async def stubborn() -> None:
        begun.append(1)
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    supervisor.start("stubborn", stubborn)
    task = asyncio.create_task(supervisor.run())
    await ManualClock.settle()
    await supervisor.stop("stubborn")
    assert begun == [1]
    await end(task)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The service manager's end of the notification socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield line


def heard(line: socket.socket) -> list[str]:
    words = []
    with suppress(BlockingIOError):
        while True:
            words.append(line.recv(4096).decode())
    return words


def make_pulse(clock: ManualClock, services: list[Service], published: list, alive: list[bool]):
    async def probe() -> bool:
        return alive[0]

    async def publish(data, stamp) -> None:
        published.append(data)

    async def announce() -> None:
        published.append("birth")

    return Pulse(
        clock=clock,
        probes={"link": probe},
        services=lambda: tuple(services),
        publish=publish,
        on_change=announce,
        watchdog=True,
    )


async def test_watchdog_is_fed_only_while_alive(manager: socket.socket):
    """Once a part has been dead for a minute, the watchdog is not fed any more."""
    clock, alive = ManualClock(), [True]
    task = asyncio.create_task(make_pulse(clock, [], [], alive).run())
    await clock.advance(10)
    assert set(heard(manager)) == {"WATCHDOG=1"}
    alive[0] = False
    await clock.advance(STALE_S)
    heard(manager)
    await clock.advance(60)
    assert heard(manager) == []
    await end(task)


async def test_service_change_is_told_once():
    """A service that comes and goes is an event each time, and a new birth message."""
    clock, published = ManualClock(), []
    services = [Service(name="commands", available=False, reason="no keys")]
    task = asyncio.create_task(make_pulse(clock, services, published, [True]).run())
    await clock.advance(10)
    assert published == []
    services[0] = Service(name="commands", available=True)
    await clock.advance(10)
    assert published == [ServiceChanged(service=services[0]), "birth"]
    await end(task)


def test_notify_without_manager(monkeypatch: pytest.MonkeyPatch):
    """Without a service manager, or with a dead one, nothing happens."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/socket")
    notify("READY=1")


async def test_slow_start_holds_the_service_manager_off(manager: socket.socket):
    """By as much as one file may take, and not for each of thousands of files."""
    clock = ManualClock()
    start = SlowStart(clock.monotonic)
    for _ in range(1000):
        start.goes_on()
    word = "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=90000000"
    assert heard(manager) == [word]
    await clock.advance(5)
    start.goes_on()
    assert heard(manager) == [word]


@pytest.mark.parametrize(("value", "interval"), [("90000000", 45.0), ("", None), ("x", None)])
def test_watchdog_interval(monkeypatch: pytest.MonkeyPatch, value: str, interval: float | None):
    """The watchdog is fed twice as often as it asks; nonsense means there is none."""
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", value)
    assert watchdog_interval_s() == interval
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_interval_s() is None
