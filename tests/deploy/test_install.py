"""install.sh where it breaks off or root's umask is narrow, on a box that is a few folders."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stubbed_box import StubbedBox

PROJECT = Path(__file__).parents[2]
PLACES = ("/opt/kiosk-agent", "/etc/", "/usr/lib/", "/usr/bin/", "/usr/share/", "/run/", "/var/")
AWAY = ("usr/bin/kiosk-agent", "usr/lib/systemd/system/kiosk-agent.service", "opt/kiosk-agent")


class Box(StubbedBox):
    """Runs the script with its places moved here, and programs that note what they were told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.home = folder / "opt/kiosk-agent"
        for made in ("run/systemd/system", "etc/kiosk-agent", "opt", "project"):
            (folder / made).mkdir(parents=True)
        for part in ("deploy", "docs", "README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"):
            subprocess.run(["cp", "-R", PROJECT / part, folder / "project"], check=True)
        for name in ("install.sh", "purge.sh", "layout"):
            file = folder / "project/deploy" / name
            text = file.read_text(encoding="utf-8")
            # None of them is this machine's own.
            assert set(re.findall(r"(.)/(?:etc|var|run|usr|opt)/", text)) <= {" ", "="}
            for place in PLACES:
                text = text.replace(f" {place}", f" {folder}{place}")
                text = text.replace(f"={place}", f"={folder}{place}")
            file.write_text(text, encoding="utf-8")
        for name in ("systemd-sysusers", "systemd-tmpfiles", "chown", "systemctl"):
            self.program(name, "true")
        self.program("id", "echo 0")
        self.program("dpkg-query", "exit 1")
        # As it is, but for the owner.
        self.program("install", '[ "$3" != -o ] || exec cp "$7" "$8"\nexec /usr/bin/install "$@"')
        self.disabled = '[ "$2" != is-enabled ]'

    def tree(self, version: str, mode: int = 0o755) -> Path:
        """Make what passes for a virtual environment."""
        tree = self.folder / version
        agent = tree / f"lib/python3.{sys.version_info[1]}/site-packages/agent"
        agent.mkdir(parents=True)
        (agent / "__init__.py").write_text(f'VERSION = "{version}"\n')
        (tree / "bin").mkdir()
        agent.chmod(mode)
        return tree

    def run(self, *arguments: str | Path, umask: int = 0o022) -> subprocess.CompletedProcess[str]:
        (self.folder / "told").write_text("")
        return subprocess.run(
            ["/bin/sh", self.folder / "project/deploy/install.sh", *arguments],
            env=self.environment,
            check=False,
            capture_output=True,
            text=True,
            umask=umask,
        )

    def install(self, tree: Path, umask: int = 0o022) -> subprocess.CompletedProcess[str]:
        return self.run("--tree", tree, "--python", sys.executable, umask=umask)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_what_is_whole_is_left_alone(box):
    tree = box.tree("1.0")
    assert box.install(tree).returncode == 0
    done = box.install(tree)
    assert (done.returncode, done.stdout) == (0, "kiosk-agent is installed and up to date\n")
    assert "restart" not in box.told


def test_upgrade_that_broke_off_goes_on_to_the_end(box):
    """Where only the end is missing no file differs, and the agent stands still."""
    box.install(box.tree("1.0"))
    later = box.tree("2.0")
    box.program("systemctl", '[ "$1" != daemon-reload ]')
    done = box.install(later)
    assert done.returncode != 0
    assert "broken off" in done.stderr
    assert "stop kiosk-agent" in box.told
    box.program("systemctl", "true")
    assert box.install(later).returncode == 0
    assert "restart kiosk-agent.service" in box.told
    assert "up to date" in box.install(later).stdout


def test_first_installation_that_broke_off_comes_off_again(box):
    box.program("systemd-tmpfiles", "exit 1")
    assert box.install(box.tree("1.0")).returncode != 0
    assert box.run("--uninstall").returncode == 0
    assert not [place for place in AWAY if (box.folder / place).exists()]


def test_what_has_no_list_comes_off_as_well(box):
    """An earlier version wrote the list at the end."""
    box.install(box.tree("1.0"))
    (box.home / "installed-files").unlink()
    assert box.run("--uninstall").returncode == 0
    assert not [place for place in AWAY if (box.folder / place).exists()]


def test_files_of_an_earlier_version_are_known_to_the_end(box):
    """Also while an upgrade is broken off, which names those of both versions."""
    box.install(box.tree("1.0"))
    gone = box.folder / "usr/share/earlier"
    gone.write_text("")
    with (box.home / "installed-files").open("a") as file:
        file.write(f"{gone}\n")
    box.program("systemctl", '[ "$1" != stop ] && [ "$1" != --quiet ]')
    box.program("rm", 'case $* in *venv.new*) exit 1 ;; esac\nexec /bin/rm "$@"')
    assert box.install(box.tree("2.0")).returncode != 0
    assert gone.exists()
    (box.folder / "programs/rm").unlink()
    assert box.run("--uninstall").returncode != 0  # disable fails
    box.program("systemctl", box.disabled)
    assert box.run("--uninstall").returncode == 0
    assert not gone.exists()


def test_agent_that_does_not_start_ends_nothing_early(box):
    box.program("systemctl", '[ "$1" != restart ]')
    done = box.install(box.tree("1.0"))
    assert done.returncode == 0
    assert "does not start yet" in done.stdout
    assert "up to date" in box.install(box.folder / "1.0").stdout


def test_unit_that_cannot_be_read_is_no_obstacle_and_one_that_runs_on_is(box):
    """With a drop-in that is wrong ``stop`` fails, whatever runs."""
    box.install(box.tree("1.0"))
    box.program("systemctl", "case $* in stop*) exit 5 ;; *is-active*) exit 3 ;; esac")
    assert box.install(box.tree("2.0")).returncode == 0
    box.program("systemctl", '[ "$1" != stop ]')
    assert "cannot be stopped" in box.install(box.tree("3.0")).stderr


def test_narrow_umask_keeps_nothing_from_the_agent(box):
    tree = box.tree("1.0", mode=0o700)
    assert box.install(tree, umask=0o077).returncode == 0
    found = [box.home, *box.home.rglob("*")]
    modes = {path: path.stat().st_mode & 0o777 for path in found if not path.is_symlink()}
    assert not [path for path, mode in modes.items() if mode not in {0o644, 0o755}]


def test_what_a_narrow_umask_spoilt_is_put_right(box):
    tree = box.tree("1.0")
    box.install(tree)
    init = next(box.home.rglob("__init__.py"))
    for path in (box.home, init, box.home / "release.json"):
        path.chmod(0o700)
    assert box.install(tree).returncode == 0
    init = next(box.home.rglob("__init__.py"))
    assert [path.stat().st_mode & 0o044 for path in (box.home, init)] == [0o044, 0o044]
    assert (box.home / "release.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("state", "refused"), [("installed", True), ("half-configured", True), ("config-files", False)]
)
def test_package_is_left_to_apt(box, state, refused):
    box.program("dpkg-query", f"echo {state}")
    done = box.install(box.tree("1.0"))
    assert ("use apt-get" in done.stderr) is refused
    assert (done.returncode != 0) is refused
