"""The command path's door: verifies what arrives, records it, and lets it be carried out.

A command's life is ``accepted -> running -> succeeded | failed | cancelled``, or it is turned
away. The ledger is the queue: what it holds as accepted is waiting, so nothing that was promised
is forgotten by a restart.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import structlog

from commands.action import Action, Invocation, Serving
from commands.audit import Audit
from commands.challenge import Challenges
from commands.errors import LedgerError, RefusedError, ReplayError, UndatedError
from commands.ledger import Ledger
from commands.ledger_store import Limits, Record, Step
from commands.rate import TokenBucket
from commands.receipts import MAX_TEXT, receipt_for, refused
from commands.runner import Runner
from commands.settings import CommandSettings
from commands.trust import Trust
from commands.verification import Order, Rules, authenticate
from contract import Clock, Stamp
from contract.actions import Cancel
from contract.audit import Facts
from contract.command import SignedCommand, claimed_id
from contract.message import Publish
from contract.receipt import TERMINAL, Receipt

_HOUR_S = 3600
_KEYS_READ_S = 0.2
"""Within so long the operators' keys are not looked at again: many commands share a look."""
_UNRECORDED_AT_ONCE = 8
_UNRECORDED_KEPT = 256

_log = structlog.get_logger()


class NobodyServed:
    """A kiosk that serves nobody."""

    is_serving = False

    async def wait_until_free(self) -> None:
        """Nobody is being served."""


