"""What is told of a vehicle holds no more than the settings allow."""

import pytest

from agent.plates.reports import PlateReports
from agent.plates.watch_lists import WatchLists
from agent.pseudonym import MAX_FILE_BYTES, Pseudonyms
from agent.state_file import StateFile
from contract import Priority, seal
from contract.actions import WatchListEntry, WatchListPut
from tests.support.clock import START, ManualClock
from tests.support.observations import TEXT, observation
from vision.plates.settings import CameraPlateSettings, PlateSettings
from vision.plates.watcher import Told

STATISTICS = CameraPlateSettings(enabled=True)
PLAIN = CameraPlateSettings(enabled=True, plain_text_purpose="parking offences")
ALL = CameraPlateSettings(enabled=True, plain_text_purpose="parking offences", suppress=())


class Street:
    """A kiosk that reports; its events in order."""

    def __init__(self, folder):
        self.clock = ManualClock()
        self.events = []
        self.stamps = []
        self.alarms = []
        self.lists = WatchLists(
            folder / "watch-lists.json",
            clock=self.clock,
            settings=PlateSettings,
            on_damage=self.alarms.append,
        )
        self.reports = PlateReports(
            publish=self._publish,
            pseudonyms=Pseudonyms(
                StateFile(folder / "plate-key.json", limit=MAX_FILE_BYTES),
                clock=self.clock,
                rotation_days=lambda: 1.0,
            ),
            watch_lists=self.lists,
            on_hit=self.alarms.append,
        )

    async def _publish(self, data, stamp):
        self.events.append(data)
        self.stamps.append(stamp)

    async def look_for(self, *texts):
        entries = tuple(WatchListEntry(text=text, code="stolen") for text in texts)
        await self.lists.put(
            WatchListPut(
                name="wanted",
                purpose="case 7",
                expires=START.replace(year=2026, month=12),
                entries=entries,
            ),
            not_before=START,
        )

    async def see(self, *args, settings=STATISTICS, **kwargs):
        return await self.reports.tell(settings, observation(*args, **kwargs))

    @property
    def sent(self):
        """All that would go over the wire."""
        payloads = [
            seal(event, kiosk="k1", stamp=self.clock.stamp(), sequence=1).payload
            for event in self.events
        ]
        return b"".join(payloads).decode()


@pytest.fixture
def street(tmp_path):
    return Street(tmp_path)


async def test_statistics_carry_a_pseudonym_and_no_text(street):
    """Without a purpose there is a pseudonym, and no character of the plate in what is sent."""
    assert await street.see(at4=("3", 0.9, {"8": 0.05})) == Told(read=1)
    [event] = street.events
    assert (event.purpose, event.readable, event.text) == ("statistics", True, None)
    assert (event.partial, event.alternatives) == (None, ())
    assert len(event.pseudonym) == 32
    assert TEXT not in street.sent
    assert TEXT[0] not in street.sent


async def test_a_stated_purpose_puts_the_text_in(street):
    """With a purpose the event names it and carries text, alternatives and pseudonym."""
    await street.see(at4=("3", 0.9, {"8": 0.05}), settings=PLAIN)
    [event] = street.events
    assert (event.purpose, event.text) == ("parking offences", TEXT)
    [doubt] = event.alternatives
    assert (doubt.position, doubt.alternatives[0].text) == (4, "8")
    assert event.pseudonym


async def test_the_evidence_is_there(street):
    """Class, colour, rows, confidence of each character, size, views and models are told."""
    await street.see("京AD12345", colour="green")
    [event] = street.events
    assert (event.kind, event.class_code, event.well_formed) == ("nev_small", "52", True)
    assert (event.colour, event.rows, event.doubts) == ("green", 1, ())
    assert len(event.confidences) == 8
    assert (event.min_confidence, event.width_px, event.views) == (0.99, 140, 4)
    assert (event.detector, event.reader) == ("plates-1", "characters-1")
    assert (event.duration_s, event.end) == (5.0, START)
    assert street.stamps[0].time == START


async def test_an_unreadable_plate_is_no_guess(street):
    """Below the gate there is neither text nor pseudonym nor class; with a purpose what is sure."""
    assert await street.see(at4=("3", 0.5, {"8": 0.3})) == Told(unreadable=1)
    assert await street.see(at4=("3", 0.5, {"8": 0.3}), settings=PLAIN) == Told(unreadable=1)
    statistics, plain = street.events
    for event in (statistics, plain):
        assert (event.readable, event.text, event.pseudonym) == (False, None, None)
        assert (event.kind, event.class_code) == ("other", "99")
    assert statistics.partial is None
    assert plain.partial == "蒙BK2?45"
    assert TEXT not in street.sent


