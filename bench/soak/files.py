"""How large the kiosk's files get."""

from collections import defaultdict
from contextlib import suppress
from pathlib import Path

_PARTS = ("-wal", "-shm", "-journal")


class Sizes:
    """The largest size that each file of a folder has had; a database and its log are one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.largest: defaultdict[str, int] = defaultdict(int)
        self.total = 0
        """The most that all had together."""

    def look(self) -> None:
        """Take the sizes of this moment. Blocks."""
        now: defaultdict[str, int] = defaultdict(int)
        for path in self._folder.rglob("*"):
            with suppress(OSError):
                if path.is_file():
                    now[self._name(path)] += path.stat().st_size
        for name, size in now.items():
            self.largest[name] = max(self.largest[name], size)
        self.total = max(self.total, sum(now.values()))

    def _name(self, path: Path) -> str:
        name = str(path.relative_to(self._folder))
        for part in _PARTS:
            name = name.removesuffix(part)
        return name
