"""Watch lists match what they name, no longer than they may, and survive what machines do."""

import asyncio
import contextlib
import json
import stat
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.plates.watch_lists import LOOK_S, MAX_LISTS, WatchLists
from agent.state_file import StateFile
from commands.errors import ActionError
from contract.actions import WatchListEntry, WatchListPut
from tests.support.clock import START, ManualClock
from tests.support.observations import characters
from vision.plates.settings import PlateSettings

HOUR = timedelta(hours=1)
TEXTS = st.text(alphabet="京津沪AB8D0123", min_size=4, max_size=8)


def order(*texts, name="stolen", expires=START + HOUR, mode="replace", code="stolen"):
    entries = tuple(WatchListEntry(text=text, code=code) for text in texts)
    return WatchListPut(name=name, purpose="case 7", expires=expires, entries=entries, mode=mode)


class Box:
    """A kiosk's state folder over several lives of its agent."""

    def __init__(self, folder, **limits):
        self.file = folder / "watch-lists.json"
        self.clock = ManualClock()
        self.limits = PlateSettings(**limits)
        self.damage = []

    async def start(self):
        lists = WatchLists(
            self.file,
            clock=self.clock,
            settings=lambda: self.limits,
            on_damage=self.damage.append,
        )
        await lists.start()
        return lists


def matches(lists, text="京A12345", doubtful=(), **changes):
    found = lists.match(characters(text, **changes), doubtful)
    return {(one.watch_list.name, one.entry.text, one.kind) for one in found}


@pytest.fixture
def box(tmp_path):
    return Box(tmp_path)


async def test_exact_match(box):
    """A sure text that is on a list is found there, with its reason; another one is not."""
    lists = await box.start()
    await lists.put(order("京A12345", "京B12345", code="unpaid"), not_before=START)
    [match] = lists.match(characters("京A12345"), ())
    assert (match.kind, match.entry.code, match.watch_list.purpose) == ("exact", "unpaid", "case 7")
    assert not matches(lists, "京A12346")
    assert not matches(lists, "京A1234")


async def test_all_lists_are_looked_at(box):
    """A plate on several lists is found on each."""
    lists = await box.start()
    for name in ("a", "b"):
        await lists.put(order("京A12345", name=name), not_before=START)
    assert matches(lists) == {("a", "京A12345", "exact"), ("b", "京A12345", "exact")}


@pytest.mark.parametrize(
    ("doubtful", "changes", "found"),
    [
        ((), {"at6": ("6", 0.9, {"5": 0.08})}, True),
        ((), {"at6": ("6", 0.9, {"8": 0.08})}, False),
        ((), {"at6": ("6", 0.9, {"5": 0.01})}, False),
        ((6,), {"at6": ("6", 0.6, {"5": 0.3})}, True),
        ((6,), {"at6": ("5", 0.6, {"6": 0.3})}, True),
        ((5,), {"at5": ("4", 0.6, {}), "at6": ("6", 0.9, {"5": 0.08})}, False),
        ((5, 6), {"at5": ("4", 0.6, {}), "at6": ("5", 0.6, {})}, False),
        ((7,), {}, False),
    ],
)
async def test_near_match(box, doubtful, changes, found):
    """Near is: one character is not sure, or reads otherwise, and could be the list's."""
    lists = await box.start()
    await lists.put(order("京A12345"), not_before=START)
    expected = {("stolen", "京A12345", "near")} if found else set()
    assert matches(lists, doubtful=doubtful, **changes) == expected


async def test_a_lost_character_is_no_near_match(box):
    """Texts of different lengths never match: an alternative of no character counts for nothing."""
    lists = await box.start()
    await lists.put(order("京A1234"), not_before=START)
    assert not matches(lists, at6=("5", 0.6, {"": 0.4}))


async def test_separators_and_case_do_not_matter(box):
    """What an operator writes with dots, spaces and small letters is the plate itself."""
    lists = await box.start()
    await lists.put(order("京a·12 345"), not_before=START)
    assert matches(lists)


