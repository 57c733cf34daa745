"""Looks for pictures and vectors of faces in whatever a kiosk says, at any nesting.

Found are: JPEG, PNG, BMP, WebP and WLT pictures, raw, escaped, or in base64 or hexadecimal; lists
of 64 numbers and more, and blobs that read as floating-point numbers of the size of a template's;
and names such as ``embedding`` or ``similarity``. Archives, databases and JSON within texts are
opened.
"""

import array
import base64
import binascii
import contextlib
import gzip
import io
import json
import re
import sqlite3
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MIN_NUMBERS = 64
MIN_BLOB_BYTES = 256
_MAX_UNPACKED_BYTES = 64 * 2**20
_MAX_VECTOR_BYTES = 64 * 2**10
_MAX_DEPTH = 16

_PNG = b"\x89PNG\r\n\x1a\n"
_WLT = b"WLf\x00"
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
_JPEG = re.compile(rb"\xff\xd8\xff[\xc0-\xc4\xdb\xdd\xe0-\xef\xfe]")
_WEBP = re.compile(rb"RIFF....WEBP", re.DOTALL)
_NAMES = (
    r"(?:embedding|template|similarit(?:y|ie)|descriptor|landmark|face_?(?:picture|image|vector))"
)
_KEY = re.compile(rf"(?:^|[^a-z]){_NAMES}s?$", re.IGNORECASE)
_NAMED = re.compile(rf"(?:^|[^a-z]){_NAMES}s?[\"']?\s*[=:]", re.IGNORECASE)
_NUMBERS = re.compile(
    rf"(?:[-+]?\d*\.\d*(?:[eE][-+]?\d+)?[\s,;()\[\]]+){{{MIN_NUMBERS - 1}}}[-+]?\d*\.\d"
)
_ESCAPED = re.compile(r"\\+xff\\+xd8\\+xff|\\+x89PNG|\xff\xd8\xff|\x89PNG\r\n|data:image/")
_RUN = re.compile(r"[A-Za-z0-9+/_-]{60,}={0,2}")
_BASE64_BEGINS = ("/9j/", "iVBORw0KGgo", "UklGR", "V0xm", "Qk")
_LONG = re.compile(rb"[A-Za-z0-9+/_=-]{60}")
_SUSPECT = (
    *(
        b"\\u00ff",
        b"\\x",
        b"\xff\xd8\xff",
        b"\xc3\xbf\xc3\x98",
        b"png",
        b"riff",
        b"wlf",
        b"\x1f\x8b",
        b"sqlite format",
    ),
    *(b"data:image", b"embedding", b"template", b"similarit", b"descriptor", b"landmark"),
    *(b"picture", b"image", b"vector"),
)
"""One of these, in lower case, is in every payload of few signs in which there is a finding."""


