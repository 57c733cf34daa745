"""``up/health``: sampled numbers, flat, the unit in each name.

What the machine lacks, or cannot say at the moment, is absent.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contract.events import PeripheralState, Severity
from contract.ids import MessageId
from contract.message import Data, Priority
from contract.wire import Name, Text, UtcTime, WireModel

AlarmText = Annotated[str, StringConstraints(max_length=200)]
"""A short sentence: many alarms in force must fit one message."""


class PlateHealth(WireModel):
    """The reading of number plates at one camera; counts are since the agent started."""

    state: Literal["starting", "watching", "failed"]
    text: AlarmText = Field(default="", description="Why it failed.")
    looks: int = Field(description="Frames looked at for plates.")
    look_ms: float | None = Field(default=None, description="Of the newest of them.")
    read: int = Field(description="Vehicles whose plate was read.")
    unreadable: int = Field(description="Vehicles whose plate could not be read.")
    suppressed: int = Field(description="Vehicles of classes that are not told of.")
    hits: int = Field(description="Matches with watch lists.")
    dropped: int = Field(description="Reports lost because storage was too slow.")
    restarts: int = Field(description="Processes that died or were killed and started again.")
    rss_bytes: int | None = Field(default=None, description="Memory of the process.")


class IdentityHealth(WireModel):
    """The identity checks at one camera; counts are since the agent started."""

    state: Literal["starting", "watching", "failed"]
    text: AlarmText = Field(default="", description="Why it failed, or what it must do without.")
    looks: int = Field(description="Frames looked at for faces.")
    look_ms: float | None = Field(default=None, description="Of the newest of them.")
    enrolled: int | None = Field(
        default=None, description="Templates of staff that a person is looked for in."
    )
    checks: int = Field(description="Answered, enrolments included; the next three are of them.")
    matches: int
    no_matches: int
    referrals: int = Field(description="Left to a human.")
    restarts: int = Field(description="Processes that died or were killed and started again.")
    rss_bytes: int | None = Field(default=None, description="Memory of the process.")


class CameraHealth(WireModel):
    """One camera, as its reader sees it."""

    name: Name
    state: Literal["starting", "online", "lost"]
    frames_per_s: float
    decode_errors: int = Field(description="Since the agent started.")
    dropped_frames: int = Field(description="Replaced by a newer one before anyone looked.")
    restarts: int = Field(description="Capture processes killed or died and started again.")
    frame_age_s: float | None = Field(default=None, description="Age of the newest frame.")
    width_px: int | None = None
    height_px: int | None = None
    rss_bytes: int | None = Field(default=None, description="Memory of the capture process.")
    conditions: tuple[Name, ...] = Field(
        default=(), description="black, frozen, blurred, covered, moved: those that hold now."
    )
    plates: PlateHealth | None = Field(
        default=None, description="Absent where plates are not to be read."
    )
    identity: IdentityHealth | None = Field(
        default=None, description="Absent where faces are not to be compared."
    )


class PeripheralHealth(WireModel):
    """A device of the kiosk, as its driver sees it."""

    name: Name
    kind: Name = Field(description="What it is, such as id_card_reader.")
    state: PeripheralState
    code: Name = Field(description="Why; ready, where it works.")
    text: AlarmText = Field(default="", description="What a person can do about it.")


class ActiveAlarm(WireModel):
    """An alarm in force. One that was raised but is in no later sample is over.

    That settles what a restart left open: alarms live as long as the agent's process.
    """

    alarm_id: MessageId = Field(description="Of the alarm.raised event.")
    code: Name
    severity: Severity
    subject: Name | None = Field(default=None, description="Camera, task or device it is about.")
    raised: UtcTime
    text: AlarmText


class Health(Data, type_="kiosk.health.v1", suffix="up/health", priority=Priority.TELEMETRY):
    """One sample of the whole kiosk."""

    cause: Literal["interval", "change"]
    changed: tuple[Name, ...] = Field(
        default=(), description="With cause change: the values that left their dead-band."
    )

    cpu_percent: float | None = Field(default=None, description="All cores, since the last sample.")
    load_1m: float | None = None
    load_5m: float | None = None
    load_15m: float | None = None
    memory_used_percent: float | None = None
    memory_available_bytes: int | None = None
    swap_used_percent: float | None = None
    disk_used_percent: float | None = Field(
        default=None, description="Of the file system that holds the state."
    )
    disk_free_bytes: int | None = None
    disk_inodes_used_percent: float | None = None
    disk_wear_percent: float | None = Field(
        default=None,
        description="Used share of the rated life, the worst estimate (eMMC); > 100: exceeded.",
    )
    disk_read_only: bool | None = None
    temperature_max_c: float | None = None
    temperature_min_c: float | None = Field(default=None, description="The coldest sensor.")
    temperature_cpu_c: float | None = None
    network_interface: Text | None = Field(
        default=None, description="Interface of the default route; absent without one."
    )
    network_received_bytes: int | None = Field(
        default=None, description="All hardware interfaces, since boot; so are the next three."
    )
    network_sent_bytes: int | None = None
    network_errors: int | None = None
    network_dropped: int | None = None
    modem_signal_percent: float | None = None
    modem_access: Text | None = Field(default=None, description="Such as lte; from ModemManager.")
    uptime_s: int | None = None
    clock_offset_ms: float | None = Field(
        default=None, description="Last known distance to the time source."
    )
    clock_error_ms: float | None = Field(
        default=None, description="The kernel's bound on the error of the clock, while synced."
    )

    certificate_days_left: float | None = Field(
        default=None,
        description="Until the kiosk's certificate expires, or one between it and its root; below "
        "0: it has. Only while the clock is synced.",
    )

    agent_uptime_s: int
    agent_rss_bytes: int | None = None
    agent_cpu_percent: float | None = Field(default=None, description="Of one core.")
    agent_loop_lag_ms: float = Field(description="Worst since the sample before.")
    agent_open_files: int | None = None
    agent_task_restarts: int | None = None
    outbox_rows: int | None = None
    outbox_bytes: int | None = None
    outbox_used_percent: float | None = Field(
        default=None, description="Of its bound in rows or bytes, whichever is nearer."
    )
    outbox_oldest_s: float | None = Field(
        default=None, description="Age of the oldest message not yet delivered."
    )
    outbox_lost: int | None = Field(
        default=None, description="Messages dropped since the agent started."
    )
    link_reconnects: int | None = None
    cameras: tuple[CameraHealth, ...] = ()
    peripherals: tuple[PeripheralHealth, ...] = ()
    alarms: tuple[ActiveAlarm, ...] = Field(default=(), description="In force now, worst first.")
