"""A plate has one pseudonym for as long as the key lives, and the key lives as long as set."""

import asyncio
import contextlib
import json
import stat
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.pseudonym import LOOK_S, MAX_FILE_BYTES, Pseudonyms
from agent.state_file import StateFile
from tests.support.clock import ManualClock

DAY_S = 86_400


class Box:
    """A kiosk's state folder over several lives of its agent."""

    def __init__(self, folder, *, days=1.0):
        self.file = folder / "plate-key.json"
        self.clock = ManualClock()
        self.days = days

    def start(self):
        store = StateFile(self.file, limit=MAX_FILE_BYTES)
        return Pseudonyms(store, clock=self.clock, rotation_days=lambda: self.days)

    def reboot(self, *, quality="synced", after=timedelta(), boot_id="boot-2"):
        """Another boot whose clock says START plus ``after``."""
        self.clock = ManualClock(quality, boot_id)
        self.clock.wall_offset = after
        return self.start()


@pytest.fixture
def box(tmp_path):
    return Box(tmp_path)


async def test_one_plate_one_pseudonym(box):
    """The same text has the same pseudonym, also after a restart; another text another one."""
    pseudonyms = box.start()
    one, again, other = [
        await pseudonyms.of(text, "statistics") for text in ("京A12345", "京A12345", "京A12346")
    ]
    assert one == again
    assert one.value != other.value
    assert one.key_id == other.key_id
    assert await box.start().of("京A12345", "statistics") == one


async def test_kiosks_do_not_share_pseudonyms(tmp_path):
    """Each kiosk makes a key of its own: no two have the same pseudonym for a plate."""
    values = set()
    for name in "abc":
        (tmp_path / name).mkdir()
        values.add((await Box(tmp_path / name).start().of("京A12345", "statistics")).value)
    assert len(values) == 3


async def test_only_the_agent_can_read_the_key(box):
    """The key's file has mode 0600, and no file beside it keeps it."""
    await box.start().of("京A12345", "statistics")
    assert stat.S_IMODE(box.file.stat().st_mode) == 0o600
    assert list(box.file.parent.iterdir()) == [box.file]


async def test_the_key_rotates_in_time(box):
    """After the period the plate has another pseudonym and key id; the old key is gone."""
    pseudonyms = box.start()
    before = await pseudonyms.of("京A12345", "statistics")
    old = box.file.read_text()
    await box.clock.advance(DAY_S - 1)
    assert await pseudonyms.of("京A12345", "statistics") == before
    await box.clock.advance(2)
    after = await pseudonyms.of("京A12345", "statistics")
    assert after.value != before.value
    assert after.key_id != before.key_id
    assert box.file.read_text() != old
    assert before.key_id not in box.file.read_text()


async def test_it_rotates_though_nobody_passes(box):
    """An old key is overwritten within the hour also where no plate is read."""
    pseudonyms = box.start()
    before = await pseudonyms.of("京A12345", "statistics")
    running = asyncio.create_task(pseudonyms.run())
    for _ in range(25):
        await _turn(box.clock, LOOK_S)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert before.key_id not in box.file.read_text()


@pytest.mark.parametrize("after", [timedelta(days=-20_000), timedelta(days=20_000)])
async def test_a_wrong_clock_rotates_nothing(box, after):
    """A boot with an untrusted clock, in 1970 or far ahead, leaves the key as it is."""
    before = await box.start().of("京A12345", "statistics")
    assert await box.reboot(quality="unsynced", after=after).of("京A12345", "statistics") == before


async def test_the_time_off_counts_once_the_clock_is_right(box):
    """A kiosk that was off for longer than the period rotates as soon as its clock is right."""
    before = await box.start().of("京A12345", "statistics")
    pseudonyms = box.reboot(quality="unsynced", after=timedelta(days=-20_000))
    assert await pseudonyms.of("京A12345", "statistics") == before
    box.clock.quality, box.clock.wall_offset = "synced", timedelta(days=2)
    assert (await pseudonyms.of("京A12345", "statistics")).key_id != before.key_id


async def test_hours_count_where_no_clock_was_ever_right(box):
    """Without a right clock the hours that the agent ran add up over boots."""
    box.clock.quality = "unsynced"
    pseudonyms = box.start()
    before = await pseudonyms.of("京A12345", "statistics")
    for number in range(4):
        running = asyncio.create_task(pseudonyms.run())
        for _ in range(7):
            await _turn(box.clock, LOOK_S)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        pseudonyms = box.reboot(quality="unsynced", boot_id=f"boot-{number}")
    assert (await pseudonyms.of("京A12345", "statistics")).key_id != before.key_id


@pytest.mark.parametrize("content", ["", "{}", "not json", '{"id": "0"}', "x" * 5000])
async def test_a_damaged_key_is_replaced(box, content):
    """A file that is no key is no reason to stop: another key takes its place."""
    box.file.write_text(content)
    made = await box.start().of("京A12345", "statistics")
    assert await box.start().of("京A12345", "statistics") == made


async def test_the_key_of_a_later_release(box):
    """Fields that this release does not know are no reason for another key."""
    made = await box.start().of("京A12345", "statistics")
    content = json.loads(box.file.read_bytes())
    content["more"] = content["made"]["more"] = {"x": [1]}
    box.file.write_text(json.dumps(content))
    assert await box.start().of("京A12345", "statistics") == made


async def test_a_disk_that_fails_keeps_no_old_key_alive(box):
    """Where the new key cannot be written, it is in force all the same."""
    pseudonyms = box.start()
    before = await pseudonyms.of("京A12345", "statistics")
    box.file.parent.joinpath(f".{box.file.name}.new").mkdir()
    await box.clock.advance(DAY_S + 1)
    after = await pseudonyms.of("京A12345", "statistics")
    assert after.key_id != before.key_id
    assert await pseudonyms.of("京A12345", "statistics") == after


@settings(max_examples=50, deadline=None)
@given(texts=st.sets(st.text(min_size=1, max_size=10), min_size=2, max_size=20))
def test_pseudonyms_say_nothing_and_do_not_collide(texts, tmp_path_factory):
    """Of any texts, no two have one pseudonym, and each is 32 hexadecimal digits."""
    pseudonyms = Box(tmp_path_factory.mktemp("box")).start()

    async def all_of_them():
        return [await pseudonyms.of(text, "statistics") for text in texts]

    values = {one.value for one in asyncio.run(all_of_them())}
    assert len(values) == len(texts)
    assert all(len(value) == 32 and int(value, 16) >= 0 for value in values)


async def _turn(clock, seconds):
    """Wait until the task sleeps, however long its thread takes to write, and move on."""
    while not clock._sleepers:  # nobody announces it
        await asyncio.sleep(0)
    await clock.advance(seconds)
