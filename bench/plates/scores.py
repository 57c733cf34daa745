"""How well plates were read, counted: pure functions of what stands there and what was read."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from vision.plates.plate import Plate, Quad

_NEAR = 0.5
"""A plate is the labelled one if its centre is no farther, in widths of the labelled box."""
_SIZES = 0.4, 2.5
"""And if its width is so many times the labelled one's."""
_BINS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Read:
    """One plate, as it is and as it was read, sure or not."""

    truth: str
    text: str
    confidence: float = 0.0
    group: str = ""
    """Its colour, folder, or whatever it is to be told apart by."""

    @property
    def right(self) -> bool:
        """Whether every character is."""
        return self.truth == self.text


@dataclass(frozen=True, slots=True)
class Labelled:
    """A plate in a whole picture; without a box where nobody marked it."""

    text: str
    colour: str
    main: bool
    box: tuple[float, float, float, float] | None
    """Centre, width and height, in pixels."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole picture and what was found in it, best first."""

    file: str
    labels: tuple[Labelled, ...]
    plates: tuple[Plate, ...]

    def found(self, label: Labelled) -> Plate | None:
        """Return what was found of a labelled plate: with its text, else at its place."""
        for plate in self.plates:
            if plate.reading.text == label.text:
                return plate
        return next((p for p in self.plates if _at(label, p.detection.corners)), None)

    def invented(self, min_character: float) -> list[Plate]:
        """Return what is readable, and neither the text nor the place of any labelled plate."""
        return [
            plate
            for plate in self.plates
            if min(plate.reading.min_confidence, plate.reading.absence) >= min_character
            and not any(
                plate.reading.text == label.text or _at(label, plate.detection.corners)
                for label in self.labels
            )
        ]


def main_reads(frames: Iterable[Frame]) -> list[Read]:
    """Pair each picture's main plate with what was read of it; nothing where it was not found."""
    reads = []
    for frame in frames:
        for label in frame.labels:
            if label.main:
                plate = frame.found(label)
                text = plate.reading.text if plate else ""
                sure = plate.reading.confidence if plate else 0.0
                reads.append(Read(label.text, text, sure, label.colour))
    return reads


def found_share(frames: Iterable[Frame]) -> float:
    """Share of the main plates that were found, however they were read."""
    return _share(
        frame.found(label) is not None for frame in frames for label in frame.labels if label.main
    )


def invented_share(frames: Iterable[Frame], min_character: float) -> float:
    """Share of the pictures in which a plate was read where none is labelled."""
    return _share(bool(frame.invented(min_character)) for frame in frames)


def exact_share(reads: Iterable[Read]) -> float:
    """Share of the plates that were read exactly."""
    return _share(read.right for read in reads)


def serial_share(reads: Iterable[Read]) -> float:
    """Share of the plates that were read exactly after the province."""
    return _share(read.truth[1:] == read.text[1:] for read in reads)


def shares_by(reads: Iterable[Read], key: Callable[[Read], str]) -> dict[str, tuple[float, int]]:
    """Return the exact share and the number of each group, the largest first."""
    groups: dict[str, list[Read]] = {}
    for read in reads:
        groups.setdefault(key(read), []).append(read)
    large = sorted(groups.items(), key=lambda item: -len(item[1]))
    return {name: (exact_share(group), len(group)) for name, group in large}


def confusions(reads: Iterable[Read]) -> list[tuple[str, str, int]]:
    """Count what was read for what, the most frequent first; empty for lost or added characters."""
    counts: Counter[tuple[str, str]] = Counter()
    for read in reads:
        if not read.text:
            continue
        matcher = SequenceMatcher(a=read.truth, b=read.text, autojunk=False)
        for kind, a, to_a, b, to_b in matcher.get_opcodes():
            if kind == "equal":
                continue
            truth, text = read.truth[a:to_a], read.text[b:to_b]
            longest = max(len(truth), len(text))
            counts.update((truth[at : at + 1], text[at : at + 1]) for at in range(longest))
    return [(truth, text, count) for (truth, text), count in counts.most_common()]


def surely_right(reads: Iterable[Read], confidence: float = 0.9) -> tuple[float, int]:
    """Return how many of the reads said to be so sure are right, and how many those are."""
    sure = [read for read in reads if read.text and read.confidence >= confidence]
    return exact_share(sure), len(sure)


def calibration(reads: Iterable[Read]) -> list[tuple[float, float, int]]:
    """Return mean confidence, share right and number of the reads, bin by bin."""
    told = [read for read in reads if read.text]
    rows = []
    for low, high in zip(_BINS, (*_BINS[1:-1], float("inf")), strict=False):
        group = [read for read in told if low <= read.confidence < high]
        if group:
            mean = float(np.mean([read.confidence for read in group]))
            rows.append((mean, exact_share(group), len(group)))
    return rows


def calibration_error(reads: Iterable[Read]) -> float:
    """Mean distance of what is said from what is so (ECE), weighted by the number of reads."""
    rows = calibration(reads)
    total = sum(count for *_, count in rows)
    return sum(abs(said - so) * count for said, so, count in rows) / total if total else 0.0


def _at(label: Labelled, corners: Quad) -> bool:
    if label.box is None:
        return False
    x, y, width, _ = label.box
    points = np.array(corners)
    centre_x, centre_y = points.mean(0)
    edges = points[1] - points[0], points[2] - points[3]
    size = float(np.mean([np.hypot(*edge) for edge in edges]))
    near = float(np.hypot(centre_x - x, centre_y - y)) <= _NEAR * width
    return near and _SIZES[0] * width <= size <= _SIZES[1] * width


def _share(hits: Iterable[bool]) -> float:
    counted: Sequence[bool] = list(hits)
    return sum(counted) / len(counted) if counted else 0.0
