"""What happens at the desk is saved first and told afterwards, in the order in which it happens."""

import asyncio
from collections.abc import Callable

import structlog

from commands.desk.state import DeskState, Store
from contract import Clock, ContractError, Event, Stamp
from contract.message import Publish
from contract.wire import parse_kept

log = structlog.get_logger()


class Record:
    """Saves the desk's state and publishes its events.

    Args:
        clock: dates the events.
        publish: takes them.
        store: keeps the state.
        state: gives the state as it is now.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        publish: Publish,
        store: Store,
        state: Callable[[], DeskState],
    ) -> None:
        self._clock = clock
        self._publish = publish
        self._store = store
        self._state = state
        self._order = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        self.is_saved = True
        """Whether what holds now would survive a restart."""

    async def load(self) -> DeskState:
        """Read what was saved last; what cannot be read is an empty desk, and a log line."""
        try:
            content = await asyncio.to_thread(self._store.load)
            return DeskState() if content is None else parse_kept(DeskState, content)
        except (OSError, ContractError) as error:
            kind = type(error).__name__  # what it says quotes the file
            log.error("desk_state_unreadable", effect="not locked", error=kind)  # noqa: TRY400
            return DeskState()

    async def commit(self, event: Event | None = None) -> None:
        """Save the state and publish an event; a caller that is cancelled does not stop it."""
        task = asyncio.create_task(self._commit(event, self._clock.stamp()), name="desk record")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.shield(task)

    async def _commit(self, event: Event | None, stamp: Stamp) -> None:
        async with self._order:
            content = self._state().model_dump_json().encode()
            try:
                await asyncio.to_thread(self._store.save, content)
            except OSError as error:
                self.is_saved = False
                log.warning("desk_state_not_saved", effect="lost at a restart", error=str(error))
            else:
                self.is_saved = True
            if event is not None:
                await self._publish(event, stamp)
