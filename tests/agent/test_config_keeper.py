"""Pushed settings stay when they prove themselves; else the old ones come back, whole."""

import asyncio
import itertools
import json
import shutil
import tempfile
from pathlib import Path

import pytest

from contract.config import settings_hash
from tests.support.configured import ConfiguredKiosk
from tests.support.operators import make_key

MEMORY = Path("/dev/shm")  # noqa: S108 - fsync there costs nothing
PORT_1 = {"link": {"port": 1001}}
PORT_2 = {"link": {"port": 1002}}
BY_RESTART = {"outbox": {"max_rows": 500}}
BAD_BY_RESTART = {"outbox": {"max_rows": 500}, "link": {"port": 1002}}


@pytest.fixture
async def kiosk(tmp_path: Path) -> ConfiguredKiosk:
    kiosk = ConfiguredKiosk(tmp_path, [make_key("li"), make_key("wang")])
    await kiosk.boot()
    return kiosk


async def test_good_settings_stay(kiosk: ConfiguredKiosk):
    """Settings that prove themselves are confirmed, reported, and there after a restart."""
    outcome = await kiosk.live(kiosk.push(1, PORT_1))
    assert (outcome.outcome, outcome.changed, outcome.signers) == ("confirmed", ("link",), ("li",))
    await kiosk.boot()
    assert kiosk.running.link.port == 1001
    assert kiosk.running.link.host == "broker.example"
    report = kiosk.keeper.report()
    assert (report.version, report.state) == (1, "confirmed")
    assert report.hash == outcome.hash == settings_hash(PORT_1)
    assert report.settings["link"]["port"] == 1001
    assert kiosk.outcomes == [(1, "confirmed")]


async def test_bad_settings_go_back(kiosk: ConfiguredKiosk):
    """Settings with which the kiosk is not well go back, and it is said why."""
    await kiosk.live(kiosk.push(1, PORT_1))
    kiosk.bad = {1002}
    outcome = await kiosk.live(kiosk.push(2, PORT_2))
    assert (outcome.outcome, outcome.text) == ("rolled_back", "no line")
    assert kiosk.running.link.port == kiosk.keeper.settings.link.port == 1001
    report = kiosk.keeper.report()
    assert (report.version, report.failed_version, report.last_error) == (1, 2, "no line")
    await kiosk.boot()
    assert kiosk.running.link.port == 1001
    assert kiosk.boots == 2, "only the test restarted it"


async def test_comes_back_within_its_time(kiosk: ConfiguredKiosk):
    """What never proves itself goes back after ``confirm_s``, with what it waited for."""
    kiosk.hanging = {1001}
    living = asyncio.ensure_future(kiosk.live(kiosk.push(1, PORT_1)))
    while not kiosk.said or "1001" not in kiosk.said[-1]:
        await asyncio.sleep(0.001)
    assert kiosk.keeper.report().state == "trying"
    assert kiosk.keeper.version == 1
    await kiosk.clock.advance(119)
    assert not living.done()
    await kiosk.clock.advance(2)
    outcome = await living
    assert outcome.text == "not confirmed within 120 s: no line to port 1001"
    assert kiosk.running.link.port == 1883
    assert kiosk.keeper.version == 0


async def test_settings_that_need_a_restart(kiosk: ConfiguredKiosk):
    """Where settings cannot be exchanged live, the agent restarts and confirms them then."""
    await kiosk.live(kiosk.push(1, BY_RESTART))
    assert kiosk.boots == 2
    assert kiosk.running.outbox.max_rows == 500
    assert (await kiosk.keeper.outcome(1)).outcome == "confirmed"
    assert kiosk.outcomes == [(1, "confirmed")]


async def test_bad_settings_that_need_a_restart(kiosk: ConfiguredKiosk):
    """Where they are not good after the restart, another one brings the old ones back."""
    kiosk.bad = {1002}
    await kiosk.live(kiosk.push(1, BAD_BY_RESTART))
    assert kiosk.boots == 3
    assert kiosk.running.outbox.max_rows == 200_000
    assert (await kiosk.keeper.outcome(1)).text == "no line"
    assert kiosk.outcomes == [(1, "rolled_back")]


