import pytest

from bench.soak.numbers import SILENCE_S, Numbers


def came(*numbers: int) -> Numbers:
    known = Numbers()
    for number in numbers:
        known.take(number, f"id-{number}", 0.0)
    return known


def test_all_that_came_in_any_order_misses_nothing():
    known = came(3, 1, 2)
    assert (known.highest, known.missing, known.unadmitted()) == (3, 0, [])
    assert known.watermark(0.0) == 3


def test_a_repeated_message_is_no_news():
    known = came(1)
    assert not known.take(1, "id-1", 1.0)


def test_two_messages_with_one_number_are_an_error():
    with pytest.raises(ValueError, match="number 1 stands on two messages: id-1 and other"):
        came(1).take(1, "other", 0.0)


def test_a_hole_that_nobody_admits_is_missing_and_stops_the_watermark():
    known = came(1, 2, 4)
    assert known.unadmitted() == [3]
    assert known.watermark(1e9) == 2


def test_an_admitted_hole_is_not_missing_and_passed_by():
    known = came(1, 2, 5)
    known.admit(3, 4, 2, 0.0)
    assert known.unadmitted() == []
    assert (known.admitted, known.missing) == (2, 2)
    assert known.watermark(0.0) == 5


def test_the_others_of_an_admitted_range_are_waited_for():
    """Two of 2 to 5 are lost, and three are missing: one of them is still on its way."""
    known = came(1, 3, 6)
    known.admit(2, 5, 2, 0.0)
    assert known.unadmitted() == [5]
    assert known.watermark(1e9) == 1
    known.take(5, "id-5", 1.0)
    assert known.unadmitted() == []
    assert known.watermark(1.0) == 6


def test_losses_of_one_range_add_up():
    known = came(1, 6)
    known.admit(2, 4, 3, 0.0)
    known.admit(3, 5, 1, 0.0)
    assert known.unadmitted() == []
    assert known.watermark(0.0) == 6


def test_where_nobody_knows_how_many_silence_decides():
    known = came(1, 4)
    known.admit(1, 3, None, 0.0)
    known.take(3, "id-3", 10.0)
    assert known.unadmitted() == []
    assert known.watermark(SILENCE_S) == 1
    assert known.watermark(10.0 + SILENCE_S) == 4


def test_the_watermark_never_passes_what_came():
    known = came(1)
    known.admit(2, 10, 9, 0.0)
    assert known.watermark(0.0) == 1
