"""What a purge deletes, keeps and leaves, on a box that is a few folders."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.stubbed_box import StubbedBox

PURGE = Path(__file__).parents[2] / "deploy/purge.sh"


class Box(StubbedBox):
    """Runs purge_kiosk with its places moved here; its programs note what they were told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.state = folder / "var/lib/kiosk-agent"
        self.cache = folder / "var/cache/kiosk-agent"
        for made in ("var/lib", "var/cache"):
            (folder / made).mkdir(parents=True)
        for name in ("userdel", "groupdel", "getent", "chown"):
            self.program(name, "true")
        self.owned_by("kiosk-agent")
        text = PURGE.read_text(encoding="utf-8")
        # None of them is this machine's own.
        assert set(re.findall(r"(.)/(?:etc|var|run|usr|opt)/", text)) == {" "}
        for place in ("/etc", "/var", "/run"):
            text = text.replace(f" {place}/", f" {folder}{place}/")
        (folder / "purge").write_text(f"set -e\n{text}\npurge_kiosk\n", encoding="utf-8")

    def owned_by(self, user: str) -> None:
        self.program("stat", f"echo {user}")

    def fill(self, place: Path, *, identity: bool = False) -> None:
        """Put there what the agent leaves behind."""
        (place / "releases/1").mkdir(parents=True)
        for name in ("gallery", "gallery-key", "outbox.db", ".hidden", "releases/1/identity"):
            (place / name).write_text("x")
        if identity:
            (place / "identity").mkdir()
            for name in ("identity/device.key", "kiosk-key.jwk"):
                (place / name).write_text("x")

    def purge(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", self.folder / "purge"],
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
        )


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def names(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir())


def test_all_goes_but_the_identity(box):
    box.fill(box.state, identity=True)
    box.fill(box.cache, identity=True)
    assert box.purge().returncode == 0
    assert names(box.state) == ["identity/device.key", "kiosk-key.jwk"]
    assert not box.cache.exists()
    assert f"chown -hR root:root {box.state}" in box.told


def test_without_an_identity_nothing_is_left(box):
    box.fill(box.state)
    assert box.purge().returncode == 0
    assert not box.state.exists()


@pytest.mark.parametrize("identity", [False, True])
def test_state_behind_a_link_goes_as_well(box, identity):
    """Faces and their key, for whoever gets the number of the agent's user next."""
    disk = box.folder / "disk"
    box.fill(disk, identity=identity)
    box.state.symlink_to(disk)
    box.cache.symlink_to(box.folder / "elsewhere")
    box.fill(box.folder / "elsewhere")
    done = box.purge()
    assert done.returncode == 0
    assert names(disk) == (["identity/device.key", "kiosk-key.jwk"] if identity else [])
    assert names(box.folder / "elsewhere") == []
    assert f"chown -hR root:root {disk} {box.state}" in box.told
    assert str(disk) in done.stdout


def test_link_leads_root_into_nobody_elses_folder(box):
    home = box.folder / "home"
    box.fill(home)
    before = names(home)
    box.state.symlink_to(home)
    box.owned_by("wang")
    done = box.purge()
    assert done.returncode == 0
    assert names(home) == before
    assert f"and was left: {home}" in done.stdout
    assert str(home) not in box.told.replace(f"stat -c %U {home}", "")


@pytest.mark.parametrize("within", [".", "releases"])
def test_mounted_disk_is_emptied_and_stays(box, within):
    """Its folder cannot go, which must not make each purge fail."""
    box.fill(box.state)
    busy = (box.state / within).resolve()
    box.program("rmdir", f'[ "$1" != {box.state} ] || exit 1\nexec /bin/rmdir "$@"')
    box.program(
        "rm", f'/bin/rm "$@" || exit 1\ncase "$*" in *{busy}*) mkdir -p {busy} && exit 1 ;; esac'
    )
    assert box.purge().returncode == 0
    assert names(box.state) == []
    assert f"chown -hR root:root {box.state}" in box.told
    assert "userdel kiosk-agent" in box.told


def test_file_that_cannot_be_deleted_is_a_fault(box):
    """Who purges is not told that faces are gone while they are there."""
    box.fill(box.state)
    box.program("rm", 'case "$*" in *gallery*) exit 1 ;; esac\nexec /bin/rm "$@"')
    done = box.purge()
    assert done.returncode != 0
    assert f"cannot be deleted: what is in {box.state}" in done.stderr


def test_group_with_members_goes_too(box):
    """By itself userdel leaves it; where it cannot go, the purge ends all the same."""
    box.program("groupdel", "exit 8")
    assert box.purge().returncode == 0
    assert "groupdel kiosk-agent" in box.told