@pytest.mark.parametrize(("pushed", "boots"), [(PORT_2, 2), (BAD_BY_RESTART, 3)])
async def test_settings_that_kill_the_agent(kiosk: ConfiguredKiosk, pushed, boots: int):
    """The agent dies of new settings once; its next start has the old ones and says so."""
    kiosk.deadly = {1002}
    await kiosk.live(kiosk.push(1, pushed))
    assert kiosk.boots == boots
    assert kiosk.running.link.port == 1883
    assert kiosk.outcomes == [(1, "rolled_back")]
    assert kiosk.told[0].text == "the agent stopped while they were on trial"


async def test_what_cannot_be_taken_back_live(kiosk: ConfiguredKiosk):
    """When the old settings cannot be put in force again, a new process has them."""
    kiosk.bad, kiosk.stuck = {1001}, {1883}
    await kiosk.live(kiosk.push(1, PORT_1))
    await kiosk.live()
    assert kiosk.boots == 2
    assert kiosk.running.link.port == 1883
    assert kiosk.outcomes == [(1, "rolled_back")]


async def test_nobody_takes_the_last_version(kiosk: ConfiguredKiosk):
    """A version that leaves no room for others is refused, and the next one counts."""
    assert (await kiosk.live(kiosk.push(2**53 - 1, PORT_1))).outcome == "refused"
    assert (await kiosk.live(kiosk.push(1_795_000_000_000, PORT_1))).outcome == "confirmed"
    assert (await kiosk.live(kiosk.push(1_795_000_000_001, PORT_2))).outcome == "confirmed"


async def test_a_version_is_tried_once(kiosk: ConfiguredKiosk):
    """The same again is a no-op; a version with other content, or a lower one, is refused."""
    kiosk.bad = {1002}
    await kiosk.live(kiosk.push(3, PORT_1))
    assert (await kiosk.live(kiosk.push(3, PORT_1))).outcome == "confirmed"
    assert (await kiosk.live(kiosk.push(3, PORT_2))).outcome == "refused"
    assert (await kiosk.live(kiosk.push(2, PORT_2))).outcome == "refused"
    assert (await kiosk.live(kiosk.push(4, PORT_2))).outcome == "rolled_back"
    kiosk.bad = set()
    await kiosk.boot()
    assert (await kiosk.live(kiosk.push(4, PORT_2))).outcome == "rolled_back"
    assert (await kiosk.live(kiosk.push(3, PORT_1))).outcome == "refused"
    assert (await kiosk.live(kiosk.push(5, PORT_2))).outcome == "confirmed"
    assert kiosk.outcomes.count((4, "rolled_back")) == 1


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"link": {"port": 0}}, "pushed settings: link.port: "),
        ({"kiosk": {"id": "k-2"}}, "pushed settings: kiosk: only a person on site"),
    ],
)
async def test_refused_before_anything_is_applied(kiosk: ConfiguredKiosk, settings, text):
    """Broken and forbidden settings change nothing, and the fault names the key."""
    outcome = await kiosk.live(kiosk.push(1, settings))
    assert outcome.outcome == "refused"
    assert outcome.text.startswith(text)
    assert kiosk.said == []
    assert kiosk.keeper.report().failed_version == 1
    assert (await kiosk.live(kiosk.push(1, PORT_1))).outcome == "refused", "the version is spent"
    assert kiosk.running.link.port == 1883


async def test_settings_that_json_cannot_say(kiosk: ConfiguredKiosk):
    """Numbers that another reader would read differently are refused."""
    outcome = await kiosk.live(kiosk.push(1, {"link": {"port": 2**60}}))
    assert outcome.outcome == "refused"


async def test_document_from_the_broker(kiosk: ConfiguredKiosk):
    """A signed document on ``down/config`` is tried; its redelivery at each connect is quiet."""
    document = kiosk.document(1, PORT_1)
    for _ in range(3):
        await kiosk.keeper.offer(document)
        await kiosk.live(asyncio.sleep(0.05))
        await kiosk.boot()
    await kiosk.keeper.offer(b"")
    assert kiosk.running.link.port == 1001
    assert kiosk.outcomes == [(1, "confirmed")]


