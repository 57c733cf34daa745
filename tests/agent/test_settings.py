"""The settings file: every default works, every fault has its line and reason."""

import stat
from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.settings import Settings, load, parse
from agent.settings_page import render

GOOD = """
[kiosk]
id = "baotou-017"

[link]
host = "broker.example"
port = 8883
password_file = "/run/credentials/password"

[link.tls]
ca = "/etc/kiosk-agent/ca.pem"

[alarms.rules."temperature.high"]
raise_at = 80
clear_at = 70

[[camera]]
name = "street"
source = "rtsp://user:secret@10.0.0.5/1"

[camera.tamper]
black_luma = 15

[[camera]]
name = "counter"
source = "/dev/video0"
"""


def faults(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse(text, "agent.toml")
    return caught.value.faults


def test_empty_file_is_good():
    """Every default works: an empty file is a whole configuration."""
    settings = parse("", "agent.toml")
    assert settings.link.port == 1883
    assert settings.outbox.max_rows == 200_000
    assert settings.outbox.max_mib == 256
    assert settings.camera == ()


def test_good_file():
    """A full file is read, tables of arrays included."""
    settings = parse(GOOD, "agent.toml")
    assert [camera.name for camera in settings.camera] == ["street", "counter"]
    assert settings.camera[0].tamper.black_luma == 15


def test_secrets_are_not_shown():
    """A camera's password never appears where settings are printed or dumped."""
    settings = parse(GOOD, "agent.toml")
    assert "secret" not in repr(settings)
    assert "secret" not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[link]\nport = 99999\n", "agent.toml:2: link.port: "),
        ("[link]\n\nhsot = 'x'\n", "agent.toml:3: link.hsot: unknown key"),
        ("[linc]\nhost = 'x'\n", "agent.toml:1: linc: unknown key"),
        ("[kiosk]\nid = 'Not Good'\n", "agent.toml:2: kiosk.id: "),
        ("[[camera]]\nname = 'a'\n", "agent.toml:1: camera.0.source: missing"),
        (
            (
                "[[camera]]\nname='a'\nsource='x'\n[[camera]]\nname='b'\nsource='y'\n"
                "[camera.motion]\nend_s = -1\n"
            ),
            "agent.toml:8: camera.1.motion.end_s: ",
        ),
        ("[link.tls]\ncertificate = 'c.pem'\n", "agent.toml:1: link.tls: "),
        ("a = [1,\n", "agent.toml"),
        ("[link]\nhost = \n", "agent.toml:2: not TOML: "),
        (
            "[[camera]]\nname='a'\nsource='x'\n[[camera]]\nname='a'\nsource='y'\n",
            "agent.toml:1: camera: two cameras are called a",
        ),
    ],
)
def test_fault_has_line_and_reason(text: str, fault: str):
    """A wrong setting is reported with file, line, key and reason."""
    assert faults(text)[0].startswith(fault)


def test_all_faults_at_once():
    """Every fault of a file is told, not only the first."""
    assert len(faults("[link]\nport = 0\nkeepalive_s = 1\n[outbox]\nmax_rows = 1\n")) == 3


def test_environment_overrides(monkeypatch: pytest.MonkeyPatch):
    """The environment comes before the file; a fault in it names the variable."""
    monkeypatch.setenv("KIOSK_AGENT_LINK__HOST", "other.example")
    assert parse(GOOD, "agent.toml").link.host == "other.example"
    assert parse(GOOD, "agent.toml").link.port == 8883
    monkeypatch.setenv("KIOSK_AGENT_LINK__PORT", "many")
    assert faults(GOOD)[0].startswith("environment KIOSK_AGENT_LINK__PORT: ")


def test_unreadable_file(tmp_path: Path):
    """A file that is missing, too large or not text is a sentence, not a trace."""
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "binary.toml")
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(2 * 2**20)
    with pytest.raises(SettingsError, match="larger than"):
        load(tmp_path / "large.toml")


def test_folders_of_the_service_manager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Under systemd, state and socket go where it says."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    kiosk = Settings().kiosk
    assert kiosk.state_folder == tmp_path / "state"
    assert kiosk.socket_path == tmp_path / "run/agent.sock"


def test_example_in_deploy_is_good():
    """The commented example that is shipped passes the check."""
    path = Path(__file__).parents[2] / "deploy/agent.example.toml"
    assert load(path).kiosk.id
    assert stat.S_ISREG(path.stat().st_mode)


def test_reference_page_is_not_stale():
    """The committed page of settings is what the models say (``make docs`` writes it)."""
    path = Path(__file__).parents[2] / "docs/settings.md"
    assert path.read_text(encoding="utf-8") == render()
