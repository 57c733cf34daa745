"""What the business application gets to see of the desk; each a subject of its event stream."""

from typing import Literal

from pydantic import Field

from commands.machine import PowerKind
from contract.actions import ScreenText
from contract.business import Mode
from contract.ids import MessageId
from contract.wire import Name, Text, UtcTime, WireModel


class ServiceView(WireModel):
    """Whether the kiosk does business now."""

    state: Literal["open", "locked", "maintenance"] = Field(
        description="locked comes before maintenance where both hold."
    )
    text: ScreenText = Field(default="", description="For the citizen, while not open.")
    until: UtcTime | None = Field(default=None, description="Ends by itself then.")
    may_begin: bool = Field(description="Whether a session may begin now.")
    reason: Text = Field(default="", description="Why not.")


class SessionView(WireModel):
    """A citizen is being served."""

    id: MessageId
    business: Name
    mode: Mode
    begun: UtcTime
    idle_timeout_s: float = Field(
        description="Ends by itself when it was not kept alive for so long."
    )


class SessionsView(WireModel):
    """All open sessions, the oldest first."""

    sessions: tuple[SessionView, ...]


class AnnouncementView(WireModel):
    """A text from the command centre to be shown."""

    id: MessageId
    text: ScreenText
    begun: UtcTime
    until: UtcTime


class AnnouncementsView(WireModel):
    """All announcements in force, the oldest first."""

    announcements: tuple[AnnouncementView, ...]


class PowerView(WireModel):
    """The machine goes down soon, or does not (``none``)."""

    kind: PowerKind | Literal["none"]
    seconds_left: float = Field(default=0, ge=0)
    text: ScreenText = ""


class PromptView(WireModel):
    """What the person before the camera is asked for."""

    code: Name
    zh: ScreenText
    en: ScreenText


class IdentityView(WireModel):
    """The identity check that is under way, or how the last one ended."""

    check: Literal["none", "verify", "identify", "enroll"] = "none"
    camera: Name | None = None
    session_id: MessageId | None = None
    prompts: tuple[PromptView, ...] = Field(
        default=(), max_length=8, description="The first one matters most."
    )
    steps_left: int = Field(default=0, ge=0, description="Of the challenge.")
    until: UtcTime | None = Field(default=None, description="When the check ends at the latest.")
    decision_id: MessageId | None = Field(default=None, description="Of the check that is over.")
    outcome: Literal["match", "no_match", "refer"] | None = None


Subject = Literal["service", "sessions", "announcements", "power", "identity"]
View = ServiceView | SessionsView | AnnouncementsView | PowerView | IdentityView
VIEWS: dict[Subject, type[WireModel]] = {
    "service": ServiceView,
    "sessions": SessionsView,
    "announcements": AnnouncementsView,
    "power": PowerView,
    "identity": IdentityView,
}
"""The name of each event and its data: always the whole of the subject, never a difference."""
