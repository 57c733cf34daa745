"""No test may let a face leave: what is planted is found, and what a kiosk does say is not."""

import array
import base64
import gzip
import io
import json
import random
import secrets
import sqlite3
import struct
import tarfile
import zlib

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from commands.actions.diagnostics import Archive, diagnostics
from commands.actions.snapshot import Picture, snapshot
from contract import seal
from contract.actions import Diagnostics, Snapshot
from contract.audit import AuditHead
from contract.events import CameraLost, CameraOnline
from contract.ids import uuid7
from contract.plates import PlateRead
from tests.support.clock import START, ManualClock
from tests.support.invocations import invocation
from tests.support.payload_scanner import find, find_in_file, scan
from tests.support.payload_watch import in_folder, watching
from tests.support.trails import Written

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000") + b"\xff\xdb\x00\x43" + bytes(80)


def _png():
    def chunk(kind, data):
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\x00\x80\x80\x80")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


PNG = _png()
BMP = b"BM" + struct.pack("<IIIIiiHH", 70, 0, 54, 40, 2, 2, 1, 24) + bytes(60)
WEBP = b"RIFF" + struct.pack("<I", 60) + b"WEBPVP8 " + bytes(60)
WLT = b"WLf\x00" + random.Random(1).randbytes(1020)
PICTURES = {"jpeg": JPEG, "png": PNG, "bmp": BMP, "webp": WEBP, "wlt": WLT}


def template(kind="f", size=128):
    """Of length 1, as they are."""
    draw = random.Random(2)
    numbers = [draw.gauss(0, 1) for _ in range(size)]
    length = sum(number * number for number in numbers) ** 0.5
    return array.array(kind, [number / length for number in numbers])


WRAPPINGS = {
    "base64": lambda blob: base64.b64encode(blob).decode(),
    "base64url": lambda blob: base64.urlsafe_b64encode(blob).rstrip(b"=").decode(),
    "base64 in lines": lambda blob: base64.encodebytes(blob).decode(),
    "hexadecimal": lambda blob: blob.hex(),
    "data uri": lambda blob: f"see data:image/any;base64,{base64.b64encode(blob).decode()}.",
}
NESTINGS = {
    "a field": lambda text: {"data": {"text": text}},
    "a list": lambda text: {"data": [1, ["a", text]]},
    "json in a text": lambda text: {"data": json.dumps({"result": json.dumps([text])})},
    "a jws": lambda text: {
        "payload": base64.urlsafe_b64encode(json.dumps({"args": {"x": text}}).encode())
        .rstrip(b"=")
        .decode()
    },
    "a name": lambda text: {"data": {text: 1}},
    "the end of a sentence": lambda text: {"text": f"the picture is {text}"},
}


@pytest.mark.parametrize("nesting", NESTINGS)
@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("picture", PICTURES)
def test_pictures(picture, wrapping, nesting):
    """A picture is found whatever its kind, its wrapping, and wherever it lies."""
    text = WRAPPINGS[wrapping](PICTURES[picture])
    assert scan(json.dumps(NESTINGS[nesting](text)).encode())


@pytest.mark.parametrize("picture", PICTURES)
def test_raw_pictures(picture):
    """A picture is found as the payload itself, and as Python or JSON would write its bytes."""
    content = PICTURES[picture]
    assert scan(content)
    if picture in ("jpeg", "png"):
        assert scan(b"before" + content)
        assert scan(json.dumps({"text": repr(content)}).encode())
        for ascii_ in (True, False):
            text = json.dumps({"text": content.decode("latin-1")}, ensure_ascii=ascii_)
            assert scan(text.encode())
        assert list(find(f"content={content!r}"))


@pytest.mark.parametrize("nesting", NESTINGS)
@pytest.mark.parametrize("wrapping", ["base64", "base64url", "base64 in lines", "hexadecimal"])
@pytest.mark.parametrize("kind", ["f", "d"])
def test_vectors(kind, wrapping, nesting):
    """A template is found as a blob of single or double numbers, in either order of bytes."""
    numbers = template(kind)
    for _ in range(2):
        text = WRAPPINGS[wrapping](numbers.tobytes())
        assert scan(json.dumps(NESTINGS[nesting](text)).encode())
        assert scan(numbers.tobytes())
        assert scan(b"abc" + numbers.tobytes())
        numbers.byteswap()


@pytest.mark.parametrize(
    "said",
    [
        {"a": {"b": list(template())}},
        {"a": [list(template()[:32]), list(template()[32:64])]},
        {"a": [round(number * 127) for number in template()]},
        {f"n{place}": number for place, number in enumerate(template())},
        {"text": str(list(template()))},
        {"text": "[" + " ".join(f"{number:.3e}" for number in template()) + "]"},
        {"text": json.dumps({"result": list(template())})},
    ],
)
def test_numbers(said):
    """64 numbers in a row are found as numbers and as text."""
    assert scan(json.dumps(said).encode())


@pytest.mark.parametrize(
    "said",
    [
        {"similarity": 0.61},
        {"data": {"face_embedding": "x"}},
        {"data": [{"Templates": []}]},
        {"data": json.dumps({"similarity": 0.61})},
        {"text": "compared, similarity=0.61"},
        {"text": "an error: {'similarity': 0.61}"},
    ],
)
def test_names(said):
    """A name tells what the value is, however short that is."""
    assert scan(json.dumps(said).encode())


