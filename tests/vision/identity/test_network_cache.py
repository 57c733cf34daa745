"""The converted network is kept, and what is kept is not taken on trust."""

import hashlib

import pytest

from vision.identity.dlib_network import convert
from vision.identity.network_cache import cache_folder, converted
from vision.models.errors import MissingModelError, UnusableModelError
from vision.models.manifest import load_manifest

MODEL = load_manifest().pick("face-recogniser")
GONE = MODEL.model_copy(update={"file": MODEL.file.with_name("gone.dat")})
"""The same model without its file: only the cache can give its network."""


@pytest.fixture(scope="module")
def network():
    return convert(MODEL.read())


@pytest.fixture
def kept(tmp_path, network):
    """A cache with the network in it, and its file there."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    name = f"{MODEL.name}-{MODEL.sha256}-1-{hashlib.sha256(network).hexdigest()}.onnx"
    (folder / name).write_bytes(network)
    (folder / name).chmod(0o600)
    return folder / name


def test_it_is_converted_once(tmp_path, network):
    """A process of its own does it, and leaves one file, for this user alone."""
    folder = tmp_path / "state" / "cache"
    assert converted(MODEL, folder) == network
    (file,) = folder.iterdir()
    assert (file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert converted(GONE, folder) == network


def test_a_damaged_file_is_made_anew(kept, network):
    """And takes the damaged one's place."""
    damaged = bytearray(network)
    damaged[1000] ^= 1
    kept.write_bytes(damaged)
    assert converted(MODEL, kept.parent) == network
    assert [file.read_bytes() == network for file in kept.parent.iterdir()] == [True]


@pytest.mark.parametrize("whose", ["file", "folder"])
def test_what_others_may_write_is_not_loaded(kept, whose):
    """Its hash may be right: who put it there could choose it."""
    assert converted(GONE, kept.parent)
    (kept if whose == "file" else kept.parent).chmod(0o777)
    with pytest.raises(MissingModelError):
        converted(GONE, kept.parent)


def test_a_link_is_not_followed(kept, tmp_path):
    """It may lead to what changes between two looks."""
    kept.rename(tmp_path / "elsewhere.onnx")
    kept.symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(MissingModelError):
        converted(GONE, kept.parent)


def test_another_source_has_another_file(kept):
    """The list names a new file of dlib's: what was made of the old one is of no use."""
    other = GONE.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(MissingModelError):
        converted(other, kept.parent)


@pytest.mark.parametrize("folder", ["in the way", None])
def test_no_cache_is_no_error(tmp_path, network, folder):
    """The network is made at each start."""
    (tmp_path / "in the way").write_text("")
    assert converted(MODEL, folder and tmp_path / folder) == network


def test_what_cannot_be_converted_is_told(tmp_path):
    """By the model's name, with what was found."""
    file = tmp_path / "other.dat"
    file.write_bytes(b"something else")
    digest = hashlib.sha256(b"something else").hexdigest()
    other = MODEL.model_copy(update={"file": file, "sha256": digest, "name": "mine-1"})
    with pytest.raises(UnusableModelError, match="model mine-1: not dlib's face recognition"):
        converted(other, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_it_lies_where_the_system_keeps_such_things(monkeypatch, tmp_path):
    """The folder of systemd first, else the user's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "kiosk-agent" / "models"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "kiosk-agent" / "models"
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/kiosk-agent:/var/cache/other")
    assert str(cache_folder()) == "/var/cache/kiosk-agent/models"
