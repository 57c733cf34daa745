"""Which files are meant: names, folders and patterns from a command line."""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

_COMMON = {".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
_SUFFIXES = _COMMON | {".avif", ".dib", ".jp2", ".pbm", ".pgm", ".ppm"}


def name_pictures(words: Iterable[str]) -> Iterator[Path]:
    """Replace folders by the pictures below them and patterns by what they match, in order.

    A file that is named is meant, whatever its suffix. A folder without pictures and a pattern
    that nothing matches stay as they are, for the reader to complain of.
    """
    for word in words:
        path = Path(word)
        if path.is_dir():
            yield from sorted(_below(path)) or [path]
        elif glob.has_magic(word) and not path.exists():
            matches = sorted(glob.glob(word, recursive=True))  # noqa: PTH207 - any form of path
            yield from name_pictures(matches) if matches else [path]
        else:
            yield path


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in _SUFFIXES and not hidden and path.is_file():
            yield path
