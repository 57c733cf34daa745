"""A camera that speaks RTSP: JPEG over RTP (RFC 2435), interleaved in the TCP connection.

It does what real ones do on bad days: says nothing, asks for a password, stops sending.
"""

import asyncio
import contextlib
import struct
from base64 import b64encode
from typing import Self

import cv2
import numpy as np

FPS = 10
WIDTH, HEIGHT = 320, 176
_PIECE = 1200
_SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    f"m=video 0 RTP/AVP 26\r\na=framerate:{FPS}\r\na=control:track1\r\n"
)


class RtspCamera:
    """Serves moving pictures on ``port``; ``silent`` from the start, or muted later."""

    def __init__(self, *, silent: bool = False, login: str | None = None):
        self.silent = silent
        self.muted = False
        self.transports: list[str] = []
        self._login = login
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        player: asyncio.Task[None] | None = None
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    request = (await reader.readuntil(b"\r\n\r\n")).decode(errors="replace")
                    if self.silent:
                        continue
                    writer.write(self._answer(request).encode())
                    if request.startswith("PLAY"):
                        player = asyncio.create_task(self._play(writer))
        except asyncio.CancelledError:
            pass
        finally:
            if player:
                player.cancel()
                await asyncio.gather(player, return_exceptions=True)
            writer.close()

    def _answer(self, request: str) -> str:
        method, _, rest = request.partition(" ")
        headers = dict(line.split(": ", 1) for line in rest.splitlines() if ": " in line)
        head = f"RTSP/1.0 200 OK\r\nCSeq: {headers.get('CSeq', '1')}\r\nSession: 1\r\n"
        if self._login and method != "OPTIONS":
            expected = "Basic " + b64encode(self._login.encode()).decode()
            if headers.get("Authorization") != expected:
                refused = head.replace("200 OK", "401 Unauthorized")
                return refused + 'WWW-Authenticate: Basic realm="camera"\r\n\r\n'
        match method:
            case "OPTIONS":
                return head + "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n"
            case "DESCRIBE":
                length = f"Content-Type: application/sdp\r\nContent-Length: {len(_SDP)}\r\n\r\n"
                return head + length + _SDP
            case "SETUP":
                self.transports.append(headers["Transport"])
                return head + "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
            case _:
                return head + "\r\n"

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        number = sequence = 0
        while True:
            if not self.muted:
                for packet in _packets(_jpeg(number), number * 90_000 // FPS, sequence):
                    writer.write(packet)
                    sequence += 1
                await writer.drain()
            number += 1
            await asyncio.sleep(1 / FPS)


def _jpeg(number: int) -> bytes:
    picture = np.random.default_rng(number).integers(90, 120, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    cv2.rectangle(picture, (number * 7 % WIDTH, 60), (number * 7 % WIDTH + 40, 120), (255,) * 3, -1)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes()


def _packets(jpeg: bytes, timestamp: int, sequence: int):
    """Cut a JPEG with the standard Huffman tables into interleaved RTP packets."""
    tables, at = b"", 2
    while jpeg[at + 1] != 0xDA:  # the segments before the scan
        length = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] == 0xDB:
            segment = jpeg[at + 4 : at + 2 + length]
            tables += b"".join(segment[i + 1 : i + 65] for i in range(0, len(segment), 65))
        at += 2 + length
    scan = jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") : -2]
    for offset in range(0, len(scan), _PIECE):
        piece = scan[offset : offset + _PIECE]
        last = offset + _PIECE >= len(scan)
        rtp = struct.pack(">BBHII", 0x80, (last << 7) | 26, sequence & 0xFFFF, timestamp, 1)
        head = struct.pack(">IBBBB", offset, 1, 255, WIDTH // 8, HEIGHT // 8)
        if offset == 0:
            head += struct.pack(">BBH", 0, 0, len(tables)) + tables
        packet = rtp + head + piece
        yield struct.pack(">BBH", 0x24, 0, len(packet)) + packet
        sequence += 1
