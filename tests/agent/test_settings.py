"""The settings file: every default works, every fault has its line and reason."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from agent.config.pushed import settings_with
from agent.errors import SettingsError
from agent.settings import Settings, SettingsFile, load, parse
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
        (
            "[link]\nreconnect_min_s = 60\nreconnect_max_s = 5\n",
            "agent.toml:1: link: reconnect_max_s must not be below",
        ),
        (
            "[[camera]]\nname='a'\nsource='x'\nreconnect_max_s = inf\n",
            "agent.toml:4: camera.0.reconnect_max_s: ",
        ),
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
    monkeypatch.setenv("KIOSK_AGENT_LNIK__HOST", "misspelt")
    assert faults(GOOD) == ["environment: KIOSK_AGENT_LNIK__HOST: unknown key"]


def test_environment_may_hold_a_whole_list(monkeypatch: pytest.MonkeyPatch):
    """A list is JSON in the environment and takes the place of the file's; else it is a fault."""
    monkeypatch.setenv("kiosk_agent_camera", '[{"name": "gate", "source": "/dev/video0"}]')
    assert [camera.name for camera in parse(GOOD, "agent.toml").camera] == ["gate"]
    monkeypatch.setenv("KIOSK_AGENT_CAMERA", "gate")
    monkeypatch.delenv("kiosk_agent_camera")
    (fault,) = faults(GOOD)
    assert fault.startswith("environment: ")
    assert "camera" in fault


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


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("release", "(`puback`, `watermark`)"),
        ("severity", "(`critical`, `major`, `minor`, `warning`)"),
        ("roles", "(`viewer`, `operator`, `supervisor`, `maintainer`)"),
        ("suppress", "(`military`, `armed_police`, `embassy`)"),
    ],
)
def test_reference_page_says_what_may_be_chosen(key: str, words: str):
    """The words that a value may be, also where it is optional or a list of them."""
    (row,) = (row for row in render().splitlines() if row.startswith(f"| `{key}` |"))
    assert row.endswith(f"{words} |")


BASE = SettingsFile("agent.toml", GOOD)


def refused(pushed: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings_with(BASE, pushed)
    return caught.value.faults


def test_pushed_tables_lie_over_the_file(monkeypatch: pytest.MonkeyPatch):
    """Environment before pushed before file before defaults; tables are merged, key by key."""
    monkeypatch.setenv("KIOSK_AGENT_HEALTH__SAMPLE_S", "7")
    settings = settings_with(
        BASE,
        {
            "link": {"port": 8884},
            "health": {"sample_s": 8, "interval_s": 90},
            "alarms": {"rules": {"temperature.high": {"raise_at": 90}}},
        },
    )
    assert (settings.link.host, settings.link.port) == ("broker.example", 8884)
    assert settings.link.keepalive_s == 30
    assert (settings.health.sample_s, settings.health.interval_s) == (7, 90)
    rule = settings.alarms.rules["temperature.high"]
    assert (rule.raise_at, rule.clear_at) == (90, 70)
    assert [camera.name for camera in settings.camera] == ["street", "counter"]


def test_pushed_array_replaces_the_files():
    """Cameras are pushed all together: what the file says of them does not shine through."""
    settings = settings_with(BASE, {"camera": [{"name": "street", "source": "/dev/video4"}]})
    assert [camera.name for camera in settings.camera] == ["street"]
    assert settings.camera[0].tamper.black_luma == 20


@pytest.mark.parametrize(
    ("pushed", "fault"),
    [
        ({"link": {"port": 0}}, "pushed settings: link.port: "),
        ({"link": {"hsot": "x"}}, "pushed settings: link.hsot: unknown key"),
        ({"linc": {}}, "pushed settings: linc: unknown key"),
        ({"link": 3}, "pushed settings: link: "),
        ({"camera": [{"name": "a"}]}, "pushed settings: camera.0.source: missing"),
        ({"alarms": {"rules": {"no.such": {}}}}, "pushed settings: alarms: "),
    ],
)
def test_pushed_fault_names_the_key(pushed: dict[str, Any], fault: str):
    """A wrong pushed setting is reported by its key: there is no line to point to."""
    assert refused(pushed)[0].startswith(fault)


@pytest.mark.parametrize(
    ("pushed", "key"),
    [
        ({"kiosk": {"id": "other"}}, "kiosk"),
        ({"commands": {"operators": "/srv/mine.json"}}, "commands"),
        ({"link": {"root": "else/where"}}, "link.root"),
        ({"link": {"tls": None}}, "link.tls"),
        ({"link": {"password_file": "/etc/shadow"}}, "link.password_file"),
        ({"door": {"chip": "/dev/watchdog"}}, "door"),
        ({"door": {"open_on": []}}, "door"),
        ({"plates": {"detector_file": "/srv/mine.pt"}}, "plates.detector_file"),
    ],
)
def test_only_a_person_on_site(pushed: dict[str, Any], key: str):
    """Identity, trust root and files are not for whoever can push, not even to be removed."""
    assert refused(pushed) == [f"pushed settings: {key}: only a person on site may change this"]


def test_no_path_can_be_pushed():
    """Whatever settings there are: one that is a path is refused, as deep as it may lie."""

    def paths(model: type[BaseModel], at: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, field in model.model_fields.items():
            parts = [field.annotation, *get_args(field.annotation)]
            if Path in parts:
                yield (*at, name)
            for part in parts:
                if isinstance(part, type) and issubclass(part, BaseModel):
                    yield from paths(part, (*at, name))

    found = list(paths(Settings, ()))
    assert ("link", "tls", "ca") in found
    for path in found:
        tree: Any = "/etc/passwd"
        for step in reversed(path):
            tree = {step: tree}
        assert "only a person on site" in refused(tree)[0], path


@pytest.mark.parametrize("source", ["/etc/passwd", "clip.mp4", "/dev/sda"])
def test_pushed_camera_reads_no_file(source: str):
    """A pushed camera is a device or a network stream; a file would be read for the pusher."""
    (fault,) = refused({"camera": [{"name": "street", "source": source}]})
    assert fault.startswith("pushed settings: camera.0.source: ")


def test_file_camera_of_the_settings_file_may_be_pushed():
    """A file that a person on site named as a camera may be kept by what is pushed."""
    own = SettingsFile("agent.toml", "[[camera]]\nname = 'a'\nsource = '/srv/clip.mp4'\n")
    pushed = {"camera": [{"name": "a", "source": "/srv/clip.mp4", "frames_per_s": 2}]}
    assert settings_with(own, pushed).camera[0].frames_per_s == 2


def test_redacted_source_is_not_taken_for_an_address():
    """A source that was copied from a report has lost its password: it is refused."""
    (fault,) = refused({"camera": [{"name": "street", "source": "rtsp://***@10.0.0.5/1"}]})
    assert "password was removed" in fault
