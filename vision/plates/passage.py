"""From plates in single frames to one passage a vehicle.

A plate is followed by its place, at a constant velocity, and by its text. Near its expected place
a plate is taken for the same one unless both texts are clear and differ. A track that broke off
goes on when the text turns up again within seconds, wherever that is. Another clear text
at the very place is a misread frame; when it stays, it is another vehicle.

What never shows :attr:`PassageRules.min_legible` legible characters in one frame is no plate
but a badge, a poster, a sign board: it is never reported. That its text is well-formed does
not help it, for a reader of plates makes plates of everything.
"""

import itertools
from collections.abc import Iterable, Sequence

from vision.plates.likeness import Likeness
from vision.plates.plate import Plate
from vision.plates.track import Passage, PassageRules, Sighting, Track

__all__ = ["Passage", "PassageRules", "Passages"]


class Passages:
    """Follows all plates of one camera. Times are seconds on one clock that never goes back."""

    def __init__(self, rules: PassageRules | None = None) -> None:
        self._rules = rules or PassageRules()
        self._tracks: list[Track] = []
        self._numbers = itertools.count(1)
        self._now = 0.0

    def update(self, plates: Sequence[Plate], now: float, size: tuple[int, int]) -> list[Passage]:
        """Take the plates of one frame, also when there are none; return what is to be reported.

        Each passage is returned once: when it ends, or after ``max_s`` if it lasts longer.

        Args:
            plates: found in one frame.
            now: when the frame was taken, in seconds.
            size: width and height of the frame. A plate that its edge cuts is followed, not read.
        """
        self._now = now
        left = {index: Sighting.of(plate, now, size) for index, plate in enumerate(plates)}
        over: list[Track] = []
        for track, index, likeness in self._matches(left):
            sighting = left.pop(index)
            if likeness is Likeness.DIFFERENT:
                over += self._stray(track, sighting)
            else:
                track.follow(sighting)
        for sighting in left.values():
            over += self._open(sighting)
        self._join()
        over += [track for track in self._tracks if track.ended(now)]
        self._tracks = [track for track in self._tracks if not track.ended(now)]
        lasting = [track for track in self._tracks if track.lasts(now)]
        return [*_report(over, gone=True), *_report(lasting, gone=False)]

    def flush(self) -> list[Passage]:
        """End all passages, as when the camera is lost; return those not reported yet."""
        over, self._tracks = self._tracks, []
        return _report(over, gone=True)

    def current(self) -> list[Passage]:
        """Return what is in view now, sign boards too: for a live picture."""
        seen = [track for track in self._tracks if self._now - track.last_s <= self._rules.gap_s]
        passages = [track.passage(gone=False) for track in seen]
        return [passage for passage in passages if passage]

    def confident(self) -> list[Passage]:
        """Return the passages whose text became legible since the last call.

        For alarms that cannot wait for the end. A text that changes when better views come is
        told again; a passage that :meth:`update` returned as gone is told by it alone.
        """
        passages: list[Passage] = []
        for track in self._tracks:
            passage = track.passage(gone=False)
            if passage and track.is_plate and passage.legible and track.alarm(passage.text):
                passages.append(passage)
        return passages

    def _matches(self, sightings: dict[int, Sighting]) -> list[tuple[Track, int, Likeness]]:
        """Pair tracks and sightings, the surest pairs first."""
        pairs = []
        for place, track in enumerate(self._tracks):
            for index, sighting in sightings.items():
                fit = track.fit(sighting)
                if fit:
                    pairs.append((*fit, place, index))
        places: set[int] = set()
        indices: set[int] = set()
        matches = []
        for likeness, _, place, index in sorted(pairs):
            if place not in places and index not in indices:
                places.add(place)
                indices.add(index)
                matches.append((self._tracks[place], index, likeness))
        return matches

    def _stray(self, track: Track, sighting: Sighting) -> list[Track]:
        """Take another text at a track's place; return the track if that ends it."""
        track.stray(sighting)
        if not track.strayed:
            return []
        first, *others = track.give_up_strays()
        if track.established:
            self._tracks.remove(track)
            successor = Track(next(self._numbers), first, self._rules)
            self._tracks.append(successor)
        else:
            successor = track
            successor.follow(first)
        for other in others:
            successor.follow(other)
        return [] if successor is track else [track]

    def _open(self, sighting: Sighting) -> list[Track]:
        """Begin a track; return the one that had to end for it."""
        dropped: list[Track] = []
        if len(self._tracks) >= self._rules.max_tracks:
            oldest = min(self._tracks, key=lambda track: track.last_s)
            if oldest.last_s == sighting.now:
                return []
            self._tracks.remove(oldest)
            dropped.append(oldest)
        self._tracks.append(Track(next(self._numbers), sighting, self._rules))
        return dropped

    def _join(self) -> None:
        """Let tracks that broke off go on in those that are seen now."""
        for later in [track for track in self._tracks if track.last_s == self._now]:
            earlier = [track for track in self._tracks if track.goes_on_in(later)]
            if earlier:
                max(earlier, key=lambda track: track.last_s).join(later)
                self._tracks.remove(later)


def _report(tracks: Iterable[Track], *, gone: bool) -> list[Passage]:
    passages: list[Passage] = []
    for track in tracks:
        passage = track.passage(gone=gone)
        if passage and track.is_plate and not track.reported:
            track.reported = True
            passages.append(passage)
    return passages
