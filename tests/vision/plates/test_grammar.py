"""The grammar names kinds; it never changes a text."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.plates.alphabet import CHARACTERS, DIGITS, LETTERS, MAX_LENGTH, PROVINCES
from vision.plates.grammar import Verdict, judge, normalise
from vision.plates.plate import COLOURS

TABLE = [
    # text, colour, rows, kind, code
    ("京A12345", "blue", 1, "civil", "02"),
    ("皖AD2345", "blue", 1, "civil", "02"),
    ("冀HWJ991", "blue", 1, "civil", "02"),
    ("沪C7WJ65", "blue", 1, "civil", "02"),
    ("粤B1234Z", "yellow", 2, "civil", "01"),
    ("粤Z12345", "blue", 1, "civil", "02"),
    ("沪AD12345", "green", 1, "nev_small", "52"),
    ("沪AFA2345", "green", 1, "nev_small", "52"),
    ("粤B12345D", "yellow_green", 1, "nev_large", "51"),
    ("鲁H1234挂", "yellow", 2, "trailer", "15"),
    ("渝B3587学", "yellow", 1, "coach", "16"),
    ("京A1234警", "white", 1, "police", "23"),
    ("京O1234警", "white", 1, "police", "23"),
    ("粤Z1A34港", "black", 1, "hk", "26"),
    ("粤Z1A34澳", "black", 1, "macau", "27"),
    ("224578使", "black", 1, "embassy", "03"),
    ("使224578", "black", 1, "embassy", "03"),
    ("沪A1234领", "black", 1, "consulate", "04"),
    ("沪12345领", "black", 1, "consulate", "04"),
    ("京X1234应急", "white", 1, "emergency", "99"),
    ("京12345应急", "white", 1, "emergency", "99"),
    ("应急京123X", "white", 1, "emergency", "99"),
    ("WJ京12345", "white", 1, "wj", "31"),
    ("WJ京1234T", "white", 2, "wj", "31"),
    ("WJ12345", "white", 1, "wj", "31"),
    ("VA12345", "white", 2, "military", "32"),
    ("民航A1234", "green", 1, "aviation", "99"),
]
NOT_OF_THE_NORM = [
    "",
    "京",
    "京A1234",
    "京A123456",
    "京I12345",
    "京A1234O",
    "京ABCD12",
    "京OD1234",
    "沪AL12345",
    "沪A12345L",
    "粤A1234港",
    "粤Z1234使",
    "WJ京123456",
    "WJ京1234A",
    "C00D",
    "AUDIA8L",
    "京A12345\n",
    "京A\uff1112345",
]


@pytest.mark.parametrize(("text", "colour", "rows", "kind", "code"), TABLE)
def test_kinds_and_their_codes(text, colour, rows, kind, code):
    """Each form of the norm has its kind and the police's code, and no doubt in its own colour."""
    assert judge(text, colour, rows) == Verdict(kind, code, ())
    assert judge(text, colour, rows).well_formed


@pytest.mark.parametrize("text", NOT_OF_THE_NORM)
def test_all_else_is_other(text):
    """What has no form of the norm is of class 99, without doubts: nothing contradicts it."""
    assert judge(text, "blue", 2) == Verdict("other", "99")
    assert not judge(text).well_formed


def test_armed_police_come_before_the_military():
    """WJ and five digits is theirs, though two letters and five digits are the forces'."""
    assert (judge("WJ12345").kind, judge("WK12345").kind) == ("wj", "military")


@pytest.mark.parametrize(
    ("text", "colour", "rows", "doubts"),
    [
        ("京A12345", "green", 1, ("colour",)),
        ("京A12345", "black", 1, ("colour",)),
        ("沪AD12345", "blue", 1, ("colour",)),
        ("沪AD12345", "yellow_green", 2, ("colour", "rows")),
        ("粤B12345D", "green", 1, ("colour",)),
        ("鲁H1234挂", "yellow", 1, ("rows",)),
        ("粤Z1A34港", "black", 2, ("rows",)),
        ("VA12345", "white", None, ()),
        ("VA12345", None, None, ()),
    ],
)
def test_contradictions_are_doubts(text, colour, rows, doubts):
    """A colour or number of rows that the kind does not have is named, and the kind stays."""
    verdict = judge(text, colour, rows)
    assert verdict.doubts == doubts
    assert verdict.kind == judge(text).kind


