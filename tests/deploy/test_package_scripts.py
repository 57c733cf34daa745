"""The package's scripts before its files are in place and after they are gone."""

import subprocess
from pathlib import Path

import pytest

from tests.support.stubbed_box import StubbedBox

DEBIAN = Path(__file__).parents[2] / "deploy/debian"


class Box(StubbedBox):
    """Runs a script with its places moved here; its programs note what they were told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.list = folder / "opt/kiosk-agent/installed-files"
        for made in ("opt/kiosk-agent", "run/systemd/system"):
            (folder / made).mkdir(parents=True)
        self.program("systemctl", "true")
        self.program("deb-systemd-invoke", "true")

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        text = (DEBIAN / script).read_text(encoding="utf-8")
        text = text.replace("@PURGE@", "purge_kiosk() { echo purged; }")
        for place in ("/opt/kiosk-agent", "/run/systemd"):
            text = text.replace(f" {place}", f" {self.folder}{place}")
        return subprocess.run(
            ["/bin/sh", "-c", text, script, *arguments],
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
        )


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_package_does_not_come_over_what_install_sh_put_there(box):
    assert box.run("preinst", "install").returncode == 0
    box.list.touch()
    for arguments in (["install"], ["install", "0.1.0-1"]):
        done = box.run("preinst", *arguments)
        assert done.returncode != 0
        assert "deploy/install.sh --uninstall" in done.stderr
    # Where both are there already, the next version of the package is no worse.
    assert box.run("preinst", "upgrade", "0.1.0-1").returncode == 0


def test_purge_of_a_removed_package_leaves_what_install_sh_uses(box):
    assert "purged" in box.run("postrm", "purge").stdout
    box.list.touch()
    done = box.run("postrm", "purge")
    assert done.returncode == 0
    assert "purged" not in done.stdout


@pytest.mark.parametrize(("active", "status"), [("exit 3", 0), ("exit 0", 1)])
def test_unit_that_cannot_be_read_blocks_nothing_while_it_does_not_run(box, active, status):
    """With a drop-in that is wrong, ``stop`` fails."""
    box.program("deb-systemd-invoke", "exit 5")
    box.program("systemctl", active)
    for why in (("upgrade", "0.2.0-1"), ("remove",)):
        assert box.run("prerm", *why).returncode == status
