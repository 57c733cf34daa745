"""Which release a start runs: what is on trial while it may, and always something that is whole."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.release.slots import State
from agent.release.tree import venv_config
from tests.support.releases import pin_keys, release_key
from tests.support.slots import Box


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "box")


def site(box: Box, slot: str = "a") -> Path:
    return next(box.releases.slot(slot).glob("lib/*/site-packages"))


def test_without_anything_it_is_the_packaged_one(box):
    assert box.start() == "1.0.0"
    assert not box.releases.folder.exists(), "nothing is written where nothing is known"


def test_trial_runs_as_often_as_it_may(box):
    """Each start is on disk before it begins; the one too many is the old release's."""
    box.install("1.1.0", max_starts=2)
    assert box.start() == "1.1.0"
    assert box.state.trial.starts == 1
    assert box.start() == "1.1.0"
    assert box.start() == "1.0.0"
    (end,) = box.state.outcomes
    assert (end.outcome, end.version, end.before, end.command) == (
        "rolled_back",
        "1.1.0",
        "1.0.0",
        "1.1.0",
    )
    assert end.why == "it was started 2 times and did not prove itself"
    assert box.start() == "1.0.0"
    assert len(box.state.outcomes) == 1


def test_trial_has_a_time_limit_in_each_boot(box):
    """Time counts from the first start in a boot; a boot of which nobody knows how long it took
    costs a start.
    """
    box.install("1.1.0", deadline_s=100.0)
    assert box.choice().left_s == 100.0
    box.now_s += 60
    assert box.choice().left_s == 40.0
    box.boot_id, box.now_s = "boot-2", 20.0
    assert box.choice().left_s == 100.0
    box.now_s += 100
    assert box.start() == "1.0.0"
    assert box.state.outcomes[0].why == "it did not prove itself within 100 s"


def test_confirmed_release_stays(box):
    box.install("1.1.0")
    box.start()
    box.confirm()
    for _ in range(30):
        box.now_s += 1e6
        assert box.start() == "1.1.0"
        box.stay_up()


def test_confirmed_release_that_never_stays_up_gives_way(box):
    """To the one before it, and that one to the packaged one, which has nowhere to go."""
    for version in ("1.1.0", "1.2.0"):
        box.install(version)
        box.start()
        box.confirm()
    started = [box.start() for _ in range(25)]
    assert started == ["1.2.0"] * 10 + ["1.1.0"] * 10 + ["1.0.0"] * 5
    lost = [(end.version, end.before, end.outcome) for end in box.state.untold[2:]]
    assert lost == [("1.2.0", "1.1.0", "lost"), ("1.1.0", "1.0.0", "lost")]
    assert box.state.outcomes[-1].why == "it was started 10 times and never stayed up"


def test_only_starts_in_a_row_wear_a_release_out(box):
    """Staying up forgives all of them, an end in order the one that ended so."""
    box.install("1.1.0")
    box.start()
    box.confirm()
    for _ in range(9):
        box.start()
    box.start()
    box.stay_up()
    for _ in range(9):
        box.start()
    for _ in range(20):
        assert box.start() == "1.1.0"
        box.end_in_order()
    assert box.state.current.starts == 9
    assert [box.start(), box.start()] == ["1.1.0", "1.0.0"]


def test_starts_of_a_release_that_knows_nothing_of_them_are_not_counted(box):
    """It would never begin them anew: one that is older than the package beside it, or was
    confirmed before. As soon as it says that it does, they are.
    """
    box.install("1.1.0")
    box.start()
    box.confirm()
    path = box.releases.folder / "state.json"
    path.write_text(path.read_text().replace('"starts":0', '"more":0'))
    for _ in range(15):
        assert box.start() == "1.1.0"
    box.stay_up()
    assert [box.start() for _ in range(11)] == ["1.1.0"] * 10 + ["1.0.0"]


def test_other_commands_wear_nothing_out(box):
    """In the last start that it has, they are still those of the release that runs."""
    box.install("1.1.0")
    box.start()
    box.confirm()
    for _ in range(10):
        box.start()
    for _ in range(3):
        assert box.start(counting=False) == "1.1.0"
    assert box.start() == "1.0.0"


def test_failed_trial_gives_way_to_the_confirmed_one(box):
    """Not to the packaged one; and the next release takes the slot of the failed one."""
    box.install("1.1.0")
    box.start()
    box.confirm()
    box.install("1.2.0", max_starts=1)
    assert (box.start(), box.start()) == ("1.2.0", "1.1.0")
    box.install("1.3.0")
    assert box.state.trial.slot.name == "b"
    assert box.start() == "1.3.0"
    box.confirm()
    assert box.state.previous.version == "1.1.0"


