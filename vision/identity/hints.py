"""Hints that a person can follow: told when they hold, and not too often."""

from vision.identity.reasons import Reason, Step
from vision.identity.report import Hint

_STEADY_S = 0.4
"""What a frame lacks is told once it was so for so long."""
_GAP_S = 0.35
"""Between two hints."""


class Hints:
    """Makes steady hints of what each look says."""

    def __init__(self, check: str) -> None:
        self._told = Hint(id=check)
        self._told_s = self._since_s = float("-inf")
        self._reasons: tuple[Reason, ...] = ()

    def update(
        self, reasons: tuple[Reason, ...], step: Step | None, steps_left: int, now_s: float
    ) -> Hint | None:
        """Take what is so now; returns a hint where there is a new one."""
        if reasons != self._reasons:
            self._reasons, self._since_s = reasons, now_s
        if now_s - self._since_s < _STEADY_S:
            reasons = self._told.reasons
        hint = Hint(id=self._told.id, reasons=reasons, step=step, steps_left=steps_left)
        if hint == self._told or now_s - self._told_s < _GAP_S:
            return None
        self._told, self._told_s = hint, now_s
        return hint