def test_archives_and_databases(tmp_path):
    """What is packed is unpacked."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("diagnostics/status.json")
        content = json.dumps({"picture": base64.b64encode(JPEG).decode()}).encode()
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    assert scan(packed.getvalue())
    assert scan(gzip.compress(b"a line\nanother, similarity=0.5\n"))
    state = tmp_path / "state"
    state.mkdir()
    with sqlite3.connect(state / "some.db") as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE a (b BLOB, c TEXT)")
        db.execute("INSERT INTO a VALUES (?, 'x')", (template().tobytes(),))
        db.commit()
        assert list(find_in_file(state / "some.db"))
    db.close()
    assert in_folder(tmp_path)
    (state / "some.db").unlink()
    assert in_folder(tmp_path) == []
    (tmp_path / "agent.log").write_text('{"event": "x"}\n{"event": "y", "similarity": 0.5}\n')
    assert len(in_folder(tmp_path)) == 1


@given(st.binary(max_size=2000))
def test_random_bytes(content):
    """Signatures, hashes, keys and what is encrypted look like chance, and chance is not found."""
    for name, wrap in WRAPPINGS.items():
        if name != "data uri":
            assert scan(json.dumps({"x": wrap(content)}).encode()) == []


def test_what_is_encrypted():
    """Neither a long blob nor many short ones are taken for numbers."""
    for size in (256, 1024, 65_536):
        assert list(find(secrets.token_bytes(size))) == []
    keys = [secrets.token_urlsafe(32) for _ in range(500)]
    assert scan(json.dumps({"keys": keys, "hash": secrets.token_hex(32)}).encode()) == []


def test_what_a_kiosk_says():
    """A signed head, and a plate with all its confidences, may leave."""
    stamp = ManualClock().stamp()
    head: AuditHead = Written(3).event
    plate = PlateRead(
        camera="street",
        begin=START,
        end=START,
        duration_s=1.5,
        purpose="statistics",
        readable=True,
        pseudonym=secrets.token_hex(16),
        pseudonym_key_id=secrets.token_hex(4),
        kind="civil",
        class_code="02",
        well_formed=True,
        colour="blue",
        colour_confidence=0.98,
        rows=1,
        confidences=tuple(0.9 + place / 1000 for place in range(16)),
        min_confidence=0.9,
        width_px=140,
        views=4,
        detector="plates-1",
        reader="characters-1",
    )
    for said in (head, plate):
        sealed = seal(said, kiosk="k-1", stamp=stamp, sequence=1)
        assert scan(sealed.payload) == []
    settings = {"identity": {"template_days": 365, "threads": 1}, "text": "template_days=365"}
    assert scan(json.dumps(settings).encode()) == []
    assert list(find("谁的人脸模板? 没有: " * 50)) == []


# -- the doors -------------------------------------------------------------------------------


def test_messages_are_watched():
    """A picture in a sealed message is found; the watch around this one hears nothing of it."""
    text = base64.b64encode(JPEG).decode()
    with watching() as found:
        lost = CameraLost(camera="front", reason="crashed", text=text)
        seal(lost, kiosk="k-1", stamp=ManualClock().stamp(), sequence=1)
    assert found
    with watching() as found:
        online = CameraOnline(camera="front", width_px=1, height_px=1)
        seal(online, kiosk="k-1", stamp=ManualClock().stamp(), sequence=1)
    assert found == []


def test_log_lines_are_watched():
    """Bytes, vectors and names in the log are found, in what is bound as well."""
    log = structlog.get_logger()
    for bad in ({"content": JPEG}, {"vector": list(template())}, {"similarity": 0.5}):
        with watching() as found, structlog.testing.capture_logs():
            log.info("compared", **bad)
        assert found
        with watching() as found, structlog.testing.capture_logs():
            log.bind(**bad).info("compared")
        assert found
    with watching() as found, structlog.testing.capture_logs():
        log.info("identity decision", outcome="match", decision_id=uuid7(1))
    assert found == []


@pytest.mark.parametrize(
    ("blur", "signers", "leaks"),
    [(True, ("a",), False), (False, ("a", "b"), False), (False, ("a",), True)],
)
async def test_snapshots_are_watched(blur, signers, leaks):
    """A picture leaves with faces hidden, or because two persons signed for it."""

    async def take(*_):
        return Picture(JPEG, 640, 360, None, None, 1)

    async def send(*_):
        pass

    arguments = Snapshot(camera="front", blur=blur)
    asked = invocation(arguments, ManualClock().stamp(), signers=signers)
    with watching() as found:
        await snapshot(take, send, cameras=("front",)).run(arguments, asked)
    assert bool(found) is leaks


async def test_diagnostics_are_watched():
    """An archive is looked into."""

    async def collect():
        return Archive(gzip.compress(JPEG), (), ())

    async def send(*_):
        pass

    asked = invocation(Diagnostics(), ManualClock().stamp())
    with watching() as found:
        await diagnostics(collect, send).run(Diagnostics(), asked)
    assert found
