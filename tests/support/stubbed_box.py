"""A box that is a few folders, whose programs only note what they were told."""

from pathlib import Path


class StubbedBox:
    """Base of the boxes that scripts of the installation run on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "programs").mkdir()
        self.environment = {"PATH": f"{folder}/programs:/usr/bin:/bin"}

    def program(self, name: str, does: str) -> None:
        """Put a program there that notes its arguments and then does this."""
        path = self.folder / "programs" / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.folder}/told\n{does}\n')
        path.chmod(0o755)

    @property
    def told(self) -> str:
        """Each call of such a program, a line each."""
        return (self.folder / "told").read_text(encoding="utf-8")
