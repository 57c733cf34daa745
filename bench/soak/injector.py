"""The hands that break things, and mend them again."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress

import psutil

from bench.rig.mosquitto import PersistentMosquitto
from bench.rig.proxy import TcpProxy
from bench.soak.clock import SteppedClock
from bench.soak.faults import Fault, Kind, clock_step_s
from bench.soak.kiosk import Place, RunningKiosk, program
from bench.soak.state_disk import StateDisk

_SCENES = ("street", "counter")
_SLOW_S = 0.3


class Injector:
    """Carries out a schedule on a kiosk, its line, its broker, its disk, its cameras."""

    def __init__(
        self,
        *,
        place: Place,
        kiosk: RunningKiosk,
        proxy: TcpProxy,
        broker: PersistentMosquitto,
        disk: StateDisk,
        clock: SteppedClock,
    ) -> None:
        self._place = place
        self._kiosk = kiosk
        self._proxy = proxy
        self._broker = broker
        self._disk = disk
        self._clock = clock
        self._broker_falls = asyncio.Lock()
        self._camera_fails = asyncio.Lock()
        self.done: Counter[Kind] = Counter()
        self._hands: dict[Kind, Callable[[Fault], Awaitable[None]]] = {
            Kind.LINE_CUT: self._cut_line,
            Kind.LINE_HALF_CLOSED: self._half_close_line,
            Kind.LINE_STALLED: self._stall_line,
            Kind.LINE_SLOW: self._slow_line,
            Kind.LINE_REFUSED: self._refuse_line,
            Kind.BROKER_RESTARTED: self._restart_broker,
            Kind.BROKER_KILLED: self._kill_broker,
            Kind.CAMERA_LOST: self._lose_camera,
            Kind.CAMERA_REPLACED: self._replace_camera,
            Kind.DISK_FULL: self._fill_disk,
            Kind.CLOCK_STEPPED: self._step_clock,
            Kind.CHILD_KILLED: self._kill_child,
            Kind.CHILD_STOPPED: self._stop_child,
            Kind.AGENT_KILLED: self._kill_agent,
        }

    def kinds(self, spared: AbstractSet[Kind]) -> list[Kind]:
        """What else can be done on this machine."""
        impossible = set(spared)
        if not self._disk.is_own:
            impossible.add(Kind.DISK_FULL)
        if not self._clock.works:
            impossible.add(Kind.CLOCK_STEPPED)
        return [kind for kind in Kind if kind not in impossible]

    async def run(self, faults: Sequence[Fault]) -> None:
        """Do all of it; everything is mended when it returns."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                await asyncio.sleep(max(0.0, began + fault.at_s - time.monotonic()))
                tasks.create_task(self._inject(fault))

    async def _inject(self, fault: Fault) -> None:
        print(f"{fault.at_s:8.1f} s  {fault.kind} for {fault.for_s} s", file=sys.stderr, flush=True)
        self.done[fault.kind] += 1
        await self._hands[fault.kind](fault)

    async def _cut_line(self, _: Fault) -> None:
        self._proxy.cut()

    async def _half_close_line(self, _: Fault) -> None:
        self._proxy.half_close()

    async def _stall_line(self, fault: Fault) -> None:
        self._proxy.stall()
        await asyncio.sleep(fault.for_s)
        self._proxy.resume()

    async def _slow_line(self, fault: Fault) -> None:
        self._proxy.delay(_SLOW_S)
        await asyncio.sleep(fault.for_s)
        self._proxy.delay(0)

    async def _refuse_line(self, fault: Fault) -> None:
        await self._proxy.close()
        self._proxy.cut()
        await asyncio.sleep(fault.for_s)
        await self._proxy.open()

    async def _restart_broker(self, fault: Fault) -> None:
        await self._fell_broker(fault, self._broker.stop)

    async def _kill_broker(self, fault: Fault) -> None:
        await self._fell_broker(fault, self._broker.kill)

    async def _fell_broker(self, fault: Fault, how: Callable[[], None]) -> None:
        async with self._broker_falls:
            await asyncio.to_thread(how)
            await asyncio.sleep(fault.for_s)
            await asyncio.to_thread(self._broker.start)

    async def _lose_camera(self, fault: Fault) -> None:
        async with self._camera_fails:
            clip = self._place.clip(_SCENES[fault.number % 2])
            away = clip.with_suffix(".away")
            clip.rename(away)
            await asyncio.sleep(fault.for_s)
            away.rename(clip)

    async def _replace_camera(self, fault: Fault) -> None:
        """Let the camera at the street show the counter."""
        async with self._camera_fails:
            street, counter = (self._place.clip(scene) for scene in _SCENES)
            kept = street.with_suffix(".kept")
            street.rename(kept)
            os.link(counter, street)
            await asyncio.sleep(fault.for_s)
            kept.replace(street)

    async def _fill_disk(self, fault: Fault) -> None:
        await asyncio.to_thread(self._disk.fill)
        await asyncio.sleep(fault.for_s)
        await asyncio.to_thread(self._disk.clear)

    async def _step_clock(self, fault: Fault) -> None:
        await asyncio.to_thread(self._clock.step, clock_step_s(fault.number))
        await asyncio.sleep(fault.for_s)
        await asyncio.to_thread(self._clock.step, 0)

    async def _kill_child(self, fault: Fault) -> None:
        self._signal_child(fault, signal.SIGKILL)

    async def _stop_child(self, fault: Fault) -> None:
        self._signal_child(fault, signal.SIGSTOP)

    async def _kill_agent(self, _: Fault) -> None:
        await self._kiosk.kill()

    def _signal_child(self, fault: Fault, number: signal.Signals) -> None:
        children = self._kiosk.children()
        if children:
            child = children[fault.number % len(children)]
            with suppress(psutil.Error):
                print(f"            {program(child)}: {number.name}", file=sys.stderr, flush=True)
                child.send_signal(number)