async def test_replace_and_add(box):
    """With replace a list takes the place of the one of its name; add adds, and never twice."""
    lists = await box.start()
    await lists.put(order("京A12345", "京A00001"), not_before=START)
    kept = await lists.put(order("京A12345", "京A00002", mode="add", code="seen"), not_before=START)
    assert sorted((one.text, one.code) for one in kept.entries) == [
        ("京A00001", "stolen"),
        ("京A00002", "seen"),
        ("京A12345", "seen"),
    ]
    await lists.put(order("京A00003"), not_before=START)
    assert not matches(lists)
    with pytest.raises(ActionError, match="no watch list other to add to"):
        await lists.put(order("京A12345", name="other", mode="add"), not_before=START)


async def test_expired_lists_match_nothing_and_go(box):
    """A list that has expired matches nothing from that moment, and is deleted within the hour."""
    lists = await box.start()
    await lists.put(order("京A12345", expires=START + HOUR / 2), not_before=START)
    running = asyncio.create_task(lists.run())
    await box.clock.advance(1799)
    assert matches(lists)
    await box.clock.advance(1)
    assert not matches(lists)
    assert lists.lists == ()
    while "京A12345" in box.file.read_text():
        await box.clock.advance(LOOK_S)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_lists_survive_a_restart(box):
    """What was put is in force after a restart; only the agent's user can read the file."""
    await (await box.start()).put(order("京A12345"), not_before=START)
    assert matches(await box.start())
    assert stat.S_IMODE(box.file.stat().st_mode) == 0o600


async def test_a_clock_in_1970_lets_no_list_live_again(box):
    """Time that is known to have come stays come, with a clock that lost it."""
    lists = await box.start()
    await lists.put(order("京A12345", expires=START + HOUR), not_before=START)
    await box.clock.advance(1800)
    await lists.put(order("京B12345", name="b", expires=START + 9 * HOUR), not_before=START)
    box.clock = ManualClock("unsynced", "boot-2")
    box.clock.wall_offset = datetime(1970, 1, 1, tzinfo=UTC) - START
    lists = await box.start()
    assert matches(lists)
    await box.clock.advance(1800)
    assert not matches(lists)
    assert [one.name for one in lists.lists] == ["b"]


async def test_removed_lists_are_gone(box):
    """A removed list matches nothing, and its texts are in no file any more."""
    lists = await box.start()
    await lists.put(order("京A12345", "京A12346"), not_before=START)
    assert await lists.remove("stolen") == 2
    assert not matches(lists)
    assert "京A12345" not in "".join(file.read_text() for file in box.file.parent.iterdir())
    with pytest.raises(ActionError, match="no watch list stolen; there are none"):
        await lists.remove("stolen")


@pytest.mark.parametrize(
    ("expires", "why"),
    [(START, "expired already"), (START + timedelta(days=8), "longer than 7 days")],
)
async def test_only_for_a_time(tmp_path, expires, why):
    """A list that is over, or is to be kept for too long, is refused."""
    lists = await Box(tmp_path, watch_list_days=7).start()
    with pytest.raises(ActionError, match=why):
        await lists.put(order("京A12345", expires=expires), not_before=START)


async def test_no_more_than_there_is_room_for(tmp_path):
    """Entries of all lists together, and lists, are bounded; what is refused changes nothing."""
    lists = await Box(tmp_path, watch_list_entries=2).start()
    await lists.put(order("京A00001", "京A00002"), not_before=START)
    with pytest.raises(ActionError, match=r"3 plates .* takes 2"):
        await lists.put(order("京A12345", mode="add"), not_before=START)
    assert not matches(lists)
    lists = await Box(tmp_path, watch_list_entries=100).start()
    for number in range(MAX_LISTS - 1):
        await lists.put(order("京A12345", name=f"l{number}"), not_before=START)
    with pytest.raises(ActionError, match="more than 32 watch lists"):
        await lists.put(order("京A12345", name="one-more"), not_before=START)


