"""What a simulated kiosk has to say unasked: as large and as varied as what a real one says."""

import random

from contract.events import MotionBegin, PresenceBegin
from contract.health import CameraHealth, Health
from contract.message import Data

_EVENTS_SHARE = 0.3
"""Of all messages; the rest is health."""
_CAMERAS = ("street", "counter")


def unasked(chance: random.Random, uptime_s: int) -> Data:
    """Return what there is to say now: mostly a sample of health, sometimes an event."""
    if chance.random() >= _EVENTS_SHARE:
        return _health(chance, uptime_s)
    camera = chance.choice(_CAMERAS)
    if chance.random() < 0.5:
        return MotionBegin(camera=camera, area_percent=round(chance.uniform(1, 40), 1))
    return PresenceBegin(camera=camera, face_px=chance.randrange(60, 200), faces=1)


def _health(chance: random.Random, uptime_s: int) -> Health:
    load = round(chance.uniform(0.1, 2), 2)
    return Health(
        cause="interval",
        cpu_percent=round(chance.uniform(5, 60), 1),
        load_1m=load,
        load_5m=load,
        load_15m=load,
        memory_used_percent=round(chance.uniform(20, 60), 1),
        memory_available_bytes=chance.randrange(2**31, 2**32),
        swap_used_percent=0.0,
        disk_used_percent=41.5,
        disk_free_bytes=chance.randrange(2**34, 2**35),
        disk_inodes_used_percent=7.1,
        disk_read_only=False,
        temperature_max_c=round(chance.uniform(35, 70), 1),
        network_interface="eth0",
        network_received_bytes=chance.randrange(2**40),
        network_sent_bytes=chance.randrange(2**40),
        network_errors=0,
        network_dropped=0,
        uptime_s=uptime_s,
        agent_uptime_s=uptime_s,
        agent_rss_bytes=62_000_000,
        agent_cpu_percent=1.2,
        agent_loop_lag_ms=round(chance.uniform(0.5, 5), 2),
        agent_open_files=42,
        agent_task_restarts=0,
        outbox_rows=0,
        outbox_bytes=0,
        outbox_lost=0,
        cameras=tuple(_camera(name, chance) for name in _CAMERAS),
    )


def _camera(name: str, chance: random.Random) -> CameraHealth:
    return CameraHealth(
        name=name,
        state="online",
        frames_per_s=round(chance.uniform(24, 25), 1),
        decode_errors=0,
        dropped_frames=chance.randrange(1000),
        restarts=0,
        frame_age_s=0.04,
        width_px=1920,
        height_px=1080,
        rss_bytes=150_000_000,
    )
