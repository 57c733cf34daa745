"""Who answers about persons at the local door, as a test says."""

from collections.abc import Awaitable, Callable

from agent.identity.requests import (
    CardView,
    CheckAnswer,
    EnrolledView,
    RemovedView,
    StaffMember,
    StaffView,
    prompt,
)
from tests.support.samples import HASH, ID, TIME

STAFF = "0123456789abcdef"


class FakePersons:
    """Implements :class:`agent.local.identity_calls.Persons`; everything asked is kept."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []
        self.error: Exception | None = None
        self.wait: Callable[[], Awaitable[object]] | None = None
        self.is_checking = False

    async def _ask(self, what: str, of: object) -> None:
        self.asked.append((what, of))
        if self.wait is not None:
            await self.wait()
        if self.error is not None:
            raise self.error

    async def verify(self, request):
        await self._ask("verify", request)
        return CheckAnswer(
            decision_id=ID, outcome="refer", reasons=(prompt("turned"),), took_ms=1200
        )

    async def identify(self, request):
        await self._ask("identify", request)
        return CheckAnswer(
            decision_id=ID, outcome="match", reasons=(), enrolment=STAFF, took_ms=1200
        )

    def cancel(self):
        return self.is_checking

    async def override(self, decision_id, request, *, by):
        await self._ask("override", (decision_id, request.reason, by))

    async def read_card(self, session_id, request):
        await self._ask("card", session_id)
        return CardView(
            kind="resident",
            name="张三",
            sex="male",
            nation="汉",
            birth="1949-12-31",
            address="北京市朝阳区",
            number="11010519491231002X",
            issuer="北京市公安局",
            valid_from="2016-01-01",
            valid_until="long-term",
            has_portrait=False,
        )

    async def open_cabinet(self, request):
        await self._ask("cabinet", request.decision_id)

    def use(self, decision_id, purpose):
        self.asked.append(("use", (decision_id, purpose)))
        if self.error is not None:
            raise self.error
        return STAFF

    async def staff(self):
        await self._ask("staff", None)
        return StaffView(
            persons=(
                StaffMember(
                    subject="staff-017",
                    enrolment=STAFF,
                    purposes=("presence",),
                    consent_code="c-1",
                    enrolled=TIME,
                    expires=TIME,
                ),
            )
        )

    async def enroll(self, request, *, by):
        await self._ask("enroll", (request.subject, by))
        return EnrolledView(enrolment=STAFF, expires=TIME, persons=1)

    async def remove(self, subject, *, by):
        await self._ask("remove", (subject, by))
        return RemovedView(deleted=1, enrolments=(STAFF,), digest=HASH, persons=0)
