"""The audit trail as the rest of the agent uses it: recording, and the signed head."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from commands.errors import LedgerError
from commands.faults import OnFault, ignore_faults
from commands.kiosk_key import KioskKey
from commands.rate import TokenBucket
from contract import Clock, ContractError, Stamp
from contract.audit import AuditHead, ChainHead, Facts, Head, announce
from contract.device import DevicePrivateKey
from contract.message import Data, Publish
from contract.wire import format_time

GATHER_S = 1.0
"""What is recorded within so long shares a head."""
DAY_S = 86_400.0
STRANGERS_PER_HOUR = 12
"""Messages that nobody trusted signed, recorded one by one; more are counted. Whoever can write
to the broker must not be able to push the trail's past out of it: that takes months."""

_log = structlog.get_logger()

Append = Callable[[str, Facts, Stamp], Awaitable[object]]


def facts_of(event: Data) -> dict[str, Any]:
    """Return all that an event says, flat: lists of texts become one text."""
    said = event.model_dump(mode="json", exclude_none=True)
    return {
        key: ", ".join(value) if isinstance(value, list) else value for key, value in said.items()
    }


class Audit:
    """Records what is not a command's step, and publishes the signed head of it all.

    Args:
        kiosk: this kiosk's id.
        append: puts an entry at the end of the chain; raises ``LedgerError``.
        head: reads how far the chain has come; raises ``LedgerError``.
        open_key: reads or makes the kiosk's key; blocks.
        publish: takes the heads.
        clock: the time of entries that bring none.
        on_fault: told when entries cannot be stored, and when the key had to be replaced.
    """

    def __init__(
        self,
        *,
        kiosk: str,
        append: Append,
        head: Callable[[], Awaitable[ChainHead]],
        open_key: Callable[[], KioskKey],
        publish: Publish,
        clock: Clock,
        on_fault: OnFault = ignore_faults,
    ) -> None:
        self._kiosk = kiosk
        self._append = append
        self._head = head
        self._open_key = open_key
        self._publish = publish
        self._clock = clock
        self._on_fault = on_fault
        self._recording = asyncio.Lock()
        self._changed = asyncio.Event()
        self._key: DevicePrivateKey | None = None
        self._missed = 0
        self._missed_since: Stamp | None = None
        self._strangers = TokenBucket(STRANGERS_PER_HOUR, 3600, clock)
        self._uncounted: Counter[str] = Counter()

    def changed(self) -> None:
        """Something was appended: its head is published soon."""
        self._changed.set()

    async def record(self, kind: str, data: Facts, stamp: Stamp | None = None) -> bool:
        """Append an entry; never raises. What cannot be stored is counted and told later.

        Returns:
            Whether it is stored.
        """
        moment = stamp or self._clock.stamp()
        async with self._recording:
            if await self._tell_missed() and await self._store(kind, data, moment):
                self._changed.set()
                return True
            self._missed += 1
            self._missed_since = self._missed_since or moment
            return False

    async def record_event(self, event: Data, stamp: Stamp) -> bool:
        """Append an event as an entry of its kind; as :meth:`record`."""
        return await self.record(event.KIND, facts_of(event), stamp)

    async def turned_away(self, code: str, data: Facts, stamp: Stamp | None = None) -> None:
        """Record a message that nobody trusted signed; beyond a rate, only how many there were."""
        if not self._strangers.take():
            self._uncounted[code] += 1
            return
        await self._tell_uncounted()
        await self.record("command.refused", {"code": code, **data}, stamp)

    async def run(self) -> None:
        """Publish the head at start, daily, and soon after each change, until cancelled.

        Raises:
            KioskKeyError: the key cannot be read or written.
            LedgerError: the chain cannot be read.
        """
        key = await self._own_key()
        while True:
            if self._uncounted and self._strangers.take():
                await self._tell_uncounted()
            async with self._recording:
                await self._tell_missed()
            self._changed.clear()
            await self._publish_head(key)
            await self._wait()
            await self._clock.sleep(GATHER_S)

    async def _own_key(self) -> DevicePrivateKey:
        if self._key is None:
            opened = await asyncio.to_thread(self._open_key)
            self._key = opened.key
            if opened.made is not None:
                facts = {"kid": opened.key.kid, "x": opened.key.x, "reason": opened.made}
                await self.record("kiosk_key.made", facts)
                if opened.replaces_broken:
                    self._on_fault("kiosk_key.replaced", opened.made)
        return self._key

    async def _publish_head(self, key: DevicePrivateKey) -> None:
        at = await self._head()
        stamp = self._clock.stamp()
        head = Head(
            kiosk=self._kiosk,
            chain=at.chain,
            first=at.first,
            number=at.number,
            hash=at.hash,
            time=stamp.time,
        )
        event: AuditHead = await asyncio.to_thread(announce, head, key)
        await self._publish(event, stamp)

    async def _wait(self) -> None:
        """Until something is recorded, a day at the longest."""
        day = asyncio.ensure_future(self._clock.sleep(DAY_S))
        changed = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait((day, changed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            day.cancel()
            changed.cancel()

    async def _tell_uncounted(self) -> None:
        """Record how many messages were turned away without an entry each."""
        if self._uncounted:
            counts, self._uncounted = self._uncounted, Counter()
            await self.record("refusals.counted", dict(counts))

    async def _tell_missed(self) -> bool:
        """Record how many entries could not be stored; returns whether none is left to tell."""
        if self._missed_since is None:
            return True
        facts: Facts = {"count": self._missed, "since": format_time(self._missed_since.time)}
        if not await self._store("entries.missed", facts, self._clock.stamp()):
            return False
        self._missed, self._missed_since = 0, None
        self._on_fault("audit.incomplete", None)
        return True

    async def _store(self, kind: str, data: Facts, stamp: Stamp) -> bool:
        try:
            await self._append(kind, data, stamp)
        except (LedgerError, ContractError) as error:
            _log.error("audit_entry_missed", kind=kind, reason=str(error))
            text = f"the audit trail cannot record {kind}: {error}"
            self._on_fault("audit.incomplete", text)
            return False
        return True