def test_later_package_wins(box):
    """But not one that was there before, or is older than what was installed since."""
    box.install("1.1.0")
    box.start()
    box.confirm()
    for packaged in ("1.0.0", "1.0.5", "1.1.0"):
        box.packaged = packaged
        assert box.start() == "1.1.0"
    assert box.start() == "1.1.0"
    box.packaged = "2.1.0"
    assert box.start() == "2.1.0"
    assert box.state.outcomes[-1].why == "a package with version 2.1.0 was installed since"
    box.packaged = "1.0.0"
    assert box.start() == "1.0.0", "what was lost does not come back"


def test_later_package_ends_a_trial(box):
    """Who stands before the kiosk with a newer package wants that one to run, and its way back was
    never tried.
    """
    box.install("1.1.0")
    assert box.start() == "1.1.0"
    box.packaged = "1.0.5"
    assert box.start() == "1.1.0"
    box.packaged = "1.2.0"
    assert box.start() == "1.2.0"
    (end,) = box.state.outcomes
    assert (end.outcome, end.command) == ("rolled_back", "1.1.0")
    assert end.why == "a package with version 1.2.0 was installed since"


def test_release_that_is_called_later_than_it_is_does_not_outlast_a_package(box):
    """Who may write the state could keep an old release for ever, with all that is wrong in it."""
    box.install("1.1.0")
    box.start()
    box.confirm()
    path = box.releases.folder / "state.json"
    path.write_text(path.read_text().replace('"version":"1.1.0"', '"version":"99.0.0"'))
    box.packaged = "2.0.0"
    assert box.start() == "2.0.0"
    assert "it is version 1.1.0" in box.state.outcomes[-1].why


def test_older_release_beside_this_very_package_stays(box):
    """Somebody wanted it."""
    box.packaged = "2.0.0"
    box.install("1.1.0")
    box.start()
    box.confirm()
    assert box.start() == "1.1.0"
    box.packaged = "2.0.1"
    assert box.start() == "2.0.1"


def damage_file(box: Box) -> None:
    path = site(box) / "agent/data.bin"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)


def shorten_file(box: Box) -> None:
    with (site(box) / "agent/data.bin").open("r+b") as file:
        file.truncate(10)


def link_file(box: Box) -> None:
    path = site(box) / "agent/data.bin"
    shutil.copy(path, box.folder / "copy")
    path.unlink()
    path.symlink_to(box.folder / "copy")


def other_interpreter(box: Box) -> None:
    link = box.releases.slot("a") / "bin/python"
    link.unlink()
    link.symlink_to("/bin/true")


def interpreter_by_way_of_another_folder(box: Box) -> None:
    """Python would take its standard library from there."""
    slot, other = box.releases.slot("a"), box.folder / "bin" / "python3"
    other.parent.mkdir()
    other.symlink_to((slot / "bin/python").readlink())
    (slot / "bin/python").unlink()
    (slot / "bin/python").symlink_to(other)
    (slot / "pyvenv.cfg").write_text(venv_config(other))


