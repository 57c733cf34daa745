"""A command is what its signers signed, or nothing."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OctKey

from contract.command import MAX_VALIDITY_S, claimed_id, open_command, sign_command
from contract.errors import (
    ContractError,
    MalformedError,
    OversizeError,
    SignatureError,
    UnknownKeyError,
)
from contract.keys import KeySet, OperatorKey, PrivateKey, parse_key_set
from contract.signature import sign
from contract.wire import parse
from tests.support.operators import NOW_S, make_command, make_key

LI, WANG = make_key("li"), make_key("wang")
TRUSTED = {key.kid: key.verifier() for key in (LI, WANG)}
COMMAND = make_command()
BY_LI = sign_command(COMMAND, [LI])
BY_BOTH = sign_command(COMMAND, [LI, WANG])


def b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def forge(protected, **part) -> bytes:
    """A document with a header of the attacker's choice around a genuine payload."""
    document = json.loads(BY_LI)
    document["signatures"][0] |= {"protected": b64(json.dumps(protected).encode())} | part
    return json.dumps(document).encode()


def test_what_was_signed_is_what_is_read():
    """A command survives signing and opening unchanged, and names every signer once."""
    assert open_command(BY_LI, TRUSTED).command == COMMAND
    assert open_command(BY_LI, TRUSTED).signers == ("li",)
    assert open_command(BY_BOTH, TRUSTED).signers == ("li", "wang")


def test_the_same_key_twice_is_one_signer():
    """Signing twice with one key does not make two people of one."""
    assert open_command(sign_command(COMMAND, [LI, LI]), TRUSTED).signers == ("li",)


def test_unknown_keys_neither_help_nor_hurt():
    """A signature by an unknown key counts for nothing beside a known one, and alone is refused."""
    stranger = make_key("stranger")
    assert open_command(sign_command(COMMAND, [stranger, LI]), TRUSTED).signers == ("li",)
    with pytest.raises(UnknownKeyError, match="stranger"):
        open_command(sign_command(COMMAND, [stranger]), TRUSTED)


def test_a_known_name_on_a_strange_key_is_refused():
    """Who signs as somebody else is found out."""
    with pytest.raises(SignatureError, match="not made by key li"):
        open_command(sign_command(COMMAND, [make_key("li")]), TRUSTED)


def test_one_broken_signature_spoils_the_whole():
    """With two signers, one signature that does not hold refuses the document."""
    document = json.loads(BY_BOTH)
    document["signatures"][1]["signature"] = document["signatures"][0]["signature"]
    with pytest.raises(SignatureError, match="signature 2"):
        open_command(json.dumps(document).encode(), TRUSTED)


@pytest.mark.parametrize("alg", ["none", "HS256", "ES256", "Ed448", "RS256", ""])
def test_the_header_does_not_choose_the_algorithm(alg: str):
    """Only Ed25519 is believed, whatever the header says."""
    with pytest.raises(SignatureError, match="alg"):
        open_command(forge({"alg": alg, "kid": "li", "typ": "kiosk-command"}), TRUSTED)


def test_a_public_key_is_no_hmac_secret():
    """The classic confusion of algorithms is refused: the public key used as an HMAC secret."""
    secret = OctKey.import_key(LI.x)
    header = {"alg": "HS256", "kid": "li", "typ": "kiosk-command"}
    flat = jws.serialize_json({"protected": header}, b"{}", secret, algorithms=["HS256"])
    document = {
        "payload": flat["payload"],
        "signatures": [{"protected": flat["protected"], "signature": flat["signature"]}],
    }
    with pytest.raises(SignatureError):
        open_command(json.dumps(document).encode(), TRUSTED)


def test_the_older_name_of_the_algorithm_is_understood():
    """Signers that still write EdDSA (RFC 8037) are accepted."""
    header = b64(json.dumps({"alg": "EdDSA", "kid": "li", "typ": "kiosk-command"}).encode())
    payload = json.loads(BY_LI)["payload"]
    key = LI.signer().get_op_key("sign")
    signature = b64(key.sign(f"{header}.{payload}".encode()))
    document = {"payload": payload, "signatures": [{"protected": header, "signature": signature}]}
    assert open_command(json.dumps(document).encode(), TRUSTED).command == COMMAND


def test_a_signature_under_something_else_is_no_command():
    """What was signed as another kind of document cannot be passed off as a command."""
    other = sign(COMMAND.model_dump_json().encode(), [LI], typ="kiosk-config", limit=65536)
    with pytest.raises(SignatureError, match="kiosk-config"):
        open_command(other, TRUSTED)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "Ed25519", "kid": "li"},
        {"alg": "Ed25519", "typ": "kiosk-command"},
        {"alg": "Ed25519", "kid": "li", "typ": "kiosk-command", "b64": False, "crit": ["b64"]},
        {"alg": "Ed25519", "kid": "li", "typ": "kiosk-command", "jwk": {}},
        ["Ed25519"],
    ],
)
def test_the_protected_header_has_exactly_its_fields(header):
    """Missing and additional header fields are refused."""
    with pytest.raises(SignatureError, match="protected header"):
        open_command(forge(header), TRUSTED)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b'{"payload": "e30", "signatures": []}',
        b'{"payload": 1, "signatures": [{}]}',
        b'{"payload": "e30", "protected": "e30", "signature": "e30"}',
        forge({}, header={"kid": "li"}),
    ],
)
def test_what_is_no_signed_document_is_malformed(document: bytes):
    """Only the general serialisation without unprotected headers is read."""
    with pytest.raises(MalformedError):
        open_command(document, TRUSTED)


