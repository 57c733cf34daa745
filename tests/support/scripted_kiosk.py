"""A kiosk on a real broker that verifies commands and answers as its script says."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiomqtt

from console.connection import cancelled
from contract import Data, Topics, seal
from contract.command import Command, SignedCommand, open_command
from contract.config import ConfigReport, settings_hash
from contract.keys import PrivateKey
from contract.receipt import Receipt
from contract.state import State
from tests.support.real_clock import RealClock


class ScriptedKiosk:
    """``script`` answers each new command; ``again`` a repeated one, by default with silence."""

    def __init__(
        self,
        port: int,
        kiosk: str,
        keys: Sequence[PrivateKey],
        script: "Script | None" = None,
        *,
        again: "Script | None" = None,
        root: str = "kiosk/v1",
    ) -> None:
        self.kiosk = kiosk
        self.topics = Topics(kiosk, root)
        self.heard: list[SignedCommand] = []
        self.client: aiomqtt.Client
        self._port = port
        self._verifiers = {key.kid: key.verifier() for key in keys}
        self._script = script or succeed
        self._again = again or silence
        self._sequence = 0

    async def say(self, data: Data) -> None:
        """Publish a message as the contract wants it."""
        self._sequence += 1
        numbered = None if isinstance(data, State) else self._sequence
        sealed = seal(data, kiosk=self.kiosk, stamp=RealClock().stamp(), sequence=numbered)
        await self.client.publish(
            self.topics.up(data.SUFFIX), sealed.payload, qos=1, retain=data.RETAIN
        )

    async def receipt(self, command: Command, status: str, **fields: Any) -> None:
        """Publish one step of a command's life."""
        await self.say(
            Receipt(command_id=command.id, action=command.action, status=status, **fields)
        )

    async def media(self, command: Command, content: bytes) -> None:
        """Publish what a command asked for."""
        await self.client.publish(self.topics.media(command.id), content, qos=1)

    async def report(self, version: int, settings: dict[str, Any], **fields: Any) -> None:
        """Publish what is in force."""
        base = {"state": "confirmed", "hash": settings_hash(settings), "settings": settings}
        await self.say(ConfigReport(version=version, **base | fields))

    @asynccontextmanager
    async def online(self, *, obeys: bool = True) -> AsyncIterator["ScriptedKiosk"]:
        """Be there while the body runs; what it left retained is removed after it."""
        async with aiomqtt.Client(
            "127.0.0.1",
            self._port,
            protocol=aiomqtt.ProtocolVersion.V5,
            socket_options=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
        ) as self.client:
            await self.say(State(state="online", session=1, last_sequence=0))
            if obeys:
                await self.client.subscribe(self.topics.command, qos=1)
            obeying = asyncio.create_task(self._obey())
            try:
                yield self
            finally:
                await cancelled(obeying)
                for topic in (self.topics.state, self.topics.up(ConfigReport.SUFFIX)):
                    await self.client.publish(topic, b"", qos=1, retain=True)

    async def _obey(self) -> None:
        known: set[str] = set()
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            signed = open_command(message.payload, self._verifiers)
            assert not message.retain
            self.heard.append(signed)
            answer = self._again if signed.command.id in known else self._script
            known.add(signed.command.id)
            await answer(self, signed.command)


Script = Callable[[ScriptedKiosk, Command], Awaitable[None]]


async def succeed(kiosk: ScriptedKiosk, command: Command) -> None:
    """What a kiosk says to a command that it can do."""
    for status in ("accepted", "running", "succeeded"):
        await kiosk.receipt(command, status)


async def silence(_kiosk: ScriptedKiosk, _command: Command) -> None:
    """It was heard, and nobody learns of it."""


async def reject(kiosk: ScriptedKiosk, command: Command) -> None:
    """A citizen is being served."""
    text = "a citizen is being served; send it later"
    await kiosk.receipt(command, "rejected", code="busy", text=text)
