"""What cameras see and what alarms say."""

from typing import Literal

from pydantic import Field

from contract.ids import MessageId
from contract.message import Event, Priority
from contract.wire import Name, Text, UtcTime


class CameraOnline(Event, kind="camera.online"):
    """Frames arrive: at start, or again after a loss."""

    camera: Name
    width_px: int
    height_px: int
    outage_s: float | None = Field(default=None, description="Length of the loss before it.")


class CameraLost(Event, kind="camera.lost"):
    """No frames: missing at start, unplugged, or hung and killed."""

    camera: Name
    reason: Literal["open_failed", "ended", "hung", "crashed"]
    text: Text


class CameraCondition(Event):
    """A condition of the picture began or ended; the evidence is what was measured."""

    camera: Name
    phase: Literal["begin", "end"]
    duration_s: float | None = Field(default=None, description="At the end: how long it lasted.")
    luma_mean: float = Field(description="Mean brightness, 0 to 255.")
    luma_std: float = Field(description="Standard deviation of brightness, 0 to 127.5.")
    sharpness: float = Field(description="Variance of the Laplacian on the analysis picture.")
    sharpness_usual: float | None = None
    still_s: float = Field(description="Seconds since the picture last changed at all.")
    scene_match: float | None = Field(
        default=None, description="Correlation with the learned scene, -1 to 1."
    )


class CameraBlack(CameraCondition, kind="camera.black"):
    """The picture is black."""


class CameraFrozen(CameraCondition, kind="camera.frozen"):
    """Frames arrive, all of them the same."""


class CameraBlurred(CameraCondition, kind="camera.blurred"):
    """The picture lost its detail: out of focus, dirt, fog."""


class CameraCovered(CameraCondition, kind="camera.covered"):
    """Something is held or stuck before the lens."""


class CameraMoved(CameraCondition, kind="camera.moved"):
    """The camera looks at another scene than it learned."""


class MotionBegin(Event, kind="motion.begin"):
    """Something started to move."""

    camera: Name
    area_percent: float = Field(ge=0, le=100, description="Share of the picture that moves.")


class MotionEnd(Event, kind="motion.end"):
    """The picture came to rest."""

    camera: Name
    begun: UtcTime
    duration_s: float
    area_max_percent: float = Field(ge=0, le=100)


class PresenceBegin(Event, kind="presence.begin"):
    """A person faces the camera. One event a presence, not a frame."""

    camera: Name
    face_px: int = Field(description="Width of the largest face, in pixels of the camera.")
    faces: int = Field(ge=1)


class PresenceEnd(Event, kind="presence.end"):
    """Nobody faces the camera any more."""

    camera: Name
    begun: UtcTime
    duration_s: float
    faces_max: int = Field(ge=1)


PeripheralState = Literal["ok", "fault", "absent"]
"""``absent``: not plugged in; ``fault``: there, and does not work."""


class PeripheralChanged(Event, kind="peripheral.changed"):
    """A device of the kiosk works, does not work any more, or does not for another reason."""

    peripheral: Name
    device: Name = Field(description="What it is, such as id_card_reader.")
    state: PeripheralState
    code: Name = Field(description="Why; ready, where it works.")
    text: Text = Field(default="", description="What a person can do about it.")


Severity = Literal["critical", "major", "minor", "warning"]


class AlarmRaised(Event, kind="alarm.raised", priority=Priority.ALARM):
    """A condition that somebody has to act on."""

    alarm_id: MessageId
    code: Name
    severity: Severity
    subject: Name | None = Field(default=None, description="Camera, task or device it is about.")
    text: Text
    value: float | None = None
    threshold: float | None = None


class AlarmCleared(Event, kind="alarm.cleared", priority=Priority.ALARM):
    """The condition is over."""

    alarm_id: MessageId
    code: Name
    severity: Severity
    subject: Name | None = None
    raised: UtcTime
    duration_s: float
    value: float | None = None
