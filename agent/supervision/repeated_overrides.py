"""The rule on overrides: business went on too often although the check did not end in a match."""

from collections import deque
from collections.abc import Iterator

from agent.supervision.condition import elapsed_s
from agent.supervision.finding import new_id
from agent.supervision.settings import SupervisionSettings
from contract import Stamp
from contract.identity import SupervisionFinding

_MAX_OVERRIDES = 256
_MAX_NAMED = 32


class RepeatedOverrides:
    """One finding when the number is reached; the next after there were fewer again."""

    def __init__(self) -> None:
        self._overrides: deque[tuple[Stamp, str]] = deque(maxlen=_MAX_OVERRIDES)
        self._told = False

    def add(self, decision_id: str, now: Stamp) -> None:
        """Staff let business go on."""
        self._overrides.append((now, decision_id))

    def look(self, settings: SupervisionSettings, now: Stamp) -> Iterator[SupervisionFinding]:
        """Yield what is found."""
        overrides = self._overrides
        while overrides and elapsed_s(overrides[0][0], now) >= settings.overrides_s:
            overrides.popleft()
        if len(overrides) < settings.overrides:
            self._told = False
        elif not self._told:
            self._told = True
            yield SupervisionFinding(
                finding_id=new_id(now),
                rule="repeated_overrides",
                phase="once",
                text=f"{len(overrides)} checks without a match were overridden within "
                f"{settings.overrides_s / 60:g} minutes.",
                begun=overrides[0][0].time,
                decision_ids=tuple(decision for _, decision in overrides)[-_MAX_NAMED:],
                count=len(overrides),
            )