def test_size_is_checked_first():
    """A document above the limit is not even parsed, and none is made."""
    with pytest.raises(OversizeError):
        open_command(b"{" * 65537, TRUSTED)
    with pytest.raises(OversizeError):
        sign_command(make_command(args={"echo": "x" * 65536}), [LI])


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_no_mutation_verifies(data):
    """Change any byte, drop or insert some: it is refused, or still says what was signed."""
    mutated = bytearray(BY_LI)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        match data.draw(st.sampled_from(["flip", "drop", "insert", "swap"])):
            case "flip":
                mutated[at] ^= data.draw(st.integers(1, 255))
            case "drop":
                del mutated[at : at + data.draw(st.integers(1, 4))]
            case "insert":
                mutated[at:at] = data.draw(st.binary(min_size=1, max_size=4))
            case _:
                other = data.draw(st.integers(0, len(mutated) - 1))
                mutated[at], mutated[other] = mutated[other], mutated[at]
    try:
        opened = open_command(bytes(mutated), TRUSTED)
    except ContractError:
        pass
    else:
        assert (opened.command, opened.signers) == (COMMAND, ("li",))


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["id", "kiosk", "action", "args", "reason", "nbf", "exp", "ttl_s"]),
        st.one_of(st.text(max_size=8), st.integers(), st.none()),
        min_size=1,
    )
)
def test_no_changed_payload_verifies(changes):
    """A genuine signature does not cover a payload with another field value."""
    changed = COMMAND.model_dump(exclude_none=True) | changes
    document = json.loads(BY_LI)
    payload = json.dumps(changed, separators=(",", ":")).encode()
    document["payload"] = b64(payload)
    if json.loads(payload) != json.loads(COMMAND.model_dump_json(exclude_none=True)):
        with pytest.raises(SignatureError):
            open_command(json.dumps(document).encode(), TRUSTED)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"id": "1"}, "id"),
        ({"kiosk": "K 1"}, "kiosk"),
        ({"ttl_s": 0}, "ttl_s"),
        ({"ttl_s": "5"}, "ttl_s"),
        ({"exp": NOW_S}, "exp"),
        ({"exp": NOW_S + MAX_VALIDITY_S + 1}, "exp"),
        ({"now": True}, "now"),
    ],
)
def test_a_signed_mistake_is_named(fields, named: str):
    """A signature does not excuse a wrong field; the error names it."""
    raw = json.dumps(COMMAND.model_dump(exclude_none=True) | fields).encode()
    document = sign(raw, [LI], typ="kiosk-command", limit=65536)
    with pytest.raises(MalformedError, match=named):
        open_command(document, TRUSTED)


def test_the_claimed_id_is_read_where_there_is_one():
    """An unverified message's id can be quoted, and is absent where it is no id."""
    assert claimed_id(BY_LI) == COMMAND.id
    assert claimed_id(b"{}") is None
    assert claimed_id(sign(b'{"id": "x"}', [LI], typ="t", limit=4096)) is None


def test_a_key_set_says_what_is_wrong_with_it():
    """A broken key set names the key or the field."""
    good = KeySet(keys=(LI.public(), WANG.public()))
    assert parse_key_set(good.model_dump_json(exclude_none=True).encode()) == good
    with pytest.raises(MalformedError, match="'li' appears twice"):
        parse(KeySet, json.dumps({"keys": [LI.public().model_dump()] * 2}).encode(), limit=9999)
    with pytest.raises(MalformedError, match=r"keys\.0\.d"):
        parse_key_set(json.dumps({"keys": [LI.model_dump()]}).encode())
    with pytest.raises(MalformedError, match=r"keys\.0\.x"):
        parse_key_set(json.dumps({"keys": [LI.public().model_dump() | {"x": "AAAA"}]}).encode())


def test_the_private_half_stays_out_of_sight():
    """Neither the public key nor any repr shows the private half; halves must match."""
    assert LI.d not in repr(LI)
    assert "d" not in LI.public().model_dump()
    with pytest.raises(ValueError, match="not the public key of d"):
        PrivateKey(**LI.model_dump() | {"x": WANG.x})


def test_a_key_counts_once_whatever_it_is_called():
    """One key under two names would be two persons; one key has one text, too."""
    twin = LI.public().model_copy(update={"kid": "twin", "name": "Somebody else"})
    with pytest.raises(ValueError, match="'li' and 'twin' are the same key"):
        KeySet(keys=(LI.public(), twin))
    for odd in (LI.x[:-1] + chr(ord(LI.x[-1]) + 1), LI.x[:9] + "$" + LI.x[9:]):
        with pytest.raises(ValueError, match="32 bytes"):
            OperatorKey(**LI.public().model_dump() | {"x": odd})


@pytest.mark.parametrize(
    "name", ["王\u200b伟", "王伟\ufe00", "\u2060王\u00ad伟", "王伟\u3164", " 王伟\x7f", "王伟"]
)
def test_what_looks_the_same_is_the_same_person(name: str):
    """Signs that nobody sees do not make two persons of one."""
    assert make_key("a", name=name).person == "王伟"


def test_different_people_stay_different():
    """What can be seen counts, but for case and width."""
    names = ["王伟", "王 伟", "王纬", "Li Wei", "Li Wéi"]
    assert len({make_key("a", name=name).person for name in names}) == len(names)
    assert make_key("a", name="\uff2c\uff29  WEI").person == make_key("a", name="li wei").person
