"""What the screen has to say: announcements, and that the machine goes down soon."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from commands.desk.view import AnnouncementsView, AnnouncementView, PowerView, Subject
from commands.errors import DeskError
from commands.machine import PowerKind
from contract import Clock
from contract.ids import uuid7_at

MAX_ANNOUNCEMENTS = 16
"""One more pushes out the oldest."""
POWER_STALE_S = 120.0
"""A machine that is still up so long after its announced end does not go down after all."""

_VERBS: dict[PowerKind, str] = {"reboot": "restarts", "poweroff": "is switched off"}


@dataclass(frozen=True, slots=True)
class _Power:
    kind: PowerKind
    due: float


class Notices:
    """They do not outlive the agent.

    Args:
        clock: the time that they end by.
        changed: called after each change with what has changed.
    """

    def __init__(self, *, clock: Clock, changed: Callable[[Subject], None]) -> None:
        self._clock = clock
        self._changed = changed
        self._shown: dict[str, tuple[AnnouncementView, float]] = {}
        self._power: _Power | None = None

    def announce(self, text: str, for_s: float) -> AnnouncementView:
        """Show a text for so long."""
        now = self._clock.stamp()
        view = AnnouncementView(
            id=uuid7_at(now.time),
            text=text,
            begun=now.time,
            until=now.time + timedelta(seconds=for_s),
        )
        while len(self._shown) >= MAX_ANNOUNCEMENTS:
            del self._shown[next(iter(self._shown))]
        self._shown[view.id] = (view, self._clock.monotonic() + for_s)
        self._changed("announcements")
        return view

    def withdraw(self, announcement_id: str) -> None:
        """Show a text no longer."""
        if self._shown.pop(announcement_id, None) is not None:
            self._changed("announcements")

    def announce_power(self, kind: PowerKind, seconds_left: float) -> None:
        """The machine goes down after so long."""
        self._power = _Power(kind, self._clock.monotonic() + seconds_left)
        self._changed("power")

    def withdraw_power(self) -> None:
        """The machine does not go down after all."""
        if self._power is not None:
            self._power = None
            self._changed("power")

    @property
    def announcements(self) -> AnnouncementsView:
        """All in force, the oldest first."""
        return AnnouncementsView(announcements=tuple(view for view, _ in self._shown.values()))

    @property
    def power(self) -> PowerView:
        """Whether the machine goes down soon."""
        if self._power is None:
            return PowerView(kind="none")
        kind = self._power.kind
        left = max(0.0, self._power.due - self._clock.monotonic())
        text = f"The kiosk {_VERBS[kind]} in {left:.0f} seconds."
        return PowerView(kind=kind, seconds_left=round(left, 1), text=text)

    @property
    def refusal(self) -> DeskError | None:
        """Why no session may begin, if so."""
        if self._power is None:
            return None
        return DeskError(f"the kiosk {_VERBS[self._power.kind]} in a moment", code="going_down")

    def next_s(self) -> float | None:
        """Seconds to the next end of one of them."""
        dues = [due for _, due in self._shown.values()]
        if self._power is not None:
            dues.append(self._power.due + POWER_STALE_S)
        return min(dues) - self._clock.monotonic() if dues else None

    def end_due(self) -> None:
        """End those whose time is over."""
        now = self._clock.monotonic()
        for announcement_id in [one for one, (_, due) in self._shown.items() if due <= now]:
            self.withdraw(announcement_id)
        if self._power is not None and self._power.due + POWER_STALE_S <= now:
            self.withdraw_power()
