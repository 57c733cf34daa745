"""What identity cards say."""

import contextlib
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.id_card.errors import CardTextError
from agent.id_card.text import day_of, parse_text
from tests.support.card_reader import NUMBER, fields, resident
from tests.support.clock import ManualClock

TODAY = date(2026, 11, 1)


def foreigner_2017(number: str = "KAZ110090123105") -> bytes:
    return fields(
        ("YANGBEN, ZHENGJIAN", 120),
        ("1", 2),
        (number, 30),
        ("KAZ", 6),
        ("证件样本", 30),
        ("20170616", 16),
        ("20270615", 16),
        ("19901231", 16),
        ("01", 4),
        ("1100", 8),
        kind="I",
    )


def foreigner_2023(latin: str = "ZHENGJIAN, YANGBEN") -> bytes:
    return fields(
        ("证件样本", 30),
        ("2", 2),
        ("00", 4),
        ("19800101", 16),
        (latin[:35], 70),
        ("931586198001010028", 36),
        ("", 30),
        ("20230808", 16),
        ("20330807", 16),
        (latin[35:], 22),
        ("PAK", 6),
        kind="Y",
    )


def test_a_residents_card_is_read():
    """Every field, without the spaces that fill it."""
    card = parse_text(resident())
    assert (card.kind, card.name, card.sex, card.nation) == ("resident", "张三", "female", "汉")
    assert card.birth == date(1949, 12, 31)
    assert card.address == "北京市朝阳区某街1号"
    assert (card.number, card.issuer) == (NUMBER, "北京市公安局朝阳分局")
    assert (card.valid_from, card.valid_until) == (date(2016, 8, 1), date(2036, 8, 1))
    assert card.problems(TODAY) == ()


def test_a_residence_permit_has_a_pass_number_and_no_nation():
    """People from Hong Kong, Macau and Taiwan: the letter J."""
    card = parse_text(
        resident(
            kind="J",
            nation="",
            birth="19940823",
            number="810000199408230021",
            pass_number="H12345678",
        )
    )
    assert (card.kind, card.nation, card.pass_number) == ("hk_macau_taiwan", "", "H12345678")
    assert card.problems(TODAY) == ()


def test_a_foreigners_card_of_2017_is_read():
    """The letter I: another layout, a number of 15 characters."""
    card = parse_text(foreigner_2017())
    assert (card.kind, card.name, card.name_latin) == (
        "foreigner",
        "证件样本",
        "YANGBEN, ZHENGJIAN",
    )
    assert (card.sex, card.nation, card.number) == ("male", "KAZ", "KAZ110090123105")
    assert card.birth == date(1990, 12, 31)
    assert card.problems(TODAY) == ()
    assert parse_text(foreigner_2017("KAZ110090113005")).problems(TODAY) == ("birth_differs",)


@pytest.mark.parametrize("latin", ["ZHENGJIAN, YANGBEN", "A" * 34 + " " + "B" * 11])
def test_a_foreigners_card_of_2023_is_read(latin):
    """The letter Y: the layout of a resident's card; a long name goes on in a second field."""
    card = parse_text(foreigner_2023(latin))
    assert (card.kind, card.name, card.name_latin) == ("foreigner", "证件样本", latin)
    assert (card.sex, card.nation, card.number) == ("female", "PAK", "931586198001010028")
    assert card.problems(TODAY) == ()


@pytest.mark.parametrize(
    ("code", "nation"),
    [("01", "汉"), ("56", "基诺"), ("97", "其他"), ("57", ""), ("00", ""), ("x", "")],
)
def test_nations_have_codes(code, nation):
    """GB/T 3304; a code without a nation is no error."""
    assert parse_text(resident(nation=code)).nation == nation


@pytest.mark.parametrize(
    ("since", "until", "today", "validity"),
    [
        ("20160801", "20360801", date(2016, 8, 1), "valid"),
        ("20160801", "20360801", date(2036, 8, 1), "valid"),
        ("20160801", "20360801", date(2036, 8, 2), "expired"),
        ("20160801", "20360801", date(2016, 7, 31), "not_yet_valid"),
        ("20160801", "长期", date(2199, 1, 1), "valid"),
        ("20160801", "长期", date(2016, 7, 31), "not_yet_valid"),
        ("20160801", "20360801", None, "unknown"),
        ("20160801", "20361301", TODAY, "unreadable"),
        ("", "长期", TODAY, "unreadable"),
    ],
)
def test_a_card_is_valid_from_its_first_to_its_last_day(since, until, today, validity):
    """Both included; a clock that is not synchronised cannot tell."""
    assert parse_text(resident(since=since, until=until)).validity(today) == validity


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"number": "110105194912310021"}, ("check_digit",)),
        ({"number": "1101051949"}, ("number_form",)),
        ({"birth": "19491230"}, ("birth_differs",)),
        ({"birth": "19491232"}, ("birth_unreadable",)),
        ({"until": "20260801"}, ("expired",)),
        ({"since": "20260801", "until": "1"}, ("validity_unreadable",)),
        ({"number": NUMBER[:-1] + "0", "until": "20260801"}, ("check_digit", "expired")),
    ],
)
def test_what_is_wrong_with_a_card_is_said(changes, problems):
    """A card is handed on with its problems: what to do about them is its reader's business."""
    assert parse_text(resident(**changes)).problems(TODAY) == problems


def test_without_a_day_validity_is_not_known():
    """An unsynchronised clock is a problem of its own."""
    assert parse_text(resident()).problems(None) == ("validity_unknown",)


def test_days_are_counted_in_china_and_by_a_right_clock():
    """Midnight in Beijing is 16:00 UTC; an unsynchronised clock has no day."""
    stamp = ManualClock().stamp()
    evening = replace(stamp, time=datetime(2026, 11, 1, 16, 0, tzinfo=UTC))
    assert (day_of(stamp), day_of(evening)) == (date(2026, 11, 1), date(2026, 11, 2))
    assert day_of(ManualClock(quality="unsynced").stamp()) is None


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "card_unreadable"),
        (bytes(255), "card_unreadable"),
        (b"\0\xd8" * 128, "card_unreadable"),
        (fields(kind="Q"), "card_unsupported"),
    ],
)
def test_what_is_no_card_or_an_unknown_one_is_refused(content, code):
    """Clearly, and without a word of it."""
    with pytest.raises(CardTextError) as caught:
        parse_text(content)
    assert caught.value.code == code


@given(
    st.binary(min_size=248, max_size=248),
    st.sampled_from([" ", "\0", "J", "I", "Y", "?"]),
    st.one_of(st.none(), st.dates()),
)
def test_any_256_bytes_are_a_card_or_refused(content, kind, today):
    """Nothing that a card says makes anything else of it."""
    with contextlib.suppress(CardTextError):
        parse_text(content + kind.encode("utf-16-le") + bytes(6)).problems(today)


def test_a_card_is_not_shown_by_chance():
    """Neither by repr nor by str."""
    card = parse_text(resident())
    for word in (card.name, card.number, card.address, "1949"):
        assert word not in repr(card) + str(card)
