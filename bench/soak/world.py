"""One soak from its first process to its last: who runs, for how long, what is read at the end."""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from agent.broker import HOST
from agent.demo_visit import Visits
from agent.errors import AgentError
from agent.local.client import ask
from bench.rig.listener import Listener
from bench.rig.mosquitto import PersistentMosquitto
from bench.rig.proxy import TcpProxy
from bench.soak.account import Account
from bench.soak.clock import SteppedClock
from bench.soak.faults import Kind, plan
from bench.soak.files import Sizes
from bench.soak.injector import Injector
from bench.soak.kiosk import KIOSK, Place, RunningKiosk, program
from bench.soak.memory import Lives
from bench.soak.operator import Operators
from bench.soak.state_disk import StateDisk
from bench.soak.trail import read_trail
from contract import Topics
from contract.ack import Watermark

AGENT = "agent"
STATE_MIB = 64
SETTLE_S = 240.0
"""At most, for what is on its way when the faults are over."""
_START_S = 60.0
_ACK_S = 2.0
_SAMPLE_S = 5.0
_LOOK_S = 1.0
_KIB = 1024
_PROGRAMS = "vision."
_SCENES = {"street": "street.avi", "counter": "counter.avi", "portrait": "portrait.png"}


class SoakError(Exception):
    """The soak itself could not go on."""


@dataclass(slots=True)
class Report:
    """All that a run has brought."""

    account: Account
    operators: Operators
    injector: Injector
    kiosk: RunningKiosk
    sizes: Sizes
    lives: Lives = field(default_factory=Lives)
    possible: frozenset[Kind] = frozenset(Kind)
    """What can be broken on this machine, with this setting of the outbox."""
    violations: list[str] = field(default_factory=list)
    settle_s: float = 0.0
    audit_entries: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    """Of persons before the camera, by outcome."""
    rows_left: int = -1
    """In the outbox when all had settled; -1: the agent did not say."""
    log_bytes: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """In the agent's journal, by event; of those with a traceback also its last line."""
    tracebacks: int = 0


async def soak(folder: Path, *, minutes: float, seed: int, release: str, one_life: bool) -> Report:
    """Run for so long, and for as long again as it takes to settle.

    Args:
        folder: for its files.
        minutes: of faults.
        seed: decides the schedule.
        release: the setting of the outbox.
        one_life: whether the agent itself is spared.
    """
    with StateDisk(folder / "state", STATE_MIB) as disk:
        broker = PersistentMosquitto(folder)
        await asyncio.to_thread(broker.start)
        try:
            async with TcpProxy(HOST, broker.port) as proxy:
                place = Place(folder, proxy.port, release, disk.folder / "agent")
                clock = SteppedClock(folder)
                world = _World(place, broker=broker, proxy=proxy, disk=disk, clock=clock, seed=seed)
                return await world.run(60 * minutes, one_life=one_life)
        finally:
            await asyncio.to_thread(broker.kill)


