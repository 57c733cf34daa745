"""What the business application asks about persons, and what it is told."""

from typing import Annotated, Literal

from pydantic import Base64Bytes, Field

from commands.desk.view import PromptView
from contract.actions import ConsentCode, MaintenanceOn, Sha256, StaffPurpose, Subject
from contract.identity import Enrolment, IdentityOutcome
from contract.ids import MessageId
from contract.wire import Name, Text, UtcTime, WireModel
from vision.identity.reasons import TEXTS, Reason, Step
from vision.identity.report import MAX_PORTRAIT_BYTES

MAX_BODY_BYTES = MAX_PORTRAIT_BYTES * 4 // 3 + 64 * 1024
"""Of a request that carries a portrait in base64."""

Limit = Annotated[float, Field(ge=1, le=120)]
Portrait = Annotated[Base64Bytes, Field(max_length=MAX_PORTRAIT_BYTES * 4 // 3 + 4)]


class VerifyRequest(WireModel):
    """Is the person before the camera the one of the document?"""

    session_id: MessageId
    purpose: Name = Field(description="What for.", examples=["licence.renew"])
    consent_code: ConsentCode = Field(description="Where the person's consent is on record.")
    face: bool = Field(
        default=True,
        description="False: the person does not want it. Answered at once with `refer` and "
        "`declined`: staff check the document by eye.",
    )
    portrait: Portrait | None = Field(
        default=None,
        repr=False,
        description="The document's, a JPEG, PNG or BMP file in base64. Default: that of the card "
        "which was read in this session.",
    )
    document_number: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        repr=False,
        description="Of a document that came as a picture: for the pseudonym only.",
    )
    camera: Name | None = Field(default=None, description="Default: the only one for faces.")
    time_limit_s: Limit | None = Field(default=None, description="Default: the settings'.")


class IdentifyRequest(WireModel):
    """Which member of staff is before the camera?"""

    purpose: StaffPurpose
    session_id: MessageId | None = None
    camera: Name | None = Field(default=None, description="Default: the only one for faces.")
    time_limit_s: Limit | None = Field(default=None, description="Default: the settings'.")


class CheckAnswer(WireModel):
    """How a check ended. How alike the faces were stays inside the box."""

    decision_id: MessageId
    outcome: IdentityOutcome = Field(description="refer: a human has to decide.")
    reasons: tuple[PromptView, ...] = Field(description="The first one matters most.")
    enrolment: Enrolment | None = Field(default=None, description="Of staff who was recognised.")
    recogniser: str | None = None
    calibration: Name | None = Field(default=None, description="Version of the thresholds.")
    took_ms: int


class OverrideRequest(WireModel):
    """Staff lets business go on although the check did not end in a match."""

    reason: Text = Field(min_length=1)
    staff_decision_id: MessageId | None = Field(
        default=None, description="Of the check by which the member of staff was recognised."
    )


class CabinetRequest(WireModel):
    """Open the cabinet on the word of a check for this purpose, of the last two minutes."""

    decision_id: MessageId


class MaintenanceRequest(MaintenanceOn):
    """Somebody works on the kiosk: business rests."""

    decision_id: MessageId | None = Field(
        default=None, description="Of the check by which the member of staff was recognised."
    )


class EnrollRequest(WireModel):
    """Enrol the person before the camera; for root and the agent's own user."""

    subject: Subject
    purposes: tuple[StaffPurpose, ...] = Field(min_length=1, max_length=3)
    consent_code: ConsentCode
    days: int = Field(ge=1, le=1096)
    camera: Name | None = None
    time_limit_s: Annotated[float, Field(ge=5, le=120)] | None = Field(
        default=None, description="Default: a minute."
    )


class EnrolledView(WireModel):
    """Somebody is enrolled."""

    enrolment: Enrolment
    expires: UtcTime
    persons: int


class StaffMember(WireModel):
    """Somebody who is enrolled."""

    subject: Subject
    enrolment: Enrolment
    purposes: tuple[StaffPurpose, ...]
    consent_code: ConsentCode
    enrolled: UtcTime
    expires: UtcTime


class StaffView(WireModel):
    """All who are enrolled, by subject."""

    persons: tuple[StaffMember, ...]


class RemovedView(WireModel):
    """What was deleted."""

    deleted: int
    enrolments: tuple[Enrolment, ...]
    digest: Sha256 = Field(description="As in the event identity.removed.")
    persons: int = Field(description="Enrolled now.")


class CardRequest(WireModel):
    """Read the identity card on the reader, for a session."""

    time_limit_s: Limit = 20.0


class CardView(WireModel):
    """What the card says; forgotten by the agent when the session ends."""

    kind: Literal["resident", "foreigner", "hk_macau_taiwan"]
    name: str
    sex: str
    nation: str
    birth: str = Field(description="Year-month-day.")
    address: str
    number: str
    issuer: str
    valid_from: str
    valid_until: str = Field(description="A date, or `long-term`.")
    problems: tuple[Name, ...] = Field(
        default=(), description="What is wrong with it, such as expired or check_digit."
    )
    has_portrait: bool = Field(description="Whether its picture can be compared with.")


def prompt(code: Reason | Step) -> PromptView:
    """Return a code with its sentences for the screen."""
    zh, en = TEXTS[code]
    return PromptView(code=code, zh=zh, en=en)
