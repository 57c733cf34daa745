"""The package's script that runs when its files are in place, on a box that is a few folders."""

import subprocess
from pathlib import Path

import pytest

from tests.support.stubbed_box import StubbedBox

POSTINST = Path(__file__).parents[2] / "deploy/debian/postinst"
SHIPPED = "# the shipped settings\n"


class Box(StubbedBox):
    """Runs the script with its places moved here, and programs that note what they were told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.settings = folder / "etc/kiosk-agent/agent.toml"
        for made in ("etc/kiosk-agent", "opt/kiosk-agent/share", "run/systemd/system"):
            (folder / made).mkdir(parents=True)
        (folder / "opt/kiosk-agent/share/agent.toml").write_text(SHIPPED)
        for name in ("systemd-sysusers", "systemd-tmpfiles", "chown", "systemctl"):
            self.program(name, "true")
        self.program("deb-systemd-invoke", "true")
        self.program("install", 'shift 6; exec cp "$@"')
        text = POSTINST.read_text(encoding="utf-8")
        for place in ("/etc/kiosk-agent", "/opt/kiosk-agent", "/run/systemd", "/var/lib"):
            text = text.replace(place, f"{folder}{place}")
        (folder / "postinst").write_text(text, encoding="utf-8")

    def configure(self, before: str = "") -> int:
        """Run it as dpkg does, after the version before or none; returns its exit status."""
        command = ["/bin/sh", self.folder / "postinst", "configure", before]
        return subprocess.run(
            command, env=self.environment, check=False, capture_output=True
        ).returncode


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_first_installation_starts_nothing(box):
    box.program("systemctl", '[ "$2" != is-enabled ]')
    assert box.configure() == 0
    assert box.settings.read_text() == SHIPPED
    assert "enable --quiet" not in box.told
    assert "start kiosk-agent.service" not in box.told


def test_settings_of_an_image_are_put_in_force(box):
    box.settings.write_text("[kiosk]\n")
    assert box.configure() == 0
    assert "systemctl enable --quiet kiosk-agent.service" in box.told
    assert "deb-systemd-invoke start kiosk-agent.service" in box.told
    assert box.settings.read_text() == "[kiosk]\n"


def test_disk_that_is_full_leaves_no_half_settings(box):
    """They would be taken for an image's the next time, and the service enabled with them."""
    box.program("install", 'shift 7; printf "# the" >"$1"; exit 1')
    assert box.configure() != 0
    assert not box.settings.exists()


def test_what_was_broken_off_is_a_first_installation_the_next_time(box):
    box.program("systemd-tmpfiles", "true")
    box.program("systemctl", '[ "$1" != daemon-reload ]')
    assert box.configure() != 0
    assert box.settings.read_text() == SHIPPED
    box.program("systemctl", '[ "$2" != is-enabled ]')
    assert box.configure() == 0
    assert "enable --quiet" not in box.told


def test_agent_that_does_not_start_leaves_the_package_installed(box):
    """Its settings may be wrong, or a release on trial fail: apt has to go on all the same."""
    box.settings.write_text("[kiosk]\n")
    box.program("deb-systemd-invoke", "exit 1")
    assert box.configure("0.1.0-1") == 0
    assert "deb-systemd-invoke start kiosk-agent.service" in box.told
