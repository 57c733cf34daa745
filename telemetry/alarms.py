"""Alarms: raised when a condition has held for long enough, cleared when it stays away."""

import asyncio
from dataclasses import dataclass

import structlog

from contract.events import AlarmCleared, AlarmRaised, Severity
from contract.health import ActiveAlarm, Health
from contract.ids import uuid7_at
from contract.message import Publish
from contract.stamp import Clock, TimeQuality
from telemetry.alarm_rules import AlarmSettings

_ORDER: dict[Severity, int] = {"critical": 0, "major": 1, "minor": 2, "warning": 3}
_TEXT_LENGTH = 200
_SILENCE_S = 60.0
"""A probe may time out for so long before that clears anything: an alarm must not flap with it."""

_log = structlog.get_logger()

Key = tuple[str, str | None]
"""Code and subject: what can be in alarm once at a time."""


@dataclass(slots=True)
class _Condition:
    """What is known of one code and subject."""

    severity: Severity = "minor"
    text: str = ""
    value: float | None = None
    threshold: float | None = None
    holds: bool = False
    since: float = 0.0
    """When ``holds`` last changed, on the monotonic clock."""
    silent: bool = False
    """It does not hold, for nothing is said of it any more."""
    alarm: ActiveAlarm | None = None
    """The alarm in force, once it is stored."""
    raised_at: float = 0.0
    alarm_id: str | None = None
    """Kept when storing fails, so that the second try is the same alarm."""

    @property
    def turning(self) -> bool:
        """Whether it is other than what was published."""
        return self.holds != (self.alarm is not None)


