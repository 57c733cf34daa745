"""An audit trail stands as it was written, or the proof says at which entry it does not."""

import io
import json

import pytest
import rfc8785
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contract import Envelope, open_message, seal
from contract.audit import (
    MAX_DATA_BYTES,
    MAX_LINE_BYTES,
    NOTHING,
    AuditEntry,
    ChainHead,
    announce,
    next_entry,
    open_head,
    read_entry,
    seal_line,
)
from contract.audit_proof import read_lines, verify
from contract.device import DeviceKey, DevicePrivateKey
from contract.errors import (
    AuditError,
    MalformedError,
    OversizeError,
    SignatureError,
    UnknownKeyError,
)
from contract.signature import sign
from tests.support.clock import ManualClock
from tests.support.operators import make_key
from tests.support.trails import KEY, Written

TRAIL = Written(12)
LINES = TRAIL.lines
KEYS = {KEY.kid: KEY.verifier()}
STAMP = ManualClock().stamp()
CHAIN = "01890a5d-ac96-774b-bcce-b302099a8057"
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(-(2.0**53) + 1, 2.0**53 - 1),
    st.text(max_size=20),
)
FACTS = st.dictionaries(
    st.sampled_from(["action", "hash", "kind", "text", "count"]), SCALARS, max_size=4
)


def rewritten(entry: AuditEntry, **changes) -> bytes:
    """An entry changed by somebody who also makes its hash right."""
    changed = entry.model_copy(update=changes)
    return changed.model_copy(update={"hash": changed.digest()}).line()


def fault(lines: list[bytes], **options) -> AuditError:
    with pytest.raises(AuditError) as caught:
        verify(lines, keys=KEYS, **options)
    return caught.value


# -- the canonical form ----------------------------------------------------------------------


