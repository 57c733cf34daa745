"""How large a picture file says to be, before anything of it is decoded."""

import struct

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
"""TEM, RST0 to RST7 and SOI (ITU-T T.81, table B.1)."""
_NO_FRAME = {0xC4, 0xC8, 0xCC}
"""DHT, JPG and DAC stand among the frame headers SOF0 to SOF15."""


def size_of(content: bytes) -> tuple[int, int] | None:
    """Read width and height of a JPEG, PNG or BMP file; None where it is none, or cut short."""
    try:
        if content.startswith(_PNG):
            return struct.unpack_from(">II", content, 16)
        if content.startswith(b"BM"):
            return _bmp_size(content)
        if content.startswith(_JPEG):
            return _jpeg_size(content)
    except (struct.error, IndexError):
        pass
    return None


def _bmp_size(content: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", content, 14)[0] == 12:  # BITMAPCOREHEADER
        return struct.unpack_from("<HH", content, 18)
    width, height = struct.unpack_from("<ii", content, 18)
    return abs(width), abs(height)  # a height below 0: from the top down


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    at = len(_JPEG)
    while content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        else:
            at += 2 + max(2, struct.unpack_from(">H", content, at + 2)[0])
    return None
