"""The process that fetches, verifies and unpacks a release, off the agent's event loop.

``python -m agent.release.install PARENT``, with an order on standard input (see
:mod:`vision.child`). It writes nothing but the slot that does not run and what it fetches; which
release runs is the agent's to decide.
"""

import ctypes
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from agent.errors import ReleaseError
from agent.release.check import check_fit, read_release_keys
from agent.release.fetch import Fetch
from agent.release.order import InstallOrder, InstallReport
from agent.release.package import Package, digest_of, open_package
from agent.release.slots import SIGNED
from agent.release.tree import furnish, running_interpreter
from contract.release import Manifest
from contract.version import age
from vision.child import Reporter, begin

_BLOCK_BYTES = 4096
_TELL_S = 1.0


class Installation:
    """One order being carried out. Its methods block.

    Args:
        order: what to do.
        report: takes word of how far it is.
    """

    def __init__(self, order: InstallOrder, report: Reporter | None = None) -> None:
        self._order = order
        self._report = report
        self._told_at = float("-inf")
        self._folder = Path(order.releases)

    def run(self) -> str:
        """Return the hash of the signed manifest of what is in the slot afterwards.

        Raises:
            ReleaseError: it may not be installed; the text says why.
            OSError: the disk does not take it.
        """
        keys = read_release_keys(Path(self._order.keys))
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._source() as file, open_package(file, keys) as package:
            self._check(package.signed.manifest)
            digest = self._unpack(package)
        shutil.rmtree(self._folder / "incoming", ignore_errors=True)
        return digest

    @contextmanager
    def _source(self) -> Iterator[BinaryIO]:
        order = self._order
        if order.file is not None:
            with self._open(Path(order.file)) as file:
                size = os.fstat(file.fileno()).st_size
                if size > order.max_bytes:
                    msg = f"the file is larger than {order.max_bytes // 2**20} MiB"
                    raise ReleaseError(msg)
                tell = partial(self._tell, "reads the release", whole=size)
                if digest_of(file, tell) != order.sha256:
                    msg = "this is not the file that was ordered (SHA-256 differs)"
                    raise ReleaseError(msg)
                yield file
            return
        part = self._folder / "incoming" / f"{order.sha256}.part"
        for other in part.parent.glob("*") if part.parent.is_dir() else ():
            if other != part:
                other.unlink()
        fetch = Fetch(
            order.url or "",
            part,
            sha256=order.sha256,
            limit=order.max_bytes,
            roots=Path(order.roots) if order.roots else None,
            check_space=self._check_space,
            tell=partial(self._tell, "fetches the release"),
        )
        fetch.run()
        with part.open("rb") as file:
            yield file

    def _open(self, path: Path) -> BinaryIO:
        try:
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
        except OSError as error:
            msg = f"{path}: {error.strerror}"
            raise ReleaseError(msg) from None

    def _check(self, manifest: Manifest) -> None:
        """Raise :class:`ReleaseError` where this release is not what was ordered, or not for us."""
        order = self._order
        check_fit(manifest)
        if manifest.version != order.version:
            msg = f"the file holds version {manifest.version}, ordered was {order.version}"
            raise ReleaseError(msg)
        if age(manifest.version) < age(order.running) and not order.allow_older:
            msg = (
                f"version {manifest.version} is older than {order.running}, which is running; "
                "allow_older installs it all the same"
            )
            raise ReleaseError(msg)
        if manifest.total_bytes > order.max_bytes:
            msg = f"unpacked, it is larger than {order.max_bytes // 2**20} MiB"
            raise ReleaseError(msg)

    def _unpack(self, package: Package) -> str:
        """Put the release into the slot, whole or not at all, durable when this returns."""
        slot, new = self._folder / self._order.slot, self._folder / f"{self._order.slot}.new"
        manifest = package.signed.manifest
        leftovers = [old for old in (new, slot) if old.exists()]
        # Asked before the release in the slot is gone: where there is no room, it stays.
        wanted = manifest.total_bytes + len(manifest.files) * _BLOCK_BYTES
        self._check_space(wanted - sum(map(_occupied, leftovers)))
        for old in leftovers:
            shutil.rmtree(old)
        new.mkdir(parents=True, mode=0o700)
        try:
            tell = partial(self._tell, "unpacks the release", whole=manifest.total_bytes)
            package.unpack(new, tell)
            furnish(new, running_interpreter())
            (new / SIGNED).write_bytes(package.document)
            self._tell("writes the release to disk", done=0, whole=0)
            _sync(new)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        new.rename(slot)
        _sync(slot)
        return hashlib.sha256(package.document).hexdigest()

    def _check_space(self, wanted: int) -> None:
        free = shutil.disk_usage(self._folder).free - self._order.floor_bytes
        if wanted > free:
            msg = (
                f"{wanted // 2**20 + 1} MiB are needed on the disk, {max(0, free) // 2**20} are "
                f"free beside the {self._order.floor_bytes // 2**20} that are kept for others"
            )
            raise ReleaseError(msg)

    def _tell(self, text: str, done: int, whole: int) -> None:
        now = time.monotonic()
        if self._report is None or now - self._told_at < _TELL_S:
            return
        self._told_at = now
        percent = round(100 * min(done, whole) / whole, 1) if whole else None
        self._report.send(InstallReport(text=text, percent=percent))


def _occupied(folder: Path) -> int:
    """Return the bytes of disk that the files below a folder take."""
    paths = (Path(at, name) for at, _, names in os.walk(folder) for name in names)
    return sum(path.lstat().st_blocks * 512 for path in paths)


def _sync(folder: Path) -> None:
    """Have all of the folder's file system on disk: one call for thousands of files.

    Raises ``OSError``; what an old kernel does not tell, the launcher finds when it hashes all.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if libc.syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
    finally:
        os.close(descriptor)


def main() -> None:
    """Carry out the order that is given, and report how it ended."""
    line, reporter = begin()
    order = InstallOrder.model_validate_json(line)
    try:
        report = InstallReport(manifest=Installation(order, reporter).run())
    except ReleaseError as error:
        report = InstallReport(error=str(error))
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        report = InstallReport(error="the disk is full" if full else str(error))
    reporter.send(report)


if __name__ == "__main__":
    main()
