"""``plates.watchlist.*``: which number plates are looked for. No receipt names a plate."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from commands.action import Action, Invocation, Result
from contract.actions import WatchListList, WatchListPut, WatchListRemove
from contract.wire import format_time

GROUP = "plates.watchlist"


class WatchList(Protocol):
    """A list as it is kept."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def purpose(self) -> str:
        """What it is for."""
        ...

    @property
    def expires(self) -> datetime:
        """When it ends."""
        ...

    @property
    def entries(self) -> Sequence[Any]:
        """The plates."""
        ...


class WatchLists(Protocol):
    """Who keeps the lists."""

    @property
    def lists(self) -> Sequence[WatchList]:
        """The lists in force."""
        ...

    async def put(self, order: WatchListPut, *, not_before: datetime) -> WatchList:
        """Keep a list, in force when this returns. Raises ``ActionError``."""
        ...

    async def remove(self, name: str) -> int:
        """Delete a list; returns how many entries it had. Raises ``ActionError``."""
        ...


def watch_list_put(lists: WatchLists) -> Action[WatchListPut]:
    """Make the action. Its result: ``name``, ``purpose``, ``entries`` in all, ``expires``.

    Putting a list twice is putting it once, so what a power cut interrupted is done again. Without
    a record of who ordered it, nobody is looked for.
    """

    async def run(arguments: WatchListPut, invocation: Invocation) -> Result:
        invocation.no_return()
        signed = datetime.fromtimestamp(invocation.command.nbf, UTC)
        return _told(await lists.put(arguments, not_before=signed))

    return Action(arguments=WatchListPut, run=run, resume=run, group=GROUP)


def watch_list_remove(lists: WatchLists) -> Action[WatchListRemove]:
    """Make the action. Its result: ``entries``, how many there were."""

    async def run(arguments: WatchListRemove, invocation: Invocation) -> Result:
        invocation.no_return()
        return {"entries": await lists.remove(arguments.name)}

    return Action(arguments=WatchListRemove, run=run, group=GROUP)


def watch_list_list(lists: WatchLists) -> Action[WatchListList]:
    """Make the action. Its result: ``lists``, each as the result of a put."""

    async def run(_: WatchListList, __: Invocation) -> Result:
        return {"lists": [_told(one) for one in lists.lists]}

    return Action(arguments=WatchListList, run=run, idempotent=True, group=GROUP)


def _told(watch_list: WatchList) -> Result:
    return {
        "name": watch_list.name,
        "purpose": watch_list.purpose,
        "entries": len(watch_list.entries),
        "expires": format_time(watch_list.expires),
    }
