"""Which settings file a command reads."""

from pathlib import Path

import pytest

from agent import config_option
from agent.config_option import load_settings, settings_path
from agent.errors import SettingsError


@pytest.fixture
def default(tmp_path, monkeypatch):
    """The kiosk's own file, which is not there yet."""
    path = tmp_path / "etc" / "agent.toml"
    path.parent.mkdir()
    monkeypatch.setattr(config_option, "DEFAULT_FILE", path)
    return path


def test_the_kiosks_own_where_there_is_one(default):
    assert settings_path(None) is None
    default.touch()
    assert settings_path(None) == default


def test_the_one_that_is_named_comes_first(default, tmp_path):
    default.touch()
    assert settings_path(tmp_path / "other.toml") == tmp_path / "other.toml"


def test_who_may_not_read_it_is_told(default, monkeypatch):
    """An installed kiosk's settings are not for everybody: a sentence, not a trace."""

    def forbidden(path: Path, **_) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "stat", forbidden)
    with pytest.raises(SettingsError, match=r"agent\.toml: cannot be read: .*Permission denied"):
        load_settings(None)
