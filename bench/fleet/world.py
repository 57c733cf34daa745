"""A fleet, its broker, its centre and its operators, from the first connection to the last."""

import asyncio
import random
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psutil

from bench.fleet.kiosk import Rules, SimulatedKiosk
from bench.fleet.tls import tls_context, tls_options
from bench.rig.listener import Listener
from bench.rig.mosquitto import PersistentMosquitto
from bench.soak.numbers import Numbers
from console import keys
from console.courier import Courier
from console.order import Draft
from console.outcome import Outcome
from console.settings import ConsoleSettings
from contract import ContractError, open_message
from contract.topics import DEFAULT_ROOT, all_kiosks
from telemetry.clock import SystemClock
from telemetry.mqtt import MqttTransport
from telemetry.settings import LinkSettings

BACK_S = 900.0
"""Longer is not waited for a fleet; the agent's longest pause between two tries is 300 s."""
AT_ONCE = 50
_SETTLE_S = 120.0
_LOOK_S = 0.1
_COMMAND_S = 60.0
_KIB = 1024


class FleetError(Exception):
    """The fleet does not get so far as to be measured."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to simulate."""

    kiosks: int
    every_s: float
    seconds: float
    commands_per_s: float
    settings: ConsoleSettings
    """The broker, as the operators reach it; the kiosks take the same way."""


@dataclass(slots=True)
class Measured:
    """What came of it; times in seconds, CPU in percent of one core."""

    connect_s: float = 0.0
    steady_s: float = 0.0
    messages: int = 0
    """That came to the centre in the steady phase."""
    simulator_cpu_percent: float = 0.0
    rss_per_kiosk_kib: float = 0.0
    broker_cpu_percent: float | None = None
    broker_rss_kib: float | None = None
    command_ms: list[float] = field(default_factory=list)
    commands_failed: int = 0
    away_s: float = 0.0
    """The broker was away for so long."""
    back_s: list[float] = field(default_factory=list)
    """Of each kiosk that came back: from the broker's return until its birth was taken."""
    not_back: int = 0
    sent: int = 0
    lost: int = 0
    repeated: int = 0
    denied: int = 0
    unsaid: int = 0
    faults: list[str] = field(default_factory=list)


