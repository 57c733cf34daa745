"""How often something may happen."""

from contract import Clock


class TokenBucket:
    """Lets ``amount`` through in ``per_s`` seconds, as many at once after a quiet time."""

    def __init__(self, amount: int, per_s: float, clock: Clock) -> None:
        self._capacity = float(amount)
        self._per_s = per_s
        self._clock = clock
        self._tokens = self._capacity
        self._filled = clock.monotonic()

    def has_room(self) -> bool:
        """Whether it may happen once more now."""
        now = self._clock.monotonic()
        earned = (now - self._filled) * self._capacity / self._per_s
        self._tokens = min(self._capacity, self._tokens + earned)
        self._filled = now
        return self._tokens >= 1

    def take(self) -> bool:
        """Let it happen once more; returns whether it may."""
        if not self.has_room():
            return False
        self._tokens -= 1
        return True
