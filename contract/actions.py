"""What commands can ask for: the arguments of each action, one model each.

Both ends use them: ``kioskctl`` checks a command before it is signed, the kiosk before it runs.
A model is registered by its class argument::

    class Reboot(Arguments, action="reboot"): ...
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from contract.ids import MessageId
from contract.keys import OperatorKey
from contract.plates import PlateText, Purpose
from contract.version import Version
from contract.wire import Name, UtcTime, WireModel

DAY_S = 86_400
ScreenText = Annotated[str, StringConstraints(max_length=500)]
"""What the citizen reads."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Subject = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,62}$")]
"""Who is enrolled: a number of staff, or what the centre calls them."""
ConsentCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,62}$")]
"""Where the person's consent is on record."""
Pem = Annotated[str, StringConstraints(min_length=1, max_length=24 * 1024)]
"""Certificates; a chain and all roots together fit a command."""
StaffPurpose = Literal["presence", "cabinet", "maintenance"]

_registry: dict[str, type["Arguments"]] = {}


class Arguments(WireModel):
    """The ``args`` of a command. Subclasses with an ``action`` are registered."""

    ACTION: ClassVar[str] = ""
    PRIVATE: ClassVar[bool] = False
    """Whether they are personal data, which the kiosk's record of commands does not keep."""

    def __init_subclass__(cls, *, action: str = "", private: bool = False, **kwargs: Any) -> None:
        """Register the class under the name of its action."""
        super().__init_subclass__(**kwargs)
        cls.PRIVATE = private
        if action:
            cls.ACTION = action
            _registry[action] = cls


ACTIONS: Mapping[str, type[Arguments]] = MappingProxyType(_registry)
"""The argument model of every action, by name."""


class Ping(Arguments, action="ping"):
    """Is anybody there, and how long does an answer take."""

    echo: str | None = Field(default=None, max_length=256, description="Text to send back.")


class Cancel(Arguments, action="cancel"):
    """Stop a command that waits or runs, as long as it can be stopped."""

    command_id: MessageId = Field(description="The id of the command to stop.")


class _Shutdown(Arguments):
    force: bool = Field(default=False, description="Do not wait for the citizen's session to end.")
    grace_s: int = Field(
        default=15, ge=0, le=600, description="Announced on the screen for so long before."
    )


class Reboot(_Shutdown, action="reboot"):
    """Restart the machine; done when it is back with another kernel boot id."""


class PowerOff(_Shutdown, action="poweroff"):
    """Switch the machine off; somebody has to switch it on again."""


class AgentRestart(Arguments, action="agent.restart"):
    """Restart the agent, not the machine."""


class ServiceLock(Arguments, action="service.lock"):
    """Close the kiosk's screen and business."""

    text: ScreenText = Field(default="", description="Shown to citizens meanwhile.")
    for_s: int | None = Field(
        default=None, ge=1, le=30 * DAY_S, description="Ends by itself after so long."
    )
    force: bool = Field(default=False, description="Even while a citizen is being served.")


class ServiceUnlock(Arguments, action="service.unlock"):
    """Open the kiosk's screen and business again."""


class DoorLock(Arguments, action="door.lock"):
    """Keep people from entering. Never against the way out; ends by itself."""

    for_s: int = Field(default=600, ge=1, le=DAY_S, description="The lease: unlocked after that.")


class DoorUnlock(Arguments, action="door.unlock"):
    """Let people enter again."""


class ConfigPush(Arguments, action="config.push"):
    """Put settings in force on trial; what cuts the kiosk off or breaks it goes back by itself.

    Settings of the link, of plates and of identity checks, plates in plain text, which plates are
    suppressed, and at which cameras faces are compared take two persons' signatures.
    """

    version: int = Field(ge=1, lt=2**53, description="Higher than any that was tried before.")
    settings: dict[str, Any] = Field(
        description="Tables of the settings file, laid over the kiosk's own file."
    )


class KeysUpdate(Arguments, action="keys.update"):
    """Replace the operators' keys that the kiosk trusts."""

    keys: tuple[OperatorKey, ...] = Field(min_length=1, max_length=200)
    replaces: Sha256 = Field(
        description="Fingerprint of the key set that this one was made from; another is refused."
    )


class Snapshot(Arguments, action="snapshot"):
    """The newest frame of a camera as JPEG on ``up/media``; faces and plates are hidden."""

    camera: Name
    blur: bool = Field(default=True, description="False takes two persons' signatures.")
    max_width_px: int = Field(default=1280, ge=160, le=3840)


class Announce(Arguments, action="announce"):
    """Show a text on the kiosk's screen, and speak it where the machine can."""

    text: ScreenText = Field(min_length=1)
    for_s: int = Field(default=60, ge=1, le=DAY_S)
    speak: bool = False


