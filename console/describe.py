"""A message in one line."""

import json
from fnmatch import fnmatchcase

from contract import Data, Envelope
from contract.actions import CertificateRequest
from contract.audit import AuditHead
from contract.events import AlarmCleared, AlarmRaised
from contract.identity import IdentityDecision, SupervisionFinding
from contract.message import D
from contract.plates import PlateHit, PlateRead
from contract.receipt import Receipt


def kind_of(data: Data) -> str:
    """Return an event's kind, or ``health``, ``receipt``, ``gap``, ``state``."""
    return data.KIND or data.SUFFIX.removeprefix("up/")


def wanted(data: Data, pattern: str | None) -> bool:
    """Whether to show it: by its kind (``camera.*``), or all but health where nothing is asked."""
    kind = kind_of(data)
    return kind != "health" if pattern is None else fnmatchcase(kind, pattern)


def describe(message: Envelope[D]) -> str:
    """Say what a message says, without its time."""
    data = message.data
    match data:
        case Receipt():
            said = _receipt(data)
        case AlarmRaised():
            subject = f" {data.subject}" if data.subject else ""
            said = f"{data.severity} {data.code}{subject}: {data.text}"
        case AlarmCleared():
            subject = f" {data.subject}" if data.subject else ""
            said = f"{data.severity} {data.code}{subject} after {data.duration_s:.0f} s"
        case AuditHead():
            said = f"{data.number} entries in the record, head {data.hash[:12]}"
        case PlateRead() | PlateHit():
            said = _plate(data)
        case IdentityDecision():
            said = _decision(data)
        case SupervisionFinding():
            lasted = "" if data.duration_s is None else f" after {data.duration_s:.0f} s"
            said = f"{data.rule} {data.phase}{lasted}: {data.text}"
        case _:
            fields = data.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
            said = " ".join(
                f"{name}={value if isinstance(value, str) else json.dumps(value)}"
                for name, value in fields.items()
            )
    return said


def _receipt(data: Receipt) -> str:
    percent = None if data.percent is None else f"{data.percent:.0f} %"
    challenge = f"challenge {data.challenge}" if data.challenge else None
    parts = [data.action or "?", data.status, data.code, percent, data.text, challenge]
    if data.result and data.action == CertificateRequest.ACTION:
        parts.append("brings a request")  # a screenful of base64 that only --json is good for
    elif data.result:
        parts.append(json.dumps(data.result, ensure_ascii=False))
    if data.command_id or data.claimed_id:
        parts.append(f"({data.command_id or f'claims to be {data.claimed_id}'})")
    return " ".join(part for part in parts if part)


def _plate(data: PlateRead | PlateHit) -> str:
    """The text where it may be known, else its pseudonym; an unreadable plate says so."""
    if isinstance(data, PlateHit):
        near = "" if data.match == "exact" else f" read as {data.read} (near)"
        return f"{data.text}{near} {data.code}, list {data.watch_list}, camera {data.camera}"
    what = data.text or data.partial or (data.pseudonym and data.pseudonym[:12])
    parts = [
        what if data.readable else f"{what or ''} unreadable".strip(),
        data.colour.replace("_", "/"),
        data.kind,
        f"camera {data.camera}",
        f"{data.duration_s:.0f} s",
        f"{data.views} views",
        f"sure {data.min_confidence:.0%}",
    ]
    return " ".join(part for part in parts if part)


def _decision(data: IdentityDecision) -> str:
    """The outcome and why first; the person as a pseudonym or an enrolment."""
    who = data.enrolment or (data.pseudonym and data.pseudonym[:12])
    parts = [
        f"{data.check} {data.outcome}",
        ", ".join(data.reasons),
        f"for {data.purpose}",
        who and f"of {who}",
        data.camera and f"camera {data.camera}",
        f"{data.took_ms / 1000:.1f} s",
    ]
    return " ".join(part for part in parts if part)
