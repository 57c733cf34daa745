"""Frames of the card reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.id_card.protocol import MAX_LENGTH, PREAMBLE, Answer, AnswerParser, Command, request
from tests.support.card_reader import PHOTO, answer, frame, resident

answers = st.builds(Answer, st.integers(0, 0xFFFF), st.integers(0, 255), st.binary(max_size=200))
garbage = st.one_of(
    st.binary(max_size=40),
    st.just(PREAMBLE),
    st.just(PREAMBLE[:3]),
    st.just(PREAMBLE + b"\x05\x08\0\0\x90"),
    st.just(PREAMBLE + b"\xff\xff"),
    st.just(PREAMBLE + b"\0\0"),
    st.just(answer(0x9F)[:-1] + b"\0"),
)


def sent(one: Answer) -> bytes:
    return frame(one.card.to_bytes(2, "big") + bytes([one.status]) + one.data)


def parsed(*chunks: bytes) -> list[Answer]:
    parser = AnswerParser()
    return [one for chunk in chunks for one in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (Command.RESET, "aaaaaa9669000310ffec"),
        (Command.STATUS, "aaaaaa9669000311ffed"),
        (Command.FIND, "aaaaaa96690003200122"),
        (Command.SELECT, "aaaaaa96690003200221"),
        (Command.READ, "aaaaaa96690003300132"),
    ],
)
def test_a_request_is_what_readers_know(command, expected):
    """Byte for byte as in public descriptions of the protocol."""
    assert request(command).hex() == expected


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ("aaaaaa9669000800009f0000000097", 0x9F),
        ("aaaaaa9669000400008084", 0x80),
        ("aaaaaa9669000400008185", 0x81),
        ("aaaaaa9669000400004145", 0x41),
        ("aaaaaa9669000c00009000000000000000009c", 0x90),
    ],
)
def test_answers_of_real_readers_are_read(content, status):
    """As published with other drivers."""
    (one,) = parsed(bytes.fromhex(content))
    assert one.status == status
    assert not any(one.data)


@given(st.lists(st.tuples(garbage, answers), max_size=4), garbage, st.integers(1, 300))
def test_every_answer_is_found_in_any_garbage_and_however_it_is_split(parts, rest, size):
    """Whatever comes before, between and after whole frames, they are found and nothing else is."""
    stream = b"".join(junk + sent(one) for junk, one in parts) + rest
    chunks = [stream[begin : begin + size] for begin in range(0, len(stream), size)]
    assert parsed(*chunks) == [one for _, one in parts]


@given(answers, st.data())
def test_a_damaged_answer_is_none_and_the_next_one_is_whole(one, data):
    """One bit wrong in preamble, body or checksum: that answer is lost, and no other."""
    damaged = bytearray(sent(one))
    place = data.draw(st.integers(0, len(damaged) - 1).filter(lambda place: place not in {5, 6}))
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    assert parsed(bytes(damaged) + sent(one)) == [one]


@given(st.lists(st.binary(max_size=200), max_size=50))
def test_garbage_never_grows_in_memory(chunks):
    """At most one unfinished frame is kept."""
    parser = AnswerParser()
    for chunk in chunks:
        parser.feed(PREAMBLE[:4] + chunk)
        assert len(parser._buffer) <= len(PREAMBLE) + 2 + MAX_LENGTH  # bounded memory has no door


def test_a_header_that_promises_too_much_hides_nothing():
    """After a header whose frame never ends, the next answer is found at once."""
    promise = PREAMBLE + (1000).to_bytes(2, "big")
    assert [one.status for one in parsed(promise + answer(0x9F))] == [0x9F]


def test_only_a_whole_card_is_one():
    """Text and portrait have the lengths that cards have, and are all there is."""
    text = resident()
    lengths = b"\x01\0\x04\0"
    assert Answer(0, 0x90, lengths + text + PHOTO).card_data() == (text, PHOTO)
    for other in (b"", lengths, lengths + text + PHOTO + b"x", b"\x01\0\x03\0" + text + PHOTO):
        assert Answer(0, 0x90, other).card_data() is None


def test_a_card_is_not_shown_by_chance():
    """An answer's repr has no data."""
    assert "data" not in repr(Answer(0, 0x90, b"secret"))
