"""Small releases of this very agent: its rooms copied and compiled, its libraries borrowed."""

import shutil
import sysconfig
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from agent.release.build import build_release
from agent.release.tree import (
    compile_tree,
    furnish,
    running_interpreter,
    running_python,
    site_packages,
)
from console.keys import new_key
from contract.keys import KeySet, PrivateKey

ROOT = Path(__file__).parents[2]
ROOMS = ("agent", "commands", "console", "contract", "telemetry", "vision")
BUILT = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
SITE = site_packages(running_python())


def release_key(name: str = "Release Builder") -> PrivateKey:
    return new_key(name, "maintainer")


def pin_keys(path: Path, *keys: PrivateKey) -> KeySet:
    """Write the release keys that a kiosk believes."""
    pinned = KeySet(keys=tuple(key.public() for key in keys))
    path.write_text(pinned.model_dump_json(exclude_none=True))
    return pinned


def agent_tree(into: Path) -> Path:
    """Make the tree of an agent that works, but for cameras."""
    site = into / SITE
    for room in ROOMS:
        for source in (ROOT / room).rglob("*.py"):
            target = site / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    (site / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    compile_tree(site, running_interpreter())
    furnish(into, running_interpreter())
    return into


def variant(tree: Path, into: Path, version: str, changes: Mapping[str, tuple[str, str]]) -> Path:
    """Copy a tree as another version, with a text in some of its files replaced."""
    shutil.copytree(tree, into, symlinks=True)
    site = into / SITE
    own = {"agent/__init__.py": ('VERSION = "', f'VERSION = "{version}"  # "')}
    for name, (old, new) in (own | dict(changes)).items():
        text = (site / name).read_text()
        assert old in text, name
        (site / name).write_text(text.replace(old, new, 1))
    compile_tree(site, running_interpreter())
    return into


def tiny_tree(into: Path, version: str = "1.1.0", more: Mapping[str, bytes] | None = None) -> Path:
    """Make the tree of nothing that runs, but for saying its version."""
    package = into / SITE / "agent"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f'VERSION = "{version}"\n')
    for name, content in (more or {"agent/data.bin": b"\x00" * 3000}).items():
        path = into / SITE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    compile_tree(into / SITE, running_interpreter())
    furnish(into, running_interpreter())
    return into


def pack(tree: Path, out: Path, *keys: PrivateKey) -> Path:
    """Build a signed release file of a tree."""
    out.mkdir(exist_ok=True)
    return build_release(tree, out, keys, built=BUILT)[0]


def all_files(folder: Path) -> Sequence[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())