@pytest.mark.parametrize(
    "content", [b"", b"not json", b'{"lists": 7}', b"\xff\xfe", b"x" * 9_000_000]
)
async def test_a_damaged_file_is_set_aside(box, content):
    """It is told, nothing matches, and it can be looked at until the next list is put."""
    box.file.write_bytes(content)
    lists = await box.start()
    [told] = box.damage
    assert "watch-lists.json.damaged" in told
    assert not matches(lists)
    aside = box.file.with_name("watch-lists.json.damaged")
    assert aside.read_bytes() == content
    await lists.put(order("京A12345"), not_before=START)
    assert not aside.exists()
    assert matches(await box.start())
    assert len(box.damage) == 1


async def test_lists_of_a_later_release(box):
    """Fields that this release does not know are passed over: what is looked for stays so."""
    await (await box.start()).put(order("京A12345"), not_before=START)
    content = json.loads(box.file.read_bytes())
    for part in (content, content["lists"][0], content["lists"][0]["entries"][0]):
        part["more"] = {"x": [1]}
    box.file.write_text(json.dumps(content))
    assert matches(await box.start())
    assert box.damage == []


async def test_what_cannot_be_written_is_not_in_force(box):
    """Where the disk fails the order fails, and everything is as it was."""
    lists = await box.start()
    await lists.put(order("京A12345"), not_before=START)
    box.file.parent.joinpath(f".{box.file.name}.new").mkdir()
    with pytest.raises(ActionError, match="nothing has changed"):
        await lists.put(order("京A00001"), not_before=START)
    with pytest.raises(ActionError, match="nothing has changed"):
        await lists.remove("stolen")
    assert matches(lists)


async def test_a_slow_disk_takes_back_no_later_list(box, monkeypatch):
    """What was stopped while it was written is kept whole, and before anything that follows it."""
    lists = await box.start()
    save, disk = StateFile.save, threading.Event()

    def slowly(self, content):
        disk.wait(10)
        save(self, content)

    monkeypatch.setattr(StateFile, "save", slowly)
    first = asyncio.create_task(lists.put(order("京A12345", name="first"), not_before=START))
    await box.clock.settle()
    first.cancel()
    second = asyncio.create_task(lists.put(order("京A12345", name="second"), not_before=START))
    await box.clock.settle()
    assert [first.done(), second.done()] == [False, False]
    disk.set()
    await second
    assert first.cancelled()
    names = [("first", "second")] * 2
    assert [tuple(one.name for one in life.lists) for life in (lists, await box.start())] == names


@settings(max_examples=100, deadline=None)
@given(listed=st.sets(TEXTS, min_size=1, max_size=8), read=TEXTS)
def test_exact_is_exact(listed, read, tmp_path_factory):
    """A sure text matches exactly the entries that equal it, whatever else is listed."""

    async def look():
        lists = await Box(tmp_path_factory.mktemp("box")).start()
        await lists.put(order(*listed), not_before=START)
        return matches(lists, read)

    expected = {("stolen", read, "exact")} if read in listed else set()
    assert asyncio.run(look()) == expected


@settings(max_examples=100, deadline=None)
@given(listed=st.sets(TEXTS, min_size=1, max_size=8), read=TEXTS, data=st.data())
def test_near_differs_in_one_place(listed, read, data, tmp_path_factory):
    """Every near match has the length read and differs, where at all, in one doubtful place."""
    place = data.draw(st.integers(0, len(read) - 1))
    other = data.draw(st.sampled_from("AB8D0123"))
    changes = {f"at{place}": (read[place], 0.6, {other: 0.3})}

    async def look():
        lists = await Box(tmp_path_factory.mktemp("box")).start()
        await lists.put(order(*listed), not_before=START)
        return matches(lists, read, (place,), **changes)

    could_be = {read, read[:place] + other + read[place + 1 :]}
    assert asyncio.run(look()) == {("stolen", text, "near") for text in listed & could_be}
