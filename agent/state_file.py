"""A small file that holds the state of one part over restarts and power cuts."""

from pathlib import Path

from telemetry.files import write_atomically


class StateFile:
    """Implements :class:`commands.desk.state.Store`; both calls block.

    Args:
        path: the file; its folder exists.
        limit: a larger file is not read.
    """

    def __init__(self, path: Path, *, limit: int) -> None:
        self._path = path
        self._limit = limit

    def load(self) -> bytes | None:
        """Return what was saved last, ``None`` where nothing ever was. Raises ``OSError``."""
        try:
            with self._path.open("rb") as file:
                content = file.read(self._limit + 1)
        except FileNotFoundError:
            return None
        if len(content) > self._limit:
            msg = f"{self._path}: larger than {self._limit} bytes"
            raise OSError(msg)
        return content

    def save(self, content: bytes) -> None:
        """Replace the file whole or not at all. Raises ``OSError``."""
        write_atomically(self._path, content)
