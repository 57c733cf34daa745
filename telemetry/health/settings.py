"""Settings of health sampling. Every default works."""

from typing import Annotated

from pydantic import Field, field_validator

from contract.health import Health
from telemetry.settings import Seconds, Section

MIB = 1024 * 1024

DEAD_BANDS: dict[str, float] = {
    "cpu_percent": 40,
    "memory_used_percent": 5,
    "swap_used_percent": 10,
    "disk_used_percent": 2,
    "disk_inodes_used_percent": 2,
    "disk_wear_percent": 0,
    "disk_read_only": 0,
    "temperature_max_c": 5,
    "temperature_min_c": 5,
    "network_interface": 0,
    "modem_signal_percent": 20,
    "modem_access": 0,
    "clock_offset_ms": 500,
    "agent_rss_bytes": 32 * MIB,
    "agent_loop_lag_ms": 500,
    "agent_task_restarts": 0,
    "outbox_used_percent": 5,
    "link_reconnects": 0,
    "cameras": 0,
}
"""How far a value may move from the one sent last before it is sent at once, in its own unit.
0: any difference. A camera counts by its state and conditions."""


class HealthSettings(Section):
    """How often the machine is looked at, and when that is worth a message."""

    sample_s: Seconds = 5.0
    interval_s: Seconds = Field(default=60.0, description="Between regular messages.")
    change_min_s: Seconds = Field(default=15.0, description="At most one change message in this.")
    probe_timeout_s: Seconds = Field(
        default=2.0, description="A probe that takes longer leaves its values out of the sample."
    )
    modem_s: Seconds = Field(default=30.0, description="Between questions to ModemManager.")
    wear_s: Seconds = Field(default=3600.0, description="Between looks at the wear of the disk.")
    certificate_s: Seconds = Field(
        default=600.0, description="Between looks at the kiosk's certificate."
    )
    dead_bands: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="Changes to the built-in table, by name of the value."
    )

    @field_validator("dead_bands")
    @classmethod
    def _known(cls, bands: dict[str, float]) -> dict[str, float]:
        unknown = sorted(bands.keys() - Health.model_fields.keys())
        if unknown:
            msg = f"{unknown[0]!r} is not a value of the health message"
            raise ValueError(msg)
        return bands

    @property
    def bands(self) -> dict[str, float]:
        """The dead-bands in force."""
        return DEAD_BANDS | self.dead_bands
