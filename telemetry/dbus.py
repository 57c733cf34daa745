"""One question to a service on the system bus."""

import asyncio
from typing import Any

from dbus_fast import BusType, Message, MessageFlag, MessageType
from dbus_fast.aio import MessageBus


class BusError(Exception):
    """There is no bus, no such service on it, or no answer in time; the text says which."""


class NoAnswerError(BusError):
    """No answer in time: what was asked for may be done all the same."""


async def ask(
    service: str,
    path: str,
    interface: str,
    member: str,
    *args: str | bool,
    bus_address: str | None = None,
    start_service: bool = False,
    timeout_s: float = 5.0,
) -> list[Any]:
    """Call a method whose arguments are strings and booleans, over a connection of its own.

    A service that is not running is only started where ``start_service`` says so.
    Without ``bus_address`` it is the machine's system bus.

    Raises:
        NoAnswerError: no answer within ``timeout_s``.
        BusError: no bus, no service, or refused.
    """
    call = Message(
        destination=service,
        path=path,
        interface=interface,
        member=member,
        signature="".join("b" if isinstance(value, bool) else "s" for value in args),
        body=list(args),
        flags=MessageFlag.NONE if start_service else MessageFlag.NO_AUTOSTART,
    )
    try:
        async with asyncio.timeout(timeout_s):
            reply = await _exchange(MessageBus(bus_address, BusType.SYSTEM), call)
    except TimeoutError:
        msg = f"{service} did not answer on D-Bus within {timeout_s:g} s"
        raise NoAnswerError(msg) from None
    except FileNotFoundError as error:
        msg = "D-Bus cannot be used: it does not run on this machine"
        raise BusError(msg) from error
    except Exception as error:
        # The library lets errors of sockets, parsing and authentication through as they are.
        msg = f"D-Bus cannot be used: {error}"
        raise BusError(msg) from error
    if reply is None or reply.message_type is MessageType.ERROR:
        detail = reply.body[0] if reply is not None and reply.body else "no answer"
        msg = f"{service} on D-Bus: {detail}"
        raise BusError(msg)
    answer: list[Any] = reply.body
    return answer


async def _exchange(bus: MessageBus, call: Message) -> Message | None:
    await bus.connect()
    try:
        return await bus.call(call)
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
