"""What a person's template is compared with: a document's, or those of enrolled staff."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from vision.identity.base import Template
from vision.identity.reasons import Reason
from vision.identity.report import Outcome
from vision.identity.search import Index, packed
from vision.models.manifest import Calibration


@dataclass(frozen=True, slots=True)
class Compared:
    """How a comparison ended; it stays inside the box."""

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    similarity: float | None = field(default=None, repr=False)
    enrolment: str | None = None
    """Who of the staff it is."""
    template: bytes | None = field(default=None, repr=False)
    """To be enrolled: float32, little-endian."""


Compare = Callable[[Template], Compared]


class Scale(Protocol):
    """What similarities mean."""

    def similarity(self, a: Template, b: Template) -> float:
        """Compare two templates."""
        ...

    def outcome(self, similarity: float) -> Outcome:
        """Judge a similarity."""
        ...


def against(document: Template, scale: Scale) -> Compare:
    """Compare with one template: the same person or not."""
    reasons: dict[Outcome, tuple[Reason, ...]] = {
        "match": (),
        "no_match": ("different",),
        "refer": ("doubtful",),
    }

    def compare(template: Template) -> Compared:
        similarity = scale.similarity(document, template)
        outcome = scale.outcome(similarity)
        return Compared(outcome, reasons[outcome], similarity)

    return compare


def among(staff: Index, calibration: Calibration) -> Compare:
    """Look for the person among all who are enrolled."""

    def compare(template: Template) -> Compared:
        found = staff.search(template)
        if found is None:
            return Compared("no_match", ("unknown_person",))
        if found.similarity < calibration.no_match_below:
            return Compared("no_match", ("unknown_person",), found.similarity)
        sure = calibration.identify_at
        if found.similarity >= sure > (found.next_similarity or -1.0):
            return Compared("match", (), found.similarity, found.enrolment)
        return Compared("refer", ("doubtful",), found.similarity)

    return compare


def enrolling(staff: Index | None, calibration: Calibration) -> Compare:
    """Make what is to be stored, and say who is enrolled already and looks the same."""

    def compare(template: Template) -> Compared:
        found = staff.search(template) if staff else None
        same = found.enrolment if found and found.similarity >= calibration.match_at else None
        return Compared("match", enrolment=same, template=packed(template))

    return compare
