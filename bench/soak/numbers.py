"""The sequence numbers of one kiosk as its centre sees them: what came, what is admitted as lost.

A gap says: of these numbers so many are lost, the others still come. So a hole is settled when no
more numbers are missing there than were admitted. Where the kiosk does not know how many, a hole
is settled when nothing has come from there for a while.
"""

from dataclasses import dataclass

SILENCE_S = 60.0
"""What has not come by then from a range of which nobody knows how much is lost, is lost."""


@dataclass(slots=True)
class _Loss:
    """Losses admitted in ranges that touch, taken together."""

    first: int
    last: int
    count: int | None
    """None: nobody knows."""
    at_s: float
    """When the newest was admitted, or something came from there after all."""

    def touches(self, other: "_Loss") -> bool:
        return self.first <= other.last + 1 and other.first <= self.last + 1

    def joined(self, other: "_Loss") -> "_Loss":
        unknown = self.count is None or other.count is None
        return _Loss(
            min(self.first, other.first),
            max(self.last, other.last),
            None if unknown else (self.count or 0) + (other.count or 0),
            max(self.at_s, other.at_s),
        )


class Numbers:
    """Takes numbers and admitted losses in any order, and as often as they come."""

    def __init__(self) -> None:
        self.highest = 0
        """The highest number that came."""
        self.admitted = 0
        """So many are said to be lost; where nobody knows how many, none."""
        self._ids: dict[int, str] = {}
        self._losses: list[_Loss] = []
        self._watermark = 0

    def take(self, number: int, message_id: str, at_s: float) -> bool:
        """Note that a message came; returns whether it came for the first time.

        Raises:
            ValueError: another message has this number.
        """
        if (known := self._ids.get(number)) is not None:
            if known != message_id:
                msg = f"number {number} stands on two messages: {known} and {message_id}"
                raise ValueError(msg)
            return False
        self._ids[number] = message_id
        self.highest = max(self.highest, number)
        for loss in self._losses:
            if loss.first <= number <= loss.last:
                loss.at_s = at_s
        return True

    def admit(self, first: int, last: int, count: int | None, at_s: float) -> None:
        """Note a loss of ``count`` of these numbers; each admission once."""
        self.admitted += count or 0
        new = _Loss(first, last, count, at_s)
        apart = []
        for loss in self._losses:
            if loss.touches(new):
                new = new.joined(loss)
            else:
                apart.append(loss)
        self._losses = [*apart, new]

    def watermark(self, at_s: float) -> int:
        """Everything up to this number came, or is known to be lost at the moment ``at_s``."""
        while self._watermark < self.highest:
            if self._watermark + 1 not in self._ids:
                loss = self._loss_of(self._watermark + 1)
                if loss is None or not self._settled(loss, at_s):
                    break
            self._watermark += 1
        return self._watermark

    @property
    def came(self) -> int:
        """How many numbers came."""
        return len(self._ids)

    @property
    def missing(self) -> int:
        """How many numbers below the highest did not come, admitted or not."""
        return self.highest - len(self._ids)

    def unadmitted(self) -> list[int]:
        """Missing numbers that nobody admitted; of a range with more missing than said, the rest.

        Which of such a range are meant cannot be known: the last ones are returned.
        """
        holes = [
            number
            for number in range(1, self.highest)
            if number not in self._ids and self._loss_of(number) is None
        ]
        for loss in self._losses:
            if loss.count is not None:
                holes += self._missing_in(loss)[loss.count :]
        return sorted(holes)

    def _settled(self, loss: _Loss, at_s: float) -> bool:
        if loss.count is None:
            return at_s - loss.at_s >= SILENCE_S
        return len(self._missing_in(loss)) <= loss.count

    def _missing_in(self, loss: _Loss) -> list[int]:
        last = min(loss.last, self.highest)
        return [number for number in range(loss.first, last + 1) if number not in self._ids]

    def _loss_of(self, number: int) -> _Loss | None:
        return next((one for one in self._losses if one.first <= number <= one.last), None)
