"""The operators: they order something every few seconds, with the console's own client code."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.soak.kiosk import KIOSK
from console import keys
from console.courier import Courier
from console.order import Draft, Order
from console.outcome import Outcome
from console.settings import ConsoleSettings
from contract.keys import KeySet

_EVERY_S = (2.0, 6.0)
_TTL_S = 300
_PATIENCE_S = _TTL_S + 120
_REPLAYED = 0.25
"""So many of the orders are sent once more when they have ended, as an attacker would."""
_REPLAY_S = (1.0, 30.0)
_PING = ("ping", {"echo": "soak"})
_LOCK = ("door.lock", {"for_s": 5})
_ROUND: tuple[tuple[str, dict[str, Any]], ...] = (
    _PING,
    _LOCK,
    ("announce", {"text": "请稍候 / One moment, please", "for_s": 5}),
    ("door.unlock", {}),
    ("service.lock", {"text": "暂停服务 / Closed for a moment", "for_s": 3}),
    _PING,
    ("snapshot", {"camera": "street"}),
    _LOCK,
    ("maintenance.on", {"for_s": 3}),
    ("service.lock", {"text": "稍后恢复 / Back soon", "for_s": 2}),
    ("plates.watchlist.list", {}),
    ("log.level", {"level": "info", "for_s": 5}),
    _PING,
    ("identity.list", {}),
    ("service.lock", {"for_s": 2}),
    _LOCK,
    ("diagnostics", {}),
)
_PUSH_EVERY = 40
_RESTART_EVERY = 55


@dataclass(slots=True)
class Orders:
    """What was ordered, and what the operators saw of it."""

    sent: dict[str, str] = field(default_factory=dict)
    """Action by command id: of all whose end has been waited for."""
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    replayed: int = 0
    open: int = 0


class Operators:
    """Two persons who order. Keep :meth:`run` running; :meth:`finish` when enough is ordered.

    Args:
        port: of the broker.
        replay: publishes a signed command once more, behind the console's back.
        chance: decides pauses and replays.
    """

    def __init__(self, port: int, replay: Callable[[bytes], None], chance: random.Random) -> None:
        self._settings = ConsoleSettings(broker=f"mqtt://127.0.0.1:{port}")
        self._keys = [keys.new_key(f"soak {n}", "supervisor") for n in (1, 2)]
        self._replay = replay
        self._chance = chance
        self._enough = asyncio.Event()
        self._restart = True
        self.orders = Orders()

    def key_set(self) -> str:
        """Return the operators' file of the kiosk."""
        known = KeySet(keys=tuple(key.public() for key in self._keys))
        return known.model_dump_json(exclude_none=True)

    def restart_no_more(self) -> None:
        """Do not order the agent to start anew from now on."""
        self._restart = False

    def finish(self) -> None:
        """Order nothing more."""
        self._enough.set()

    async def run(self) -> None:
        """Order until it is enough; returns when nobody waits for the end of an order any more."""
        async with Courier(self._settings, lambda _: None) as courier, asyncio.TaskGroup() as tasks:
            for action, args in self._wishes():
                if await self._pause():
                    break
                order = Draft(KIOSK, action, args, _TTL_S, reason="soak").sign(self._keys)
                tasks.create_task(self._see_through(courier, order))

    async def _pause(self) -> bool:
        """Wait before the next order; returns whether it is enough."""
        try:
            await asyncio.wait_for(self._enough.wait(), self._chance.uniform(*_EVERY_S))
        except TimeoutError:
            return False
        return True

    def _wishes(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for number, wish in enumerate(itertools.cycle(_ROUND), start=1):
            if number % _PUSH_EVERY == 0:
                version = number // _PUSH_EVERY
                settings = {"health": {"interval_s": 5 + version % 2}}
                yield "config.push", {"version": version, "settings": settings}
            elif number % _RESTART_EVERY == 0 and self._restart:
                yield "agent.restart", {}
            else:
                yield wish

    async def _see_through(self, courier: Courier, order: Order) -> None:
        orders = self.orders
        orders.sent[order.command_id] = order.action
        orders.open += 1
        try:
            ending = await courier.deliver(order, timeout_s=_PATIENCE_S, on_receipt=lambda _: None)
        finally:
            orders.open -= 1
        orders.outcomes[ending.outcome] += 1
        if self._chance.random() < _REPLAYED:
            await asyncio.sleep(self._chance.uniform(*_REPLAY_S))
            self._replay(order.payload)
            orders.replayed += 1