DAMAGE: dict[str, tuple[Callable[[Box], object], str]] = {
    "file damaged": (damage_file, "agent/data.bin is damaged"),
    "file shortened": (shorten_file, "is not the file of 3000 bytes that was signed"),
    "file missing": (lambda box: (site(box) / "agent/data.bin").unlink(), "data.bin is missing"),
    "file added": (lambda box: (site(box) / "x.pth").write_text(""), "does not belong there"),
    "link": (link_file, "is not the file of"),
    "interpreter": (other_interpreter, "bin/python leads to /bin/true"),
    "interpreter's folder": (interpreter_by_way_of_another_folder, "bin/python leads to"),
    "configuration": (
        lambda box: (box.releases.slot("a") / "pyvenv.cfg").write_text("home = /tmp\n"),
        "pyvenv.cfg is not as it was written",
    ),
    "manifest": (
        lambda box: (box.releases.slot("a") / "manifest.jws").write_text("{}"),
        "its manifest is not the one of version 1.1.0",
    ),
    "slot missing": (lambda box: shutil.rmtree(box.releases.slot("a")), "No such file"),
    "keys missing": (lambda box: box.keys.unlink(), "release keys"),
    "key not pinned": (lambda box: pin_keys(box.keys, release_key()), "signed by no key"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_trial_is_not_begun(box, how):
    harm, why = DAMAGE[how]
    box.install("1.1.0")
    harm(box)
    assert box.start() == "1.0.0"
    assert why in box.state.outcomes[0].why


def test_start_is_counted_before_the_release_is_read(box, monkeypatch):
    """A disk that hangs while the hashes are checked ends the launcher: that start counts, too."""
    box.install("1.1.0", max_starts=2)
    monkeypatch.setattr("agent.release.choice.check_slot", hangs)
    for _ in range(2):
        with pytest.raises(GivenUpError):
            box.start()
    assert box.start() == "1.0.0"
    assert box.state.outcomes[0].why == "it was started 2 times and did not prove itself"


class GivenUpError(BaseException):
    """The service manager waited for long enough."""


def test_disk_that_hangs_at_a_confirmed_release_wears_it_out(box, monkeypatch):
    """The packaged one may lie on a better part of it."""
    box.install("1.1.0")
    box.start()
    box.confirm()
    monkeypatch.setattr("agent.release.choice.check_slot", hangs)
    for _ in range(10):
        with pytest.raises(GivenUpError):
            box.start()
    assert box.start() == "1.0.0"


def hangs(*_: object, **__: object) -> None:
    raise GivenUpError


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_release_is_not_used_after_a_boot(box, how):
    """The one before it takes its place, or the packaged one."""
    harm, why = DAMAGE[how]
    box.install("1.1.0")
    box.start()
    box.confirm()
    harm(box)
    box.boot_id = "boot-2"
    assert box.start() == "1.0.0"
    (_, lost) = box.state.outcomes
    assert (lost.outcome, lost.version, lost.before) == ("lost", "1.1.0", "1.0.0")
    assert why in lost.why


def test_one_before_takes_the_place_of_a_damaged_one(box):
    for version in ("1.1.0", "1.2.0"):
        box.install(version)
        box.start()
        box.confirm()
    shutil.rmtree(box.releases.slot("b"))
    assert box.start() == "1.1.0"
    assert box.state.outcomes[-1].before == "1.1.0"


def test_all_hashes_are_checked_once_a_boot(box):
    """Within a boot names and sizes have to do: reading it all takes seconds on a kiosk."""
    box.install("1.1.0")
    box.start()
    box.confirm()
    damage_file(box)
    assert box.start() == "1.1.0"
    box.boot_id = "boot-2"
    assert box.start() == "1.0.0"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff" * 100, b'{"format": 2}', b'{"current": {"name": "c"}}']
)
def test_state_that_cannot_be_read_means_the_packaged_release(box, content):
    box.install("1.1.0")
    (box.releases.folder / "state.json").write_bytes(content)
    assert box.start() == "1.0.0"
    assert "state.json cannot be read" in box.said[0]


def test_state_of_a_later_release_is_read(box):
    """What it does not know, a launcher passes over."""
    box.install("1.1.0")
    text = (box.releases.folder / "state.json").read_text()
    (box.releases.folder / "state.json").write_text(text.replace("{", '{"more": {"x": [1]}, ', 1))
    assert box.start() == "1.1.0"


def test_state_that_cannot_be_written(box, monkeypatch):
    """A trial whose starts cannot be counted does not begin; what is confirmed runs."""
    box.install("1.1.0")
    box.start()
    box.confirm()
    box.install("1.2.0")
    monkeypatch.setattr(box.releases, "save", lambda _: (_ for _ in ()).throw(OSError("full")))
    for _ in range(15):
        box.said.clear()
        assert box.start() == "1.1.0"
    assert any("its start cannot be recorded" in said for said in box.said)


def test_other_commands_run_what_runs(box):
    """They count nothing, record nothing, and do not begin a trial."""
    box.install("1.1.0")
    before = box.state
    assert box.start(counting=False) == "1.0.0"
    box.start()
    begun = box.state
    assert box.start(counting=False) == "1.1.0"
    assert box.state == begun != before


def test_state_is_small(box):
    """What became of releases is remembered, but not for ever."""
    state = State()
    for number in range(30):
        box.install(f"1.1.{number}", max_starts=1)
        box.start()
        box.start()
        state = box.state
        shutil.rmtree(box.folder / f"tree-1.1.{number}")
    assert len(state.outcomes) == 8
    assert (box.releases.folder / "state.json").stat().st_size < 8192
