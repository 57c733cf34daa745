"""Health of the kiosk: probes, what of them is sent when, and the numbers of the agent itself."""

from telemetry.health.monitor import HealthMonitor
from telemetry.health.numbers import AgentNumbers
from telemetry.health.probe import Probe
from telemetry.health.probes import kiosk_probes
from telemetry.health.settings import HealthSettings

__all__ = ["AgentNumbers", "HealthMonitor", "HealthSettings", "Probe", "kiosk_probes"]
