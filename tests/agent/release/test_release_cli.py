"""``kiosk-agent release``: what the person who makes releases does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from contract.keys import KeySet, OperatorKey
from tests.support.releases import tiny_tree

BIN = Path(sys.executable).parent


def release(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [BIN / "kiosk-agent", "release", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A key, pinned, and a release of a tree that it signed."""
    made = release("key", "Builder", "--out", tmp_path / "key.jwk")
    assert made.returncode == 0, made.stderr
    public = OperatorKey.model_validate_json(made.stdout)
    (tmp_path / "keys.json").write_text(KeySet(keys=(public,)).model_dump_json(exclude_none=True))
    tree = tiny_tree(tmp_path / "tree", "1.2.3")
    built = release("build", "--tree", tree, "--key", tmp_path / "key.jwk", "--out", tmp_path)
    assert built.returncode == 0, built.stderr
    assert "1.2.3" in built.stdout
    return next(tmp_path.glob("kiosk-agent-1.2.3-*.release"))


def test_built_release_verifies(tmp_path, signed):
    done = release("verify", signed, "--keys", tmp_path / "keys.json", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["version"], facts["files"]) == ("1.2.3", 3)
    assert facts["bytes"] == signed.stat().st_size


def test_the_folder_is_made(tmp_path, signed):
    """A fresh checkout has none; what cannot be one is a sentence."""
    words = ("build", "--tree", tmp_path / "tree", "--key", tmp_path / "key.jwk", "--out")
    done = release(*words, tmp_path / "new" / "dist")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "new" / "dist").iterdir()) == [tmp_path / "new" / "dist" / signed.name]
    done = release(*words, tmp_path / "key.jwk")
    assert (done.returncode, done.stderr) == (1, f"{tmp_path / 'key.jwk'}: File exists\n")


def test_changed_release_does_not(tmp_path, signed):
    content = bytearray(signed.read_bytes())
    content[content.rindex(b"\x1f\x8b") + 30] ^= 1
    signed.write_bytes(content)
    done = release("verify", signed, "--keys", tmp_path / "keys.json")
    assert done.returncode == 1
    assert "the payload is not the one that was signed" in done.stderr


def test_key_is_kept_from_others(tmp_path, signed):
    """One that others can read signs nothing, and none is overwritten."""
    key = tmp_path / "key.jwk"
    assert key.stat().st_mode & 0o077 == 0
    assert "is not overwritten" in release("key", "Builder", "--out", key).stderr
    key.chmod(0o644)
    done = release("build", "--tree", tmp_path / "tree", "--key", key, "--out", tmp_path)
    assert done.returncode == 1
    assert "others can read it" in done.stderr


def test_tree_with_links_is_no_release(tmp_path, signed):
    """A link could lead anywhere on the kiosk."""
    next(tmp_path.glob("tree/lib/*/site-packages")).joinpath("link").symlink_to("/etc/passwd")
    done = release(
        "build", "--tree", tmp_path / "tree", "--key", tmp_path / "key.jwk", "--out", tmp_path
    )
    assert done.returncode == 1
    assert "plain files only" in done.stderr


def test_tree_that_is_not_compiled_is_no_release(tmp_path, signed):
    """Python would write beside what was signed, and the launcher would not run it again."""
    site = next(tmp_path.glob("tree/lib/*/site-packages"))
    (site / "agent/more.py").write_text("")
    done = release(
        "build", "--tree", tmp_path / "tree", "--key", tmp_path / "key.jwk", "--out", tmp_path
    )
    assert done.returncode == 1
    assert "more.py is not compiled" in done.stderr