async def test_document_that_nobody_vouches_for(kiosk: ConfiguredKiosk):
    """Without a good signature by somebody who may, a document spends no version."""
    stranger = kiosk.document(7, PORT_1, make_key("mallory"))
    altered = kiosk.document(7, PORT_1).replace(b'"payload":"', b'"payload":"e')
    denied = kiosk.document(7, PORT_1, kiosk.keys[1])
    other = kiosk.document(7, PORT_1, kiosk="k-2")
    for document in (stranger, altered, denied, other, b"{}", b"\xff"):
        await kiosk.keeper.offer(document)
        await kiosk.keeper.offer(document)
    await kiosk.live(asyncio.sleep(0.05))
    assert kiosk.outcomes == [(0, "refused")] * 6
    assert kiosk.running.link.port == 1883
    assert kiosk.keeper.report().failed_version is None
    assert (await kiosk.live(kiosk.push(1, PORT_1))).outcome == "confirmed"


async def test_flood_of_documents(kiosk: ConfiguredKiosk):
    """A broker that makes up documents fills neither the outbox nor the line."""
    for number in range(200):
        await kiosk.keeper.offer(b"%d" % number)
    assert len(kiosk.told) == 12


async def test_only_the_newest_document_is_tried(kiosk: ConfiguredKiosk):
    """Of documents that come while nothing can be tried, the last one counts."""
    for version in range(1, 5):
        await kiosk.keeper.offer(kiosk.document(version, {"link": {"port": 1000 + version}}))

    async def tried() -> None:
        while not kiosk.outcomes:
            await asyncio.sleep(0.001)
        await kiosk.quiet()

    await kiosk.live(tried())
    assert kiosk.outcomes == [(4, "confirmed")]


async def test_full_disk_begins_no_trial(kiosk: ConfiguredKiosk):
    """What cannot be recorded is not applied."""
    kiosk.file.full = True
    outcome = await kiosk.live(kiosk.push(1, PORT_1))
    assert outcome.outcome == "refused"
    assert "No space left" in outcome.text
    assert kiosk.running.link.port == 1883
    kiosk.file.full = False
    assert (await kiosk.live(kiosk.push(1, PORT_1))).outcome == "confirmed"


async def test_full_disk_at_the_confirmation(kiosk: ConfiguredKiosk):
    """Good settings whose confirmation cannot be recorded go back: a restart would lose them."""
    verify = kiosk.verify

    async def fill_then_verify(cameras, say) -> None:
        kiosk.file.full = True
        await verify(cameras, say)

    kiosk.verify = fill_then_verify
    outcome = await kiosk.live(kiosk.push(1, PORT_1))
    assert outcome.outcome == "rolled_back"
    assert "No space left" in outcome.text
    await kiosk.boot()
    assert kiosk.running.link.port == 1883


@pytest.mark.parametrize("trial", [False, True])
async def test_what_a_later_release_wrote_is_read(kiosk: ConfiguredKiosk, *, trial: bool):
    """After going back to this release, fields that it does not know cost no pushed settings."""
    await kiosk.live(kiosk.push(1, PORT_1))
    path = kiosk.folder / "config.json"
    page = json.loads(path.read_bytes())
    outcome = page["outcomes"][0]
    page["untold"] = [outcome | {"version": 2, "outcome": "refused"}]
    if trial:
        page["trial"] = page["in_force"] | {"confirm_s": 120.0, "phase": "applying", "version": 3}
    parts = [page, page["in_force"], page["trial"], outcome, page["untold"][0]]
    for part in filter(None, parts):
        part["more"] = {"x": [1]}
    path.write_text(json.dumps(page))
    await kiosk.boot()
    report = kiosk.keeper.report()
    assert (kiosk.running.link.port, report.version) == (1001, 1)
    assert report.failed_version == (3 if trial else None)
    assert (await kiosk.keeper.outcome(1)).outcome == "confirmed"
    assert not path.with_name("config.json.broken").exists()


