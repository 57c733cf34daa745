"""Where the console's settings come from, and what it says when they are wrong."""

from pathlib import Path

import pytest

from console.errors import SettingsError
from console.settings import Address, load, parse_broker


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "kioskctl.toml"
    path.write_text('broker = "mqtts://file:1"\nuser = "file"\nroot = "a/b"\n', encoding="utf-8")
    return path


def test_options_before_environment_before_file(file, monkeypatch):
    """The nearer to the operator's hands, the stronger."""
    monkeypatch.setenv("KIOSKCTL_BROKER", "mqtt://environment:2")
    monkeypatch.setenv("KIOSKCTL_USER", "environment")
    settings = load(file, broker="ws://option:3", user=None)
    assert (settings.broker, settings.user, settings.root) == (
        "ws://option:3",
        "environment",
        "a/b",
    )


def test_without_anything_there_are_defaults(tmp_path, monkeypatch):
    """No file, no options: the broker on this machine."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load().address == Address("127.0.0.1", 1883, tls=False, websocket_path=None)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://h", Address("h", 1883, tls=False, websocket_path=None)),
        ("mqtts://h", Address("h", 8883, tls=True, websocket_path=None)),
        ("ws://h:9001", Address("h", 9001, tls=False, websocket_path="/mqtt")),
        ("wss://h/other", Address("h", 443, tls=True, websocket_path="/other")),
        ("mqtts://[::1]:5", Address("::1", 5, tls=True, websocket_path=None)),
    ],
)
def test_broker_addresses(url, address):
    """Four schemes with their usual ports."""
    assert parse_broker(url) == address


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('brokr = "mqtt://h"', "brokr: Extra inputs"),
        ('broker = "h"', "broker: 'h': expected such as mqtts://"),
        ('broker = "mqtt://h:99999"', "Port out of range"),
        ('broker = "mqtt://h/x"', "nothing may follow the port"),
        ('root = "a/#"', "without '\\+' and '#'"),
        ('certificate = "c.pem"', "^a client certificate needs both"),
        ("broker =", r"kioskctl\.toml: Invalid value"),
    ],
)
def test_a_mistake_is_named(tmp_path, content, said):
    """The sentence names the setting and what is wrong with it."""
    path = tmp_path / "kioskctl.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        load(path)


def test_the_password_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    """A line end is no part of it; nothing shows it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "word"
    path.write_text("s3cret\n", encoding="utf-8")
    assert load(password_file=path).read_password() == "s3cret"
    monkeypatch.setenv("KIOSKCTL_PASSWORD", "fr0m env")
    settings = load()
    assert settings.read_password() == "fr0m env"
    assert "fr0m" not in repr(settings)