@pytest.mark.parametrize("colour", [None, "white", "green"])
def test_size_is_not_guessed(colour):
    """Without its colour a civil plate is neither large nor small."""
    assert judge("京A12345", colour).code == "99"


@pytest.mark.parametrize("text", ["WJ京12345", "VA12345", "224578使", "沪A1234领"])
def test_sensitive_kinds(text):
    """Plates of the forces and of foreign missions can be told from the rest."""
    assert judge(text).sensitive
    assert not judge("京A1234警").sensitive


@pytest.mark.parametrize(
    "text",
    ["京A·12345", " 京a 12345 ", "京A•1234.5", "京\uff21\uff0d1234\uff15", "京\u3000A.123-45"],
)
def test_one_way_to_write_a_plate(text):
    """Width, case, spaces and separators make no difference."""
    assert normalise(text) == "京A12345"


provinces, letters, digits = (st.sampled_from(each) for each in (PROVINCES, LETTERS, DIGITS))
alphanumerics = letters | digits
energies = st.sampled_from("ABCDEFGHJK")


def texts(*parts):
    """Join parts; a number repeats the part before it."""
    joined = []
    for part in parts:
        if isinstance(part, int):
            joined[-1] = st.text(joined[-1], min_size=part, max_size=part)
        else:
            joined.append(st.just(part) if isinstance(part, str) else part)
    return st.tuples(*joined).map("".join)


@st.composite
def serials(draw):
    """Five characters, at most two of them letters, anywhere."""
    serial = list(draw(texts(digits, 5)))
    for place in draw(st.sets(st.integers(0, 4), max_size=2)):
        serial[place] = draw(letters)
    return "".join(serial)


FORMS = {
    "civil": texts(provinces, letters, serials()),
    "nev_small": texts(provinces, letters, energies, alphanumerics, digits, 4),
    "nev_large": texts(provinces, letters, digits, 5, energies),
    "trailer": texts(provinces, letters, alphanumerics, 4, "挂"),
    "coach": texts(provinces, letters, alphanumerics, 4, "学"),
    "police": texts(provinces, letters | st.just("O"), alphanumerics, 4, "警"),
    "hk": texts("粤Z", alphanumerics, 4, "港"),
    "macau": texts("粤Z", alphanumerics, 4, "澳"),
    "embassy": texts(digits, 6, "使") | texts("使", digits, 6),
    "consulate": texts(provinces, alphanumerics, digits, 4, "领"),
    "emergency": texts(provinces, st.sampled_from("XS") | digits, digits, 4, "应急")
    | texts("应急", provinces, digits, 3, st.sampled_from("XS")),
    "wj": texts("WJ", provinces | st.just(""), digits, 4, st.sampled_from(DIGITS + "TDSHBXJ")),
    "military": texts(letters, 2, digits, 5).filter(lambda text: not text.startswith("WJ")),
    "aviation": texts("民航", alphanumerics, 5),
}


@pytest.mark.parametrize("kind", FORMS)
@given(data=st.data())
def test_every_plate_of_a_kind_is_of_it(kind, data):
    """Whatever the form allows is of its kind, and no separator or width changes that."""
    text = data.draw(FORMS[kind])
    assert len(text) <= MAX_LENGTH
    assert judge(text).kind == kind
    assert judge(normalise(" ".join(text.lower()))).kind == kind


@pytest.mark.parametrize("kind", FORMS)
@given(data=st.data())
def test_a_lost_last_character_is_noticed_or_another_kind(kind, data):
    """A text cut short is never of the kind it was, save where the kind has both lengths."""
    text = data.draw(FORMS[kind])
    assert judge(text[:-1]).kind != kind


@given(st.text(CHARACTERS, max_size=MAX_LENGTH), st.sampled_from(COLOURS), st.sampled_from((1, 2)))
def test_verdict_is_consistent(text, colour, rows):
    """Whatever is read gets a code of two digits, and the text alone decides the kind."""
    verdict = judge(text, colour, rows)
    assert verdict.kind == judge(text).kind
    assert len(verdict.code) == 2
    assert verdict.well_formed or not verdict.doubts


@given(st.text(max_size=20))
def test_any_text_is_judged(text):
    """No text raises an error, whatever is in it."""
    assert judge(normalise(text)).code


def test_grammar_is_light():
    """The agent judges texts without loading what reads pictures."""
    code = (
        "import sys, vision.plates.grammar, vision.plates.passage\n"
        "print(*{'cv2', 'numpy', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
