"""The life of a command: ``accepted -> running -> succeeded | failed``, or turned away.

The ledger is the queue: what it holds as accepted is waiting, so nothing that was promised is
forgotten by a restart. Each step is recorded first, then handed on as a receipt, then followed
by its effect; a receipt that was recorded but not handed on when the power went is handed on at
the next start.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from pydantic_core import to_json

from commands.action import Action, Invocation
from commands.errors import ActionError, RefusedError
from commands.ledger import Ledger
from commands.ledger_store import Record, Step
from commands.rate import TokenBucket
from commands.settings import CommandSettings
from commands.trust import Trust
from commands.verification import (
    authenticate,
    authorise,
    check_in_time,
    find_action,
    read_arguments,
)
from contract import Clock
from contract.command import Command, claimed_id
from contract.message import Publish
from contract.receipt import Receipt, ReceiptCode, ReceiptStatus

MAX_RESULT_BYTES = 32 * 1024
"""What an action may put into its receipt."""
_MAX_TEXT = 1024

_log = structlog.get_logger()


class Executor:
    """Verifies, records, runs once and answers.

    Args:
        kiosk: this kiosk's id.
        settings: limits.
        trust: whose commands count.
        ledger: what was ordered; nobody else writes to it.
        actions: what can be ordered.
        clock: the time that commands expire by.
        publish: takes the receipts; they are stored when it returns.
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
    ) -> None:
        self._kiosk = kiosk
        self._settings = settings
        self._trust = trust
        self._ledger = ledger
        self._actions = {action.name: action for action in actions}
        self._clock = clock
        self._publish = publish
        self._refusals = TokenBucket(settings.refusals_per_minute, clock)
        self._repeats = TokenBucket(settings.repeats_per_minute, clock)
        self._receiving = asyncio.Lock()
        self._publishing = asyncio.Lock()
        self._recorded = asyncio.Event()
        self.unanswered = 0
        """Messages since the start that got no answer because there were too many."""

    async def receive(self, payload: bytes, *, retained: bool) -> None:
        """Take in one message from ``down/command``; acknowledge it to MQTT afterwards.

        When this returns the command is recorded, or its refusal is stored. What nobody trusted
        signed for this kiosk is not recorded, and answered only so often. A repeated command gets
        its last receipt again.

        Raises:
            LedgerError: the ledger cannot record now. Do not acknowledge.
        """
        async with self._receiving:
            await self._trust.refresh()
            now = self._clock.stamp()
            try:
                signed = authenticate(payload, self._trust, kiosk=self._kiosk, now=now)
                command = signed.command
                last = await self._ledger.last_step(command.id)
                if last is None:
                    await self._check_replay(command, retained=retained)
            except RefusedError as refusal:
                await self._turn_away(claimed_id(payload), refusal)
                return
            if last is not None:
                await self._repeat(last)
                return
            record = Record(command=command, signers=signed.signers, received=now)
            try:
                authorise(
                    signed,
                    self._actions,
                    self._trust.keys,
                    now=now,
                    leeway_s=self._settings.clock_leeway_s,
                )
                await self._check_room()
                receipt = _receipt(record, "accepted")
            except RefusedError as refusal:
                receipt = _refused(record, refusal)
            await self._ledger.add(record, receipt, now)
            self._recorded.set()
        await self._publish_recorded()

    async def run(self) -> None:
        """Carry out what is accepted, one after the other, until cancelled; start it again freely.

        Begins with what an earlier run left open.

        Raises:
            LedgerError: the ledger fails; nothing is done that it does not know of.
        """
        while (record := await self._ledger.next_in("running")) is not None:
            await self._resume(record)
        await self._publish_recorded()
        while True:
            self._recorded.clear()
            while (record := await self._ledger.next_in("accepted")) is not None:
                await self._begin(record)
            await self._recorded.wait()

    # -- turned away -----------------------------------------------------------------------

    async def _turn_away(self, claim: str | None, refusal: RefusedError) -> None:
        """Answer without recording: the message proves nothing about a command with that id."""
        if not self._refusals.take():
            self.unanswered += 1
            _log.warning("command_unanswered", code=refusal.code, total=self.unanswered)
            return
        _log.warning("command_turned_away", code=refusal.code, text=refusal.text[:_MAX_TEXT])
        receipt = Receipt(
            claimed_id=claim,
            status="rejected",
            code=refusal.code,
            text=refusal.text[:_MAX_TEXT],
        )
        await self._publish(receipt, self._clock.stamp())

    async def _check_replay(self, command: Command, *, retained: bool) -> None:
        if retained:
            text = "a retained command is never done: publish it without the retain flag"
            raise RefusedError(code="retained", text=text)
        if command.exp <= await self._ledger.floor():
            text = "it is older than what this kiosk remembers: it may be a replay"
            raise RefusedError(code="expired", text=text)

    async def _repeat(self, last: Step) -> None:
        if self._repeats.take():
            await self._publish(last.receipt, last.stamp)
        else:
            self.unanswered += 1
            _log.warning("command_repeated_too_often", command=last.receipt.command_id)

    async def _check_room(self) -> None:
        if await self._ledger.waiting() >= self._settings.max_waiting:
            text = f"{self._settings.max_waiting} commands are waiting already; send it later"
            raise RefusedError(code="rate_limited", text=text)

    # -- carried out -----------------------------------------------------------------------

    async def _begin(self, record: Record) -> None:
        try:
            self._check_in_time(record)
        except RefusedError as refusal:
            await self._step(_refused(record, refusal))
            return
        await self._step(_receipt(record, "running"))
        await self._perform(record)

    async def _resume(self, record: Record) -> None:
        """End what was running when the agent or the power went."""
        action = self._actions.get(record.command.action)
        try:
            self._check_in_time(record)
        except RefusedError:
            again = False
        else:
            again = action is not None and action.idempotent
        if again:
            await self._perform(record)
            return
        text = "the agent stopped while it ran; how far it came is not known"
        await self._step(_receipt(record, "failed", code="interrupted", text=text))

    async def _perform(self, record: Record) -> None:
        command = record.command
        try:
            action = find_action(command, self._actions)
            arguments = read_arguments(command, action)
            invocation = Invocation(command, record.signers, record.received, self._clock.stamp())
            result = await action.run(arguments, invocation)
            if len(to_json(result)) > MAX_RESULT_BYTES:
                text = f"done, but the result is larger than {MAX_RESULT_BYTES} bytes"
                raise ActionError(text)  # noqa: TRY301 - fails like the action itself
            receipt = _receipt(record, "succeeded", result=result)
        except RefusedError as refusal:  # an agent of another version accepted it
            receipt = _receipt(record, "failed", code=refusal.code, text=refusal.text)
        except ActionError as error:
            receipt = _receipt(record, "failed", code="action_failed", text=str(error))
        except Exception as error:  # noqa: BLE001 - one action's bug must not stop the others
            _log.exception("action_crashed", action=command.action, command=command.id)
            text = f"{type(error).__name__}: {error}"
            receipt = _receipt(record, "failed", code="action_failed", text=text)
        await self._step(receipt)

    def _check_in_time(self, record: Record) -> None:
        now, leeway_s = self._clock.stamp(), self._settings.clock_leeway_s
        check_in_time(record, now=now, leeway_s=leeway_s)

    async def _step(self, receipt: Receipt) -> None:
        await self._ledger.append(receipt, self._clock.stamp())
        _log.info("command", id=receipt.command_id, status=receipt.status, code=receipt.code)
        await self._publish_recorded()

    async def _publish_recorded(self) -> None:
        async with self._publishing:
            while (step := await self._ledger.next_unpublished()) is not None:
                await self._publish(step.receipt, step.stamp)
                await self._ledger.mark_published(step)


def _receipt(
    record: Record,
    status: ReceiptStatus,
    *,
    code: ReceiptCode | None = None,
    text: str = "",
    result: dict[str, Any] | None = None,
) -> Receipt:
    return Receipt(
        command_id=record.command.id,
        action=record.command.action,
        status=status,
        code=code,
        text=text[:_MAX_TEXT],
        signers=record.signers,
        result=result,
    )


def _refused(record: Record, refusal: RefusedError) -> Receipt:
    status: ReceiptStatus = "expired" if refusal.code == "expired" else "rejected"
    return _receipt(record, status, code=refusal.code, text=refusal.text)
