"""``identity.*``: who of the staff is enrolled. No receipt holds anything of a face."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Protocol

from pydantic_core import to_json

from commands.action import Action, Invocation, Progress, Result
from commands.runner import MAX_RESULT_BYTES
from contract.actions import IdentityEnroll, IdentityList, IdentityRemove
from contract.wire import format_time

GROUP = "identity"
_NAMED = 64
"""Enrolments that a receipt names."""


class Person(Protocol):
    """Somebody enrolled."""

    @property
    def subject(self) -> str:
        """Who it is."""
        ...

    @property
    def enrolment(self) -> str:
        """Their number."""
        ...

    @property
    def purposes(self) -> Sequence[str]:
        """What for."""
        ...

    @property
    def consent_code(self) -> str:
        """Where their consent is on record."""
        ...

    @property
    def enrolled(self) -> datetime:
        """Since when."""
        ...

    @property
    def expires(self) -> datetime:
        """Until when."""
        ...


class Enrolled(Protocol):
    """An enrolment that was made."""

    @property
    def person(self) -> Person:
        """Whose."""
        ...

    @property
    def persons(self) -> int:
        """How many are enrolled now."""
        ...


class Removed(Protocol):
    """Enrolments that are deleted."""

    @property
    def enrolments(self) -> Sequence[str]:
        """Which."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 over what was stored of them."""
        ...

    @property
    def persons(self) -> int:
        """How many are enrolled now."""
        ...


class Page(Protocol):
    """Some of those enrolled."""

    @property
    def persons(self) -> Sequence[Person]:
        """Who, by subject."""
        ...

    @property
    def count(self) -> int:
        """How many are enrolled in all."""
        ...

    @property
    def more(self) -> bool:
        """Whether others come after these."""
        ...


class Enrolments(Protocol):
    """Who keeps the gallery. Its methods raise ``ActionError``."""

    @property
    def max_persons(self) -> int:
        """How many may be enrolled."""
        ...

    async def enroll(
        self,
        order: IdentityEnroll,
        *,
        by: str,
        progress: Progress,
        no_return: Callable[[], None],
    ) -> Enrolled:
        """Enrol the person before the camera; ``no_return`` when there is no way back."""
        ...

    async def remove(self, subject: str | None, *, by: str) -> Removed:
        """Delete what is stored of a subject, or of everybody."""
        ...

    async def list(self, after: str | None, limit: int) -> Page:
        """Name those enrolled."""
        ...


def identity_enroll(enrolments: Enrolments, *, cameras: Collection[str]) -> Action[IdentityEnroll]:
    """Make the action; ``cameras`` are those that compare faces at the moment.

    Its result: ``enrolment``, ``purposes``, ``expires``, ``persons``. It is not taken up again
    after a power cut: the person has gone.
    """

    async def run(arguments: IdentityEnroll, invocation: Invocation) -> Result:
        await invocation.progress(f"waiting up to {arguments.for_s} s for the person at the camera")
        done = await enrolments.enroll(
            arguments,
            by=_by(invocation),
            progress=invocation.progress,
            no_return=invocation.no_return,
        )
        return {
            "enrolment": done.person.enrolment,
            "purposes": list(done.person.purposes),
            "expires": format_time(done.person.expires),
            "persons": done.persons,
        }

    return Action(
        arguments=IdentityEnroll,
        run=run,
        group=GROUP,
        missing=lambda: None if cameras else "no camera of this kiosk compares faces",
    )


def identity_remove(enrolments: Enrolments) -> Action[IdentityRemove]:
    """Make the action. Its result, the receipt of the deletion, says which and how many.

    It has ``deleted``; ``enrolments``, the first 64; ``digest``; ``persons``, still enrolled.
    Removing twice is removing once: what a power cut interrupted is done again.
    """

    async def run(arguments: IdentityRemove, invocation: Invocation) -> Result:
        invocation.no_return()
        removed = await enrolments.remove(arguments.subject, by=_by(invocation))
        return {
            "deleted": len(removed.enrolments),
            "enrolments": list(removed.enrolments[:_NAMED]),
            "digest": removed.digest,
            "persons": removed.persons,
        }

    return Action(arguments=IdentityRemove, run=run, resume=run, group=GROUP)


def identity_list(enrolments: Enrolments) -> Action[IdentityList]:
    """Make the action. Its result: ``persons``, ``count``, ``max_persons``, ``more``.

    No more of a page than a receipt holds; the rest comes after its last subject. While nothing
    can be recorded it is refused: who asked for names would not be known.
    """

    async def run(arguments: IdentityList, _: Invocation) -> Result:
        page = await enrolments.list(arguments.after, arguments.limit)
        persons = [_told(person) for person in page.persons]
        result = {
            "persons": persons,
            "count": page.count,
            "max_persons": enrolments.max_persons,
            "more": page.more,
        }
        while len(to_json(result)) > MAX_RESULT_BYTES:
            persons.pop()
            result["more"] = True
        return result

    return Action(arguments=IdentityList, run=run, group=GROUP)


def _told(person: Person) -> Result:
    return {
        "subject": person.subject,
        "enrolment": person.enrolment,
        "purposes": list(person.purposes),
        "consent_code": person.consent_code,
        "enrolled": format_time(person.enrolled),
        "expires": format_time(person.expires),
    }


def _by(invocation: Invocation) -> str:
    return ", ".join(invocation.signers)
