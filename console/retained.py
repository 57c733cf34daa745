"""What the broker keeps of kiosks: asked for once, without staying."""

import asyncio
import time
from collections.abc import Sequence

from console.connection import Arrival, arrival, connect
from console.errors import ConsoleError
from console.settings import ConsoleSettings
from contract import ContractError, Data, Topics, open_message
from contract.config import ConfigReport
from contract.state import State
from contract.topics import all_kiosks, split

_FIRST_S = 3.0
"""How long a broker may take to begin with what it keeps."""
_QUIET_S = 0.7
"""Silence after which it has said everything."""
_MOST_S = 30.0


async def online_kiosks(settings: ConsoleSettings) -> list[str]:
    """Return the kiosks whose state the broker knows, and which are not offline.

    Raises:
        BrokerError: no connection.
        ConsoleError: there is none.
    """
    kept = await _kept(settings, [all_kiosks(settings.root, State.SUFFIX)])
    found = [kiosk for kiosk, data in kept.items() if _is_online(data)]
    if not found:
        msg = f"no kiosk is online at {settings.address} under {settings.root}"
        raise ConsoleError(msg)
    return sorted(found)


async def config_reports(
    settings: ConsoleSettings, kiosks: Sequence[str]
) -> dict[str, ConfigReport]:
    """Return what each of these kiosks last said to have in force.

    Raises:
        BrokerError: no connection.
        ConsoleError: one of them has said nothing yet.
    """
    topics = [Topics(kiosk, settings.root).up(ConfigReport.SUFFIX) for kiosk in kiosks]
    kept = await _kept(settings, topics, only=frozenset(kiosks))
    reports = {kiosk: data for kiosk, data in kept.items() if isinstance(data, ConfigReport)}
    if silent := [kiosk for kiosk in kiosks if kiosk not in reports]:
        msg = (
            f"{', '.join(silent)}: no report of the configuration at {settings.address}; "
            "was it ever connected?"
        )
        raise ConsoleError(msg)
    return reports


def _is_online(data: Data) -> bool:
    return isinstance(data, State) and data.state != "offline"


async def _kept(
    settings: ConsoleSettings, topics: Sequence[str], *, only: frozenset[str] | None = None
) -> dict[str, Data]:
    """Return the newest message of each kiosk; of ``only`` these, as soon as all are there."""
    found: dict[str, Data] = {}
    async with connect(settings) as client:
        for topic in topics:
            await client.subscribe(topic, qos=1)
        messages = aiter(client.messages)
        until = time.monotonic() + _MOST_S
        while time.monotonic() < until and found.keys() != only:
            try:
                async with asyncio.timeout(_QUIET_S if found else _FIRST_S):
                    message = arrival(await anext(messages))
            except TimeoutError:
                break
            _take(settings.root, message, found)
    return found


def _take(root: str, arrived: Arrival, found: dict[str, Data]) -> None:
    try:
        kiosk, suffix = split(root, arrived.topic)
        message = open_message(arrived.payload)
    except ContractError:
        return
    if message.kiosk == kiosk and suffix == message.data.SUFFIX:
        found[kiosk] = message.data
