"""What happens at the counter: sessions, locks, the door, maintenance."""

from typing import Literal

from pydantic import Field

from contract.actions import ScreenText
from contract.ids import MessageId
from contract.message import Event
from contract.wire import Name, Text, UtcTime

Mode = Literal["self_service", "staff"]


class SessionBegin(Event, kind="session.begin"):
    """A citizen is being served from now on."""

    session_id: MessageId
    business: Name = Field(description="Such as violation.pay; the business application's word.")
    mode: Mode


class SessionEnd(Event, kind="session.end"):
    """The citizen is served, has left, or was forgotten by the business application."""

    session_id: MessageId
    business: Name
    mode: Mode
    begun: UtcTime
    duration_s: float
    reason: Literal["ended", "timeout", "agent_restarted"]


class ServiceLocked(Event, kind="service.locked"):
    """Screen and business are closed."""

    text: ScreenText = ""
    until: UtcTime | None = Field(default=None, description="Ends by itself then.")
    command_id: MessageId | None = None


class ServiceUnlocked(Event, kind="service.unlocked"):
    """Screen and business are open again."""

    reason: Literal["command", "lease"]
    command_id: MessageId | None = None


class DoorLocked(Event, kind="door.locked"):
    """Nobody can enter; the way out is always open."""

    until: UtcTime
    command_id: MessageId | None = None


class DoorUnlocked(Event, kind="door.unlocked"):
    """People can enter again."""

    reason: Literal["command", "lease", "alarm", "agent_stopped"]
    alarm: Name | None = Field(default=None, description="The code of the alarm that opened it.")
    command_id: MessageId | None = None


class MaintenanceBegin(Event, kind="maintenance.begin"):
    """Somebody works on the kiosk; business rests."""

    text: ScreenText = ""
    until: UtcTime
    by: Text = Field(default="", description="Who said so: a command's signers, a local user.")


class MaintenanceEnd(Event, kind="maintenance.end"):
    """The work is over."""

    begun: UtcTime
    duration_s: float
    reason: Literal["ended", "lease"]
