"""The gallery's key: a credential of systemd, or a file that is made once."""

import secrets
import stat

import pytest

from vision.identity.gallery_key import GalleryKeyError, KeyPlace


@pytest.fixture
def place(tmp_path):
    return KeyPlace(tmp_path)


def test_there_is_none_until_it_is_made(place):
    """A key is made when it is asked for, and then it is there; only its owner can read it."""
    assert place.read() is None
    key = place.make()
    assert len(key) == 32
    assert place.read() == key
    assert stat.S_IMODE(place.file.stat().st_mode) == 0o600
    assert [file.name for file in place.folder.iterdir()] == ["gallery-key"]


def test_it_is_never_replaced(place):
    """To make a key where there is one is to read it."""
    assert place.make() == place.make()


def test_two_boxes_have_two_keys(tmp_path):
    """No two keys are the same."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    assert KeyPlace(one).make() != KeyPlace(other).make()


def test_a_power_cut_while_it_was_made(place):
    """What a life that was cut off left half written is no key, and in nobody's way."""
    (place.folder / ".gallery-key.new").write_bytes(b"half")
    assert place.read() is None
    assert place.make() == place.read()


def test_a_credential_comes_first(place, tmp_path):
    """Where systemd gives a credential, it is the key, whatever the file is; and none is made."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "gallery-key").write_bytes(secrets.token_bytes(32))
    with_one = KeyPlace(tmp_path, credentials)
    key = with_one.read()
    assert key is not None
    assert key != place.make()
    assert with_one.read() == key


def test_the_file_may_become_the_credential(place, tmp_path):
    """The same content is the same key at both places: who gets a TPM need not enrol anew."""
    key = place.make()
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    place.file.rename(credentials / "gallery-key")
    assert place.read() is None
    assert KeyPlace(tmp_path, credentials).read() == key


def test_credentials_for_other_things(place, tmp_path):
    """A folder of credentials without ours leaves it to the file."""
    key = place.make()
    assert KeyPlace(tmp_path, tmp_path / "elsewhere").read() == key


def test_a_longer_secret(place):
    """A secret of any length from 32 bytes on serves, the whole of it."""
    place.file.write_bytes(b"a" * 100)
    key = place.read()
    place.file.write_bytes(b"a" * 99 + b"b")
    assert place.read() != key


@pytest.mark.parametrize("length", [0, 31, 4097])
def test_what_is_no_key(place, length):
    """A file that is too short or long is an error that says so, and stays as it is."""
    place.file.write_bytes(b"a" * length)
    for act in (place.read, place.make):
        with pytest.raises(GalleryKeyError, match=f"has {length} bytes"):
            act()
    assert place.file.stat().st_size == length


def test_what_cannot_be_read(place):
    """A key that is there and cannot be read is no reason to make another."""
    place.file.mkdir()
    with pytest.raises(GalleryKeyError, match="cannot be read"):
        place.make()


def test_where_nothing_can_be_written(tmp_path):
    """A state folder that is not there is said to be at fault."""
    with pytest.raises(GalleryKeyError, match="cannot be written: No such file"):
        KeyPlace(tmp_path / "missing").make()


def test_others_are_kept_out(place):
    """A key file that others could read is closed to them."""
    key = place.make()
    place.file.chmod(0o644)
    assert place.read() == key
    assert stat.S_IMODE(place.file.stat().st_mode) == 0o600
