"""Strict parsing: whatever arrives, the answer is a model or a ContractError in one line."""

import json
import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract import ContractError, MalformedError, OversizeError, Stamp, open_message, seal
from contract.ack import Watermark, parse_watermark
from contract.limits import MAX_ACK_BYTES, MAX_MESSAGE_BYTES
from contract.wire import Name, UtcTime, WireModel, format_time, parse, parse_object
from tests.support.samples import SAMPLES, TIME

STAMP = Stamp(TIME, monotonic_ms=1, boot_id="boot-1", time_quality="unsynced")
SEALED = [seal(data, kiosk="k1", stamp=STAMP, sequence=9).payload for data in SAMPLES]


class Reading(WireModel):
    """A model with one field of each kind."""

    name: Name
    value: float
    count: int = 0
    at: UtcTime | None = None


def read(payload: bytes) -> Reading:
    return parse(Reading, payload, limit=1000)


def test_valid_message_is_read():
    """What fits the model is read as it stands."""
    text = b'{"name": "front", "value": 2, "count": 3, "at": "2026-11-01T08:00:00.5+01:00"}'
    at = datetime(2026, 11, 1, 7, 0, 0, 500_000, tzinfo=UTC)
    assert read(text) == Reading(name="front", value=2.0, count=3, at=at)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "Invalid JSON"),
        (b"not json", "Invalid JSON"),
        (b'{"name": "x", "value": 1', "Invalid JSON"),
        (b'{"name": "x", "value": 1} {}', "Invalid JSON"),
        (b"\xff\xfe\x00", "Invalid JSON"),
        (b'{"name": "\xff", "value": 1}', "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b"null", "Input should be an object"),
        (b'"text"', "Input should be an object"),
        (b'{"name": "x"}', "value: Field required"),
        (b'{"name": "x", "value": 1, "extra": 1}', "extra: Extra inputs"),
        (b'{"name": "x", "value": "1"}', "value: Input should be a valid number"),
        (b'{"name": "x", "value": true}', "value: Input should be a valid number"),
        (b'{"name": "x", "value": null}', "value: Input should be a valid number"),
        (b'{"name": "x", "value": NaN}', "value|Invalid JSON"),
        (b'{"name": "x", "value": Infinity}', "value|Invalid JSON"),
        (b'{"name": "x", "value": 1e999}', "value"),
        (b'{"name": "x", "value": 1, "count": 1.5}', "count"),
        (b'{"name": "x", "value": 1, "count": "1"}', "count: Input should be a valid integer"),
        (b'{"name": "X", "value": 1}', "name: String should match"),
        (b'{"name": "x\\n", "value": 1}', "name: String should match"),
        (b'{"name": 5, "value": 1}', "name: Input should be a valid string"),
        (b'{"name": "x", "value": 1, "at": "2026-11-01T08:00:00"}', "at: .*needs its zone"),
        (b'{"name": "x", "value": 1, "at": "later"}', "at"),
        (b'{"name": "x", "value": 1, "at": {}}', "at"),
    ],
)
def test_malformed_is_refused_with_its_place(payload: bytes, text: str):
    """What does not fit exactly is refused in one line that says where."""
    with pytest.raises(MalformedError, match=text) as caught:
        read(payload)
    assert "\n" not in str(caught.value)


def test_many_faults_are_told_in_one_short_line():
    """Of many wrong fields the first three are named, the rest is counted."""
    wrong = json.dumps({f"extra{number}": 1 for number in range(50)}).encode()
    with pytest.raises(MalformedError, match=r"and 49 more") as caught:
        read(wrong)
    assert len(str(caught.value)) < 300


