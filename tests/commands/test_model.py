"""A model of the command path against the real one, under everything that may come its way.

Commands are signed well, badly, by strangers, by one person or two; they arrive once, again,
changed, retained, before and after restarts and reboots, while the clock is stepped and trusted
or not. Whatever the order: nothing runs without the signatures that it needs, nothing has more
than one effect, and every command has one end.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from contract.command import sign_command
from contract.receipt import TERMINAL
from tests.support.clock import ManualClock
from tests.support.commanded import CommandedKiosk, Deed
from tests.support.operators import make_command, make_key

MEMORY = Path("/dev/shm")  # noqa: S108 - fsync there costs nothing
LI, WANG = make_key("li"), make_key("wang")
VIEWER, STRANGER = make_key("viewer", role="viewer"), make_key("stranger")
FORGED = make_key("li")
"""Another key that says it is Li's."""
SIGNERS = {
    "li": (LI,),
    "wang": (WANG,),
    "both": (LI, WANG),
    "viewer": (VIEWER,),
    "stranger": (STRANGER,),
    "forged": (FORGED,),
    "li and forged": (LI, FORGED),
}
VALID = {
    "once": {"li", "wang", "both"},
    "again": {"li", "wang", "both"},
    "pair": {"both"},
    "rough": {"li", "wang", "both"},
    "ping": {"li", "wang", "both", "viewer"},
}
ACTIONS = st.sampled_from(sorted(VALID))
STARTS = st.sampled_from([0, 0, 0, 0, -20, 20, -700, 100])


class CountingDeed(Deed):
    """Knows which command did it."""

    def __init__(self, name, counts: Counter, **options):
        super().__init__(name, **options)
        self.counts = counts

    async def _run(self, arguments, invocation):
        self.counts[invocation.command.id] += 1
        return await super()._run(arguments, invocation)


class CommandPath(RuleBasedStateMachine):
    payloads = Bundle("payloads")

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.effects: Counter[str] = Counter()
        self.entitled: dict[str, bool] = {}
        self.repeatable: set[str] = set()
        self.clock = ManualClock()
        self.loop.run_until_complete(self.set_up())

    async def set_up(self):
        deeds = [
            CountingDeed("once", self.effects),
            CountingDeed("again", self.effects, idempotent=True),
            CountingDeed("pair", self.effects, group="pairs"),
            CountingDeed("rough", self.effects, disruptive=True),
        ]
        self.kiosk = CommandedKiosk(
            self.folder,
            [LI, WANG, VIEWER],
            deeds=deeds,
            clock=self.clock,
            rows_of={"pair": {"signers": 2}},
            repeats_per_minute=10_000,
            refusals_per_minute=10_000,
            disruptive_per_hour=1000,
        )
        self.deeds = {deed.action.name: deed for deed in deeds}
        await self.kiosk.ledger.knows_since()

    def teardown(self):
        self.loop.run_until_complete(self.settle())
        self.check_ends()
        self.loop.run_until_complete(self.kiosk.ledger.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    async def settle(self):
        """In the end the clock is right, nothing hangs, and the agent runs until all is quiet."""
        for deed in self.deeds.values():
            deed.hangs = False
        async with self.kiosk.running(), asyncio.timeout(20):
            while await self.kiosk.ledger.open_commands() or await self.kiosk.ledger.unpublished():
                await asyncio.sleep(0)

    @rule(target=payloads, action=ACTIONS, choice=st.integers(0, 3), start=STARTS)
    def sign_well(self, action, choice, start):
        """By those who may."""
        allowed = sorted(VALID[action])
        return self._sign(action, allowed[choice % len(allowed)], start)

    @rule(target=payloads, action=ACTIONS, signers=st.sampled_from(sorted(SIGNERS)), start=STARTS)
    def sign(self, action, signers, start):
        """By anybody."""
        return self._sign(action, signers, start)

    def _sign(self, action, signers, start):
        now = int(self.clock.stamp().time.timestamp())
        command = make_command(
            action=action, args={}, nbf=now + start, exp=now + start + 600, ttl_s=300
        )
        self.entitled[command.id] = signers in VALID[action]
        if action in {"again", "ping"}:
            self.repeatable.add(command.id)
        payload = sign_command(command, SIGNERS[signers])
        self.loop.run_until_complete(self.kiosk.executor.receive(payload, retained=False))
        return payload

    @rule(payload=payloads, retained=st.booleans())
    def deliver_again(self, payload, retained):
        self.loop.run_until_complete(self.kiosk.executor.receive(payload, retained=retained))

    @rule(payload=payloads, where=st.integers(0, 2000), bit=st.integers(0, 7))
    def deliver_changed(self, payload, where, bit):
        """One bit of the document is another; it may be no part of what is signed."""
        changed = bytearray(payload)
        changed[where % len(changed)] ^= 1 << bit
        self.loop.run_until_complete(self.kiosk.executor.receive(bytes(changed), retained=False))

    @rule(turns=st.integers(1, 40))
    def work(self, turns):
        async def some_turns():
            async with self.kiosk.running():
                for _ in range(turns):
                    await asyncio.sleep(0.0005)

        self.loop.run_until_complete(some_turns())

    @rule(name=st.sampled_from(["once", "again", "pair", "rough"]), hangs=st.booleans())
    def hang(self, name, hangs):
        self.deeds[name].hangs = hangs

    @rule(reboot=st.booleans())
    def restart(self, reboot):
        if reboot:
            self.clock.boot_id += "+"
        self.loop.run_until_complete(self.kiosk.ledger.close())
        self.loop.run_until_complete(self._boot())

    async def _boot(self):
        self.kiosk.boot()

    @rule(seconds=st.integers(0, 400))
    def wait(self, seconds):
        self.loop.run_until_complete(self.clock.advance(seconds))

    @rule(seconds=st.sampled_from([0, 0, -20, 20, -90_000, 90_000]))
    def step_clock(self, seconds):
        self.clock.wall_offset = type(self.clock.wall_offset)(seconds=seconds)

    @rule(quality=st.sampled_from(["synced", "unsynced"]))
    def trust_clock(self, quality):
        self.clock.quality = quality

    @invariant()
    def nothing_runs_that_may_not(self):
        for command_id, count in self.effects.items():
            assert self.entitled[command_id], "an effect without the signatures it needs"
            assert count == 1 or command_id in self.repeatable, "more than one effect"

    @invariant()
    def one_end_each(self):
        ends: dict[str, set[str]] = {}
        for receipt in self.kiosk.receipts:
            if receipt.command_id and receipt.status in TERMINAL:
                ends.setdefault(receipt.command_id, set()).add(receipt.model_dump_json())
        assert all(len(end) == 1 for end in ends.values())

    def check_ends(self):
        self.one_end_each()
        self.nothing_runs_that_may_not()
        accepted = {one.command_id for one in self.kiosk.receipts if one.status == "accepted"}
        ended = {one.command_id for one in self.kiosk.receipts if one.status in TERMINAL}
        assert accepted <= ended
        done = {one.command_id for one in self.kiosk.receipts if one.status == "succeeded"}
        pings = done - set(self.effects)
        assert all(one.action == "ping" for one in self.kiosk.receipts if one.command_id in pings)


CommandPath.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestCommandPath = CommandPath.TestCase
