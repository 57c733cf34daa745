"""Decisions once they are made: recorded, told, remembered for a while, and used."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from commands.errors import DeskError
from contract import Clock, Stamp
from contract.actions import StaffPurpose
from contract.identity import IdentityDecision, IdentityOverridden
from contract.message import Publish

GOOD_FOR_S = 120.0
"""So long a member of staff has after being recognised to do what it was for."""
_MAX_KEPT = 256


@dataclass(slots=True)
class _Kept:
    decision: IdentityDecision
    at_s: float
    used: bool = False
    overridden: bool = False


class Decisions:
    """Each is in the audit trail before it is told.

    Args:
        say: records an event in the audit trail, then publishes it.
        heed: told of each decision and override, after that.
        clock: the time of uses.
    """

    def __init__(
        self,
        *,
        say: Publish,
        heed: Callable[[IdentityDecision | IdentityOverridden], None],
        clock: Clock,
    ) -> None:
        self._say = say
        self._heed = heed
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def made(self, decision: IdentityDecision, stamp: Stamp) -> None:
        """Take a decision."""
        self._kept[decision.decision_id] = _Kept(decision, self._clock.monotonic())
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        await self._say(decision, stamp)
        self._heed(decision)

    async def override(
        self, decision_id: str, *, reason: str, by: str, staff_decision_id: str | None = None
    ) -> None:
        """Business goes on although the check did not end in a match.

        Raises:
            DeskError: there is no such decision, or nothing to override.
        """
        kept = self._find(decision_id)
        if kept.decision.outcome == "match" or kept.overridden:
            msg = "that check ended in a match, or was overridden already"
            raise DeskError(msg, code="not_applicable")
        if staff_decision_id is not None:
            _, enrolment = self._staff(staff_decision_id)
            by = f"staff:{enrolment}"
        kept.overridden = True
        overridden = IdentityOverridden(
            decision_id=decision_id,
            session_id=kept.decision.session_id,
            outcome=kept.decision.outcome,
            reason=reason,
            by=by,
        )
        await self._say(overridden, self._clock.stamp())
        self._heed(overridden)

    def use(self, decision_id: str, purpose: StaffPurpose) -> str:
        """Let a member of staff do what they were recognised for, once; returns the enrolment.

        Raises:
            DeskError: it is not a match for this purpose, is older than two minutes, or was used.
        """
        kept, enrolment = self._staff(decision_id)
        if kept.decision.purpose != purpose or kept.used:
            msg = f"that check was not for {purpose}, or was used already: check once more"
            raise DeskError(msg, code="not_applicable")
        kept.used = True
        return enrolment

    def _staff(self, decision_id: str) -> tuple[_Kept, str]:
        kept = self._find(decision_id)
        enrolment = kept.decision.enrolment
        old = self._clock.monotonic() - kept.at_s > GOOD_FOR_S
        if enrolment is None or kept.decision.outcome != "match" or old:
            msg = "no member of staff was recognised by that check in the last two minutes"
            raise DeskError(msg, code="not_applicable")
        return kept, enrolment

    def _find(self, decision_id: str) -> _Kept:
        if kept := self._kept.get(decision_id):
            return kept
        msg = "no such decision: it is too old, or the agent was restarted"
        raise DeskError(msg, code="no_such_decision")
