"""Enrolled staff: taken in, named, removed, and forgotten when their time is over."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import structlog

from agent.identity.gallery_keeper import GalleryKeeper
from commands.action import Progress, no_progress
from commands.errors import ActionError
from contract import Clock, ContractError, Stamp
from contract.actions import IdentityEnroll
from contract.identity import PersonEnrolled, PersonRemoved
from contract.message import Event, Publish
from contract.wire import WireModel, parse_kept
from telemetry.outbox import OutboxError
from vision.identity.gallery import Gallery, NoteRemoval
from vision.identity.gallery_key import GalleryError, GalleryKeyError
from vision.identity.gallery_record import DAY_S, Enrolled, Moment, NewPerson, Person, Removed
from vision.identity.report import GalleryAccess
from vision.identity.settings import IdentitySettings

LOOK_S = 3600.0
"""How often those whose time is over are looked for."""
NAMED_AT_ONCE = 64
"""Enrolments in one word of a deletion."""
SET_ASIDE_S = 30 * DAY_S
"""A damaged gallery holds personal data, too: it is kept for so long, for who could mend it."""
_NEARLY_FULL = 0.9
_BY_ITSELF = "retention"

T = TypeVar("T")
Reason = Literal["asked", "expired", "replaced", "unusable"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CapturedTemplate:
    """What the person before the camera is recognised by."""

    template: bytes = field(repr=False)
    """float32, little-endian."""
    recogniser: str
    duplicate: str | None
    """The enrolment that looks the same."""


Capture = Callable[[str | None, float, Progress], Awaitable[CapturedTemplate]]
"""Has a template made: camera (None: the only one), time limit, who is told of hints. Raises
``ActionError``."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of those enrolled, by subject."""

    persons: tuple[Person, ...]
    count: int
    """Of everybody."""
    more: bool
    """Whether others come after these."""


class _Note(WireModel):
    """What is still to be told."""

    stamp: Stamp
    event: PersonEnrolled | PersonRemoved


