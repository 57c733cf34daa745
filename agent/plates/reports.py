"""What is told of a vehicle: one ``plate.read`` a passage, ``plate.hit`` where it is looked for."""

from collections import OrderedDict
from collections.abc import Callable

from agent.plates.watch_lists import Match, WatchLists
from agent.pseudonym import Pseudonyms
from contract.message import Publish
from contract.plates import STATISTICS, Alternative, DoubtfulCharacter, PlateHit, PlateRead
from vision.plates.grammar import Kind, judge
from vision.plates.settings import CameraPlateSettings, Suppressible
from vision.plates.watcher import Observation, Told

_MAX_PASSAGES = 256
_SUPPRESSED: dict[Suppressible, frozenset[Kind]] = {
    "military": frozenset({"military"}),
    "armed_police": frozenset({"wj"}),
    "embassy": frozenset({"embassy", "consulate"}),
}
_SUPPRESSIBLE_COLOURS = frozenset({"white", "black"})


class PlateReports:
    """Publishes what cameras observe, with no more in it than the settings allow.

    Suppressed classes are counted, not told of and not looked up, not even where a watch list
    names one. Of what cannot be told from them the text is left out: of a white or black plate
    that is unreadable, or of no class.

    Args:
        publish: takes the events.
        pseudonyms: what stands for a text.
        watch_lists: which plates are looked for.
        on_hit: told a sentence, without the plate, for people who are not of the case.
    """

    def __init__(
        self,
        *,
        publish: Publish,
        pseudonyms: Pseudonyms,
        watch_lists: WatchLists,
        on_hit: Callable[[str], None],
    ) -> None:
        self._publish = publish
        self._pseudonyms = pseudonyms
        self._watch_lists = watch_lists
        self._on_hit = on_hit
        self._alarmed: OrderedDict[str, set[tuple[str, str, str]]] = OrderedDict()
        """By passage: list, text and kind of the matches that were told."""

    async def tell(self, settings: CameraPlateSettings, seen: Observation) -> Told:
        """Tell of a vehicle; the events are stored when this returns."""
        suppressed = frozenset[Kind]().union(*(_SUPPRESSED[one] for one in settings.suppress))
        if seen.verdict.kind in suppressed:
            return Told(suppressed=1) if seen.final else Told()
        hits = await self._tell_hits(seen, suppressed)
        if not seen.final:
            return Told(hits=hits)
        event = await self._event(settings, seen)
        await self._publish(event, seen.end)
        if seen.readable:
            return Told(read=1, hits=hits)
        return Told(unreadable=1, hits=hits)

    async def _tell_hits(self, seen: Observation, suppressed: frozenset[Kind]) -> int:
        hits = 0
        for match in self._watch_lists.match(seen.reading.characters, seen.doubtful):
            if judge(match.entry.text).kind in suppressed:
                continue
            told = self._alarmed.setdefault(seen.id, set())
            if len(self._alarmed) > _MAX_PASSAGES:
                self._alarmed.popitem(last=False)
            which = match.watch_list.name, match.entry.text
            if (*which, match.kind) in told or (*which, "exact") in told:
                continue
            told.add((*which, match.kind))
            hits += 1
            await self._publish(_hit(seen, match), seen.end)
            self._on_hit(
                f"camera {seen.camera} saw a vehicle of the watch list {match.watch_list.name} "
                f"({match.kind} match); plate.hit says which"
            )
        return hits

    async def _event(self, settings: CameraPlateSettings, seen: Observation) -> PlateRead:
        reading, verdict = seen.reading, seen.verdict
        unknown = not seen.readable or not verdict.well_formed
        hidden = settings.suppress and unknown and reading.colour in _SUPPRESSIBLE_COLOURS
        plain = bool(settings.plain_text_purpose) and not hidden
        purpose = settings.plain_text_purpose or STATISTICS
        pseudonym = await self._pseudonyms.of(reading.text, purpose) if seen.readable else None
        return PlateRead(
            camera=seen.camera,
            begin=seen.begin.time,
            end=seen.end.time,
            duration_s=round((seen.end.monotonic_ms - seen.begin.monotonic_ms) / 1000, 3),
            purpose=purpose,
            readable=seen.readable,
            pseudonym=pseudonym.value if pseudonym else None,
            pseudonym_key_id=pseudonym.key_id if pseudonym else None,
            text=reading.text if plain and seen.readable else None,
            partial=_partial(seen) if plain and not seen.readable else None,
            kind=verdict.kind if seen.readable else "other",
            class_code=verdict.code if seen.readable else "99",
            well_formed=verdict.well_formed and seen.readable,
            doubts=verdict.doubts if seen.readable else (),
            colour=reading.colour,
            colour_confidence=_share(reading.colour_confidence),
            rows=reading.rows,
            confidences=tuple(_share(one.confidence) for one in reading.characters),
            min_confidence=_share(reading.min_confidence),
            alternatives=_alternatives(seen) if plain else (),
            width_px=seen.width_px,
            views=seen.views,
            detector=seen.detector,
            reader=seen.reader,
        )


def _hit(seen: Observation, match: Match) -> PlateHit:
    return PlateHit(
        camera=seen.camera,
        watch_list=match.watch_list.name,
        purpose=match.watch_list.purpose,
        code=match.entry.code,
        text=match.entry.text,
        match=match.kind,
        read=_partial(seen),
        min_confidence=_share(seen.reading.min_confidence),
        views=seen.views,
        begin=seen.begin.time,
        expires=match.watch_list.expires,
    )


def _partial(seen: Observation) -> str:
    """The text with ``?`` for each character that is not sure."""
    return "".join(
        "?" if place in seen.doubtful else character.text
        for place, character in enumerate(seen.reading.characters)
    )


def _alternatives(seen: Observation) -> tuple[DoubtfulCharacter, ...]:
    return tuple(
        DoubtfulCharacter(
            position=place,
            alternatives=tuple(
                Alternative(text=text, confidence=_share(confidence))
                for text, confidence in character.alternatives
            ),
        )
        for place, character in enumerate(seen.reading.characters)
        if character.alternatives
    )


def _share(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 4)