@pytest.mark.parametrize(
    ("text", "colour"),
    [("WJ12345", "white"), ("AB12345", "white"), ("123456使", "black"), ("京12345领", "black")],
)
async def test_suppressed_classes_are_only_counted(street, text, colour):
    """Plates of the forces and of missions are neither told of nor looked up, unless set."""
    await street.look_for(text)
    assert await street.see(text, colour=colour, settings=PLAIN, final=False) == Told()
    assert await street.see(text, colour=colour, settings=PLAIN) == Told(suppressed=1)
    assert street.events == []
    assert street.alarms == []
    assert await street.see(text, colour=colour, settings=ALL) == Told(read=1, hits=1)


async def test_what_could_be_suppressed_is_not_told_in_part(street):
    """Of an unreadable white plate nobody knows whose it is: its characters are left out."""
    await street.see("AB12345", colour="white", at0=("京", 0.4, {}), settings=PLAIN)
    [event] = street.events
    assert (event.partial, event.alternatives, event.readable) == (None, (), False)


async def test_only_the_report_of_a_passage_is_an_event(street):
    """Early words of a passage make no plate.read."""
    assert await street.see(final=False) == Told()
    assert street.events == []


async def test_a_hit_is_told_at_once_and_once(street):
    """A sure early word is enough for an alarm; the report of the same passage adds none."""
    await street.look_for(TEXT)
    assert await street.see(final=False) == Told(hits=1)
    assert await street.see(final=False) == Told()
    assert await street.see() == Told(read=1)
    hit, read = street.events
    assert (hit.KIND, hit.match, hit.text, hit.read) == ("plate.hit", "exact", TEXT, TEXT)
    assert (hit.watch_list, hit.code, hit.purpose) == ("wanted", "stolen", "case 7")
    assert hit.PRIORITY is Priority.ALARM
    assert read.text is None
    assert await street.see(passage="2") == Told(read=1, hits=1)


async def test_a_near_hit_is_named_near(street):
    """One doubtful character makes a near hit; the exact one that follows is told, too."""
    await street.look_for(TEXT)
    near = {"at4": ("8", 0.5, {"3": 0.4})}
    assert await street.see(final=False, **near) == Told(hits=1)
    assert await street.see(final=False) == Told(hits=1)
    assert await street.see(**near) == Told(unreadable=1)
    assert [one.match for one in street.events if one.KIND == "plate.hit"] == ["near", "exact"]
    assert street.events[0].read == "蒙BK2?45"


async def test_the_alarm_names_no_plate(street):
    """Whoever sees the alarms learns that there was a hit, where and on which list, not whose."""
    await street.look_for(TEXT)
    await street.see()
    [alarm] = street.alarms
    assert "street" in alarm
    assert "wanted" in alarm
    assert TEXT not in alarm


async def test_memory_of_passages_is_bounded(street):
    """What was told of passages is forgotten, the oldest first."""
    await street.look_for(TEXT)
    for number in range(300):
        await street.see(final=False, passage=str(number))
    assert len(street.reports._alarmed) <= 256
    assert len(street.alarms) == 300


async def test_a_suppressed_plate_on_a_list_makes_no_near_hit(street):
    """What a camera is not to tell of is not told by way of a misread character either."""
    await street.look_for("AB12345")
    near = {"colour": "white", "at6": ("B", 0.5, {"5": 0.4}), "final": False}
    assert await street.see("AB1234B", settings=PLAIN, **near) == Told()
    assert (street.events, street.alarms) == ([], [])
    assert await street.see("AB1234B", settings=ALL, **near) == Told(hits=1)


async def test_a_white_plate_of_no_class_is_told_without_its_text(street):
    """A form that the grammar does not know could be an old one of the forces."""
    no_class = {"text": "WJ0112345"[:8], "colour": "white", "at3": ("2", 0.9, {"7": 0.05})}
    await street.see(**no_class, settings=PLAIN)
    await street.see(**no_class, settings=ALL)
    hidden, told = street.events
    assert (hidden.readable, hidden.text, hidden.partial, hidden.alternatives) == (
        True,
        None,
        None,
        (),
    )
    assert (told.text, len(told.alternatives)) == ("WJ021234", 1)


async def test_what_was_told_is_not_told_again_after_the_report(street):
    """A parked vehicle was reported; when it is looked at again it raises no second alarm."""
    await street.look_for(TEXT)
    assert await street.see() == Told(read=1, hits=1)
    assert await street.see(final=False, at4=("8", 0.9, {"3": 0.05})) == Told()


async def test_a_text_gives_no_pseudonym_of_another_purpose_away(street):
    """Who may read the plates of one camera learns nothing of what another counts."""
    towing = CameraPlateSettings(enabled=True, plain_text_purpose="towing")
    for settings in (STATISTICS, STATISTICS, PLAIN, towing):
        await street.see(settings=settings)
    one, again, *others = (event.pseudonym for event in street.events)
    assert one == again
    assert len({one, *others}) == 3
