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


Subject = Literal["service", "sessions", "announcements", "power"]
View = ServiceView | SessionsView | AnnouncementsView | PowerView
VIEWS: dict[Subject, type[WireModel]] = {
    "service": ServiceView,
    "sessions": SessionsView,
    "announcements": AnnouncementsView,
    "power": PowerView,
}
"""The name of each event and its data: always the whole of the subject, never a difference."""