class Enrolments:
    """Keeps the gallery. Its blocking calls have a thread, and are done one after the other.

    Each change is in the audit trail before it is told, and told of at least once, also where the
    power fails in between. Nobody is found any more from the moment that their time is over.

    Args:
        folder: the agent's state folder.
        credentials: ``$CREDENTIALS_DIRECTORY``, where systemd gives one.
        settings: those in force now.
        clock: the time of enrolments.
        capture: makes templates.
        record: appends to the audit trail.
        publish: takes the events.
        tell: told of faults by the alarm's code, in a sentence; None: it is over.
        on_change: told that identity processes are to load the gallery again.
    """

    def __init__(
        self,
        folder: Path,
        *,
        credentials: Path | None,
        settings: Callable[[], IdentitySettings],
        clock: Clock,
        capture: Capture,
        record: Callable[[Event, Stamp], Awaitable[object]],
        publish: Publish,
        tell: Callable[[str, str | None], None],
        on_change: Callable[[], None],
    ) -> None:
        self._keeper = GalleryKeeper(folder, credentials)
        self._settings = settings
        self._clock = clock
        self._capture = capture
        self._record = record
        self._publish = publish
        self._tell = tell
        self._on_change = on_change
        self._working = asyncio.Lock()
        self._telling = asyncio.Lock()
        self._looked_s = clock.monotonic()
        self._told: dict[str, str | None] = {}
        self._fault: str | None = None
        self._seen: tuple[GalleryAccess | None, int] = None, 0

    @property
    def persons(self) -> int:
        """How many are enrolled."""
        return self._keeper.state.persons

    @property
    def max_persons(self) -> int:
        """How many may be."""
        return self._settings().max_persons

    @property
    def problem(self) -> str | None:
        """Why nobody can be recognised or enrolled, in a sentence."""
        return self._fault or self._keeper.state.key_problem

    def access(self) -> GalleryAccess | None:
        """Return what identity processes open the gallery with; None: nobody is enrolled."""
        return self._keeper.state.access

    async def start(self) -> None:
        """Take up what the life before left; before the cameras start."""
        await self._look()

    async def run(self) -> None:
        """Delete those whose time is over; until cancelled."""
        while True:
            await self._clock.sleep(LOOK_S)
            await self._look()

    async def enroll(
        self,
        order: IdentityEnroll,
        *,
        by: str,
        progress: Progress = no_progress,
        no_return: Callable[[], None] = lambda: None,
    ) -> Enrolled:
        """Enrol the person before the camera, in place of the subject's former enrolment.

        Args:
            order: who it is, what for, for how long.
            by: who orders it.
            progress: told what the person is to do.
            no_return: called when the template is there.

        Raises:
            ActionError: it may not be, or did not come about; nothing has changed.
        """
        if order.days > (most := self._settings().template_days):
            msg = f"nobody may be enrolled for longer than {most} days"
            raise ActionError(msg)
        with _for_operators():
            await self._do(lambda gallery: self._check_room(gallery, order.subject))
            captured = await self._capture(order.camera, order.for_s, progress)
            no_return()
            stamp = self._clock.stamp()
            enrolled = await self._do(
                lambda gallery: self._enrol(gallery, order, captured, by, stamp), make_key=True
            )
        await self._tell_notes()
        return enrolled

    async def remove(self, subject: str | None, *, by: str) -> Removed:
        """Delete what is stored of a subject, or of everybody (None).

        What was set aside of a damaged gallery goes, too: it may hold them.

        Raises:
            ActionError: not everything was deleted, and why.
        """
        note = _removal("asked", by, self._clock.stamp())

        def work(box: Gallery) -> Removed:
            removed = box.remove_all(note) if subject is None else box.remove(subject, note)
            self._keeper.delete_set_aside()
            return removed

        with _for_operators():
            removed = await self._do(work)
        await self._tell_notes()
        return removed

    async def list(self, after: str | None, limit: int) -> Page:
        """Name those enrolled, by subject, from the first one after ``after``.

        Raises:
            ActionError: they cannot be read.
        """
        most = self._settings().template_days

        def work(gallery: Gallery) -> Page:
            found = (one for one in gallery.persons() if after is None or one.subject > after)
            page = heapq.nsmallest(limit + 1, found, key=lambda person: person.subject)
            persons = (replace(one, days=min(one.days, most)) for one in page[:limit])
            return Page(tuple(persons), gallery.count(), more=len(page) > limit)

        with _for_operators():
            return await self._do(work)

    async def person(self, enrolment: str) -> Person | None:
        """Return who was recognised; None: they are enrolled no more.

        Raises:
            GalleryError: that cannot be found out.
        """
        now, most = _moment(self._clock.stamp()), self._settings().template_days
        return await self._do(lambda gallery: gallery.find(enrolment, now, most))

    # -- on the loop -----------------------------------------------------------------------

    async def _look(self) -> None:
        stamp, now_s = self._clock.stamp(), self._clock.monotonic()
        passed_s, self._looked_s = max(0.0, now_s - self._looked_s), now_s
        try:
            if await asyncio.to_thread(self._keeper.exists):
                await self._do(lambda gallery: self._sweep(gallery, stamp, passed_s))
                await self._tell_notes()
            self._fault = None
        except GalleryError as error:
            self._fault = str(error)
            log.warning("gallery_unusable", error=str(error))

    async def _tell_notes(self) -> None:
        """Tell what was not told yet; what cannot be told now is at the next look."""
        async with self._telling:
            try:
                for number, text in await self._do(Gallery.notes):
                    await self._tell_note(text)
                    await self._do(partial(Gallery.told, number=number))
            except (GalleryError, OutboxError) as error:
                log.warning("enrolment_not_told", error=str(error))

    async def _tell_note(self, text: str) -> None:
        try:
            note = parse_kept(_Note, text)
        except ContractError:  # never what it says
            log.warning("enrolment_not_told", error="the note of it is damaged")
            return
        await self._record(note.event, note.stamp)
        await self._publish(note.event, note.stamp)

    async def _do(self, work: Callable[[Gallery], T], *, make_key: bool = False) -> T:
        """Work on the gallery in a thread; to its end even where it is cancelled.

        Raises:
            GalleryError: the gallery cannot be used; nothing was changed.
        """
        async with self._working:
            doing = asyncio.create_task(
                asyncio.to_thread(self._keeper.work, work, make_key=make_key)
            )
            try:
                return await asyncio.shield(doing)
            finally:
                await asyncio.wait({doing})
                if not doing.cancelled():
                    doing.exception()
                self._see()

    def _see(self) -> None:
        """Tell of what was found in the thread."""
        state, damage = self._keeper.state, self._keeper.damage
        seen = state.access, state.changes
        if damage is not None or seen != self._seen:
            self._seen = seen
            self._on_change()
        if damage is not None:
            self._tell("gallery.damaged", damage)
        most = self.max_persons
        full = f"{self.persons} of {most} persons are enrolled: remove who need not be"
        for code, text in (
            ("gallery.key_lost", state.key_problem),
            ("gallery.nearly_full", full if self.persons >= _NEARLY_FULL * most else None),
        ):
            if self._told.get(code) != text:
                self._told[code] = text
                self._tell(code, text)

    # -- in the thread ---------------------------------------------------------------------

    def _sweep(self, gallery: Gallery, stamp: Stamp, passed_s: float) -> None:
        gallery.live(passed_s)
        now, most = _moment(stamp), self._settings().template_days
        note = _removal("expired", _BY_ITSELF, stamp)
        while gallery.expire(now, most, note, limit=NAMED_AT_ONCE).enrolments:
            pass
        if gallery.lived_s() >= SET_ASIDE_S:
            self._keeper.delete_set_aside()
        if gallery.key_problem() is not None:
            return
        damaged = gallery.damaged()
        note = _removal("unusable", _BY_ITSELF, stamp)
        for first in range(0, len(damaged), NAMED_AT_ONCE):
            gallery.remove_enrolments(damaged[first : first + NAMED_AT_ONCE], note)
        if damaged:
            self._keeper.damage = (
                f"{len(damaged)} records of enrolled staff were damaged and are deleted "
                f"({', '.join(damaged[:8])}); enrol them anew"
            )

    def _check_room(self, gallery: Gallery, subject: str) -> None:
        if problem := self._keeper.key_fault or gallery.key_problem():
            raise GalleryKeyError(problem)
        most = self.max_persons
        if gallery.count() >= most and gallery.enrolment_of(subject) is None:
            msg = f"{most} persons are enrolled, as many as this kiosk takes; remove one first"
            raise ActionError(msg)

    def _enrol(
        self,
        gallery: Gallery,
        order: IdentityEnroll,
        captured: CapturedTemplate,
        by: str,
        stamp: Stamp,
    ) -> Enrolled:
        self._check_room(gallery, order.subject)
        now, twin = _moment(stamp), captured.duplicate
        if (
            twin is not None
            and twin != gallery.enrolment_of(order.subject)
            # An identity process may not have heard yet that it was removed.
            and gallery.find(twin, now, self._settings().template_days) is not None
        ):
            msg = f"this person is enrolled already, as enrolment {twin}; remove that one first"
            raise ActionError(msg)
        new = NewPerson(
            subject=order.subject,
            purposes=tuple(dict.fromkeys(order.purposes)),
            consent_code=order.consent_code,
            days=order.days,
            recogniser=captured.recogniser,
            by=by,
        )
        return gallery.enrol(new, captured.template, now, lambda done: _words(done, stamp))


