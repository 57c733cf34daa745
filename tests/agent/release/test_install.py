"""What is unpacked into a slot: exactly what a pinned key signed, or nothing."""

import gzip
import hashlib
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.errors import ReleaseError
from agent.release.check import check_slot, read_release_keys
from agent.release.install import Installation
from agent.release.order import InstallOrder
from agent.release.slots import SIGNED, Slot
from agent.release.tree import machine_arch, running_python
from contract.keys import PrivateKey
from contract.release import MANIFEST, PAYLOAD, Manifest, ReleaseFile, sign_manifest
from tests.support.releases import BUILT, SITE, all_files, pack, pin_keys, release_key, tiny_tree

KEY = release_key()
MIB = 2**20


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., str]:
    """Install a file; returns the hash of the manifest that is in slot a then."""
    pin_keys(tmp_path / "keys.json", KEY)

    def run(release: Path, **changes: Any) -> str:
        order = {
            "file": str(release),
            "sha256": hashlib.sha256(release.read_bytes()).hexdigest(),
            "version": "1.1.0",
            "running": "1.0.0",
            "releases": str(tmp_path / "releases"),
            "slot": "a",
            "keys": str(tmp_path / "keys.json"),
            "max_bytes": 64 * MIB,
            "floor_bytes": 0,
        }
        return Installation(InstallOrder.model_validate(order | changes)).run()

    return run


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A good one."""
    data = {"agent/data.bin": bytes(range(256)) * 400 + os.urandom(100_000)}
    return pack(tiny_tree(tmp_path / "tree", more=data), tmp_path / "out", KEY)


def forged(
    folder: Path,
    *members: tuple[tarfile.TarInfo, bytes],
    key: PrivateKey = KEY,
    files: tuple[ReleaseFile, ...] | None = None,
    **changes: Any,
) -> Path:
    """A release whose payload is whatever somebody put there."""
    payload = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=payload, mode="wb") as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    claimed = (
        files
        if files is not None
        else tuple(
            ReleaseFile(path=m.name, size=len(c), sha256=hashlib.sha256(c).hexdigest())
            for m, c in members
        )
    )
    manifest = Manifest.model_construct(
        **{
            "format": 1,
            "version": "1.1.0",
            "arch": machine_arch(),
            "python": running_python(),
            "built": BUILT,
            "payload_sha256": hashlib.sha256(payload.getvalue()).hexdigest(),
            "files": claimed,
            **changes,
        }
    )
    path = folder / "forged.release"
    with tarfile.open(path, "w") as tar:
        for name, content in (
            (MANIFEST, sign_manifest(manifest, [key])),
            (PAYLOAD, payload.getvalue()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def member(name: str = "lib/a", kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def file(name: str, content: bytes = b"x") -> ReleaseFile:
    return ReleaseFile(path=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())


def nothing_left(tmp_path: Path) -> bool:
    return all_files(tmp_path / "releases") == []


def test_good_release_is_unpacked_whole(tmp_path, install, release):
    """Its files with their modes, an environment that runs, and nothing besides."""
    digest = install(release)
    slot = tmp_path / "releases/a"
    assert all_files(slot) == sorted(
        ["bin/python", SIGNED, "pyvenv.cfg"]
        + [f"{SITE}/agent/{name}" for name in ("__init__.py", "data.bin")]
        + [f"{SITE}/agent/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"]
    )
    assert stat.S_IMODE((slot / SITE / "agent/data.bin").stat().st_mode) == 0o644
    asked = [slot / "bin/python", "-I", "-B", "-c", "import agent; print(agent.VERSION)"]
    assert subprocess.run(asked, check=True, capture_output=True, text=True).stdout == "1.1.0\n"
    slot_told = Slot(name="a", version="1.1.0", manifest=digest, packaged="1.0.0")
    keys, hashed = read_release_keys(tmp_path / "keys.json"), []
    check_slot(slot, slot_told, keys, whole=True, went_on=lambda: hashed.append(1))
    assert len(hashed) == 3, "each signed file"


def test_what_was_in_the_slot_before_is_gone(tmp_path, install, release):
    """Also what an installation left that was broken off."""
    for old in ("a", "a.new"):
        (tmp_path / "releases" / old / "lib").mkdir(parents=True)
        (tmp_path / "releases" / old / "lib/old.py").write_text("")
    install(release)
    assert not [name for name in all_files(tmp_path / "releases") if name.endswith("old.py")]


def test_release_before_stays_where_there_is_no_room(tmp_path, install, monkeypatch):
    """And it counts as room: it will be gone by then."""
    free = [64 * MIB]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free[0]))
    tree = tiny_tree(tmp_path / "tree", more={"agent/data.bin": os.urandom(8 * MIB)})
    release = pack(tree, tmp_path / "out", KEY)
    install(release)
    there = all_files(tmp_path / "releases/a")
    free[0] = -MIB
    with pytest.raises(ReleaseError, match="MiB are needed on the disk"):
        install(release)
    assert all_files(tmp_path / "releases/a") == there
    free[0] = MIB
    install(release)


def test_same_tree_gives_the_same_payload(tmp_path):
    """Whoever builds it again gets the same bytes."""
    first, second = (pack(tiny_tree(tmp_path / n), tmp_path / f"{n}-out", KEY) for n in "pq")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sha256": "0" * 64}, "not the file that was ordered"),
        ({"version": "1.2.0"}, "holds version 1.1.0, ordered was 1.2.0"),
        ({"running": "1.1.1"}, "older than 1.1.1, which is running"),
        ({"max_bytes": 100_000}, "the file is larger than 0 MiB"),
        ({"floor_bytes": 2**60}, "MiB are needed on the disk"),
        ({"instead": Path(__file__)}, "this is no release file"),
        ({"keys": "/nowhere/keys.json"}, "release keys /nowhere/keys.json: No such file"),
    ],
)
def test_what_was_not_ordered_is_refused(tmp_path, install, release, change, why):
    with pytest.raises(ReleaseError, match=why):
        install(change.pop("instead", release), **change)
    assert nothing_left(tmp_path)


def test_older_version_is_taken_where_that_is_said(install, release):
    assert install(release, running="2.0.0", allow_older=True)
    assert install(release, running="1.1.0"), "the same is not older"
    assert install(release, running="1.1.0rc1")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"arch": "riscv64"}, "is for architecture riscv64, this kiosk has"),
        ({"python": "3.4"}, "is for Python 3.4, this kiosk has"),
        ({"version": "1.1"}, "version: String should match"),
        ({"files": ()}, "files: Tuple should have at least 1"),
        ({"more": 1}, None),
    ],
)
def test_release_for_another_machine_is_refused(tmp_path, install, changes, why):
    path = forged(tmp_path, (member(), b"x"), **changes)
    if why is None:
        assert install(path)
        return
    with pytest.raises(ReleaseError, match=why):
        install(path)
    assert nothing_left(tmp_path)


def test_other_keys_are_not_believed(tmp_path, install):
    """Neither one that is not pinned, nor a signature for something else, nor a broken one."""
    stranger = pack(tiny_tree(tmp_path / "t"), tmp_path / "o", release_key("Stranger"))
    with pytest.raises(ReleaseError, match="signed by no key that is known here"):
        install(stranger)
    both = pack(tiny_tree(tmp_path / "t2"), tmp_path / "o2", release_key("Stranger"), KEY)
    assert install(both), "one that is pinned is enough"
    content = both.read_bytes()
    at = content.index(b'"payload":"') + 40
    both.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(ReleaseError, match="the signature of the release does not hold"):
        install(both)


def test_key_that_was_not_valid_then_is_not_believed(tmp_path, install, release):
    late = KEY.public().model_copy(update={"nbf": int(BUILT.timestamp()) + 1})
    (tmp_path / "keys.json").write_text(f'{{"keys": [{late.model_dump_json(exclude_none=True)}]}}')
    with pytest.raises(ReleaseError, match="no key that signed it is valid"):
        install(release)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9])
def test_truncated_file_is_refused(tmp_path, install, release, share):
    """Also where its hash is the ordered one."""
    release.write_bytes(release.read_bytes()[: int(release.stat().st_size * share)])
    with pytest.raises(ReleaseError):
        install(release)
    assert nothing_left(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["lib/../../x", "/lib/x", "lib//x", "lib/./x", "../x", "lib/a\\b", "lib/..", "bin/python"],
)
def test_path_that_leads_elsewhere_is_refused(tmp_path, install, name):
    """Even where a trusted key signed it."""
    claimed = (ReleaseFile.model_construct(path=name, size=1, sha256="0" * 64, mode="0644"),)
    with pytest.raises(ReleaseError, match=r"files.0.path: String should match"):
        install(forged(tmp_path, (member(name), b"x"), files=claimed))
    assert nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("members", "files", "why"),
    [
        ([(member("../../evil"), b"x")], [file("lib/a")], "which is not in its manifest"),
        ([(member("/etc/evil"), b"x")], [file("lib/a")], "which is not in its manifest"),
        ([(member("lib/a"), b"x")] * 2, [file("lib/a")], "or comes twice"),
        ([(member(kind=tarfile.SYMTYPE, link="/etc"), b"")], [file("lib/a", b"")], "no plain file"),
        ([(member(kind=tarfile.LNKTYPE, link="x"), b"")], [file("lib/a", b"")], "no plain file"),
        ([(member(kind=tarfile.CHRTYPE), b"")], [file("lib/a", b"")], "no plain file"),
        ([(member(kind=tarfile.FIFOTYPE), b"")], [file("lib/a", b"")], "no plain file"),
        ([(member(kind=tarfile.DIRTYPE), b"")], [file("lib/a", b"")], "no plain file"),
        ([(member(), b"xx")], [file("lib/a", b"x")], "no plain file of 1 bytes"),
        ([(member(), b"y")], [file("lib/a", b"x")], "not the one that was signed"),
        ([(member(), b"x")], [file("lib/a"), file("lib/b")], "1 files of its manifest are missing"),
    ],
    ids=[
        "up",
        "absolute",
        "twice",
        "link",
        "hard",
        "device",
        "fifo",
        "folder",
        "size",
        "content",
        "missing",
    ],
)
def test_payload_that_is_not_its_manifest_is_refused(tmp_path, install, members, files, why):
    """Nothing is written outside the slot, and nothing is left in it."""
    with pytest.raises(ReleaseError, match=why):
        install(forged(tmp_path, *members, files=tuple(files)))
    assert nothing_left(tmp_path)
    assert not (tmp_path / "evil").exists()


def test_file_that_lies_in_a_folder_and_is_one_is_refused(tmp_path, install):
    members = [(member("lib/a"), b"x"), (member("lib/a/b"), b"x")]
    with pytest.raises(OSError, match="lib/a"):
        install(forged(tmp_path, *members))
    assert nothing_left(tmp_path)


def test_file_that_is_not_there_is_refused(tmp_path, install, release):
    with pytest.raises(ReleaseError, match="nowhere: No such file"):
        install(release, file=str(tmp_path / "nowhere"))


def test_link_in_the_place_of_the_file_is_not_followed(tmp_path, install, release):
    link = tmp_path / "link.release"
    link.symlink_to(release)
    with pytest.raises(ReleaseError, match=r"link\.release"):
        install(link)


def test_release_that_unpacks_to_too_much_is_refused(tmp_path, install):
    """A small file may hold much."""
    path = pack(tiny_tree(tmp_path / "t", more={"big": b"\x00" * 3 * MIB}), tmp_path / "o", KEY)
    assert path.stat().st_size < MIB
    with pytest.raises(ReleaseError, match="unpacked, it is larger than 1 MiB"):
        install(path, max_bytes=MIB)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk takes a mount")
def test_disk_that_fills_up_leaves_nothing(tmp_path, install):
    """Others may take the space that was there when we looked."""
    disk = tmp_path / "releases"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", disk], check=False
    ).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        noise = os.urandom(3 * MIB)
        path = pack(tiny_tree(tmp_path / "t", more={"big": noise}), tmp_path / "o", KEY)
        with pytest.raises(ReleaseError, match="4 MiB are needed on the disk, 2 are free"):
            install(path)
        with pytest.raises(OSError, match="No space left"):
            install(path, floor_bytes=-(2**40))
        assert nothing_left(tmp_path)
    finally:
        subprocess.run(["umount", disk], check=True)
