"""Which face of one look is which of the next; who stands in front."""

from collections.abc import Sequence

from vision.identity.face import Face

_LEAP, _LEAP_PER_S = 1.5, 8.0
"""In eye distances: no head moves so far from one look to the next."""
_GROWTH, _GROWTH_PER_S = 1.35, 1.0
_BACKGROUND = 0.5
"""A face not half as large as the largest one is far behind it."""


def distance(a: Face, b: Face) -> float:
    """Between the middles of two faces, in pixels."""
    (ax, ay), (bx, by) = a.middle, b.middle
    return float(((ax - bx) ** 2 + (ay - by) ** 2) ** 0.5)


def is_same_place(before: Face, now: Face, passed_s: float) -> bool:
    """Whether one head can have gone from here to there, and grown so, in this time."""
    smaller, larger = sorted((before.eye_distance, now.eye_distance))
    return (
        distance(before, now) <= smaller * (_LEAP + _LEAP_PER_S * passed_s)
        and larger <= (_GROWTH + _GROWTH_PER_S * passed_s) * smaller
    )


def foreground(faces: Sequence[Face]) -> list[Face]:
    """Return those that stand in front, the largest first."""
    if not faces:
        return []
    largest = max(face.width for face in faces)
    near = (face for face in faces if face.width >= _BACKGROUND * largest)
    return sorted(near, key=lambda face: -face.width)
