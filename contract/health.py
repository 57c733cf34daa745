"""``up/health``: sampled numbers, flat, the unit in each name. What the machine lacks is absent."""

from typing import Literal

from pydantic import Field

from contract.message import Data, Priority
from contract.wire import Name, Text, WireModel


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


class Health(Data, type_="kiosk.health.v1", suffix="up/health", priority=Priority.TELEMETRY):
    """One sample of the whole kiosk."""

    cause: Literal["interval", "change"]
    changed: tuple[Name, ...] = Field(
        default=(), description="With cause change: the values that left their dead-band."
    )

    cpu_percent: float
    load_1m: float
    load_5m: float
    load_15m: float
    memory_used_percent: float
    memory_available_bytes: int
    swap_used_percent: float
    disk_used_percent: float = Field(description="Of the file system that holds the state.")
    disk_free_bytes: int
    disk_inodes_used_percent: float
    disk_wear_percent: float | None = Field(
        default=None, description="Used share of the rated life, the worse estimate (eMMC, NVMe)."
    )
    disk_read_only: bool = False
    temperature_max_c: float | None = None
    temperature_cpu_c: float | None = None
    network_interface: Text | None = Field(
        default=None, description="Interface of the default route; absent without one."
    )
    network_received_bytes: int
    network_sent_bytes: int
    network_errors: int
    network_dropped: int
    modem_signal_percent: float | None = None
    modem_access: Text | None = Field(default=None, description="Such as lte; from ModemManager.")
    uptime_s: int
    clock_offset_ms: float | None = Field(
        default=None, description="Last known distance to the time source."
    )

    agent_uptime_s: int
    agent_rss_bytes: int
    agent_cpu_percent: float
    agent_loop_lag_ms: float = Field(description="Worst since the sample before.")
    agent_open_files: int
    agent_task_restarts: int
    outbox_rows: int
    outbox_bytes: int
    outbox_oldest_s: float = Field(description="Age of the oldest message not yet delivered.")
    outbox_lost: int = Field(description="Messages dropped since the agent started.")
    link_reconnects: int
    cameras: tuple[CameraHealth, ...] = ()
