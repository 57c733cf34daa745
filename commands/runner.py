"""Carrying out what was accepted: one job a command, those of a group one after the other.

Each step is recorded first, then handed on as a receipt, then followed by its effect. What an
earlier life of the agent left running is ended by the action's ``resume``.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic_core import to_json

from commands.action import Action, Invocation, Result, Serving
from commands.errors import ActionError, RefusedError
from commands.ledger import Ledger
from commands.ledger_store import Record, Step
from commands.receipts import receipt_for, refused
from commands.verification import Order, Rules
from contract import Clock, Stamp
from contract.actions import Cancel
from contract.message import Publish
from contract.receipt import Receipt

MAX_RESULT_BYTES = 32 * 1024
"""What an action may put into its receipt."""
_PROGRESS_S = 1.0
_LEARN_S = 10.0

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Job:
    """A command that has not ended."""

    record: Record
    order: Order | None = None
    """``None``: it is read when it begins."""
    begun: Stamp | None = None
    fresh: bool = True
    """Whether ``begun`` is of this life of the agent."""
    final: bool = False
    """Cannot be cancelled any more."""
    cancelled_by: str | None = None
    task: asyncio.Task[None] | None = None

    @property
    def group(self) -> str | None:
        """In which it waits or runs."""
        return None if self.order is None else self.order.action.group


class Runner:
    """Runs jobs while :meth:`run` does; the ledger keeps them over restarts.

    Args:
        rules: reads commands.
        ledger: records every step.
        serving: whether a citizen is being served.
        clock: the time of steps and limits.
        publish: takes the receipts; they are stored when it returns.
        recorded: called after each step that the audit trail got an entry for.
    """

    def __init__(
        self,
        *,
        rules: Rules,
        ledger: Ledger,
        serving: Serving,
        clock: Clock,
        publish: Publish,
        recorded: Callable[[], None],
    ) -> None:
        self._rules = rules
        self._ledger = ledger
        self._serving = serving
        self._clock = clock
        self._publish = publish
        self._recorded = recorded
        self._jobs: dict[str, _Job] = {}
        self._groups: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: asyncio.TaskGroup | None = None
        self._owed: dict[str, Receipt] = {}
        """How commands ended of which the ledger would not take the end."""

    async def run(self, loading: asyncio.Lock) -> None:
        """Carry out jobs until cancelled; start it again freely.

        Begins with what earlier lives left: receipts that were not handed on, then open commands.

        Args:
            loading: keeps new commands out meanwhile.

        Raises:
            LedgerError: the ledger fails; nothing is done that it does not know of.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                try:
                    await self._load(loading, tasks)
                    while not await self._ledger.knows_since():
                        await self._clock.sleep(_LEARN_S)
                    await asyncio.Event().wait()
                finally:
                    self._tasks = None  # a job that takes long to end must not let others begin
        finally:
            self._jobs.clear()
            self._groups.clear()

    async def _load(self, loading: asyncio.Lock, tasks: asyncio.TaskGroup) -> None:
        async with loading:
            while steps := await self._ledger.unpublished():
                await self.hand_on(steps)
            found = await self._ledger.open_commands()
            open_ids = {one.record.command.id for one in found}
            self._owed = {one: owed for one, owed in self._owed.items() if one in open_ids}
            self._tasks = tasks
            for one in found:
                self._begin_job(_Job(one.record, begun=one.begun, fresh=False))

    def can_begin_now(self, order: Order) -> bool:
        """Whether a job for this order would begin at once."""
        group = order.action.group
        free = group is None or all(job.group != group for job in self._jobs.values())
        held_up = (
            order.policy.serving == "wait" and order.heeds_serving and self._serving.is_serving
        )
        return self._tasks is not None and free and not held_up

    def start(self, record: Record, order: Order, *, begun: Stamp | None) -> None:
        """Take on a command that was recorded just now: as running, where ``begun`` is given.

        While nothing runs it stays in the ledger until something does.
        """
        if self._tasks is not None:
            self._begin_job(_Job(record, order, begun))

    async def hand_on(self, steps: Sequence[Step]) -> None:
        """Publish receipts, together and in their order, and remember that."""
        await asyncio.gather(*(self._publish(step.receipt, step.stamp) for step in steps))
        self._ledger.mark_published(steps)

    async def perform(self, record: Record, order: Order) -> Receipt:
        """Run an action that needs no record; returns the terminal receipt, whatever happens."""
        begun = self._clock.stamp()
        invocation = Invocation(record.command, record.signers, record.received, begun)
        return await self._outcome(record, order, order.action.run, invocation)

    async def cancel(self, arguments: Cancel, invocation: Invocation) -> Result:
        """Run ``cancel``: stop another command while it can be stopped."""
        wanted = arguments.command_id
        job = self._jobs.get(wanted)
        if wanted == invocation.command.id:
            msg = "a command cannot stop itself"
            raise ActionError(msg)
        if job is None or job.task is None:
            last = await self._ledger.last_step(wanted)
            text = "is not known here" if last is None else f"has ended: {last.receipt.status}"
            msg = f"the command {wanted} {text}"
            raise ActionError(msg)
        if job.final:
            msg = f"{job.record.command.action} has gone too far to be stopped"
            raise ActionError(msg)
        job.cancelled_by = ", ".join(invocation.signers)
        job.task.cancel()
        await asyncio.wait([job.task])
        last = await self._ledger.last_step(wanted)
        return {"command_id": wanted, "status": last.receipt.status if last else "unknown"}

    # -- one job ---------------------------------------------------------------------------

    def _begin_job(self, job: _Job) -> None:
        if self._tasks is None or job.record.command.id in self._jobs:
            return
        self._jobs[job.record.command.id] = job
        job.task = self._tasks.create_task(
            self._live(job), name=f"command-{job.record.command.action}"
        )

    async def _live(self, job: _Job) -> None:
        """The life of a job; its task ends when the command has ended or the agent does."""
        try:
            try:
                await self._carry_out(job)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if job.cancelled_by is None or task is None or job.final:
                    raise
                task.uncancel()
                text = f"stopped by {job.cancelled_by}"
                await self._end(
                    job, receipt_for(job.record, "cancelled", code="cancelled", text=text)
                )
        except Exception:
            self._tasks = None  # it takes the others with it
            raise
        finally:
            self._jobs.pop(job.record.command.id, None)

    async def _carry_out(self, job: _Job) -> None:
        if owed := self._owed.get(job.record.command.id):  # done already, but for the record
            await self._end(job, owed)
            return
        try:
            order = job.order = job.order or self._rules.read(job.record.command)
        except RefusedError as refusal:  # an agent of another version accepted it
            await self._end(
                job, receipt_for(job.record, "failed", code=refusal.code, text=refusal.text)
            )
            return
        if order.action.group is None:
            await self._in_turn(job, order)
        else:
            async with self._groups[order.action.group]:
                await self._in_turn(job, order)

    async def _in_turn(self, job: _Job, order: Order) -> None:
        runner: Callable[[Any, Invocation], Awaitable[Result]] | None = order.action.run
        if job.begun is not None and not job.fresh:
            runner = self._second_life(job, order.action)
        elif job.begun is None and not await self._begin(job, order):
            return
        if runner is None or job.begun is None:
            text = "the agent stopped while it ran; how far it came is not known"
            receipt = receipt_for(job.record, "failed", code="interrupted", text=text)
        else:
            receipt = await self._outcome(
                job.record, order, runner, self._invocation(job, job.begun)
            )
        await self._end(job, receipt)

    def _second_life(
        self, job: _Job, action: Action[Any]
    ) -> Callable[[Any, Invocation], Awaitable[Result]] | None:
        """How to end what was running when the agent or the power went."""
        if action.resume is not None:
            return action.resume
        try:
            self._rules.check_in_time(job.record, now=self._clock.stamp())
        except RefusedError:
            return None
        return action.run if action.idempotent else None

    async def _begin(self, job: _Job, order: Order) -> bool:
        """Wait until it may begin and record that it does; ``False``: it came too late."""
        try:
            self._rules.check_in_time(job.record, now=self._clock.stamp())
            while (
                order.policy.serving == "wait" and order.heeds_serving and self._serving.is_serving
            ):
                await self._wait_until_free(job.record)
                self._rules.check_in_time(job.record, now=self._clock.stamp())
        except RefusedError as refusal:
            await self._end(job, refused(job.record, refusal))
            return False
        step = await self._step(job, receipt_for(job.record, "running"))
        job.begun = step.stamp
        return True

    async def _wait_until_free(self, record: Record) -> None:
        """Return when nobody is served any more, or the command is too old."""
        age_s = (self._clock.stamp().monotonic_ms - record.received.monotonic_ms) / 1000
        left_s = record.command.ttl_s - age_s + 0.001
        await _first(self._serving.wait_until_free(), self._clock.sleep(left_s))

    def _invocation(self, job: _Job, begun: Stamp) -> Invocation:
        record = job.record
        said_at = float("-inf")

        async def progress(text: str, percent: float | None = None) -> None:
            nonlocal said_at
            now = self._clock.monotonic()
            if now - said_at < _PROGRESS_S:
                return
            said_at = now
            receipt = receipt_for(record, "running", text=text, percent=percent)
            await self._publish(receipt, self._clock.stamp())

        def no_return() -> None:
            job.final = True

        return Invocation(
            record.command, record.signers, record.received, begun, progress, no_return
        )

    async def _outcome(
        self,
        record: Record,
        order: Order,
        runner: Callable[[Any, Invocation], Awaitable[Result]],
        invocation: Invocation,
    ) -> Receipt:
        try:
            work = runner(order.arguments, invocation)
            instant = order.action.instant
            result = await (work if instant else self._within(order.policy.timeout_s, work))
            if len(to_json(result)) > MAX_RESULT_BYTES:
                text = f"done, but the result is larger than {MAX_RESULT_BYTES} bytes"
                raise ActionError(text)  # noqa: TRY301 - fails like the action itself
            return receipt_for(record, "succeeded", result=result)
        except ActionError as error:
            return receipt_for(record, "failed", code=error.code, text=str(error))
        except Exception as error:  # noqa: BLE001 - one action's bug must not stop the others
            _log.exception("action_crashed", action=order.action.name, command=record.command.id)
            text = f"{type(error).__name__}: {error}"
            return receipt_for(record, "failed", code="action_failed", text=text)

    async def _within(self, seconds: float, work: Awaitable[Result]) -> Result:
        """Await an action; when its time is over it is cancelled, and cleans up behind itself."""
        doing = asyncio.ensure_future(work)
        try:
            done = await _first(doing, self._clock.sleep(seconds))
        except asyncio.CancelledError:
            if doing.cancelled():
                raise
            return doing.result()  # it was done before it could be stopped
        if done is not doing:
            msg = f"stopped after {seconds:g} s: it takes too long"
            raise ActionError(msg, code="timed_out")
        if doing.cancelled():
            msg = "the action gave up without a word"
            raise ActionError(msg)
        return doing.result()

    async def _end(self, job: _Job, receipt: Receipt) -> None:
        """Record how it ended; where that fails, it is not done again for the record's sake."""
        job.final = True
        self._owed[job.record.command.id] = receipt
        await self._step(job, receipt)
        del self._owed[job.record.command.id]

    async def _step(self, job: _Job, receipt: Receipt) -> Step:
        step = await self._ledger.append(job.record, receipt, self._clock.stamp())
        _log.info("command", id=receipt.command_id, status=receipt.status, code=receipt.code)
        await self.hand_on([step])
        if receipt.status != "running":
            self._recorded()
        return step


async def _first(*works: Awaitable[Any]) -> asyncio.Future[Any]:
    """Return the first that is done, after the others were cancelled and have ended."""
    futures = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in futures:
            future.cancel()
        await asyncio.gather(*futures, return_exceptions=True)
    return next(future for future in futures if future in done)
