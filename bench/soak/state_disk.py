"""A small disk of its own for the agent's state, which can be filled to the last byte."""

import contextlib
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

_MIB = 2**20


class StateDisk:
    """A tmpfs mounted on ``folder`` while its body runs; without the right to mount, the folder.

    All methods block.
    """

    def __init__(self, folder: Path, size_mib: int) -> None:
        self.folder = folder
        self.is_own = False
        """Whether it can be filled."""
        self._size_mib = size_mib
        self._filler = folder / "filler"

    def __enter__(self) -> Self:
        self.folder.mkdir()
        options = f"size={self._size_mib}m,mode=700,uid={os.geteuid()}"
        with contextlib.suppress(OSError):
            command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
            self.is_own = subprocess.run(command, check=False, capture_output=True).returncode == 0
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.is_own:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def fill(self) -> None:
        """Leave no byte to anybody."""
        with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as file:
            for size in (_MIB, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def clear(self) -> None:
        """Give the room back."""
        self._filler.unlink(missing_ok=True)
