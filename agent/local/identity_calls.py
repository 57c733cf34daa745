"""What the local door does about persons: checks, cards, the cabinet, and who is enrolled."""

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from agent.identity.requests import (
    CabinetRequest,
    CardRequest,
    CardView,
    CheckAnswer,
    EnrolledView,
    EnrollRequest,
    IdentifyRequest,
    OverrideRequest,
    RemovedView,
    StaffView,
    VerifyRequest,
)
from agent.local.call import Call, Operate, answer_with, spend
from agent.local.http_message import Answer
from agent.local.problem import ProblemError
from agent.local.routes import Operation
from commands.desk.desk import Desk
from commands.errors import ActionError
from commands.rate import TokenBucket
from contract import Clock
from contract.actions import StaffPurpose

CHECKS_PER_HOUR = 600
"""Each is an entry of the audit trail."""

T = TypeVar("T")
ByUser = Callable[[int], Awaitable[str]]
"""The name of a user, such as ``local:kiosk``."""


class Persons(Protocol):
    """Who answers about persons. Methods raise ``DeskError`` or ``ActionError``."""

    async def verify(self, request: VerifyRequest) -> CheckAnswer:
        """Compare the person before the camera with a document."""
        ...

    async def identify(self, request: IdentifyRequest) -> CheckAnswer:
        """Look for the person before the camera among staff."""
        ...

    def cancel(self) -> bool:
        """End the check that is under way; returns whether there was one."""
        ...

    async def override(self, decision_id: str, request: OverrideRequest, *, by: str) -> None:
        """Business goes on although the check did not end in a match."""
        ...

    async def read_card(self, session_id: str, request: CardRequest) -> CardView:
        """Read the card on the reader."""
        ...

    async def open_cabinet(self, request: CabinetRequest) -> None:
        """Let a member of staff open the cabinet."""
        ...

    def use(self, decision_id: str, purpose: StaffPurpose) -> str:
        """Let a member of staff do what they were recognised for, once; returns the enrolment."""
        ...

    async def staff(self) -> StaffView:
        """Who is enrolled."""
        ...

    async def enroll(self, request: EnrollRequest, *, by: str) -> EnrolledView:
        """Enrol the person before the camera."""
        ...

    async def remove(self, subject: str, *, by: str) -> RemovedView:
        """Delete what is stored of a person."""
        ...


class IdentityCalls:
    """One operation for each route about persons.

    Args:
        persons: answers.
        desk: knows what the screen shows.
        by_user: the name of who asks.
        clock: the time of rates.
    """

    def __init__(self, persons: Persons, *, desk: Desk, by_user: ByUser, clock: Clock) -> None:
        self._persons = persons
        self._desk = desk
        self._by_user = by_user
        self._checks = TokenBucket(CHECKS_PER_HOUR, 3600, clock)

    @property
    def operations(self) -> Mapping[Operation, Operate]:
        """By their names in the routes."""
        return {
            "identity": self._identity,
            "verify_identity": self._verify,
            "identify_staff": self._identify,
            "cancel_check": self._cancel,
            "override_decision": self._override,
            "read_card": self._read_card,
            "open_cabinet": self._open_cabinet,
            "list_staff": self._list,
            "enroll_staff": self._enroll,
            "remove_staff": self._remove,
        }

    async def _identity(self, _: Call) -> Answer:
        return answer_with(self._desk.identity)

    async def _verify(self, call: Call) -> Answer:
        self._spend()
        return answer_with(await self._persons.verify(call.body))

    async def _identify(self, call: Call) -> Answer:
        self._spend()
        return answer_with(await self._persons.identify(call.body))

    async def _cancel(self, _: Call) -> Answer:
        if not self._persons.cancel():
            msg = "no check is under way"
            raise ProblemError(404, msg)
        return Answer(204)

    async def _override(self, call: Call) -> Answer:
        self._spend()
        by = await self._by_user(call.uid)
        await self._persons.override(call.parts["id"], call.body, by=by)
        return Answer(204)

    async def _read_card(self, call: Call) -> Answer:
        return answer_with(await self._persons.read_card(call.parts["id"], call.body))

    async def _open_cabinet(self, call: Call) -> Answer:
        self._spend()
        await _acted(self._persons.open_cabinet(call.body))
        return Answer(204)

    async def _list(self, call: Call) -> Answer:
        _owners_only(call)
        return answer_with(await _acted(self._persons.staff()))

    async def _enroll(self, call: Call) -> Answer:
        _owners_only(call)
        self._spend()
        by = await self._by_user(call.uid)
        return answer_with(await _acted(self._persons.enroll(call.body, by=by)), status=201)

    async def _remove(self, call: Call) -> Answer:
        _owners_only(call)
        by = await self._by_user(call.uid)
        return answer_with(await _acted(self._persons.remove(call.parts["subject"], by=by)))

    def _spend(self) -> None:
        spend(self._checks, f"{CHECKS_PER_HOUR} checks")


async def _acted(doing: Awaitable[T]) -> T:
    try:
        return await doing
    except ActionError as error:
        raise ProblemError(409, str(error)) from None


def _owners_only(call: Call) -> None:
    """Whoever may use the socket is the business application: it must not enrol anybody."""
    if call.uid not in {0, os.getuid()}:
        msg = "only root and the agent's own user may see or change who is enrolled"
        raise ProblemError(403, msg)