def scan(payload: bytes) -> list[str]:
    """Return what must not leave a kiosk, one sentence each."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return list(find(payload))
    return list(find(payload)) if _is_suspect(payload) else []


def _is_suspect(payload: bytes) -> bool:
    """Whether a closer look, which takes longer, could find something."""
    lower = payload.lower()
    return (
        any(word in lower for word in _SUSPECT)
        or lower.count(b",") >= MIN_NUMBERS - 1
        or lower.count(b".") >= MIN_NUMBERS
        or lower.startswith(b"bm")
        or _LONG.search(payload) is not None
    )


def find(value: Any, where: str = "", depth: int = 0) -> Iterator[str]:
    """Yield what is found in bytes, a text, or a tree of JSON."""
    if depth > _MAX_DEPTH:
        yield f"{where}: nested too deep to be looked at"
        return
    match value:
        case bytes():
            yield from _in_bytes(value, where, depth)
        case str():
            yield from _in_text(value, where, depth)
        case Mapping():
            yield from _in_object(value, where, depth)
        case list() | tuple():
            if _count_numbers(value) >= MIN_NUMBERS:
                yield f"{where}: {_count_numbers(value)} numbers in a row"
            for place, item in enumerate(value):
                yield from find(item, f"{where}[{place}]", depth + 1)
        case _:
            return


def find_in_file(path: Path) -> Iterator[str]:
    """Yield what is found in a file, of a database in each of its cells."""
    content = path.read_bytes()
    if not content.startswith(b"SQLite format 3\0"):
        yield from find(content, path.name)
        return
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        tables = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in db.execute(f'SELECT * FROM "{table}"'):
                yield from find(list(row), f"{path.name}/{table}")


def _in_object(value: Mapping[Any, Any], where: str, depth: int) -> Iterator[str]:
    if sum(isinstance(item, float) for item in value.values()) >= MIN_NUMBERS:
        yield f"{where}: {len(value)} numbers under names"
    for name, item in value.items():
        if _KEY.search(str(name)):
            yield f"{where}.{name}: a name for biometric data"
        yield from find(str(name), f"{where}, a name", depth + 1)
        yield from find(item, f"{where}.{name}", depth + 1)


def _in_bytes(value: bytes, where: str, depth: int) -> Iterator[str]:
    if kind := picture_in(value):
        yield f"{where}: a {kind} picture"
        return
    if value.startswith(b"\x1f\x8b"):
        yield from _in_archive(value, where, depth)
        return
    try:
        text = value.decode()
    except UnicodeDecodeError:
        if is_vector(value):
            yield f"{where}: {len(value)} bytes that read as a vector"
        return
    yield from _in_text(text, where, depth)


def _in_archive(value: bytes, where: str, depth: int) -> Iterator[str]:
    try:
        with gzip.open(io.BytesIO(value)) as file:
            content = file.read(_MAX_UNPACKED_BYTES)
    except (OSError, EOFError, zlib.error):
        return
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for entry in archive:
                if file := archive.extractfile(entry):
                    yield from find(file.read(), f"{where}/{entry.name}", depth + 1)
    except tarfile.ReadError:
        yield from find(content, f"{where}, unpacked", depth + 1)


def _in_text(text: str, where: str, depth: int) -> Iterator[str]:
    if len(text) < 8:
        return
    if text.lstrip()[:1] in ("{", "[", '"'):
        with contextlib.suppress(ValueError, RecursionError):
            tree = json.loads(text)
            if not isinstance(tree, (int, float)):
                yield from find(tree, where, depth + 1)
                return
        if "\n" in text.strip():
            for number, line in enumerate(text.splitlines()):
                yield from _in_text(line, f"{where}, line {number}", depth + 1)
            return
    if _ESCAPED.search(text):
        yield f"{where}: a picture in a text"
    if _NAMED.search(text):
        yield f"{where}: a name for biometric data in a text"
    if text.count(".") >= MIN_NUMBERS and _NUMBERS.search(text):
        yield f"{where}: numbers in a row in a text"
    joined = text.replace("\r", "").replace("\n", "")
    for run in _RUN.findall(joined):
        yield from _in_run(run, where, depth)


def _in_run(run: str, where: str, depth: int) -> Iterator[str]:
    """Look into what may be base64 or hexadecimal."""
    with contextlib.suppress(ValueError):
        yield from _in_blob(bytes.fromhex(run), f"{where}, hexadecimal", depth)
        return
    plain = run.translate(str.maketrans("-_", "+/")).rstrip("=")
    begins = {0} | {plain.find(begin) for begin in _BASE64_BEGINS}
    for begin in sorted(begins - {-1}):
        part = plain[begin:]
        with contextlib.suppress(binascii.Error):
            blob = base64.b64decode(part + "=" * (-len(part) % 4))
            yield from _in_blob(blob, f"{where}, base64", depth)


def _in_blob(blob: bytes, where: str, depth: int) -> Iterator[str]:
    if len(blob) >= MIN_BLOB_BYTES or picture_in(blob) or blob[:1] in (b"{", b"["):
        yield from find(blob, where, depth + 1)


def picture_in(content: bytes) -> str | None:
    """Name the kind of the picture that begins somewhere in some bytes."""
    if any(_is_jpeg(content, found.start()) for found in _JPEG.finditer(content)):
        return "JPEG"
    if _PNG in content:
        return "PNG"
    if _WEBP.search(content):
        return "WebP"
    if content.startswith(_WLT):
        return "WLT"
    if content.startswith(b"BM") and len(content) >= 26:
        reserved, header = content[6:10], int.from_bytes(content[14:18], "little")
        if reserved == bytes(4) and header in _BMP_HEADERS:
            return "BMP"
    return None


def _is_jpeg(content: bytes, start: int) -> bool:
    """Whether a second segment follows the first: chance does not make that."""
    length = int.from_bytes(content[start + 4 : start + 6], "big")
    following = start + 4 + length
    return length >= 2 and content[following : following + 1] == b"\xff"


def is_vector(blob: bytes) -> bool:
    """Whether some bytes read as floating-point numbers of the size of a template's."""
    if len(blob) < MIN_BLOB_BYTES:
        return False
    blob = blob[:_MAX_VECTOR_BYTES]
    return any(
        _are_plausible(blob[offset:], kind, swapped=swapped)
        for kind, size in (("f", 4), ("d", 8))
        for offset in range(size)
        for swapped in (False, True)
    )


def _are_plausible(blob: bytes, kind: str, *, swapped: bool) -> bool:
    """Whether nine of ten numbers are neither huge nor tiny; chance makes one of ten so."""
    numbers = array.array(kind)
    numbers.frombytes(blob[: len(blob) // numbers.itemsize * numbers.itemsize])
    if swapped:
        numbers.byteswap()
    plausible = sum(1e-5 < abs(number) < 16 for number in numbers)
    zeros = numbers.count(0.0)
    return plausible >= 24 and plausible >= 0.9 * (len(numbers) - zeros)


def _count_numbers(value: Any) -> int:
    """Count the numbers of a list of numbers, or of lists of them."""
    if isinstance(value, (list, tuple)):
        counts = [_count_numbers(item) for item in value]
        return sum(counts) if all(counts) else 0
    return int(isinstance(value, (int, float)) and not isinstance(value, bool))
