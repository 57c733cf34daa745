"""What is known of a face before it is compared: where it is, and whether it will do."""

from dataclasses import dataclass

from vision.identity.reasons import Reason

Point = tuple[float, float]
"""x to the right, y down, in pixels."""


@dataclass(frozen=True, slots=True)
class Face:
    """A face found in a picture; all places in pixels of that picture.

    Left and right are the person's own: in a picture that is not mirrored, the right eye is the
    one on the left.
    """

    left: float
    top: float
    width: float
    height: float
    score: float
    """The detector's own; higher is surer."""
    right_eye: Point
    left_eye: Point
    nose: Point
    """Tip or base, as the detector's landmarks have it."""
    landmarks: tuple[Point, ...]
    """As the recogniser of the same backend wants them for alignment."""

    @property
    def eye_distance(self) -> float:
        """Between the middles of the eyes."""
        (ax, ay), (bx, by) = self.right_eye, self.left_eye
        return float(((ax - bx) ** 2 + (ay - by) ** 2) ** 0.5)

    @property
    def middle(self) -> Point:
        """Of the box."""
        return self.left + self.width / 2, self.top + self.height / 2


@dataclass(frozen=True, slots=True)
class Quality:
    """What a face is worth for comparing."""

    score: float
    """0 to 1: which of several frames is best."""
    reasons: tuple[Reason, ...]
    """Why it will not do; empty where it does. The first is the one to show."""

    @property
    def is_good(self) -> bool:
        """Whether a comparison may rest on it."""
        return not self.reasons
