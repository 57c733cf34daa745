"""How often something may happen."""

from contract import Clock


class TokenBucket:
    """Lets ``per_minute`` through a minute, as many at once after a quiet one."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._capacity = float(per_minute)
        self._clock = clock
        self._tokens = self._capacity
        self._filled = clock.monotonic()

    def take(self) -> bool:
        """Whether it may happen once more now."""
        now = self._clock.monotonic()
        earned = (now - self._filled) * self._capacity / 60
        self._tokens = min(self._capacity, self._tokens + earned)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
