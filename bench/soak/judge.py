"""Whether it held: pure, from what the centre heard and what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.soak.account import Account, CommandLife

_SHOWN = 20
TOLD = frozenset({"door.lock", "service.lock"})
"""Actions whose effect the kiosk tells in an event that names the command."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A number that may not be above another."""

    name: str
    value: float
    limit: float


@dataclass(slots=True)
class Verdict:
    """What did not hold, a sentence each, and what was counted on the way."""

    violations: list[str] = field(default_factory=list)
    unadmitted: int = 0
    commands_ended: int = 0
    commands_refused_unrecorded: int = 0
    commands_lost: int = 0
    commands_doubled: int = 0
    effects: int = 0
    effects_doubled: int = 0
    effects_unseen: int = 0


def judge(account: Account, sent: Mapping[str, str], bounds: list[Bound]) -> Verdict:
    """Judge a run.

    Args:
        account: of the centre.
        sent: the action of each command that was published, by id.
        bounds: what was measured, and what it may be.
    """
    verdict = Verdict(violations=list(account.faults[:_SHOWN]))
    missing = account.numbers.unadmitted()
    verdict.unadmitted = len(missing)
    if missing:
        numbers = ", ".join(map(str, missing[:_SHOWN]))
        verdict.violations.append(f"{len(missing)} numbers are missing unadmitted: {numbers}")
    for command_id, action in sent.items():
        _judge_command(verdict, command_id, action, account.commands.get(command_id))
    for command_id in account.commands.keys() - sent.keys():
        verdict.violations.append(f"command {command_id} was never ordered, but was answered")
    if verdict.effects_unseen > account.numbers.missing:
        unseen = verdict.effects_unseen
        verdict.violations.append(f"{unseen} commands have succeeded, and nothing tells of effects")
    for bound in bounds:
        if bound.value > bound.limit:
            verdict.violations.append(f"{bound.name} is {bound.value:g}, more than {bound.limit:g}")
    return verdict


def _judge_command(
    verdict: Verdict, command_id: str, action: str, life: CommandLife | None
) -> None:
    name = f"{action} {command_id}"
    if life is None or not (life.ends or life.refusals):
        verdict.commands_lost += 1
        recorded = life is not None and life.recorded
        said = "it was accepted and never ended" if recorded else "nothing was ever said of it"
        verdict.violations.append(f"{name} is lost: {said}")
        return
    if not life.ends:
        if life.recorded:
            verdict.commands_lost += 1
            verdict.violations.append(f"{name} is lost: it was accepted and never ended")
        else:
            verdict.commands_refused_unrecorded += 1
    elif len(life.ends) > 1:
        verdict.commands_doubled += 1
        verdict.violations.append(f"{name} ended more than once: {sorted(map(str, life.ends))}")
    else:
        verdict.commands_ended += 1
    if action in TOLD:
        _judge_effect(verdict, name, life)


def _judge_effect(verdict: Verdict, name: str, life: CommandLife) -> None:
    """It happens once for each order, and never for one that was turned away."""
    verdict.effects += life.effects
    if life.effects > 1:
        verdict.effects_doubled += 1
        verdict.violations.append(f"{name} was done {life.effects} times")
    statuses = {status for status, _, _ in life.ends}
    if statuses == {"succeeded"} and not life.effects:
        verdict.effects_unseen += 1
    if life.effects and statuses & {"rejected", "expired"}:
        verdict.violations.append(f"{name} was done, but told as {', '.join(sorted(statuses))}")
