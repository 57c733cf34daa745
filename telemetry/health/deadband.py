"""Whether a sample differs enough from the one sent last."""

from collections.abc import Mapping
from typing import Any

from contract.health import Health


def changed(before: Health, after: Health, bands: Mapping[str, float]) -> tuple[str, ...]:
    """Name the values that moved by more than their dead-band, appeared or vanished."""
    return tuple(
        name
        for name, band in bands.items()
        if _moved(_comparable(before, name), _comparable(after, name), band)
    )


def _comparable(health: Health, name: str) -> Any:
    if name == "cameras":
        return [(camera.name, camera.state, camera.conditions) for camera in health.cameras]
    return getattr(health, name)


def _moved(old: Any, new: Any, band: float) -> bool:
    if isinstance(old, int | float) and isinstance(new, int | float):
        return abs(new - old) > band
    return bool(old != new)
