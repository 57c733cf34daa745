"""Two kiosks behind a broker that replays, alters, redirects, retains, reorders and drops."""

import asyncio
import json
import random
import time
from collections import defaultdict
from pathlib import Path

import aiomqtt
import pytest

from agent.broker import EmbeddedBroker
from contract.command import Command, sign_command
from contract.ids import uuid7
from contract.keys import PrivateKey
from contract.receipt import TERMINAL
from tests.agent.conftest import AgentProcess
from tests.support.hostile import HostileBroker
from tests.support.operators import make_key

KIOSKS = ["k1", "k2"]
COMMANDS = 60
EXTRA = """
disruptive_per_hour = 1000
repeats_per_minute = 10000
refusals_per_minute = 10000
max_waiting = 1000
[commands.policy."door.lock"]
disruptive = false  # the clock of a machine that tests may not be synchronised
[door]
driver = "simulated"
"""


def door_lock(kiosk: str) -> Command:
    now = time.time()
    return Command(
        id=uuid7(int(now * 1000)),
        kiosk=kiosk,
        action="door.lock",
        args={"for_s": 60},
        reason="hostile",
        nbf=int(now),
        exp=int(now) + 600,
        ttl_s=600,
    )


@pytest.mark.timeout(110)
async def test_no_broker_makes_a_command_happen_twice_or_elsewhere(tmp_path: Path):
    """Each command has one end and one effect, on its own kiosk; what nobody signed has none."""
    front, back = EmbeddedBroker(), EmbeddedBroker()
    await asyncio.to_thread(front.start)
    await asyncio.to_thread(back.start)
    key, stranger = make_key("li", role="supervisor"), make_key("stranger", role="supervisor")
    agents = [
        await asyncio.to_thread(
            AgentProcess, tmp_path / kiosk, back.port, EXTRA, kiosk=kiosk, keys=[key]
        )
        for kiosk in KIOSKS
    ]
    try:
        for agent in agents:
            await asyncio.to_thread(agent.start)
        story = _Story(front.port, back.port, random.Random(20261124))
        await asyncio.wait_for(story.tell(key, stranger), 90)
        story.judge()
    finally:
        for agent in agents:
            await asyncio.to_thread(agent.close)
        await asyncio.to_thread(front.stop)
        await asyncio.to_thread(back.stop)


class _Story:
    """What the centre sends, and what it sees of the kiosks."""

    def __init__(self, front: int, back: int, chance: random.Random):
        self._front, self._back = front, back
        self._chance = chance
        self.hostile = HostileBroker(front, back, KIOSKS, chance)
        self.commands: dict[str, Command] = {}
        self.forged: set[str] = set()
        self.ends: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        self.effects: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._listening = asyncio.Event()

    async def tell(self, key: PrivateKey, stranger: PrivateKey) -> None:
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(self.hostile.run()), tasks.create_task(self._listen())]
            await self.hostile.ready.wait()
            await self._listening.wait()
            await self._send(key, stranger)
            for task in background:
                task.cancel()

    async def _send(self, key: PrivateKey, stranger: PrivateKey) -> None:
        """Send all, and repeat what has no end yet; at last the broker behaves."""
        payloads: dict[str, tuple[str, bytes]] = {}
        for _ in range(COMMANDS):
            command = door_lock(self._chance.choice(KIOSKS))
            signer = self._chance.choice([key] * 4 + [stranger])
            if signer is key:
                self.commands[command.id] = command
            else:
                self.forged.add(command.id)
            topic = f"kiosk/v1/{command.kiosk}/down/command"
            payloads[command.id] = (topic, sign_command(command, [signer]))
        async with aiomqtt.Client(
            "127.0.0.1", self._front, protocol=aiomqtt.ProtocolVersion.V5
        ) as centre:
            for turn in range(30):
                self.hostile.calm = turn >= 5
                open_ = [one for one in self.commands if one not in self.ends]
                if not open_ and turn > 5:
                    break
                for command_id in [*open_, *(self.forged if turn < 3 else ())]:
                    await centre.publish(*payloads[command_id], qos=1)
                await asyncio.sleep(0.5)
        await asyncio.sleep(1)  # what is still on its way may do harm

    async def _listen(self) -> None:
        async with aiomqtt.Client(
            "127.0.0.1", self._back, protocol=aiomqtt.ProtocolVersion.V5
        ) as client:
            await client.subscribe("kiosk/v1/+/up/receipt", qos=1)
            await client.subscribe("kiosk/v1/+/up/event/door.locked", qos=1)
            self._listening.set()
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                envelope = json.loads(message.payload)
                kiosk, data = message.topic.value.split("/")[2], envelope["data"]
                if envelope["type"] == "kiosk.event.door.locked.v1":
                    self.effects[data["command_id"]][envelope["id"]] = kiosk
                elif "command_id" in data and data["status"] in TERMINAL:
                    self.ends[data["command_id"]].add((kiosk, json.dumps(data, sort_keys=True)))

    def judge(self) -> None:
        assert set(self.hostile.done) >= {
            "alter",
            "drop",
            "redirect",
            "replay",
            "retain",
            "rewrite",
        }
        assert set(self.ends) == set(self.commands)
        for command_id, command in self.commands.items():
            [(kiosk, end)] = self.ends[command_id]
            assert (kiosk, json.loads(end)["status"]) == (command.kiosk, "succeeded")
            assert list(self.effects[command_id].values()) == [command.kiosk]
        assert not self.forged & set(self.effects)
