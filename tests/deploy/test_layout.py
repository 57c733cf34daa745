"""What lies where on a kiosk, and the settings that it begins with."""

import subprocess
from pathlib import Path

import pytest

from agent.settings import load

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rows():
    """Of each file: mode, file of the project, place."""
    script = f'project={PROJECT}; . "$project/deploy/layout.sh"; layout_rows'
    done = subprocess.run(["sh", "-ec", script], check=True, capture_output=True, text=True)
    return [line.split() for line in done.stdout.splitlines()]


def test_every_file_is_there_and_has_one_place(rows):
    places = [place for _, _, place in rows]
    assert len(set(places)) == len(places)
    for mode, source, place in rows:
        assert place.startswith(("/opt/kiosk-agent/", "/usr/")), place
        if mode != "link":
            assert (PROJECT / source).is_file(), source
            assert mode == ("0755" if "/bin/" in source else "0644"), source


def test_what_links_point_to_is_there(rows):
    """No link leads to what the package does not bring."""
    places = {place for _, _, place in rows}
    for mode, source, place in rows:
        if mode == "link":
            assert str((Path(place).parent / source).resolve()) in places


def test_all_units_and_programs_are_laid_out(rows):
    """A unit that was added is not forgotten."""
    sources = {source for _, source, _ in rows}
    for folder in ("bin", "systemd", "polkit"):
        there = {str(path.relative_to(PROJECT)) for path in (PROJECT / "deploy" / folder).iterdir()}
        assert there <= sources


def test_a_kiosk_begins_with_settings_that_are_good(monkeypatch, tmp_path):
    """As they are, and with every line of them in use."""
    file = PROJECT / "deploy/agent.toml"
    assert load(file).camera == ()
    lines = file.read_text(encoding="utf-8").splitlines()
    begins = lines.index("[kiosk]")
    used = tmp_path / "agent.toml"
    used.write_text("\n".join(line.removeprefix("# ") for line in lines[begins:]), encoding="utf-8")
    settings = load(used)
    assert settings.link.port == 8883
    assert settings.link.tls is not None
    assert [camera.name for camera in settings.camera] == ["street"]