class World:
    """Measures one plan; ``broker`` is ours to restart, or None where it is somebody else's."""

    def __init__(self, plan: Plan, broker: PersistentMosquitto | None) -> None:
        address, tls = plan.settings.address, tls_options(plan.settings)
        self._plan = plan
        self._broker = broker
        self._process = psutil.Process()
        self._key = keys.new_key("fleet", "operator")
        self._chance = random.Random(1)
        self._numbers: defaultdict[str, Numbers] = defaultdict(Numbers)
        self._arrived = 0
        self._online = 0
        self._since = time.monotonic()
        self._came: dict[str, float] = {}
        self._all_online = asyncio.Event()
        self._measured = Measured()
        rules = Rules(
            host=address.host,
            port=address.port,
            transport=MqttTransport(),
            clock=SystemClock(),
            began=datetime.now(UTC),
            keys={self._key.kid: self._key.verifier()},
            every_s=plan.every_s,
            chance=self._chance,
            link=LinkSettings(),
            at_once=asyncio.Semaphore(AT_ONCE),
            tls=tls,
            on_change=self._changed,
        )
        run = random.randrange(10**6)
        self._kiosks = {
            name: SimulatedKiosk(name, rules)
            for name in (f"fleet-{run}-{number}" for number in range(plan.kiosks))
        }
        self._centre = Listener(
            f"fleet-{run}-centre",
            host=address.host,
            port=address.port,
            topic=all_kiosks(DEFAULT_ROOT, "up/#"),
            take=self._take,
            tls=tls_context(tls),
        )

    async def run(self) -> Measured:
        """Live through it. Raises :class:`FleetError`."""
        measured = self._measured
        self._centre.start()
        await _within(self._centre.listening.wait(), _COMMAND_S, "the centre hears no broker")
        before_kib = self._rss_kib()
        living = [asyncio.create_task(kiosk.run()) for kiosk in self._kiosks.values()]
        try:
            await _within(self._all_online.wait(), BACK_S, "not all kiosks come online")
            measured.connect_s = max(self._came.values())
            _say(f"{self._plan.kiosks} kiosks are online after {measured.connect_s:.1f} s")
            await self._steady()
            measured.rss_per_kiosk_kib = (self._rss_kib() - before_kib) / self._plan.kiosks
            _say(f"{measured.messages} messages in {measured.steady_s:.0f} s; now the broker falls")
            await self._come_back()
            _say(f"{len(measured.back_s)} kiosks are back; what is under way may arrive")
            await self._settle()
        finally:
            for task in living:
                task.cancel()
            await asyncio.wait(living)
            await asyncio.to_thread(self._centre.stop)
        return measured

    # -- the phases ------------------------------------------------------------------------

    async def _steady(self) -> None:
        """Let them talk and be ordered about, and measure."""
        measured, broker = self._measured, self._broker_process()
        began, arrived = time.monotonic(), self._arrived
        ours, theirs = _cpu_s(self._process), broker and _cpu_s(broker)
        await self._order()
        measured.steady_s = seconds = time.monotonic() - began
        measured.messages = self._arrived - arrived
        measured.simulator_cpu_percent = 100 * (_cpu_s(self._process) - ours) / seconds
        if broker is not None and theirs is not None:
            measured.broker_cpu_percent = 100 * (_cpu_s(broker) - theirs) / seconds
            measured.broker_rss_kib = broker.memory_info().rss / _KIB

    async def _order(self) -> None:
        """Order pings of kiosks at random for the steady phase, at random moments."""
        end = time.monotonic() + self._plan.seconds
        names = list(self._kiosks)
        async with (
            Courier(self._plan.settings, lambda _: None) as courier,
            asyncio.TaskGroup() as tasks,
        ):
            while (left_s := end - time.monotonic()) > 0:
                pause = self._chance.expovariate(self._plan.commands_per_s)
                await asyncio.sleep(min(left_s, pause))
                tasks.create_task(self._ping(courier, self._chance.choice(names)))

    async def _ping(self, courier: Courier, kiosk: str) -> None:
        order = Draft(kiosk, "ping", {}, reason="fleet").sign([self._key])
        began = time.perf_counter()
        ending = await courier.deliver(order, timeout_s=_COMMAND_S, on_receipt=lambda _: None)
        if ending.outcome is Outcome.SUCCEEDED:
            self._measured.command_ms.append(1000 * (time.perf_counter() - began))
        else:
            self._measured.commands_failed += 1

    async def _come_back(self) -> None:
        """Take the line from all of them at once, and wait until all are back."""
        measured, broker = self._measured, self._broker
        self._came.clear()
        began = time.monotonic()
        if broker is None:
            await asyncio.gather(*(kiosk.hang_up() for kiosk in self._kiosks.values()))
        else:
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start)
            measured.away_s = time.monotonic() - began
        self._since = began + measured.away_s
        await _soon(lambda: len(self._came) == self._plan.kiosks, BACK_S)
        measured.back_s = sorted(self._came.values())
        measured.not_back = self._plan.kiosks - len(measured.back_s)

    async def _settle(self) -> None:
        """Let what is under way arrive, then count."""
        measured, kiosks = self._measured, self._kiosks
        for kiosk in kiosks.values():
            kiosk.be_silent()
        await _soon(lambda: not self._missing(), _SETTLE_S)
        measured.lost = self._missing()
        measured.sent = sum(kiosk.sequence for kiosk in kiosks.values())
        measured.denied = sum(kiosk.denied for kiosk in kiosks.values())
        measured.unsaid = sum(kiosk.unsaid for kiosk in kiosks.values())

    # -- what is heard ---------------------------------------------------------------------

    def _take(self, topic: str, payload: bytes) -> None:
        try:
            message = open_message(payload)
            if message.kiosk not in self._kiosks or message.sequence is None:
                return
            new = self._numbers[message.kiosk].take(message.sequence, message.id, 0.0)
        except (ContractError, ValueError) as error:
            self._measured.faults.append(f"{topic}: {error}")
            return
        self._arrived += 1
        self._measured.repeated += not new

    def _missing(self) -> int:
        return sum(
            kiosk.sequence - self._numbers[name].came for name, kiosk in self._kiosks.items()
        )

    def _changed(self, kiosk: SimulatedKiosk) -> None:
        self._online += 1 if kiosk.online else -1
        if kiosk.online:
            self._came[kiosk.topics.kiosk] = time.monotonic() - self._since
        if self._online == self._plan.kiosks:
            self._all_online.set()

    # -- the machine -----------------------------------------------------------------------

    def _rss_kib(self) -> float:
        return float(self._process.memory_info().rss) / _KIB

    def _broker_process(self) -> psutil.Process | None:
        pid = self._broker.pid if self._broker else None
        return None if pid is None else psutil.Process(pid)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _cpu_s(process: psutil.Process) -> float:
    """Seconds of CPU time so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def _soon(condition: Callable[[], bool], within_s: float) -> None:
    """Wait until it is true, but not for ever."""
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody announces it
        await asyncio.sleep(_LOOK_S)


async def _within(work: Awaitable[object], seconds: float, complaint: str) -> None:
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        msg = f"{complaint} within {seconds:.0f} s"
        raise FleetError(msg) from None
