"""Texts of plates are written in one way, and events of plates are of bounded size."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import MalformedError, open_message, seal
from contract.limits import MAX_MESSAGE_BYTES
from contract.plates import PlateHit, PlateRead, plain_plate
from tests.support.clock import ManualClock
from tests.support.samples import SAMPLES

[READ] = [sample for sample in SAMPLES if isinstance(sample, PlateRead)]
[HIT] = [sample for sample in SAMPLES if isinstance(sample, PlateHit)]
PLATES = st.text("京沪0123456789ABCDEFGHJKLMNPQRSTUVWXYZ使领警学港澳", min_size=4, max_size=10)


@given(text=PLATES, separators=st.lists(st.sampled_from(" ·•.-\t"), max_size=3))
def test_one_plate_has_one_text(text, separators):
    """Separators, small letters and full-width characters make no other plate."""
    assert plain_plate(text) == text
    assert plain_plate("".join(separators).join([text[:2], text[2:]]).lower()) == text
    wide = "".join(chr(ord(one) + 0xFEE0) if one.isascii() else one for one in text)
    assert plain_plate(wide) == text


@given(text=st.text(max_size=12))
def test_what_is_taken_stays_as_it_is(text):
    """Any text is refused, or becomes one that is taken unchanged."""
    try:
        plain = plain_plate(text)
    except ValueError:
        return
    assert plain_plate(plain) == plain
    assert 4 <= len(plain) <= 10


def test_the_largest_event_fits_a_message():
    """With everything as long as it may be, an event is far below the size of messages."""
    data = json.loads(READ.model_dump_json())
    data |= {
        "purpose": "车" * 120,
        "confidences": [0.1234] * 16,
        "alternatives": [
            {"position": n, "alternatives": [{"text": "鄂", "confidence": 0.1234}] * 8}
            for n in range(16)
        ],
        "detector": "d" * 120,
        "reader": "r" * 120,
    }
    event = PlateRead.model_validate_json(json.dumps(data))
    sealed = seal(event, kiosk="k" * 63, stamp=ManualClock().stamp(), sequence=1)
    assert len(sealed.payload) < MAX_MESSAGE_BYTES / 4
    assert open_message(sealed.payload).data == event


@pytest.mark.parametrize(
    "change",
    [
        {"confidences": [0.5] * 17},
        {"confidences": [1.5]},
        {"purpose": ""},
        {"purpose": "x" * 121},
        {"class_code": "2"},
        {"pseudonym": "xyz"},
        {"text": "ABC"},
        {"rows": 3},
        {"colour": "pink"},
        {"views": 0},
    ],
)
def test_what_no_plate_can_be_is_refused(change):
    """Values out of their bounds do not come through."""
    raw = json.loads(seal(READ, kiosk="k1", stamp=ManualClock().stamp(), sequence=1).payload)
    raw["data"] |= change
    with pytest.raises(MalformedError):
        open_message(json.dumps(raw).encode())
