"""A kiosk under fire: everything on, everything breaks, and at the end nothing may be missing.

The agent runs as it is shipped: a process of its own with two cameras (files), plates, identity
checks and a business application at its local door, its state on a disk of 64 MiB, its line through
a proxy to a Mosquitto that keeps sessions on disk. A centre records every message; two operators
order something every few seconds through the console's own client code, and a quarter of their
orders is replayed. A schedule that the seed decides cuts, stalls, slows and refuses the line, stops
and kills the broker, takes cameras away and exchanges them, fills the disk, steps the wall clock,
kills and stops the agent's programs, and, in the first 40 % of the run, kills the agent. After that
the agent lives to the end, so that its memory can be watched; with ``--one-life`` it is spared, and
watched from its first minute. As root the disk is a tmpfs of its
own and can be filled; with a C compiler the agent's wall clock can be stepped (`clock.py` says how
real that is). What the machine does not allow is left out and named in ``left_out``.

It holds (``ok``) when no sequence number is missing unadmitted or stands on two messages; every
command that was ordered has exactly one end, or was refused unrecorded; nothing was done twice
for one order; the audit trail stands and has no second end; resident memory rises by no more than
4 MiB an hour; and files stay within the settings. What does not hold is printed on standard error.

With ``--release watermark`` (the default) the kiosk keeps each message until the centre has said
that it stored it, so that also a killed broker may lose nothing. With ``puback`` the broker is
trusted, and is stopped in order only.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from agent.log import configure
from agent.settings import LogSettings
from bench import Figures
from bench.soak.faults import Kind
from bench.soak.judge import Bound, Verdict, judge
from bench.soak.kiosk import LEDGER_MIB, OUTBOX_MIB
from bench.soak.world import Report, soak

_MIB = 2**20
_KIB = 1024
_SLOPE_KIB_PER_H = 4096
_LOG_MIB_PER_H = 64
_AUDIT_MIB = 16
"""The trail lies in the ledger's file: the entries of the longest run that is to be expected."""
_SLACK_MIB = 4
"""A log beside a database may be so large until it is taken over."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what can be chosen."""
    parser.add_argument("--minutes", type=float, default=5.0, help="of faults; default 5")
    parser.add_argument("--seed", type=int, default=1, help="decides the schedule; default 1")
    parser.add_argument("--release", choices=("watermark", "puback"), default="watermark")
    parser.add_argument("--one-life", action="store_true", help="never kill the agent itself")
    parser.add_argument(
        "--keep", type=Path, help="put the agent's log and settings there, and memory.csv"
    )


def run(*, minutes: float, seed: int, release: str, one_life: bool, keep: Path | None) -> Figures:
    """Soak, judge, and print on standard error what did not hold."""
    configure(LogSettings(level="error"))
    with tempfile.TemporaryDirectory(prefix="kiosk-soak-") as name:
        folder = Path(name)
        try:
            course = soak(folder, minutes=minutes, seed=seed, release=release, one_life=one_life)
            report = asyncio.run(course)
        finally:
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                for file in folder.glob("*.*"):
                    if file.suffix in {".log", ".toml"}:
                        shutil.copy(file, keep)
    if keep is not None:
        report.lives.write(keep / "memory.csv")
    hours = minutes / 60
    bounds = _bounds(report, hours)
    verdict = judge(report.account, report.operators.orders.sent, bounds)
    violations = [*report.violations, *verdict.violations]
    for violation in violations:
        print(f"VIOLATED: {violation}", file=sys.stderr)
    for text, count in report.errors.most_common(40):
        print(f"the journal says {count} times: {text}", file=sys.stderr)
    return {
        "ok": not violations,
        "minutes": minutes,
        "seed": seed,
        "release": release,
        **_faults(report),
        **_messages(report, verdict),
        **_commands(report, verdict),
        **_memory(report),
        **_files(report, hours),
        "violations": len(violations),
    }


def _bounds(report: Report, hours: float) -> list[Bound]:
    largest = report.sizes.largest
    slopes = [
        Bound(f"rise of {program} in KiB/h", rise, _SLOPE_KIB_PER_H)
        for program in report.lives.programs()
        if (rise := report.lives.rise_kib_per_h(program)) is not None
    ]
    return [
        *slopes,
        Bound("outbox.db in MiB", largest["outbox.db"] / _MIB, OUTBOX_MIB + _SLACK_MIB),
        Bound("ledger.db in MiB", largest["ledger.db"] / _MIB, LEDGER_MIB + _AUDIT_MIB),
        Bound("the journal in MiB/h", report.log_bytes / _MIB / max(hours, 0.1), _LOG_MIB_PER_H),
        Bound("rows left in the outbox", report.rows_left, 50),
    ]


def _faults(report: Report) -> Figures:
    done = report.injector.done
    figures: Figures = {f"faults_{kind}": done[kind] for kind in Kind}
    left_out = ",".join(sorted(set(Kind) - report.possible))
    return {"faults": done.total(), **figures, **({"left_out": left_out} if left_out else {})}


def _messages(report: Report, verdict: Verdict) -> Figures:
    account = report.account
    return {
        "messages": account.numbers.came,
        "highest_sequence": account.numbers.highest,
        "repeated": account.repeated,
        "missing": account.numbers.missing,
        "admitted_lost": account.numbers.admitted,
        "missing_unadmitted": verdict.unadmitted,
        "agent_starts": report.kiosk.lives,
        "checks": report.checks.total(),
        "plates": account.messages["kiosk.event.plate.read.v1"],
        "settle_s": round(report.settle_s, 1),
        "outbox_rows_left": report.rows_left,
    }


def _commands(report: Report, verdict: Verdict) -> Figures:
    orders = report.operators.orders
    outcomes: Figures = {
        f"commands_{outcome.name.lower()}": count for outcome, count in orders.outcomes.items()
    }
    return {
        "commands": len(orders.sent),
        "commands_replayed": orders.replayed,
        "commands_ended": verdict.commands_ended,
        "commands_refused_unrecorded": verdict.commands_refused_unrecorded,
        "commands_lost": verdict.commands_lost,
        "commands_doubled": verdict.commands_doubled,
        **outcomes,
        "effects": verdict.effects,
        "effects_doubled": verdict.effects_doubled,
        "audit_entries": report.audit_entries,
    }


def _memory(report: Report) -> Figures:
    figures: Figures = {}
    for program in report.lives.programs():
        name = program.replace(".", "_")
        figures[f"{name}_peak_mib"] = round(report.lives.peak_kib(program) / _KIB, 1)
        figures[f"{name}_life_s"] = round(report.lives.longest_s(program))
        if (rise := report.lives.rise_kib_per_h(program)) is not None:
            figures[f"{name}_rise_kib_per_h"] = round(rise)
    return figures


def _files(report: Report, hours: float) -> Figures:
    sizes = report.sizes
    largest = sorted(sizes.largest.items(), key=lambda item: -item[1])[:8]
    return {
        "state_max_mib": round(sizes.total / _MIB, 2),
        **{f"max_kib_{name}": round(size / _KIB) for name, size in largest},
        "journal_mib_per_h": round(report.log_bytes / _MIB / max(hours, 0.1), 2),
        "journal_errors": report.errors.total(),
        "tracebacks": report.tracebacks,
    }