class _World:
    def __init__(
        self,
        place: Place,
        *,
        broker: PersistentMosquitto,
        proxy: TcpProxy,
        disk: StateDisk,
        clock: SteppedClock,
        seed: int,
    ) -> None:
        self._place = place
        self._proxy = proxy
        self._seed = seed
        account = Account(Topics(KIOSK))
        self._topics = account.topics
        self._centre = Listener(
            "centre",
            host=HOST,
            port=broker.port,
            topic=account.topics.up("up/#"),
            take=lambda topic, payload: account.take(topic, payload, time.monotonic()),
        )
        kiosk = RunningKiosk(place, clock.environment())
        self._report = Report(
            account=account,
            operators=Operators(
                broker.port,
                lambda payload: self._centre.publish(account.topics.command, payload),
                random.Random(seed),
            ),
            injector=Injector(
                place=place, kiosk=kiosk, proxy=proxy, broker=broker, disk=disk, clock=clock
            ),
            kiosk=kiosk,
            sizes=Sizes(place.state),
        )

    async def run(self, duration_s: float, *, one_life: bool) -> Report:
        report, place = self._report, self._place
        await asyncio.to_thread(_prepare, place, report.operators.key_set())
        portrait = await asyncio.to_thread((place.folder / _SCENES["portrait"]).read_bytes)
        self._centre.start()
        living = asyncio.create_task(report.kiosk.run(), name="kiosk")
        visits = Visits(
            place.socket,
            camera="counter",
            portrait=portrait,
            show=lambda _: None,
            decided=lambda outcome: report.checks.update([outcome]),
        )
        try:
            if not await _soon(lambda: report.account.state == "online", _START_S):
                said = await asyncio.to_thread(_last_lines, place.log)
                msg = f"the kiosk does not come online:\n{said}"
                raise SoakError(msg)
            async with (
                _beside(self._acknowledge()),
                _beside(self._measure()),
                _beside(visits.run()),
            ):
                await self._trouble(duration_s, one_life=one_life)
            # Nobody is served any more; what is told of it is still counted.
            async with _beside(self._acknowledge()), _beside(self._measure()):
                await self._settle()
                await self._count_rows()
        finally:
            status = await report.kiosk.stop()
            living.cancel()
            await asyncio.wait({living})
            await asyncio.to_thread(self._centre.stop)
        if status != 0:
            report.violations.append(f"the agent did not stop in order: status {status}")
        await asyncio.to_thread(self._read_what_is_left)
        return report

    async def _trouble(self, duration_s: float, *, one_life: bool) -> None:
        """Order and break things for so long; returns when every order has ended."""
        report = self._report
        spared = {Kind.AGENT_KILLED} if one_life else set()
        if self._place.release != "watermark":
            spared.add(Kind.BROKER_KILLED)
        kinds = report.injector.kinds(spared)
        report.possible = frozenset(kinds)
        faults = plan(self._seed, duration_s, kinds)
        last_kill_s = max((one.at_s for one in faults if one.kind is Kind.AGENT_KILLED), default=0)
        loop, began = asyncio.get_running_loop(), time.monotonic()
        loop.call_later(last_kill_s, report.operators.restart_no_more)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(report.operators.run(), name="operators")
            await report.injector.run(faults)
            await asyncio.sleep(max(0.0, began + duration_s - time.monotonic()))
            report.operators.finish()

    async def _settle(self) -> None:
        """Let what is under way arrive."""
        began = time.monotonic()
        # What the broker had acknowledged and forgot as it was killed comes again on the next line.
        self._proxy.cut()
        await _soon(lambda: not self._report.account.numbers.unadmitted(), SETTLE_S)
        await asyncio.sleep(2 * _ACK_S)
        self._report.settle_s = time.monotonic() - began

    async def _count_rows(self) -> None:
        with suppress(AgentError):
            status = await ask(self._place.socket, "GET", "/v1/status")
            self._report.rows_left = status["outbox"]["rows"]

    async def _acknowledge(self) -> None:
        """Tell the kiosk what is stored, as a centre does that does not trust its broker."""
        while True:
            await asyncio.sleep(_ACK_S)
            stored = self._report.account.numbers.watermark(time.monotonic())
            payload = Watermark(sequence=stored).model_dump_json().encode()
            self._centre.publish(self._topics.ack, payload)

    async def _measure(self) -> None:
        while True:
            await asyncio.to_thread(self._sample)
            await asyncio.sleep(_SAMPLE_S)

    def _sample(self) -> None:
        report, now = self._report, time.monotonic()
        report.sizes.look()
        pid = report.kiosk.pid
        with suppress(psutil.Error):
            if pid is not None:
                rss = psutil.Process(pid).memory_info().rss
                report.lives.add(AGENT, _image(pid), now, rss / _KIB)
        for child in report.kiosk.children():
            with suppress(psutil.Error, OSError):
                name = program(child)
                if name.startswith(_PROGRAMS):  # else it is not yet what it will be
                    report.lives.add(name, child.pid, now, child.memory_info().rss / _KIB)

    def _read_what_is_left(self) -> None:
        report = self._report
        report.audit_entries, problems = read_trail(self._place.settings)
        report.violations += problems
        report.violations += report.kiosk.unexpected_ends + report.kiosk.orphans
        report.log_bytes = self._place.log.stat().st_size
        with self._place.log.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with suppress(ValueError):
                    said = json.loads(line)
                    if "exception" in said:
                        last = said["exception"].strip().splitlines()[-1]
                        report.errors[f"{said['event']}: {last[:200]}"] += 1
                        report.tracebacks += 1
                    elif said["level"] == "error":
                        report.errors[said["event"]] += 1


def _image(pid: int) -> int:
    """A number that changes when a process becomes another program: where its stack begins."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return int(fields[25])


def _prepare(place: Place, operators: str) -> None:
    """Write the files of the kiosk. Blocks for some seconds: the clips are drawn."""
    place.operators.write_text(operators, encoding="utf-8")
    place.write_settings()
    for scene, name in _SCENES.items():
        command = [sys.executable, "-m", "vision.clip", scene, str(place.folder / name)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])


async def _soon(condition: Callable[[], bool], within_s: float) -> bool:
    """Whether it becomes true in time."""
    deadline = time.monotonic() + within_s
    while not (held := condition()) and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody announces it
        await asyncio.sleep(_LOOK_S)
    return held


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Let something run until the body is over; what it raises ends the soak."""
    task = asyncio.create_task(work)
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
