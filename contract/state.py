"""``up/state``: birth on every connect, and the Last Will."""

from typing import Literal

from pydantic import Field

from contract.actions import Sha256
from contract.ids import MessageId
from contract.message import Data, Event
from contract.wire import Name, Text, UtcTime, WireModel


class Service(WireModel):
    """Something that the kiosk does for people, and whether it can do it now."""

    name: Name
    available: bool
    reason: Text | None = None


class State(Data, type_="kiosk.state.v1", suffix="up/state", retain=True):
    """``online`` and ``stopping`` are said by the kiosk, ``offline`` by the broker (Last Will).

    A will whose ``session`` is lower than that of the newest birth is late: ignore it.
    In a will, ``time`` is when it was left with the broker, not when the line broke.
    """

    state: Literal["online", "stopping", "offline"]
    session: int = Field(ge=1, description="Counts the connections of this kiosk; stored.")
    last_sequence: int = Field(ge=0, description="Highest sequence number given out so far.")
    agent_version: Text | None = None
    started: UtcTime | None = None
    config_version: int | None = None
    capabilities: tuple[Name, ...] = ()
    services: tuple[Service, ...] = ()


class ServiceChanged(Event, kind="service.changed"):
    """A service became available or unavailable."""

    service: Service


class AgentStarted(Event, kind="agent.started"):
    """The agent came up; an unclean end of its last run is said here."""

    agent_version: Text
    clean: bool = Field(description="Whether the run before ended in order.")
    safe_mode: bool = Field(
        default=False, description="Too many starts without a healthy spell: cameras rest."
    )


class KeysChanged(Event, kind="keys.changed"):
    """The operators' keys that this kiosk trusts are others now."""

    fingerprint: Sha256 = Field(description="SHA-256 of the key set in canonical form.")
    added: tuple[Name, ...] = Field(default=(), description="Key ids.")
    removed: tuple[Name, ...] = Field(default=(), description="Key ids.")
    source: Literal["file", "command"]


class UpdateChanged(Event, kind="update.changed"):
    """A release of the agent is on trial, has proved itself, went back, or was lost."""

    version: Text
    before: Text = Field(description="The version that ran before, and runs again where not kept.")
    outcome: Literal["trial", "confirmed", "rolled_back", "lost"] = Field(
        description="lost: it was damaged on the disk, did not stay up any more, or a later package"
        " took its place."
    )
    text: Text = Field(default="", description="Why it went back or was lost.")
    command_id: MessageId | None = None
    signers: tuple[Name, ...] = Field(default=(), description="Who ordered it.")