def test_oversize_is_refused_before_it_is_read():
    """Size is checked first."""
    with pytest.raises(OversizeError, match=r"message of 1001 bytes exceeds the limit of 1000"):
        read(b"{" * 1001)
    with pytest.raises(OversizeError):
        parse_watermark(b'{"sequence": 1}' + b" " * MAX_ACK_BYTES)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"data":[', b'[{"a":'])
def test_deep_nesting_is_refused(opening: bytes):
    """A tower of brackets ends in an error, not in an exhausted stack."""
    payload = opening * (MAX_MESSAGE_BYTES // len(opening))
    with pytest.raises(MalformedError):
        open_message(payload)
    with pytest.raises(MalformedError):
        parse_object(payload, limit=MAX_MESSAGE_BYTES)


def test_deep_nesting_in_free_form_fields_is_refused():
    """Even where any JSON may stand, depth is no way to crash the reader."""
    deep = b"[" * 20_000 + b"]" * 20_000
    sealed = next(one for one in SEALED if b'"nested"' in one)
    before, nested, after = sealed.partition(b'"nested":')
    with pytest.raises(MalformedError):
        open_message(before + nested + deep + b',"was":' + after)


@pytest.mark.parametrize(
    ("payload", "sequence"), [(b'{"sequence": 0}', 0), (b'{"sequence":281474976710656}', 2**48)]
)
def test_watermark(payload: bytes, sequence: int):
    """A watermark is one number."""
    assert parse_watermark(payload) == Watermark(sequence=sequence)


@pytest.mark.parametrize("payload", [b"5", b"{}", b'{"sequence": -1}', b'{"sequence": "5"}'])
def test_bad_watermark(payload: bytes):
    """Anything else is refused."""
    with pytest.raises(MalformedError):
        parse_watermark(payload)


@given(
    st.datetimes(
        min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
        max_value=datetime(2199, 1, 1),  # noqa: DTZ001
        timezones=st.sampled_from(
            [UTC, timezone(timedelta(hours=8)), timezone(-timedelta(hours=3))]
        ),
    )
)
def test_times_survive_to_the_millisecond(moment: datetime):
    """A time is written in UTC with milliseconds and read back as that."""
    text = format_time(moment)
    back = read(json.dumps({"name": "x", "value": 0, "at": text}).encode()).at
    assert back is not None
    assert timedelta(0) <= moment - back < timedelta(milliseconds=1)
    assert text.endswith("Z")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=10,
)


@settings(max_examples=500, deadline=None)
@given(payload=st.binary(max_size=200) | JSON_VALUES.map(lambda v: json.dumps(v).encode()))
def test_any_payload_is_answered_with_a_contract_error(payload: bytes):
    """No bytes of hypothesis's invention get any other answer than ContractError."""
    with pytest.raises(ContractError):
        open_message(payload)
    with pytest.raises(ContractError):
        read(payload)


@settings(max_examples=300, deadline=None)
@given(
    sealed=st.sampled_from(SEALED),
    changes=st.dictionaries(
        st.sampled_from(["type", "id", "source", "time", "sequence", "data", "bootid", "new"]),
        JSON_VALUES,
        min_size=1,
    ),
)
def test_envelope_with_any_values(sealed: bytes, changes: dict[str, Any]):
    """An envelope with anything in its fields is read or refused, nothing else."""
    payload = json.dumps({**json.loads(sealed), **changes}).encode()
    try:
        open_message(payload)
    except ContractError:
        return
    assert "new" not in changes


def mutate(payload: bytes, chance: random.Random) -> bytes:
    """Damage a message in one of the ways that lines and programmers do."""
    here, there = chance.randrange(len(payload)), chance.randrange(len(payload))
    noise = chance.randbytes(chance.randrange(1, 20))
    old = chance.choice([b'"', b"1", b"true", b".", b"-", b":", b",", b"{"])
    new = chance.choice([b"", b"[", b"NaN", b"null", b"\\u0000"])
    damaged = (
        payload[:here],
        payload[here:],
        payload[:here] + noise[:1] + payload[here + 1 :],
        payload[:here] + noise + payload[here:],
        payload[:here] + payload[there:],
        payload.replace(old, new, 1),
    )
    return chance.choice(damaged)


def test_ten_thousand_malformed_messages():
    """Each of 10,000 damaged messages that is not valid by luck gets a ContractError, no other."""
    chance = random.Random(20261101)
    texts: list[str] = []
    while len(texts) < 10_000:
        try:
            open_message(mutate(chance.choice(SEALED), chance))
        except ContractError as error:
            texts.append(str(error))
    assert all("\n" not in text and 10 < len(text) < 1000 for text in texts)
