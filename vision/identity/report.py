"""What the agent asks of an identity process, and what it is told: one JSON object a line.

None of it leaves the box; what the agent tells others is in ``contract.identity``.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from vision import life
from vision.identity.reasons import Reason, Step
from vision.identity.settings import CameraIdentitySettings, IdentitySettings, Liveness
from vision.life import Failed

MAX_PORTRAIT_BYTES = 2 * 1024 * 1024

Outcome = Literal["match", "no_match", "refer"]


class _Line(BaseModel):
    """Bytes are base64 in JSON."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )


# -- to the process ----------------------------------------------------------------------------


class GalleryAccess(_Line):
    """Where the enrolled staff are kept, and what opens it."""

    file: Path
    key: bytes | None = Field(default=None, min_length=32, max_length=32, repr=False)
    """None: it cannot be had, so nobody can be looked for."""


class IdentityOrder(_Line):
    """One camera before which faces are to be compared; the first line."""

    frames: Path
    """Where its newest frame lies (``FrameReader``)."""
    settings: CameraIdentitySettings
    identity: IdentitySettings
    gallery: GalleryAccess | None = None
    """None: nobody is enrolled."""


class _Check(_Line):
    id: str
    """Of the check; what is reported of it carries the same."""
    limit_s: float = Field(gt=0)
    liveness: Liveness


class Verify(_Check):
    """Is the person before the camera the one of the portrait?"""

    kind: Literal["verify"] = "verify"
    portrait: bytes = Field(max_length=MAX_PORTRAIT_BYTES, repr=False)
    """A JPEG, PNG or BMP file."""
    session: str | None = None
    """Whose the verified person is: watched for others until :class:`Forget`."""


class Identify(_Check):
    """Which enrolled person is before the camera?"""

    kind: Literal["identify"] = "identify"


class Enrol(_Check):
    """Make a template of the person before the camera."""

    kind: Literal["enrol"] = "enrol"


class Cancel(_Line):
    """End a check; it is answered with ``refer`` and ``cancelled``."""

    kind: Literal["cancel"] = "cancel"
    id: str


class Reload(_Line):
    """The gallery has changed."""

    kind: Literal["reload"] = "reload"
    gallery: GalleryAccess | None = None
    """None: nobody is enrolled any more."""


class Forget(_Line):
    """A session is over: who was verified in it is forgotten."""

    kind: Literal["forget"] = "forget"
    session: str


Ask = Verify | Identify | Enrol | Cancel | Reload | Forget

# -- from the process --------------------------------------------------------------------------


class Opened(life.Opened):
    """The models are loaded."""

    recogniser: str
    calibration: str
    """Version of the thresholds."""
    attack_model: str | None = None


class Beat(life.Beat):
    """A sign of life, about once a second; counts are since the process started."""

    enrolled: int
    """Templates that a person is looked for in."""
    gallery_problem: str | None = None
    """Why nobody is looked for, in a sentence."""


class Hint(_Line):
    """What the person is to do now; told when it changes."""

    kind: Literal["hint"] = "hint"
    id: str
    reasons: tuple[Reason, ...] = ()
    """Why the frames are not good enough yet."""
    step: Step | None = None
    """What the challenge asks for."""
    steps_left: int = 0


class Answered(_Line):
    """A check is over."""

    kind: Literal["answered"] = "answered"
    id: str
    outcome: Outcome
    """Of an enrolment: ``match``, where there is a template."""
    reasons: tuple[Reason, ...] = ()
    similarity: float | None = None
    """Stays inside the box."""
    enrolment: str | None = None
    """Of an identification: who it is. Of an enrolment: who looks the same already."""
    template: bytes | None = Field(default=None, max_length=16_384, repr=False)
    """Of an enrolment: float32, little-endian."""
    frames: int = 0
    """That the decision rests on."""
    took_ms: int
    """From the ask to the answer."""


def refer(check: str, reason: Reason, *, took_ms: int = 0) -> Answered:
    """Answer a check that nobody could do."""
    return Answered(id=check, outcome="refer", reasons=(reason,), took_ms=took_ms)


class Present(_Line):
    """Who is before the camera, told when it changes."""

    kind: Literal["present"] = "present"
    faces: int
    """Good enough to be compared or not."""
    staff: tuple[str, ...] = ()
    """Enrolments of those that are known."""
    others: int = 0
    """Good faces that are of nobody enrolled; not counted where nobody is."""
    session: str | None = None
    """A session whose person was verified here."""
    session_person: Literal["here", "away", "other"] | None = None
    """``other``: somebody else alone stands there in good quality, and it was looked at long
    enough."""


class Blind(_Line):
    """No frames come: who is before the camera is not known until the next :class:`Present`."""

    kind: Literal["blind"] = "blind"


Report = Opened | Beat | Hint | Answered | Present | Blind | Failed

_asks: TypeAdapter[Ask] = TypeAdapter(Annotated[Ask, Field(discriminator="kind")])
_reports: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="kind")])


def parse_ask(line: bytes) -> Ask:
    """Read one line to the process. Raises ``ValueError``: it is no ask."""
    return _asks.validate_json(line)


def parse_report(line: bytes) -> Report:
    """Read one line from the process. Raises ``ValueError``: it is no report."""
    return _reports.validate_json(line)