class AlarmBoard:
    """The alarms in force: each is raised once and cleared once.

    A hold time ends with the next word of anyone to the board, or :meth:`tick`. An event that
    cannot be stored is tried again at those moments; until then the alarm has not changed.
    """

    def __init__(
        self, *, clock: Clock, publish: Publish, settings: AlarmSettings | None = None
    ) -> None:
        settings = settings or AlarmSettings()
        self._clock = clock
        self._publish = publish
        self._rules = {rule.code: rule for rule in settings.effective()}
        self._max_active = settings.max_active
        self._conditions: dict[Key, _Condition] = {}
        self._publishing = asyncio.Lock()
        self._full = False
        self._storing_fails = False

    async def adopt(self, settings: AlarmSettings) -> None:
        """Judge by other rules from now on. An alarm that has no rule any more is cleared."""
        before = self._rules
        self._rules = {rule.code: rule for rule in settings.effective()}
        self._max_active = settings.max_active
        for code, subject in list(self._conditions):
            if code in before and code not in self._rules:
                self._set((code, subject), holds=False)
        await self.tick()

    def active(self) -> tuple[ActiveAlarm, ...]:
        """Return the alarms in force: the worst first, of equals the oldest."""
        conditions = sorted(self._conditions.values(), key=lambda one: one.raised_at)
        alarms = [one.alarm for one in conditions if one.alarm is not None]
        return tuple(sorted(alarms, key=lambda alarm: _ORDER[alarm.severity]))

    async def observe(self, code: str, value: float, subject: str | None = None) -> None:
        """Judge a measured value by the rule of that code.

        Without such a rule (it may be switched off) nothing happens.
        """
        self._judge(code, value, subject)
        await self.tick()

    async def observe_health(self, health: Health, quality: TimeQuality) -> None:
        """Judge a sample by every rule there is for it.

        Of a value that is absent nobody knows that it stays: what was to become an alarm does not,
        and an alarm in force is cleared when the value stays away; but for rules that say
        otherwise.
        """
        for rule in self._rules.values():
            if rule.field is None:
                continue
            value = getattr(health, rule.field)
            if value is not None:
                self._judge(rule.code, value)
            elif not rule.outlives_silence:
                self._set((rule.code, None), holds=False, silent=True)
        self._judge("clock.unsynced", quality == "unsynced")
        self._judge_each(
            "camera.lost", {camera.name: camera.state == "lost" for camera in health.cameras}
        )
        self._judge_each(
            "camera.tampered", {camera.name: bool(camera.conditions) for camera in health.cameras}
        )
        self._judge_each(
            "peripheral.fault", {one.name: one.state != "ok" for one in health.peripherals}
        )
        await self.tick()

    async def raise_(
        self,
        code: str,
        severity: Severity,
        text: str,
        subject: str | None = None,
        value: float | None = None,
    ) -> None:
        """Say that a condition holds; saying it again changes nothing.

        Where a rule has this code, the hold times and the severity are the rule's.
        """
        rule = self._rules.get(code)
        self._set(
            (code, subject),
            holds=True,
            severity=rule.severity if rule else severity,
            text=text,
            value=value,
        )
        await self.tick()

    async def clear(self, code: str, subject: str | None = None) -> None:
        """Say that a condition is over, whether or not it was raised."""
        self._set((code, subject), holds=False)
        await self.tick()

    async def tick(self) -> None:
        """Publish what has held for long enough, and forget what is over."""
        async with self._publishing:
            for key, condition in list(self._conditions.items()):
                if condition.turning and self._held_long_enough(key, condition):
                    await self._turn(key, condition)
                if not condition.holds and condition.alarm is None:
                    del self._conditions[key]
                    self._full = False

    def _judge(self, code: str, value: float, subject: str | None = None) -> None:
        rule = self._rules.get(code)
        if rule is None:
            return
        holds = rule.judge(value)
        if holds is None:  # between the thresholds everything stays as it was published
            condition = self._conditions.get((code, subject))
            holds = condition is not None and condition.alarm is not None
        self._set(
            (code, subject),
            holds=holds,
            severity=rule.severity,
            text=rule.text.format(value=value, threshold=rule.raise_at, subject=subject),
            value=float(value),
            threshold=rule.raise_at,
        )

    def _judge_each(self, code: str, holds: dict[str, bool]) -> None:
        """Judge a condition of all its subjects; of one that is gone it does not hold."""
        gone = {subject for known, subject in self._conditions if known == code} - holds.keys()
        for subject in gone:
            self._judge(code, False, subject)
        for subject, value in holds.items():
            self._judge(code, value, subject)

    def _set(
        self,
        key: Key,
        *,
        holds: bool,
        severity: Severity = "minor",
        text: str = "",
        value: float | None = None,
        threshold: float | None = None,
        silent: bool = False,
    ) -> None:
        condition = self._conditions.get(key)
        if condition is None:
            if not holds or self._no_room(key):
                return
            condition = self._conditions[key] = _Condition()
        if holds != condition.holds:
            condition.holds, condition.since = holds, self._clock.monotonic()
        if condition.alarm is None and holds:
            condition.severity, condition.text = severity, text[:_TEXT_LENGTH]
            condition.threshold = threshold
        condition.value, condition.silent = value, silent

    def _no_room(self, key: Key) -> bool:
        if len(self._conditions) < self._max_active:
            return False
        if not self._full:
            self._full = True
            _log.error("too_many_alarms", limit=self._max_active, refused=key[0], subject=key[1])
        return True

    def _held_long_enough(self, key: Key, condition: _Condition) -> bool:
        rule = self._rules.get(key[0])
        if rule is None:
            return True
        hold_s = rule.raise_after_s if condition.holds else rule.clear_after_s
        if condition.silent:
            hold_s = max(hold_s, _SILENCE_S)
        return self._clock.monotonic() - condition.since >= hold_s

    async def _turn(self, key: Key, condition: _Condition) -> None:
        try:
            if condition.alarm is None:
                await self._publish_raised(key, condition)
            else:
                await self._publish_cleared(condition, condition.alarm)
        except Exception:  # noqa: BLE001  # whatever storage may throw
            if not self._storing_fails:
                _log.exception("alarm_not_stored", code=key[0], subject=key[1])
            self._storing_fails = True
        else:
            self._storing_fails = False

    async def _publish_raised(self, key: Key, condition: _Condition) -> None:
        stamp = self._clock.stamp()
        if condition.alarm_id is None:
            condition.alarm_id = uuid7_at(stamp.time)
        code, subject = key
        raised = AlarmRaised(
            alarm_id=condition.alarm_id,
            code=code,
            severity=condition.severity,
            subject=subject,
            text=condition.text,
            value=condition.value,
            threshold=condition.threshold,
        )
        alarm = ActiveAlarm(
            alarm_id=raised.alarm_id,
            code=code,
            severity=raised.severity,
            subject=subject,
            raised=stamp.time,
            text=raised.text,
        )
        raised_at = self._clock.monotonic()
        await self._publish(raised, stamp)
        condition.alarm, condition.raised_at = alarm, raised_at
        _log.warning("alarm_raised", code=code, subject=subject, text=alarm.text)

    async def _publish_cleared(self, condition: _Condition, alarm: ActiveAlarm) -> None:
        cleared = AlarmCleared(
            alarm_id=alarm.alarm_id,
            code=alarm.code,
            severity=alarm.severity,
            subject=alarm.subject,
            raised=alarm.raised,
            duration_s=round(self._clock.monotonic() - condition.raised_at, 3),
            value=condition.value,
        )
        await self._publish(cleared, self._clock.stamp())
        condition.alarm = condition.alarm_id = None
        _log.info("alarm_cleared", code=alarm.code, subject=alarm.subject)
