"""Numbers of identity documents."""

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.id_card.citizen_number import CitizenNumber, ForeignerNumber2017, check_digit
from agent.id_card.errors import NumberError

TODAY = date(2026, 11, 1)
NUMBER = "11010519491231002X"
REGIONS = st.sampled_from(["110105", "440524", "659001", "810000", "820000", "830000", "931586"])


@st.composite
def numbers(draw: st.DrawFn) -> str:
    birth = draw(st.dates(date(1900, 1, 1), TODAY))
    digits = f"{draw(REGIONS)}{birth:%Y%m%d}{draw(st.integers(0, 999)):03}"
    return digits + check_digit(digits)


def code_of(text: str, today: date | None = TODAY) -> str:
    with pytest.raises(NumberError) as caught:
        CitizenNumber.parse(text, today)
    return caught.value.code


@pytest.mark.parametrize(
    ("text", "birth", "sex", "region", "holder"),
    [
        (NUMBER, date(1949, 12, 31), "female", "110105", "citizen"),
        ("440524188001010014", date(1880, 1, 1), "male", "440524", "citizen"),
        ("931586198001010028", date(1980, 1, 1), "female", "931586", "foreigner"),
        ("810000199408230021", date(1994, 8, 23), "female", "810000", "hong_kong"),
    ],
)
def test_a_number_tells_birth_sex_and_region(text, birth, sex, region, holder):
    """The examples of GB 11643, and permits in the same form."""
    number = CitizenNumber.parse(text, TODAY)
    assert (number.birth, number.sex, number.region) == (birth, sex, region)
    assert number.holder == holder


@given(numbers())
def test_every_number_that_keeps_the_rules_verifies(text):
    """Verified with or without a day, and with a small x and spaces around it."""
    number = CitizenNumber.parse(text, TODAY)
    assert CitizenNumber.parse(f" {text.lower()} ", None) == number
    assert number.value == text
    assert number.is_of(number.birth)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("110105194912310021", "check_digit"),
        ("11010519490231002X", "number_birth"),
        ("11010500001231002X", "number_birth"),
        ("00010519491231002X", "number_region"),
        ("81010519491231002X", "number_region"),
        ("1101051949123100X2", "number_form"),
        ("110105491231002", "number_form"),
        ("1101051949123100\N{FULLWIDTH DIGIT TWO}X", "number_form"),
        ("", "number_form"),
    ],
)
def test_what_breaks_a_rule_is_named_and_not_quoted(text, code):
    """Each rule has a code of its own; the error's text has no digit of the number."""
    with pytest.raises(NumberError) as caught:
        CitizenNumber.parse(text, TODAY)
    assert caught.value.code == code
    assert not text or text not in str(caught.value)


def test_nobody_is_born_tomorrow():
    """A birth after today is wrong, today's is not; without a day there is no such rule."""
    number = "11010520261102001"
    number += check_digit(number)
    assert code_of(number) == "number_future"
    assert CitizenNumber.parse(number, date(2026, 11, 2)).birth == date(2026, 11, 2)
    assert CitizenNumber.parse(number, None).sex == "male"


def test_the_check_digit_notices_any_single_error_and_any_swap_of_neighbours():
    """The proof: 11 is prime, no weight and no difference of neighbours' weights is 0 modulo 11.

    With the check character's weight of 1 a number is right where its weighted sum is 1. One
    character changed by d changes the sum by weight times d, two neighbours swapped by the
    difference of their weights times that of the characters; d is never a multiple of 11.
    """
    weights = [pow(2, 17 - place, 11) for place in range(18)]
    differences = [a - b for a, b in pairwise(weights)]
    for factor in weights + differences:
        assert all(factor * d % 11 for d in range(-10, 11) if d)
    values = [*map(int, NUMBER[:17]), 10]
    assert sum(a * b for a, b in zip(values, weights, strict=True)) % 11 == 1


@given(numbers(), st.integers(0, 17), st.sampled_from("0123456789X"))
def test_any_other_digit_in_one_place_is_noticed(text, place, other):
    """Whatever rule it is that says so."""
    changed = text[:place] + other + text[place + 1 :]
    if changed != text:
        code_of(changed)


@given(numbers(), st.integers(0, 16))
def test_two_neighbours_swapped_are_noticed(text, place):
    """Whatever rule it is that says so."""
    changed = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    if changed != text:
        code_of(changed)


def test_a_foreigners_old_number_is_verified_as_far_as_its_rule_is_known():
    """Three letters and 12 digits, a date that can be one; the century is not in it."""
    number = ForeignerNumber2017.parse("kaz110090123105")
    assert (number.country, number.region) == ("KAZ", "1100")
    assert number.is_of(date(1990, 12, 31))
    assert not number.is_of(date(1990, 12, 30))
    for wrong in ("KAZ110090133105", "KA1110090123105", "KAZ11009012310"):
        with pytest.raises(NumberError):
            ForeignerNumber2017.parse(wrong)


def test_a_number_is_not_shown_by_chance():
    """Neither by repr nor by str."""
    for number in (
        CitizenNumber.parse(NUMBER, TODAY),
        ForeignerNumber2017.parse("KAZ110090123105"),
    ):
        assert number.value[3:] not in repr(number) + str(number)
