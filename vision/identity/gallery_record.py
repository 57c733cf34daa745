"""Who is enrolled, and how a record of it is sealed.

A record is sealed whole (AES-256-GCM): the template with the person, what they are enrolled for
and where their consent is on record. Bound to it are the format, the enrolment, the keyed hash
(HMAC-SHA-256) of the subject, and the numbers that retention goes by: no record can be put in
another's place, serve another purpose, or be made to last longer.
"""

import hmac
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:  # the identity processes do without the contract
    from contract.actions import StaffPurpose

FORMAT = 1
DAY_S = 86_400
_NONCE_BYTES = 12
_INFO = b"kiosk-agent gallery 1"


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, and whether the clock could be believed."""

    time: datetime
    synced: bool

    @property
    def ms(self) -> int:
        """Milliseconds since 1970."""
        return round(self.time.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Somebody to be enrolled."""

    subject: str = field(repr=False)
    purposes: "tuple[StaffPurpose, ...]"
    consent_code: str
    days: int
    """To be kept for so long."""
    recogniser: str
    by: str
    """Who enrols them."""


@dataclass(frozen=True, slots=True)
class Person(NewPerson):
    """Somebody enrolled; the template stays in the gallery."""

    enrolment: str
    enrolled: datetime

    @property
    def expires(self) -> datetime:
        """When it ends, by the clock of the enrolment."""
        return self.enrolled + timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class Stored:
    """What a person is recognised by."""

    enrolment: str
    template: bytes = field(repr=False)
    """float32, little-endian."""


@dataclass(frozen=True, slots=True)
class Removed:
    """Records that are gone."""

    enrolments: tuple[str, ...]
    """Sorted."""
    digest: str
    """SHA-256 over the records as they were stored, by enrolment: of each that number in ASCII,
    the length of what was sealed (4 bytes, big-endian), and that."""
    persons: int
    """Still enrolled."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What an enrolment has changed."""

    person: Person
    replaced: Removed | None
    """Of the same subject, from before."""
    persons: int
    """Enrolled now."""


@dataclass(frozen=True, slots=True)
class Record:
    """A row of the gallery."""

    number: int
    enrolment: str
    subject: bytes
    """The keyed hash."""
    enrolled_ms: int
    synced: int
    lived_s: float
    """For how long the gallery had been in use when it was made."""
    days: int
    sealed: bytes = field(default=b"", repr=False)
    """Nonce, content, tag."""

    @property
    def bound(self) -> bytes:
        """The associated data."""
        told = (
            FORMAT,
            self.enrolment,
            self.subject.hex(),
            self.enrolled_ms,
            self.synced,
            self.lived_s,
            self.days,
        )
        return json.dumps(told).encode()

    def is_over(self, now: Moment, lived_s: float, max_days: int) -> bool:
        """Whether it has had its time: by a clock right at both ends, or by the time in use."""
        age_s = lived_s - self.lived_s
        if self.synced and now.synced:
            age_s = max(age_s, (now.ms - self.enrolled_ms) / 1000)
        return age_s >= min(self.days, max_days) * DAY_S


class Keys:
    """What the gallery's key is used for, each use with a key of its own (HKDF, RFC 5869)."""

    def __init__(self, key: bytes) -> None:
        material = HKDF(SHA256(), 96, salt=None, info=_INFO).derive(key)
        self._cipher = AESGCM(material[:32])
        self._subject = material[32:64]
        self.check = material[64:]
        """Tells whether a gallery is of this key."""

    def subject(self, name: str) -> bytes:
        """Return what a subject is found by."""
        return hmac.new(self._subject, name.encode(), "sha256").digest()

    def seal(self, record: Record, new: NewPerson, template: bytes) -> bytes:
        """Seal what is to be kept of a person; the record is what it is bound to."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        content = json.dumps(_about(new)).encode() + b"\n" + template
        return nonce + self._cipher.encrypt(nonce, content, record.bound)

    def unseal(self, record: Record) -> "Unsealed | None":
        """Open a record; None: it is not what was sealed."""
        nonce, content = record.sealed[:_NONCE_BYTES], record.sealed[_NONCE_BYTES:]
        try:
            opened = self._cipher.decrypt(nonce, content, record.bound)
        except (InvalidTag, ValueError):  # ValueError: too short for a nonce
            return None
        about, _, template = opened.partition(b"\n")
        return Unsealed(_person(record, json.loads(about)), template)


@dataclass(frozen=True, slots=True)
class Unsealed:
    """An opened record."""

    person: Person
    template: bytes = field(repr=False)


def enrolled(record: Record, new: NewPerson) -> Person:
    """Return the person of a record that is being made."""
    return _person(record, _about(new))


def _about(new: NewPerson) -> dict[str, Any]:
    return {
        "subject": new.subject,
        "purposes": new.purposes,
        "consent_code": new.consent_code,
        "recogniser": new.recogniser,
        "by": new.by,
    }


def _person(record: Record, about: dict[str, Any]) -> Person:
    return Person(
        subject=about["subject"],
        purposes=tuple(about["purposes"]),
        consent_code=about["consent_code"],
        days=record.days,
        recogniser=about["recogniser"],
        by=about["by"],
        enrolment=record.enrolment,
        enrolled=datetime.fromtimestamp(record.enrolled_ms / 1000, UTC),
    )
