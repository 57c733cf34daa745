"""Portraits of cards, made visible by a program of the user's."""

import asyncio
import sys
from pathlib import Path

import pytest

from agent.id_card.errors import PhotoError
from agent.id_card.photo import MAX_PICTURE_BYTES, decode_photo
from tests.support.card_reader import PHOTO


@pytest.fixture
def program(tmp_path):
    """Makes an executable of lines of Python."""

    def make(*lines: str) -> Path:
        path = tmp_path / "decoder"
        path.write_text("\n".join((f"#!{sys.executable} -I", "import os, sys, time", *lines)))
        path.chmod(0o755)
        return path

    return make


async def code_of(program: Path | None, limit_s: float = 20) -> str:
    with pytest.raises(PhotoError) as caught:
        await decode_photo(program, PHOTO, limit_s=limit_s)
    return caught.value.code


@pytest.mark.parametrize("magic", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"BM"])
async def test_a_picture_comes_from_standard_output(program, magic):
    """The 1,024 bytes reach the program on standard input."""
    decoder = program(f"sys.stdout.buffer.write({magic!r} + sys.stdin.buffer.read())")
    assert await decode_photo(decoder, PHOTO) == magic + PHOTO


async def test_the_program_is_told_nothing_else(program, monkeypatch):
    """No argument, hardly an environment, no terminal, no folder of ours."""
    monkeypatch.setenv("KIOSK_AGENT_SECRET", "x")
    decoder = program("print('BM', sys.argv[1:], sorted(os.environ), os.getcwd(), os.getsid(0))")
    said = (await decode_photo(decoder, PHOTO)).decode()
    words = said.replace("'LC_CTYPE', ", "")  # Python's own
    assert words.startswith("BM [] ['LANG', 'PATH'] / ")


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["print('no picture')"], "not_picture"),
        ([], "not_picture"),
        (["print('BM')", "sys.exit(3)"], "decoder_failed"),
        (["os.kill(os.getpid(), 9)"], "decoder_failed"),
        ([f"sys.stdout.write('BM' + 'x' * {MAX_PICTURE_BYTES + 1})"], "too_large"),
        (["print('BM')", "while True: print('x' * 9999)"], "too_large"),
    ],
)
async def test_a_program_that_makes_no_picture_is_told_apart(program, lines, code):
    """By what it did: nothing of what it said is quoted."""
    assert await code_of(program(*lines)) == code


async def test_a_program_that_hangs_is_ended_with_all_that_it_started(program, tmp_path):
    """When the time is over."""
    pids = tmp_path / "pids"
    decoder = program(
        "child = os.fork()",
        f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')",
        "time.sleep(600)",
    )
    assert await code_of(decoder, limit_s=1.5) == "decoder_slow"
    async with asyncio.timeout(20):
        while any(_lives(int(pid)) for pid in pids.read_text().split()):
            await asyncio.sleep(0.01)


def _lives(pid: int) -> bool:
    """Whether it is there and no zombie that waits for its new parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_caller_that_gives_up_ends_the_program(program, tmp_path):
    """Nothing goes on in the background."""
    pid_file = tmp_path / "pid"
    decoder = program(f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))", "time.sleep(600)")
    decoding = asyncio.create_task(decode_photo(decoder, PHOTO, limit_s=600))
    async with asyncio.timeout(20):
        while not (pid_file.exists() and pid_file.read_text()):
            await asyncio.sleep(0.01)
    decoding.cancel()
    await asyncio.wait({decoding})
    assert not _lives(int(pid_file.read_text()))


async def test_without_a_program_that_is_said(tmp_path):
    """Which setting names it; a program that cannot be run is another matter."""
    with pytest.raises(PhotoError, match="photo_decoder") as caught:
        await decode_photo(None, PHOTO)
    assert caught.value.code == "no_decoder"
    assert await code_of(tmp_path / "missing") == "decoder_failed"