def test_the_canonical_form_is_that_of_the_standard():
    """The examples of RFC 8785 (3.2.2, 3.2.3, and numbers of appendix B) come out as it says."""
    numbers = [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001]
    text = "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/"
    document = {"numbers": numbers, "string": text, "literals": [None, True, False]}
    assert rfc8785.dumps(document) == (
        b'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    ordered = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(rfc8785.dumps(dict.fromkeys(keys)))) == ordered
    for number, form in [
        (5e-324, b"5e-324"),
        (-0.0, b"0"),
        (999999999999999.9, b"999999999999999.9"),
    ]:
        assert rfc8785.dumps(number) == form


def test_the_form_of_an_entry_does_not_change():
    """A trail that was written years ago is still proved: form and hash are what they were."""
    entry = next_entry(ChainHead(CHAIN), "chain.begin", {"reason": "new", "n": 2.0}, STAMP)
    assert entry.line() == (
        b'{"bootid":"boot-1","chain":"01890a5d-ac96-774b-bcce-b302099a8057",'
        b'"data":{"n":2,"reason":"new"},'
        b'"hash":"' + entry.hash.encode() + b'","kind":"chain.begin","monotonicms":0,"number":1,'
        b'"prev":"' + NOTHING.encode() + b'","time":"2026-11-01T08:00:00.000Z",'
        b'"timequality":"synced"}'
    )
    assert entry.hash == "46febd84975ff25f5d8208fb45098855b2e49daee4d798e8b9e16ca90c8e14fd"


@given(FACTS)
def test_a_line_says_the_same_again(facts):
    """What is written is read back as the same line with the same hash, whatever the data are."""
    line = next_entry(ChainHead(CHAIN), "config.changed", facts, STAMP).line()
    again = read_entry(line)
    assert again.line() == line
    assert again.digest() == again.hash
    assert rfc8785.dumps(json.loads(line)) == line


@pytest.mark.parametrize(
    "value", [[1], {"a": 1}, 2**53, 1e300, float("nan"), float("inf"), 10**400, b"x", "\ud800"]
)
def test_what_has_no_exact_form_is_refused(value):
    """Nested data, numbers that are not exact everywhere and broken text are no entry."""
    with pytest.raises(MalformedError):
        next_entry(ChainHead(CHAIN), "config.changed", {"value": value}, STAMP)


def test_data_are_bounded():
    """More than 32 KiB of data are refused, as much as that is written and read."""
    fits = {"text": "x" * (MAX_DATA_BYTES - len('{"text":""}'))}
    assert read_entry(next_entry(ChainHead(CHAIN), "k", fits, STAMP).line()).data == fits
    with pytest.raises(OversizeError):
        next_entry(ChainHead(CHAIN), "k", {"text": fits["text"] + "x"}, STAMP)


# -- the proof -------------------------------------------------------------------------------


def test_a_whole_trail_is_proved():
    """Entries and signed head together prove the trail from its first entry to its last."""
    proof = verify(LINES, keys=KEYS)
    assert (proof.chain, proof.first, proof.last) == (TRAIL.chain, 1, 12)
    assert proof.head == TRAIL.head


def test_a_pruned_trail_is_proved_from_where_it_starts():
    """What the kiosk keeps no more is not asked for, and the proof says where it begins."""
    pruned = Written(12)
    del pruned.entries[:4]
    proof = verify(pruned.lines, keys=KEYS)
    assert (proof.first, proof.last) == (5, 12)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_changed_byte_is_found(data):
    """Change, drop or put in any byte of an entry: the proof fails and names that entry."""
    at = data.draw(st.integers(0, 11))
    line = bytearray(LINES[at])
    where = data.draw(st.integers(0, len(line) - 1))
    match data.draw(st.sampled_from(["flip", "drop", "insert"])):
        case "flip":
            line[where] ^= data.draw(st.integers(1, 255))
        case "drop":
            del line[where]
        case _:
            line[where:where] = data.draw(st.binary(min_size=1, max_size=3))
    error = fault([*LINES[:at], bytes(line), *LINES[at + 1 :]])
    assert error.fault in {"broken", "changed"}
    if at > 0:  # of the first nothing but itself says which it is
        assert error.number == at + 1


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_changed_field_with_a_right_hash_is_found(data):
    """Who also makes the hash right is found by the next entry, or by the signed head."""
    at = data.draw(st.integers(0, 11))
    entry = TRAIL.entries[at]
    change = data.draw(
        st.sampled_from([{"kind": "ping"}, {"data": {}}, {"bootid": "x"}, {"monotonicms": 7}])
    )
    error = fault([*LINES[:at], rewritten(entry, **change), *LINES[at + 1 :]])
    assert (error.fault, error.number) == ("changed", at + 1)


@given(st.integers(0, 11), st.integers(1, 12))
def test_removed_entries_are_found(at, count):
    """Remove entries anywhere, also at the beginning and at the end: the first one is named."""
    count = min(count, 12 - at)
    error = fault([*LINES[:at], *LINES[at + count :]])
    assert (error.fault, error.number) == ("removed", at + 1)


@given(st.integers(0, 11), st.integers(0, 11))
def test_exchanged_entries_are_found(one, other):
    """Exchange two entries: the first that does not stand where it should is named."""
    assume(one < other)
    lines = list(LINES)
    lines[one], lines[other] = lines[other], lines[one]
    error = fault(lines)
    assert error.fault == "reordered"
    assert error.number == (one + 1 if one else min(other, 2))


@given(st.integers(1, 12), st.integers(0, 11))
def test_a_repeated_entry_is_found(to, source):
    """Put a copy of an entry somewhere else: it is named, or the place that it took."""
    error = fault([*LINES[:to], LINES[source], *LINES[to:]])
    assert (error.fault, error.number) in {("reordered", source + 1), ("reordered", to + 1)} | {
        ("added", 13)
    }


@given(st.integers(0, 12))
def test_an_entry_of_another_chain_is_found(at):
    """An entry of another kiosk or of another life of this one does not fit in anywhere."""
    foreign = Written(13).entries[at].line()
    error = fault([*LINES[:at], foreign, *LINES[at + 1 :]])
    assert error.fault == "another_chain"
    assert error.number == max(at + 1, 2)


def test_an_entry_put_in_is_found():
    """An entry made to fit behind another pushes out the one that was there."""
    forged = next_entry(
        ChainHead(TRAIL.chain, 5, TRAIL.entries[4].hash), "command.ended", {}, STAMP
    ).line()
    assert fault([*LINES[:5], forged, *LINES[5:]]).number == 6
    error = fault([*LINES[:5], forged, *LINES[6:]])
    assert (error.fault, error.number) == ("changed", 6)


def test_a_trail_written_anew_does_not_fit_its_head():
    """Rewrite everything from an entry on, hashes and all: the signed head tells."""
    anew = Written(6)
    anew.entries = TRAIL.entries[:6]
    anew.chain = TRAIL.chain
    for entry in TRAIL.entries[6:]:
        anew.append(entry.kind, text="something else")
    error = fault([*anew.lines[:-1], LINES[-1]])
    assert (error.fault, error.number) == ("changed", 12)


def test_entries_after_the_head_are_found():
    """What was appended after the head was signed is not proved by it, nor is anything after it."""
    longer = Written()
    longer.chain, longer.entries = TRAIL.chain, list(TRAIL.entries)
    extra = longer.append("command.ended").line()
    assert fault([*LINES[:-1], extra, LINES[-1]]).number == 13
    assert fault([*LINES, extra]).fault == "added"


def test_without_its_head_a_trail_has_no_end():
    """A trail that was cut off before its head proves what is there, and says that it is open."""
    proof = verify(LINES[:7], keys=KEYS)
    assert (proof.last, proof.head) == (7, None)
    with pytest.raises(AuditError, match="no entries"):
        verify([])


def test_long_lines_are_broken_lines():
    """A line of any length is read in bounded pieces and refused."""
    file = io.BytesIO(LINES[0] + b"\n" + b"x" * (5 * MAX_LINE_BYTES) + b"\n")
    pieces = list(read_lines(file))
    assert max(map(len, pieces)) <= MAX_LINE_BYTES + 2
    assert (fault(pieces).fault, fault(pieces).number) == ("broken", 2)


# -- heads -----------------------------------------------------------------------------------


def heads_at(*numbers: int):
    trail = Written()
    trail.chain = TRAIL.chain
    for number in numbers:
        trail.entries = TRAIL.entries[:number]
        yield trail.head


def test_published_heads_are_found_in_the_trail():
    """Every head that was published has its entry, and they are counted."""
    proof = verify(LINES, keys=KEYS, heads=heads_at(3, 7, 12))
    assert (proof.confirmed, proof.newest_confirmed, proof.pruned) == (3, 12, 0)
    proof = verify(LINES[:7], keys=KEYS, heads=heads_at(3))
    assert (proof.head, proof.newest_confirmed) == (None, 3)


def test_a_published_head_unmasks_what_was_written_anew():
    """Who owns the kiosk's key can sign a new past, but not take back a head that left before."""
    anew = Written()
    anew.chain, anew.entries = TRAIL.chain, list(TRAIL.entries[:4])
    for number in range(5, 13):
        anew.append("command.ended", text=f"{number}")
    assert verify(anew.lines, keys=KEYS).last == 12
    error = fault(anew.lines, heads=heads_at(3, 7))
    assert (error.fault, error.number) == ("changed", 7)
    assert "after entry 3" in str(error)


def test_a_published_head_unmasks_a_cut_end():
    """A shorter trail with a genuine older head is found by a later one."""
    shorter = Written()
    shorter.chain, shorter.entries = TRAIL.chain, TRAIL.entries[:9]
    assert verify(shorter.lines, keys=KEYS).last == 9
    error = fault(shorter.lines, heads=heads_at(5, 11))
    assert (error.fault, error.number) == ("removed", 10)


def test_heads_that_prove_nothing_here_are_told():
    """Heads of entries that are kept no more, and of other chains, are counted, not passed over."""
    pruned = Written()
    pruned.chain, pruned.entries = TRAIL.chain, TRAIL.entries[5:]
    other = Written(2)
    proof = verify(pruned.lines, keys=KEYS, heads=[*heads_at(2, 7), other.head])
    assert (proof.confirmed, proof.pruned) == (1, 1)
    assert proof.foreign == {other.chain: 1}


def test_two_heads_of_one_number_are_a_fork():
    """A kiosk that told two different stories is found out by its heads alone."""
    fork = Written(3)
    fork.chain, fork.entries = TRAIL.chain, list(TRAIL.entries[:3])
    fork.append("other")
    assert fault(LINES, heads=[*heads_at(4), fork.head]).number == 4


def test_heads_belong_to_one_kiosk():
    """A head of another kiosk proves nothing, even by the same key."""
    error = fault(LINES, heads=[Written(1, kiosk="k-2").head])
    assert error.fault == "bad_head"


def test_the_head_is_signed_by_the_key_that_is_trusted():
    """Another key's head is refused, also under the id of the trusted one."""
    other = DevicePrivateKey.generate()
    lines = [*LINES[:-1], seal_line(TRAIL.head, other)]
    assert verify(lines).last == 12  # with the key that it brings along it agrees with itself
    assert "no key that is known" in str(fault(lines))
    posing = DevicePrivateKey.model_construct(**other.model_dump() | {"kid": KEY.kid})
    document = announce(TRAIL.head, posing).document.encode()
    with pytest.raises(SignatureError, match="not made by"):
        open_head(document, KEYS)


def test_an_operators_signature_is_no_head():
    """What was signed as something else is not taken for a head, and an unknown key is named."""
    payload = rfc8785.dumps(TRAIL.head.model_dump(mode="json"))
    with pytest.raises(SignatureError, match="kiosk-command"):
        open_head(sign(payload, [KEY], typ="kiosk-command", limit=4096), KEYS)
    with pytest.raises(UnknownKeyError):
        open_head(sign(payload, [make_key("li")], typ="kiosk-audit-head", limit=4096), KEYS)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_mutation_of_the_signed_head_proves_anything_else(data):
    """Whatever happens to the last line, it is refused, or still says what was signed."""
    line = bytearray(LINES[-1])
    where = data.draw(st.integers(0, len(line) - 1))
    line[where] ^= data.draw(st.integers(1, 255))
    try:
        proof = verify([*LINES[:-1], bytes(line)], keys=KEYS)
    except AuditError:
        pass
    else:
        assert proof.head == TRAIL.head


def test_a_head_is_an_event():
    """The head travels as ``audit.head``, and is opened with the key that it names."""
    event = TRAIL.event
    sealed = seal(event, kiosk="k-1", stamp=STAMP, sequence=1)
    message: Envelope = open_message(sealed.payload)
    assert message.data == event
    key = DeviceKey.of(event.x)
    assert key.kid == event.kid
    assert open_head(event.document.encode(), {key.kid: key.verifier()}) == TRAIL.head


def test_a_device_key_is_what_it_is_called():
    """The id follows from the key; halves belong together; the private one stays out of sight."""
    other = DevicePrivateKey.generate()
    with pytest.raises(ValueError, match="not the id of this key"):
        DeviceKey(kid=other.kid, x=KEY.x)
    with pytest.raises(ValueError, match="not the public key of d"):
        DevicePrivateKey(kid=KEY.kid, x=KEY.x, d=other.d)
    assert KEY.d not in repr(KEY)
    assert "d" not in KEY.public().model_dump()
    for wrong in ("", "AAAA", "ä" * 43, "A" * 64):
        with pytest.raises(ValueError, match=r"x\n.*(32 bytes|at most)"):
            DeviceKey(kid=KEY.kid, x=wrong)
