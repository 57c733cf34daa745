"""What is known of every kiosk, from the messages that arrive. Knows neither MQTT nor screen."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from contract import ContractError, Data, Envelope, Event, open_message
from contract.events import AlarmCleared, AlarmRaised, Severity
from contract.gap import Gap
from contract.health import ActiveAlarm, Health
from contract.receipt import Receipt
from contract.state import State
from contract.topics import split
from contract.wire import format_time

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""Worst first."""
_NEWEST = 20
_REMEMBERED = 300
"""More than a kiosk has in flight at once: what it may send again after a broken connection."""


class Recent:
    """The last few hundred ids: tells a repeated message from a new one."""

    def __init__(self, size: int = _REMEMBERED) -> None:
        self._order: deque[str] = deque(maxlen=size)
        self._known: set[str] = set()

    def add(self, item: str) -> bool:
        """Remember an id; returns whether it is new."""
        if item in self._known:
            return False
        if len(self._order) == self._order.maxlen:
            self._known.discard(self._order[0])
        self._order.append(item)
        self._known.add(item)
        return True

    def __contains__(self, item: str) -> bool:
        return item in self._known


@dataclass(slots=True)
class KioskView:
    """One kiosk as the centre sees it."""

    kiosk: str
    state: Literal["online", "stopping", "offline", "unknown"] = "unknown"
    session: int = 0
    agent_version: str | None = None
    last_seen: datetime | None = None
    health: Health | None = None
    alarms: dict[str, ActiveAlarm] = field(default_factory=dict)
    events: deque[Envelope[Data]] = field(default_factory=lambda: deque(maxlen=_NEWEST))
    """Newest last, alarms and gaps among them."""
    receipts: deque[Envelope[Data]] = field(default_factory=lambda: deque(maxlen=_NEWEST))
    lost: int = 0
    """Messages that the kiosk admitted to have lost."""
    _health_sequence: int = 0
    _raised_at: dict[str, int] = field(default_factory=dict)
    _seen: Recent = field(default_factory=Recent)
    _cleared: Recent = field(default_factory=Recent)

    @property
    def worst_alarm(self) -> ActiveAlarm | None:
        """The gravest alarm in force, the oldest of those."""
        return min(
            self.alarms.values(),
            key=lambda alarm: (SEVERITIES.index(alarm.severity), alarm.raised),
            default=None,
        )

    @property
    def urgency(self) -> tuple[int, str]:
        """Sorts those first that somebody should look at: offline as grave as the worst alarm."""
        if self.state == "offline":
            return 0, self.kiosk
        worst = self.worst_alarm
        return (len(SEVERITIES) if worst is None else SEVERITIES.index(worst.severity)), self.kiosk

    @property
    def cameras_online(self) -> int | None:
        """Cameras that deliver frames."""
        if self.health is None:
            return None
        return sum(camera.state == "online" for camera in self.health.cameras)

    def feed(self, message: Envelope[Data], *, now: datetime, retained: bool) -> bool:
        """Take in a message; returns whether anything changed."""
        if not self._seen.add(message.id):
            return False
        data = message.data
        if isinstance(data, State):
            return self._take_state(data, message.time, now=now, retained=retained)
        self.last_seen = now
        if isinstance(data, Health):
            self._take_health(data, message.sequence or 0)
        elif isinstance(data, Receipt):
            self.receipts.append(message)
        elif isinstance(data, (Event, Gap)):
            self.events.append(message)
            self._take_event(data, message)
        return True

    def _take_state(self, data: State, time: datetime, *, now: datetime, retained: bool) -> bool:
        if data.session < self.session:
            if data.state != "online":
                return False  # a late will, or a goodbye overtaken by the next birth
            self._forget()  # the box was replaced: its counters begin anew
        self.session = data.session
        self.state = data.state
        self.agent_version = data.agent_version or self.agent_version
        if retained or data.state == "offline":
            # Kept or said by the broker: it proves that the kiosk was there then, not now.
            self.last_seen = max(self.last_seen or time, time)
        else:
            self.last_seen = now
        return True

    def _forget(self) -> None:
        self.health = None
        self.alarms.clear()
        self._health_sequence = 0
        self._raised_at.clear()

    def _take_health(self, data: Health, sequence: int) -> None:
        if sequence < self._health_sequence:
            return  # from the backlog
        self.health, self._health_sequence = data, sequence
        settled = {
            alarm.alarm_id: alarm for alarm in data.alarms if alarm.alarm_id not in self._cleared
        }
        later = {
            alarm_id: alarm
            for alarm_id, alarm in self.alarms.items()
            if self._raised_at.get(alarm_id, 0) > sequence
        }
        self.alarms = settled | later
        self._raised_at = {alarm_id: self._raised_at.get(alarm_id, 0) for alarm_id in self.alarms}

    def _take_event(self, data: Data, message: Envelope[Data]) -> None:
        sequence = message.sequence or 0
        match data:
            case AlarmRaised():
                if sequence < self._health_sequence or data.alarm_id in self._cleared:
                    return  # from the backlog, and settled by what came after it
                self._raised_at[data.alarm_id] = sequence
                self.alarms[data.alarm_id] = ActiveAlarm(
                    alarm_id=data.alarm_id,
                    code=data.code,
                    severity=data.severity,
                    subject=data.subject,
                    raised=message.time,
                    text=data.text[:200],
                )
            case AlarmCleared():
                self._cleared.add(data.alarm_id)
                self.alarms.pop(data.alarm_id, None)
                self._raised_at.pop(data.alarm_id, None)
            case Gap():
                self.lost += data.count or 0

    def summary(self) -> dict[str, Any]:
        """Return the row as one flat JSON object."""
        health, worst = self.health, self.worst_alarm
        return {
            "kiosk": self.kiosk,
            "state": self.state,
            "session": self.session,
            "agent_version": self.agent_version,
            "last_seen": None if self.last_seen is None else format_time(self.last_seen),
            "alarms": len(self.alarms),
            "worst_alarm": None if worst is None else worst.code,
            "worst_severity": None if worst is None else worst.severity,
            "cpu_percent": health and health.cpu_percent,
            "memory_used_percent": health and health.memory_used_percent,
            "disk_used_percent": health and health.disk_used_percent,
            "temperature_max_c": health and health.temperature_max_c,
            "outbox_rows": health and health.outbox_rows,
            "cameras": health and len(health.cameras),
            "cameras_online": self.cameras_online,
            "messages_lost": self.lost,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """A message that changed what is known of a kiosk."""

    view: KioskView
    message: Envelope[Data]


class Fleet:
    """Every kiosk under one root."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._kiosks: dict[str, KioskView] = {}
        self.malformed = 0
        """Messages that break the contract, or lie about who sent them."""

    @property
    def kiosks(self) -> Sequence[KioskView]:
        """Every kiosk heard of, by id."""
        return [self._kiosks[kiosk] for kiosk in sorted(self._kiosks)]

    def kiosk(self, kiosk: str) -> KioskView:
        """Return what is known of one kiosk, be it nothing."""
        return self._kiosks.setdefault(kiosk, KioskView(kiosk))

    def feed(
        self, topic: str, payload: bytes, *, now: datetime, retained: bool = False
    ) -> Change | None:
        """Take in a message; returns what it changed. Never raises for what a broker sends.

        Args:
            topic: where it was published.
            payload: its bytes.
            now: the centre's time, UTC.
            retained: whether it is an old one that the broker kept.
        """
        try:
            kiosk, suffix = split(self._root, topic)
            message = open_message(payload)
        except ContractError:
            self.malformed += 1
            return None
        if message.kiosk != kiosk or suffix != message.data.SUFFIX:
            self.malformed += 1
            return None
        view = self.kiosk(kiosk)
        if not view.feed(message, now=now, retained=retained):
            return None
        return Change(view, message)