def _moment(stamp: Stamp) -> Moment:
    return Moment(stamp.time, stamp.time_quality == "synced")


def _words(done: Enrolled, stamp: Stamp) -> Iterator[str]:
    """Say what there is to tell of an enrolment."""
    person = done.person
    if done.replaced is not None:
        yield from _removal("replaced", person.by, stamp)(done.replaced)
    event = PersonEnrolled(
        enrolment=person.enrolment,
        purposes=person.purposes,
        consent_code=person.consent_code,
        expires=person.expires,
        recogniser=person.recogniser,
        persons=done.persons,
        by=person.by,
    )
    yield _Note(stamp=stamp, event=event).model_dump_json()


def _removal(reason: Reason, by: str, stamp: Stamp) -> NoteRemoval:
    """Say what there is to tell of a deletion."""

    def words(removed: Removed) -> Iterator[str]:
        event = PersonRemoved(
            enrolments=removed.enrolments[:NAMED_AT_ONCE],
            reason=reason,
            deleted=len(removed.enrolments),
            digest=removed.digest,
            persons=removed.persons,
            by=by,
        )
        yield _Note(stamp=stamp, event=event).model_dump_json()

    return words


@contextmanager
def _for_operators() -> Iterator[None]:
    try:
        yield
    except GalleryError as error:
        raise ActionError(str(error)) from None
