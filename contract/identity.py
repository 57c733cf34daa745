"""Identity checks and the supervision of business: who was checked, how it ended, what is odd.

Nothing here is biometric: no picture, no template, no similarity. A person is a pseudonym, or the
random number of an enrolment, which only ``identity.list`` ties to a name.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contract.actions import ConsentCode, Sha256, StaffPurpose
from contract.ids import MessageId
from contract.message import Event, Priority
from contract.plates import ModelName
from contract.wire import Name, Text, UtcTime

Pseudonym = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Enrolment = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
"""Random; a new one whenever a person is enrolled."""
IdentityOutcome = Literal["match", "no_match", "refer"]
"""``refer``: a human has to decide."""
Liveness = Literal["off", "passive", "challenge"]


class IdentityDecision(Event, kind="identity.decision"):
    """Somebody was checked against a document, or looked for among enrolled staff."""

    decision_id: MessageId
    check: Literal["verify", "identify"] = Field(
        description="verify: against a document's portrait. identify: among enrolled staff."
    )
    camera: Name | None = Field(default=None, description="Absent where none was looked through.")
    session_id: MessageId | None = None
    purpose: Name = Field(description="What for; of staff: presence, cabinet, maintenance.")
    consent_code: ConsentCode
    outcome: IdentityOutcome
    reasons: tuple[Name, ...] = Field(default=(), max_length=16)
    pseudonym: Pseudonym | None = Field(
        default=None,
        description="Of the document's holder: the same for the same person and purpose as long as "
        "the key id is the same. Absent where the document has no number.",
    )
    pseudonym_key_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")] | None = None
    enrolment: Enrolment | None = Field(default=None, description="Of staff who was recognised.")
    liveness: Liveness | None = Field(default=None, description="How it was looked for.")
    detector: ModelName | None = None
    recogniser: ModelName | None = None
    calibration: Name | None = Field(default=None, description="Version of the thresholds.")
    frames: int = Field(default=0, ge=0, description="That the decision rests on.")
    took_ms: int = Field(ge=0)


class IdentityOverridden(Event, kind="identity.overridden"):
    """Staff let business go on although the check did not end in a match."""

    decision_id: MessageId
    session_id: MessageId | None = None
    outcome: IdentityOutcome = Field(description="Of the decision.")
    reason: Text = Field(description="In the words of who did it.")
    by: Name | Text = Field(description="The local user, or the enrolment of who was recognised.")


class CabinetOpened(Event, kind="cabinet.opened"):
    """A member of staff was recognised, and may open the cabinet."""

    enrolment: Enrolment
    decision_id: MessageId
    for_s: float = Field(description="Shut again after so long.")


class PersonEnrolled(Event, kind="identity.enrolled"):
    """A member of staff was enrolled; consent is recorded."""

    enrolment: Enrolment
    purposes: tuple[StaffPurpose, ...]
    consent_code: ConsentCode
    expires: UtcTime
    recogniser: ModelName
    persons: int = Field(ge=0, description="Enrolled now.")
    by: Text


class PersonRemoved(Event, kind="identity.removed"):
    """Templates were deleted: the receipt of it."""

    enrolments: tuple[Enrolment, ...] = Field(max_length=64)
    reason: Literal["asked", "expired", "replaced", "unusable"]
    deleted: int = Field(ge=0, description="Templates deleted, all at once.")
    digest: Sha256 = Field(
        description="SHA-256 over the deleted records as they were stored, encrypted: says which, "
        "and tells nothing of the face."
    )
    persons: int = Field(ge=0, description="Enrolled now.")
    by: Text


class StaffBegin(Event, kind="staff.begin"):
    """An enrolled member of staff came before a camera."""

    camera: Name
    enrolment: Enrolment


class StaffEnd(Event, kind="staff.end"):
    """They are not seen any more. After a restart of the agent, ``agent.started`` stands for it."""

    camera: Name
    enrolment: Enrolment
    begun: UtcTime
    duration_s: float
    reason: Literal["left", "unwatched"] = Field(
        description="unwatched: nobody looks any more: the camera is gone, or supervision is off."
    )


SupervisionRule = Literal[
    "counter_unattended", "other_person", "person_unwatched", "out_of_hours", "repeated_overrides"
]


class SupervisionFinding(Event, kind="supervision.finding", priority=Priority.ALARM):
    """Business did not go as it should: for a supervisor to look at, with what to look at."""

    finding_id: MessageId = Field(
        description="Also in the audit trail, in an entry of the kind supervision.RULE."
    )
    rule: SupervisionRule
    phase: Literal["begin", "end", "once"] = Field(
        description="Of what begins, the end comes at the latest with that of the session."
    )
    text: Text
    begun: UtcTime
    duration_s: float | None = Field(default=None, description="At the end.")
    ended: Literal["over", "session_ended", "switched_off"] | None = Field(
        default=None, description="At the end: why."
    )
    camera: Name | None = None
    session_id: MessageId | None = None
    business: Name | None = None
    enrolment: Enrolment | None = None
    decision_ids: tuple[MessageId, ...] = Field(
        default=(), max_length=32, description="The decisions it rests on, newest last."
    )
    count: int | None = Field(default=None, ge=0, description="Of overrides in the time.")
