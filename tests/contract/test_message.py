"""Sealing and opening: every message type of the contract, there and back."""

import json
import re
from typing import Any

import pytest

from contract import (
    REGISTRY,
    Data,
    Event,
    MalformedError,
    OversizeError,
    Priority,
    Stamp,
    open_message,
    seal,
)
from contract.limits import MAX_MESSAGE_BYTES
from tests.support.samples import SAMPLES, TIME

STAMP = Stamp(TIME, monotonic_ms=123_456, boot_id="boot-1", time_quality="synced")


def sealed(data: Data, /, **changes: Any) -> bytes:
    """A message whose envelope was tampered with; None removes a field."""
    raw = json.loads(seal(data, kiosk="kiosk-017", stamp=STAMP, sequence=42).payload)
    raw.update(changes)
    return json.dumps({key: value for key, value in raw.items() if value is not None}).encode()


def test_samples_are_complete():
    """Every message type has a sample here, with nothing left out."""
    ours = {type_ for type_, model in REGISTRY.items() if model.__module__.startswith("contract.")}
    assert {sample.TYPE for sample in SAMPLES} == ours
    for sample in SAMPLES:
        assert [name for name, value in sample if value is None] == [], sample.TYPE


@pytest.mark.parametrize("data", SAMPLES, ids=lambda data: data.TYPE)
def test_round_trip(data: Data):
    """What is opened equals what was sealed, and the envelope says where and when it is from."""
    message = seal(data, kiosk="kiosk-017", stamp=STAMP, sequence=42)
    envelope = open_message(message.payload)
    assert envelope.data == data
    assert type(envelope.data) is type(data)
    assert (envelope.id, envelope.type, envelope.kiosk) == (message.id, data.TYPE, "kiosk-017")
    assert (envelope.time, envelope.monotonicms, envelope.bootid) == (TIME, 123_456, "boot-1")
    assert (envelope.sequence, envelope.timequality) == (42, "synced")


@pytest.mark.parametrize("data", SAMPLES, ids=lambda data: data.TYPE)
def test_unknown_field_in_data_is_refused(data: Data):
    """No message type takes a field that it does not know."""
    raw = json.loads(seal(data, kiosk="kiosk-017", stamp=STAMP, sequence=42).payload)
    raw["data"]["surprise"] = 1
    with pytest.raises(MalformedError, match=r"data\.surprise: Extra inputs"):
        open_message(json.dumps(raw).encode())


def test_names_follow_from_the_kind():
    """Type and topic of an event come from its kind, and each topic has one type."""
    for data in SAMPLES:
        assert re.fullmatch(r"kiosk(\.[a-z0-9_]+)+\.v1", data.TYPE)
        if isinstance(data, Event):
            assert f"kiosk.event.{data.KIND}.v1" == data.TYPE
            assert f"up/event/{data.KIND}" == data.SUFFIX
    assert len({data.SUFFIX for data in SAMPLES}) == len(SAMPLES)


def test_priorities_are_ordered():
    """Alarms come before receipts, receipts before events, events before telemetry."""
    assert list(Priority) == sorted(Priority)
    assert [one.name for one in Priority] == ["ALARM", "RECEIPT", "EVENT", "TELEMETRY"]


def test_ids_are_unique_and_follow_time():
    """Message ids differ, and their text sorts by the time of what happened."""
    ids = [seal(SAMPLES[0], kiosk="k", stamp=STAMP, sequence=1).id for _ in range(100)]
    assert len(set(ids)) == 100
    assert len({one[:13] for one in ids}) == 1


def test_absent_values_do_not_travel():
    """A value that is not there costs no bytes."""
    lost = type(SAMPLES[0])(state="offline", session=1, last_sequence=0)
    payload = seal(lost, kiosk="k", stamp=STAMP, sequence=None).payload
    assert b"null" not in payload
    assert open_message(payload).sequence is None


def test_oversize_is_refused_at_both_ends():
    """The size limit holds for who sends and for who receives."""
    receipt = next(data for data in SAMPLES if data.TYPE == "kiosk.receipt.v1")
    big = receipt.model_copy(update={"result": {"text": "x" * MAX_MESSAGE_BYTES}})
    with pytest.raises(OversizeError, match=r"exceeds the limit of 65536"):
        seal(big, kiosk="k", stamp=STAMP, sequence=1)
    with pytest.raises(OversizeError, match=r"message of 65537 bytes exceeds"):
        open_message(b" " * (MAX_MESSAGE_BYTES + 1))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"type": "kiosk.unheard.v1"}, "not a message type"),
        ({"type": None}, "not a message type"),
        ({"type": ["kiosk.state.v1"]}, "not a message type"),
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": None}, "specversion: Field required"),
        ({"id": "1234"}, "id: String should match"),
        ({"id": "01890a5d-ac96-474b-bcce-b302099a8057"}, "id: String should match"),
        ({"source": "/kiosk/UPPER"}, "source"),
        ({"source": "/elsewhere/k1"}, "source"),
        ({"time": "2026-11-01T08:00:00"}, "time: .*needs its zone"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2026-02-30T08:00:00Z"}, "time"),
        ({"sequence": 0}, "sequence"),
        ({"sequence": "42"}, "sequence: Input should be a valid integer"),
        ({"sequence": 1.5}, "sequence"),
        ({"sequence": True}, "sequence"),
        ({"monotonicms": -1}, "monotonicms"),
        ({"timequality": "good"}, "timequality"),
        ({"datacontenttype": "text/plain"}, "datacontenttype"),
        ({"bootid": "x" * 65}, "bootid"),
        ({"data": None}, "data: Field required"),
        ({"data": []}, "data"),
        ({"data": {}}, "data.*Field required"),
        ({"subject": "door"}, "subject: Extra inputs"),
    ],
)
def test_bad_envelope_is_named(changes: dict[str, Any], text: str):
    """An envelope that breaks the contract is refused, and the field is named."""
    with pytest.raises(MalformedError, match=text):
        open_message(sealed(SAMPLES[0], **changes))


def test_time_of_another_zone_is_the_same_moment():
    """A time with any offset is read as UTC."""
    envelope = open_message(sealed(SAMPLES[0], time="2026-11-01T15:59:30.250+08:00"))
    assert envelope.time == TIME
    assert envelope.time.utcoffset().total_seconds() == 0
