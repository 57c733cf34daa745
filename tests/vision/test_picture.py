import os
import struct
import zlib

import cv2
import numpy as np
import pytest

from vision.picture import PictureError, as_bgr, read_picture

RED = (20, 40, 200)


def written(path, picture, *options):
    assert cv2.imwrite(str(path), picture, list(options))
    return path


@pytest.fixture
def red():
    picture = np.full((40, 60, 3), RED, np.uint8)
    picture[:, 30:] = 0
    return picture


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "tif"])
def test_usual_kinds_of_pictures_are_read(tmp_path, red, suffix):
    """As BGR of 8 bits."""
    picture = read_picture(written(tmp_path / f"牌 1.{suffix}", red))
    assert picture.shape == (40, 60, 3)
    assert np.abs(picture[20, 10].astype(int) - RED).max() < 16


@pytest.mark.parametrize(
    "change",
    [
        lambda red: cv2.cvtColor(red, cv2.COLOR_BGR2GRAY),
        lambda red: cv2.cvtColor(red, cv2.COLOR_BGR2BGRA),
        lambda red: red.astype(np.uint16) * 257,
        lambda red: cv2.cvtColor(red, cv2.COLOR_BGR2BGRA).astype(np.uint16) * 257,
    ],
)
def test_grey_transparent_and_16_bit_pictures_become_bgr(tmp_path, red, change):
    """The same from a file and from memory."""
    changed = change(red)
    expected = red
    if changed.ndim == 2:
        expected = cv2.cvtColor(changed, cv2.COLOR_GRAY2BGR)
    for picture in (as_bgr(changed), read_picture(written(tmp_path / "a.png", changed))):
        assert picture.shape == (40, 60, 3)
        assert np.abs(picture.astype(int) - expected).max() <= 1


def test_a_photograph_is_turned_upright(tmp_path, red):
    """As its EXIF orientation says."""
    _, jpeg = cv2.imencode(".jpg", red)
    content = jpeg.tobytes()
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHH", 1, 0x0112, 3, 1, 6, 0) + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    marked = content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:]
    (tmp_path / "turned.jpg").write_bytes(marked)
    assert read_picture(tmp_path / "turned.jpg").shape == (60, 40, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"no picture at all", "damaged"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "damaged"),
    ],
)
def test_garbage_is_an_error_that_says_so(tmp_path, content, reason):
    """One sentence, no trace."""
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(PictureError, match=reason):
        read_picture(tmp_path / "a.png")


def test_what_is_no_file_is_not_read(tmp_path):
    """A missing file, a folder, and a pipe, which would never end."""
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("gone.png", "no such file"), (".", "folder"), ("pipe", "device")):
        with pytest.raises(PictureError, match=reason):
            read_picture(tmp_path / name)


def test_a_picture_of_too_many_pixels_is_refused(tmp_path):
    """More than 100 million, however few bytes they are."""
    (tmp_path / "large.png").write_bytes(blank_png(20_000, 5_001))
    with pytest.raises(PictureError, match="million pixels"):
        read_picture(tmp_path / "large.png")


def blank_png(width, height):
    """A grey PNG, one bit a pixel."""
    rows = zlib.compress((b"\0" + b"\0" * -(-width // 8)) * height)
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
