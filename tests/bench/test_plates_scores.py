import pytest

from bench.plates import scores
from bench.plates.scores import Frame, Labelled, Read
from tests.support.plates import plate, reading

READS = [
    Read("京A12345", "京A12345", 0.99, "blue"),
    Read("京A12345", "京A1234S", 0.95, "blue"),
    Read("粤B12345", "鄂B12345", 0.60, "yellow"),
    Read("皖A12345", "皖A1245", 0.55, "yellow"),
    Read("苏E00000", "", 0.0, "yellow"),
]


def frame(*plates, main="京A12345"):
    labels = (
        Labelled(main, "blue", main=True, box=(300, 300, 100, 30)),
        Labelled("沪C11111", "yellow", main=False, box=None),
    )
    return Frame("a.jpg", labels, plates)


def test_shares_count_whole_plates():
    """Exactly right, right after the province, and by group."""
    assert scores.exact_share(READS) == pytest.approx(0.2)
    assert scores.serial_share(READS) == pytest.approx(0.4)
    groups = scores.shares_by(READS, lambda read: read.group)
    assert list(groups.items()) == [("yellow", (0.0, 3)), ("blue", (0.5, 2))]
    assert scores.exact_share([]) == 0.0


def test_confusions_tell_what_was_read_for_what():
    """A lost character is one that was read as nothing; unread plates confuse nothing."""
    assert sorted(scores.confusions(READS)) == [("3", "", 1), ("5", "S", 1), ("粤", "鄂", 1)]


def test_calibration_compares_what_is_said_with_what_is_so():
    """Of the sure ones so many are right; the mean distance over all bins."""
    assert scores.surely_right(READS) == (0.5, 2)
    assert scores.calibration_error([Read("A", "A", 1.0)]) == 0.0
    assert scores.calibration_error([Read("A", "B", 1.0)]) == 1.0
    rows = scores.calibration(READS)
    assert sum(count for *_, count in rows) == 4


def test_a_main_plate_is_found_by_its_text_or_at_its_place():
    """What was read at its place counts as read of it."""
    right = frame(plate(reading("沪C11111"), 800), plate(reading("京A12345"), 300))
    wrong = frame(plate(reading("京A1234S"), 310))
    away = frame(plate(reading("川Z99999"), 900))
    frames = [right, wrong, away, frame()]
    texts = [read.text for read in scores.main_reads(frames)]
    assert texts == ["京A12345", "京A1234S", "", ""]
    assert scores.found_share(frames) == 0.5


def test_invented_is_what_is_readable_where_no_plate_is_labelled():
    """An unreadable find invents nothing, nor does a plate that nobody marked but named."""
    other, known = plate(reading("川Z99999"), 900), plate(reading("沪C11111"), 900)
    unsure = plate(reading("川Z99999", 0.5), 900)
    assert scores.invented_share([frame(known), frame(unsure)], 0.6) == 0.0
    assert scores.invented_share([frame(other), frame(known)], 0.6) == 0.5