class LogLevel(Arguments, action="log.level"):
    """Say more or less in the journal."""

    level: Literal["debug", "info", "warning", "error"]
    for_s: int | None = Field(
        default=None, ge=1, le=7 * DAY_S, description="Back to the settings' level after so long."
    )


class LogFetch(Arguments, action="log.fetch"):
    """The newest lines of the agent's journal, gzip, on ``up/media``."""

    since_s: int = Field(default=3600, ge=1, le=30 * DAY_S, description="Not older than this.")
    lines: int = Field(default=2000, ge=1, le=50_000)


class Diagnostics(Arguments, action="diagnostics"):
    """One archive on ``up/media``: versions, settings without secrets, health, tasks, errors."""


class MaintenanceOn(Arguments, action="maintenance.on"):
    """Say that somebody works on the kiosk: business rests, the screen says so."""

    text: ScreenText = ""
    for_s: int = Field(default=3600, ge=1, le=7 * DAY_S, description="Ends by itself.")


class MaintenanceOff(Arguments, action="maintenance.off"):
    """The work is over."""


class WatchListEntry(WireModel):
    """One plate that is looked for."""

    text: PlateText
    code: Name = Field(description="Why, in a word, such as `stolen`.")


class WatchListPut(Arguments, action="plates.watchlist.put", private=True):
    """Look for plates: whoever reads one on the list tells it at once, in plain text.

    A list that does not fit one command is put in several, the later ones with mode add.
    """

    name: Name
    purpose: Purpose = Field(description="What it is for, or which case; told with every hit.")
    expires: UtcTime = Field(description="The list ends then and is deleted.")
    entries: tuple[WatchListEntry, ...] = Field(min_length=1, max_length=1000)
    mode: Literal["replace", "add"] = Field(
        default="replace",
        description="add: to the list of this name, which takes on purpose and expiry.",
    )


class WatchListRemove(Arguments, action="plates.watchlist.remove"):
    """Delete a watch list before it expires."""

    name: Name


class WatchListList(Arguments, action="plates.watchlist.list"):
    """Name the watch lists, their purposes, sizes and ends; not the plates."""


class IdentityEnroll(Arguments, action="identity.enroll", private=True):
    """Enrol the person who stands before the camera now; their picture is never sent anywhere."""

    subject: Subject
    purposes: tuple[StaffPurpose, ...] = Field(
        min_length=1,
        max_length=3,
        description="presence: their being there is told; cabinet: they may open it; maintenance: "
        "they may begin it.",
    )
    consent_code: ConsentCode
    days: int = Field(ge=1, le=1096, description="Deleted by itself after so long.")
    camera: Name | None = Field(default=None, description="Default: the only one for faces.")
    for_s: int = Field(default=60, ge=5, le=300, description="Wait so long for the person.")


class IdentityRemove(Arguments, action="identity.remove", private=True):
    """Delete what is stored of a person; the receipt says what was."""

    subject: Subject | None = Field(
        default=None,
        description="Absent: everybody, also what cannot be opened for lack of its key.",
    )


class IdentityList(Arguments, action="identity.list"):
    """Name who is enrolled, for what and until when."""

    after: Subject | None = Field(default=None, description="Go on after this subject.")
    limit: int = Field(default=100, ge=1, le=100)


class CertificateRequest(Arguments, action="certificate.request"):
    """Make a key and a request for its certificate; the receipt brings the request.

    While a request is open, the same one comes again. The present certificate stays in force.
    """


class CertificateInstall(Arguments, action="certificate.install"):
    """Try the certificate for the open request, or other roots; what gives no line goes back."""

    certificate: Pem | None = Field(
        default=None, description="PEM: the kiosk's, then intermediates. Absent: roots only."
    )
    roots: Pem | None = Field(
        default=None, description="PEM: one or several. They take two persons' signatures."
    )
    replace_roots: bool = Field(
        default=False, description="Trust these alone; else beside those that are trusted now."
    )

    @model_validator(mode="after")
    def _something(self) -> "CertificateInstall":
        if self.certificate is None and self.roots is None:
            msg = "a certificate, roots, or both"
            raise ValueError(msg)
        return self


class UpdateInstall(Arguments, action="update.install"):
    """Put another release of the agent on trial; it stays when it is well, else it goes back.

    The release is fetched by the kiosk, or lies in its folder for releases.
    """

    url: str | None = Field(
        default=None, max_length=2000, pattern=r"^https://[^\s@]+$", description="Where it is."
    )
    file: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$",
        description="In place of `url`: its name in the kiosk's folder for releases.",
    )
    sha256: Sha256 = Field(description="Of the whole file.")
    version: Version
    allow_older: bool = Field(default=False, description="Also where a later one is running.")

    @model_validator(mode="after")
    def _one_source(self) -> "UpdateInstall":
        if (self.url is None) == (self.file is None):
            msg = "one of url and file is needed"
            raise ValueError(msg)
        return self
