"""Thousands of simulated kiosks on one broker: what the broker bears, and how fast all are back.

One process plays all kiosks, the centre and the operators. A kiosk speaks through the agent's own
transport with the agent's own pauses, with the real messages, numbers, birth, will and signatures;
its outbox is in memory, and there is nothing to measure and nothing to move (`kiosk.py`). Each says
something every ``--every`` seconds, jittered: seven of ten messages are health, the rest events.
The operators order pings of kiosks at random, with the console's own client code; a kiosk checks
the signature and answers with three receipts. Then the broker is stopped and started at once, all
kiosks lose their line in the same moment, and come back as the agent does.

Without ``--broker`` it is a Mosquitto of our own on this machine. Another is not restarted: all
kiosks hang up at the same moment instead. There anybody must be allowed to write and read all
kiosks' topics, or one certificate (``--certificate``) that all share.

``all_back_s`` counts from the broker's return to the moment at which it had the birth of the last
kiosk. ``rss_per_kiosk_kib`` is what the simulating process grew by for each of them. ``lost`` are
messages that no centre ever saw. CPU is in percent of one core. Another client library was not
needed: 1,000 idle lines of the agent's own transport took 25 KiB each and 2.3 % of a core.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from agent.broker import HOST
from agent.log import configure
from agent.settings import LogSettings
from bench import Figures
from bench.fleet.world import FleetError, Measured, Plan, World
from bench.rig.mosquitto import PersistentMosquitto
from bench.telemetry import percentile
from console.settings import ConsoleSettings

_SPARE_FILES = 200
_NEVER = 1_000_000_000
_BROKER = ("max_connections -1",)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what can be chosen."""
    add = parser.add_argument
    add("--kiosks", type=int, default=1000, help="default 1000")
    add("--every", type=float, default=10.0, metavar="S", help="between two messages; default 10")
    add("--seconds", type=float, default=60.0, metavar="S", help="of steady work; default 60")
    add("--commands-per-s", type=float, default=5.0, help="over the whole fleet; default 5")
    add("--broker", help="such as mqtt://host:1883; default: a Mosquitto of our own")
    add("--ca", type=Path, help="PEM, for mqtts://")
    add("--certificate", type=Path, help="PEM, of all kiosks and operators")
    add("--certificate-key", type=Path)


def run(
    *,
    kiosks: int,
    every: float,
    seconds: float,
    commands_per_s: float,
    broker: str | None,
    ca: Path | None,
    certificate: Path | None,
    certificate_key: Path | None,
) -> Figures:
    """Measure; some minutes."""
    configure(LogSettings(level="error"))
    _allow_files(kiosks)
    with tempfile.TemporaryDirectory(prefix="kiosk-fleet-") as name:
        own = None if broker else _broker(Path(name))
        try:
            plan = Plan(
                kiosks=kiosks,
                every_s=every,
                seconds=seconds,
                commands_per_s=commands_per_s,
                settings=ConsoleSettings(
                    broker=broker or f"mqtt://{HOST}:{own and own.port}",
                    ca=ca,
                    certificate=certificate,
                    certificate_key=certificate_key,
                ),
            )
            measured = asyncio.run(_measure(plan, own))
        except FleetError as error:
            sys.exit(str(error))
        finally:
            if own is not None:
                own.kill()
    return _figures(kiosks, measured)


async def _measure(plan: Plan, broker: PersistentMosquitto | None) -> Measured:
    return await World(plan, broker).run()


def _broker(folder: Path) -> PersistentMosquitto:
    """Sessions are written down when it is stopped, as a broker does that has no time to lose."""
    broker = PersistentMosquitto(folder, autosave=_NEVER, settings=_BROKER)
    broker.start()
    return broker


def _allow_files(kiosks: int) -> None:
    """Let us, and the broker that we start, have a socket for each kiosk."""
    wanted = kiosks + _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        sys.exit(f"{kiosks} kiosks take {wanted} open files, and this shell allows {hard} (ulimit)")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _figures(kiosks: int, measured: Measured) -> Figures:
    for fault in measured.faults[:20]:
        print(f"fault: {fault}", file=sys.stderr)
    held = not (
        measured.lost
        or measured.not_back
        or measured.commands_failed
        or measured.denied
        or measured.unsaid
        or measured.faults
    )
    back = measured.back_s
    figures: dict[str, Any] = {
        "ok": held,
        "kiosks": kiosks,
        "connect_s": measured.connect_s,
        "messages_per_s": measured.messages / measured.steady_s,
        "messages": measured.sent,
        "lost": measured.lost,
        "repeated": measured.repeated,
        "denied": measured.denied,
        "unsaid": measured.unsaid,
        "commands": len(measured.command_ms),
        "commands_failed": measured.commands_failed,
        "command_p50_ms": _percentile(measured.command_ms, 50),
        "command_p99_ms": _percentile(measured.command_ms, 99),
        "simulator_cpu_percent": measured.simulator_cpu_percent,
        "rss_per_kiosk_kib": measured.rss_per_kiosk_kib,
        "broker_cpu_percent": measured.broker_cpu_percent,
        "broker_rss_mib": measured.broker_rss_kib and measured.broker_rss_kib / 1024,
        "broker_away_s": measured.away_s,
        "half_back_s": _percentile(back, 50),
        "all_back_s": back[-1] if back and not measured.not_back else None,
        "not_back": measured.not_back,
    }
    return {
        name: round(value, 2) if isinstance(value, float) else value
        for name, value in figures.items()
        if value is not None
    }


def _percentile(values: list[float], percent: int) -> float | None:
    return percentile(values, percent) if len(values) > 1 else None