class Executor:
    """Verifies, records, runs once and answers.

    Args:
        kiosk: this kiosk's id.
        settings: limits and the policy table.
        trust: whose commands count.
        ledger: what was ordered; nobody else writes to it.
        actions: what can be ordered, besides ``cancel``.
        clock: the time that commands expire by.
        publish: takes the receipts; they are stored when it returns.
        serving: whether a citizen is being served.
        audit: what is told of refusals, and that there are new entries.
    """

    def __init__(
        self,
        *,
        kiosk: str,
        settings: CommandSettings,
        trust: Trust,
        ledger: Ledger,
        actions: Sequence[Action[Any]],
        clock: Clock,
        publish: Publish,
        audit: Audit,
        serving: Serving | None = None,
    ) -> None:
        self._kiosk = kiosk
        self._settings = settings
        self._trust = trust
        self._ledger = ledger
        self._clock = clock
        self._publish = publish
        self._audit = audit
        serving = serving or NobodyServed()
        policy = settings.effective_policy()
        self._challenges = Challenges(clock)
        cancel = Action(Cancel, run=self._cancel, idempotent=True)
        self._actions = (*actions, cancel)
        self._rules = Rules(
            actions=self._actions,
            policy=policy,
            challenges=self._challenges,
            serving=serving,
            leeway_s=settings.clock_leeway_s,
        )
        self._runner = Runner(
            rules=self._rules,
            ledger=ledger,
            serving=serving,
            clock=clock,
            publish=publish,
            recorded=audit.changed,
        )
        self._rates = {
            name: TokenBucket(row.per_hour, _HOUR_S, clock)
            for name, row in policy.items()
            if row.per_hour is not None
        }
        self._refusals = TokenBucket(settings.refusals_per_minute, 60, clock)
        self._repeats = TokenBucket(settings.repeats_per_minute, 60, clock)
        self._receiving = asyncio.Lock()
        self._received: asyncio.Task[None] | None = None
        self._keys_read = float("-inf")
        self._unrecorded: OrderedDict[str, Step | None] = OrderedDict()
        self._unrecorded_tasks: set[asyncio.Task[None]] = set()
        self.unanswered = 0
        """Messages since the start that got no answer because there were too many."""

    def capabilities(self) -> tuple[str, ...]:
        """Return the names of the actions that this machine can do."""
        return tuple(sorted(one.name for one in self._actions if one.missing() is None))

    async def run(self) -> None:
        """Carry out what is accepted until cancelled; start it again freely.

        Raises:
            LedgerError: the ledger fails; nothing is done that it does not know of.
        """
        try:
            await self._runner.run(self._receiving)
        except asyncio.CancelledError:
            # Only then: the failing ledger that ends this is why they are done unrecorded.
            for task in self._unrecorded_tasks:
                task.cancel()
            raise

    async def receive(self, payload: bytes, *, retained: bool) -> None:
        """Take in one message from ``down/command``; acknowledge it to MQTT afterwards.

        When this returns the command is recorded, or its refusal is stored. What nobody trusted
        signed for this kiosk is not recorded, and answered only so often. A repeated command gets
        its last receipt again. While nothing can be recorded, harmless commands are done all the
        same, and others refused with the code ``storage``. A caller that is cancelled, as the line
        breaks, does not stop it: what is recorded must also begin.
        """
        await self._receiving.acquire()
        self._received = asyncio.create_task(self._receive(payload, retained=retained))
        self._received.add_done_callback(lambda _: self._receiving.release())
        await asyncio.shield(self._received)

    async def _receive(self, payload: bytes, *, retained: bool) -> None:
        now = self._clock.stamp()
        try:
            signed = await self._authenticate(payload, now)
            digest = hashlib.sha256(payload).hexdigest()
            record = Record(signed.command, signed.signers, now, digest)
            if record.command.id in self._unrecorded:
                await self._repeat_unrecorded(record.command.id)
                return
            try:
                await self._take_in(record, signed, retained=retained)
            except LedgerError as error:
                await self._without_ledger(record, signed, error, retained=retained)
        except RefusedError as refusal:
            await self._turn_away(claimed_id(payload), refusal)

    async def _authenticate(self, payload: bytes, now: Stamp) -> SignedCommand:
        """Check the signatures by the operators' keys as they are now, or were just now."""
        moment = self._clock.monotonic()
        if moment - self._keys_read >= _KEYS_READ_S:
            await self._trust.refresh()
            self._keys_read = moment
        return authenticate(payload, self._trust, kiosk=self._kiosk, now=now)

    async def _take_in(self, record: Record, signed: SignedCommand, *, retained: bool) -> None:
        if retained and await self._ledger.recall(record.command) is None:
            raise _retained()
        now, order, begun = record.received, None, None
        try:
            order = self._rules.authorise(signed, self._trust.keys, now=now)
            self._check_rate(order)
            receipts = [receipt_for(record, "accepted")]
            if self._runner.can_begin_now(order):
                begun = now
                receipts.append(receipt_for(record, "running"))
                if order.action.instant:
                    receipts.append(await self._runner.perform(record, order))
            taken = await self._ledger.take_in(record, receipts, now, limits=self._limits(order))
        except ReplayError:
            raise
        except RefusedError as refusal:
            order, challenge = None, None
            if isinstance(refusal, UndatedError):
                challenge = self._challenges.issue(record.command)
            receipts = [refused(record, refusal, challenge)]
            taken = await self._ledger.take_in(record, receipts, now)
        if taken.known is not None:
            await self._repeat(taken.known)
            return
        # The first receipts are handed on while the work begins; its own come after them.
        handing = asyncio.ensure_future(self._runner.hand_on(taken.steps))
        await asyncio.sleep(0)
        if order is not None:
            self._spend(record, order)
            if taken.steps[-1].receipt.status not in TERMINAL:
                self._runner.start(record, order, begun=begun)
        self._audit.changed()
        await handing

    def _spend(self, record: Record, order: Order) -> None:
        """Use up what the command was accepted on."""
        self._challenges.spend(record.command)
        if bucket := self._rates.get(order.action.name):
            bucket.take()

    def _limits(self, order: Order) -> Limits:
        per_hour = self._settings.disruptive_per_hour if order.policy.disruptive else None
        return Limits(self._settings.max_waiting, per_hour, has_effect=not order.action.instant)

    def _check_rate(self, order: Order) -> None:
        bucket = self._rates.get(order.action.name)
        if bucket is not None and not bucket.has_room():
            text = f"at most {order.policy.per_hour} {order.action.name} an hour; send it later"
            raise RefusedError(code="rate_limited", text=text)

    async def _cancel(self, arguments: Cancel, invocation: Invocation) -> dict[str, Any]:
        return await self._runner.cancel(arguments, invocation)

    # -- turned away -----------------------------------------------------------------------

    async def _turn_away(self, claim: str | None, refusal: RefusedError) -> None:
        """Answer without recording: the message proves nothing about a command with that id."""
        text, now = refusal.text[:MAX_TEXT], self._clock.stamp()
        facts: Facts = {"text": text} if claim is None else {"text": text, "claimed_id": claim}
        await self._audit.turned_away(refusal.code, facts, now)
        if not self._refusals.take():
            self.unanswered += 1
            _log.warning("command_unanswered", code=refusal.code, total=self.unanswered)
            return
        _log.warning("command_turned_away", code=refusal.code, text=text)
        receipt = Receipt(claimed_id=claim, status="rejected", code=refusal.code, text=text)
        await self._publish(receipt, now)

    async def _repeat(self, last: Step) -> None:
        if self._repeats.take():
            await self._publish(last.receipt, last.stamp)
        else:
            self.unanswered += 1
            if self.unanswered.bit_count() == 1:  # a storm of them must not fill the journal
                _log.warning(
                    "command_repeated_too_often",
                    command=last.receipt.command_id,
                    times=self.unanswered,
                )

    # -- without a ledger ------------------------------------------------------------------

    async def _without_ledger(
        self, record: Record, signed: SignedCommand, error: LedgerError, *, retained: bool
    ) -> None:
        """Do what is harmless when done twice, and not a replay by its dates; refuse the rest."""
        if retained:
            raise _retained()
        order = self._rules.authorise(signed, self._trust.keys, now=record.received)
        dated = record.received.time_quality == "synced" and record.command.challenge is None
        if not order.harmless or not (dated or order.action.instant):
            text = f"nothing can be recorded now ({error}), and this is not done unrecorded"
            raise RefusedError(code="storage", text=text)
        if len(self._unrecorded_tasks) >= _UNRECORDED_AT_ONCE:
            text = "nothing can be recorded now, and too much is being done; send it later"
            raise RefusedError(code="rate_limited", text=text)
        self._unrecorded[record.command.id] = None
        if len(self._unrecorded) > _UNRECORDED_KEPT:
            self._unrecorded.popitem(last=False)
        for status in ("accepted", "running"):
            await self._publish(receipt_for(record, status), record.received)
        task = asyncio.create_task(self._do_unrecorded(record, order))
        self._unrecorded_tasks.add(task)
        task.add_done_callback(self._unrecorded_tasks.discard)

    async def _do_unrecorded(self, record: Record, order: Order) -> None:
        receipt = await self._runner.perform(record, order)
        end = self._unrecorded[record.command.id] = Step(0, receipt, self._clock.stamp())
        await self._publish(receipt, end.stamp)

    async def _repeat_unrecorded(self, command_id: str) -> None:
        """Answer as before, whatever the ledger and the clock say by now: it has been done."""
        if (end := self._unrecorded[command_id]) is not None:
            await self._repeat(end)


def _retained() -> RefusedError:
    text = "a retained command is never done: publish it without the retain flag"
    return RefusedError(code="retained", text=text)
