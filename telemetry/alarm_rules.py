"""When a measured value becomes an alarm. Every threshold is a setting."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field, model_validator

from contract.events import Severity
from telemetry.settings import Section

NonNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """An alarm on a number: raised beyond one threshold, cleared beyond another.

    ``raise_at`` above ``clear_at`` watches for high values, below it for low ones. A condition
    counts as 1 while it holds and 0 while not, hence the defaults.

    Raises:
        ValueError: the thresholds are equal: such an alarm would flap.
    """

    code: str
    severity: Severity
    text: str
    """For a person; ``{value}``, ``{threshold}`` and ``{subject}`` are filled in."""
    raise_at: float = 1.0
    clear_at: float = 0.0
    raise_after_s: float = 30.0
    """How long the value must stay at or beyond ``raise_at``."""
    clear_after_s: float = 60.0
    """How long the value must stay at or beyond ``clear_at`` on the other side."""
    field: str | None = None
    """The value of the health message that it watches."""
    outlives_silence: bool = False
    """While the value is absent all stays as it is: where the fault may be what silences the
    probe, or does not pass while nobody looks. Else a fault without a value is over."""

    def __post_init__(self) -> None:
        if self.raise_at == self.clear_at:
            msg = f"alarm {self.code}: raise_at and clear_at must differ, or it would flap"
            raise ValueError(msg)

    def judge(self, value: float) -> bool | None:
        """Tell whether the condition holds; None between the thresholds, where all stays as is."""
        sign = 1 if self.raise_at > self.clear_at else -1
        if sign * value >= sign * self.raise_at:
            return True
        if sign * value <= sign * self.clear_at:
            return False
        return None


# Those of the disk outlive silence: one that hangs answers no probe, and wear never heals.
DEFAULT_RULES: tuple[AlarmRule, ...] = (
    AlarmRule(
        code="cpu.high",
        severity="minor",
        text="CPU at {value:.0f} % (limit {threshold:.0f} %)",
        raise_at=95,
        clear_at=80,
        raise_after_s=300,
        clear_after_s=120,
        field="cpu_percent",
    ),
    AlarmRule(
        code="memory.low",
        severity="major",
        text="Memory {value:.0f} % used (limit {threshold:.0f} %)",
        raise_at=90,
        clear_at=80,
        raise_after_s=60,
        field="memory_used_percent",
    ),
    AlarmRule(
        code="swap.high",
        severity="minor",
        text="Swap {value:.0f} % used (limit {threshold:.0f} %)",
        raise_at=60,
        clear_at=40,
        raise_after_s=300,
        clear_after_s=300,
        field="swap_used_percent",
    ),
    AlarmRule(
        code="disk.full",
        severity="major",
        text="Disk {value:.0f} % full (limit {threshold:.0f} %)",
        raise_at=90,
        clear_at=85,
        field="disk_used_percent",
        outlives_silence=True,
    ),
    AlarmRule(
        code="disk.inodes",
        severity="major",
        text="Inodes of the disk {value:.0f} % used (limit {threshold:.0f} %)",
        raise_at=90,
        clear_at=85,
        field="disk_inodes_used_percent",
        outlives_silence=True,
    ),
    AlarmRule(
        code="disk.wear",
        severity="minor",
        text="Flash memory has used {value:.0f} % of its rated life: plan its replacement",
        raise_at=80,
        clear_at=70,
        field="disk_wear_percent",
        outlives_silence=True,
    ),
    AlarmRule(
        code="disk.read_only",
        severity="critical",
        text="The file system of the state is read-only: nothing can be stored",
        raise_after_s=10,
        field="disk_read_only",
        outlives_silence=True,
    ),
    AlarmRule(
        code="temperature.high",
        severity="major",
        text="{value:.0f} °C inside (limit {threshold:.0f} °C): check fans and air conditioning",
        raise_at=85,
        clear_at=75,
        raise_after_s=60,
        clear_after_s=120,
        field="temperature_max_c",
    ),
    AlarmRule(
        code="temperature.low",
        severity="minor",
        text="{value:.0f} °C inside (limit {threshold:.0f} °C): check the heating",
        raise_at=-20,
        clear_at=-15,
        raise_after_s=60,
        clear_after_s=300,
        field="temperature_min_c",
    ),
    AlarmRule(
        code="modem.weak",
        severity="warning",
        text="Mobile signal at {value:.0f} % (limit {threshold:.0f} %)",
        raise_at=15,
        clear_at=25,
        raise_after_s=300,
        clear_after_s=300,
        field="modem_signal_percent",
    ),
    AlarmRule(
        code="clock.unsynced",
        severity="minor",
        text="The clock is not synchronised: commands that disturb service are refused",
        raise_after_s=900,
    ),
    AlarmRule(
        code="certificate.expiring",
        severity="major",
        text="Certificate good for {value:.0f} more days (limit {threshold:.0f}): renew it in time",
        raise_at=30,
        clear_at=35,
        field="certificate_days_left",
        outlives_silence=True,  # it runs out all the same while no clock can tell the days
    ),
    AlarmRule(
        code="outbox.filling",
        severity="major",
        text="Stored messages take {value:.0f} % of their bound (limit {threshold:.0f} %)",
        raise_at=50,
        clear_at=30,
        field="outbox_used_percent",
    ),
    AlarmRule(
        code="agent.loop_lag",
        severity="minor",
        text="The agent answers {value:.0f} ms late (limit {threshold:.0f} ms)",
        raise_at=1000,
        clear_at=250,
        field="agent_loop_lag_ms",
    ),
    AlarmRule(
        code="camera.lost",
        severity="major",
        text="Camera {subject} gives no picture",
        clear_after_s=10,
    ),
    AlarmRule(
        code="camera.tampered",
        severity="major",
        text="Camera {subject} is black, frozen, blurred, covered or moved",
        clear_after_s=30,
    ),
    AlarmRule(
        code="peripheral.fault",
        severity="major",
        text="{subject} is unplugged or does not work: the health data say why",
        clear_after_s=10,
    ),
)
"""Temperatures fit a cabinet with a fanless PC: chips take 85 °C, winters bring -30 °C."""


class RuleSettings(Section):
    """Changes to one built-in rule; what is left out stays as it is."""

    enabled: bool = True
    severity: Severity | None = None
    raise_at: float | None = None
    clear_at: float | None = None
    raise_after_s: NonNegative | None = None
    clear_after_s: NonNegative | None = None


class AlarmSettings(Section):
    """Thresholds of the alarms, by the alarm's code."""

    rules: dict[str, RuleSettings] = Field(
        default_factory=dict, description='Such as [alarms.rules."temperature.high"].'
    )
    max_active: int = Field(default=64, ge=1, le=64, description="More alarms are not raised.")

    @model_validator(mode="after")
    def _usable(self) -> "AlarmSettings":
        unknown = sorted(self.rules.keys() - {rule.code for rule in DEFAULT_RULES})
        if unknown:
            msg = f"rules: there is no alarm {unknown[0]!r}"
            raise ValueError(msg)
        self.effective()
        return self

    def effective(self) -> tuple[AlarmRule, ...]:
        """Return the built-in rules with these changes."""
        return tuple(self._changed(DEFAULT_RULES))

    def _changed(self, rules: Iterable[AlarmRule]) -> Iterable[AlarmRule]:
        for rule in rules:
            change = self.rules.get(rule.code, RuleSettings())
            if change.enabled:
                yield replace(rule, **change.model_dump(exclude={"enabled"}, exclude_none=True))