async def test_broken_file_is_set_aside(kiosk: ConfiguredKiosk):
    """With a broken file the settings on site are in force, it is said, and a push mends it."""
    await kiosk.live(kiosk.push(5, PORT_1))
    path = kiosk.folder / "config.json"
    path.write_text('{"format": 1, "in_force": {"version": "x"}}')
    await kiosk.boot()
    assert kiosk.running.link.port == 1883
    report = kiosk.keeper.report()
    assert report.version == 0
    assert "cannot be read" in (report.last_error or "")
    assert path.with_name("config.json.broken").exists()
    assert (await kiosk.live(kiosk.push(5, PORT_1))).outcome == "confirmed"


async def test_file_on_site_was_changed(kiosk: ConfiguredKiosk):
    """Pushed settings that do not fit the changed file on site go back at the start."""
    pushed = {"camera": [{"name": "a", "source": "/srv/clip.mp4"}]}
    kiosk.own = type(kiosk.own)("agent.toml", "[[camera]]\nname = 'a'\nsource = '/srv/clip.mp4'\n")
    await kiosk.boot()
    await kiosk.live(kiosk.push(1, pushed))
    kiosk.own = type(kiosk.own)("agent.toml", "[link]\nport = 1010\n")
    await kiosk.boot()
    assert (kiosk.running.camera, kiosk.running.link.port) == ((), 1010)
    await kiosk.live()
    assert kiosk.outcomes == [(1, "confirmed"), (1, "rolled_back")]
    assert "does not fit" in kiosk.told[-1].text


async def test_event_is_told_later(kiosk: ConfiguredKiosk):
    """An outcome that could not be stored for sending is told at the next chance."""
    kiosk.storing = False
    assert (await kiosk.live(kiosk.push(1, PORT_1))).outcome == "confirmed"
    kiosk.storing = True
    await kiosk.boot()
    await kiosk.live()
    assert kiosk.outcomes == [(1, "confirmed")]


async def test_the_file_keeps_no_more_than_needed(kiosk: ConfiguredKiosk):
    """However often settings are pushed, the file stays small, and only its owner reads it."""
    for version in range(1, 40):
        await kiosk.live(kiosk.push(version, {"link": {"port": 1000 + version}}))
    path = kiosk.folder / "config.json"
    assert len(json.loads(path.read_text())["outcomes"]) == 16
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("good", [True, False], ids=["good", "bad"])
@pytest.mark.parametrize("pushed", [PORT_2, BAD_BY_RESTART], ids=["live", "restart"])
def test_power_cut_at_every_step(pushed, good):
    """Whenever the power fails: old or new settings, whole, and one outcome; bad never stay."""
    steps = 0
    while asyncio.run(_trial_with_cuts(pushed, good, [steps])) == 1:
        steps += 1
    assert steps > 8
    for pair in itertools.product(range(steps), range(8)):
        asyncio.run(_trial_with_cuts(pushed, good, list(pair)))


async def _trial_with_cuts(pushed, good, cuts: list[int]) -> int:
    """Push version 2 over version 1 while the power fails; returns how often it did."""
    folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    try:
        kiosk = ConfiguredKiosk(folder)
        await kiosk.boot()
        await kiosk.live(kiosk.push(1, PORT_1))
        old, new = kiosk.running, kiosk.build(pushed)
        kiosk.bad = set() if good else {1002}
        kiosk.mains.cuts = cuts
        await kiosk.live(kiosk.push(2, pushed))
        await kiosk.live()
        kiosk.mains.cuts = []

        assert kiosk.running == kiosk.keeper.settings
        assert kiosk.running in ((old, new) if good else (old,))
        assert (kiosk.keeper.version == 2) == (kiosk.running == new)
        outcome = await kiosk.keeper.outcome(2)
        told = {one.outcome for one in kiosk.told if one.version == 2}
        assert told == ({outcome.outcome} if outcome else set())
        # It is pushed again: a trial that never began, begins; one that ended, stays so.
        await kiosk.live(kiosk.push(2, pushed))
        again = await kiosk.keeper.outcome(2)
        assert again == outcome or outcome is None
        assert again.outcome == ("confirmed" if kiosk.running == new else "rolled_back")
        await kiosk.boot()
        assert kiosk.running == kiosk.keeper.settings == (new if kiosk.keeper.version == 2 else old)
        return kiosk.mains.failures
    finally:
        shutil.rmtree(folder)
