"""Which files are meant: names, folders and patterns from a command line."""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

_COMMON = {".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
_SUFFIXES = _COMMON | {".avif", ".dib", ".jp2", ".pbm", ".pgm", ".ppm"}


def name_pictures(words: Iterable[str]) -> Iterator[Path]:
    """Replace folders by the pictures below them and patterns by what they match, in order.

    A file that is named is meant, whatever its suffix. A folder without pictures, a pattern that
    nothing matches and what cannot be looked at stay as they are, for the reader to complain of.
    """
    for word in words:
        try:
            yield from _meant(word)
        except OSError:
            yield Path(word)


def _meant(word: str) -> Iterable[Path]:
    path = Path(word)
    if path.is_dir():
        return sorted(_below(path)) or [path]
    if glob.has_magic(word) and not path.exists():
        matches = sorted(glob.glob(word, recursive=True))  # noqa: PTH207 - any form of path
        return name_pictures(matches) if matches else [path]
    return [path]


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in _SUFFIXES and not hidden and path.is_file():
            yield path
