"""One passage a vehicle, however its plate is misread, missed or repeated."""

import gc
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.plates import plate, reading
from vision.plates.passage import PassageRules, Passages

SIZE = (1920, 1080)
FRAME_S = 0.2
TRUE, OTHER = "皖A12345", "苏EB6789"


def drive(passages, frames, *, begin=0.0):
    """Feed frames (lists of plates), five a second; return what was reported."""
    reported = []
    for index, plates in enumerate(frames):
        reported += passages.update(plates, begin + index * FRAME_S, SIZE)
    return reported


def drive_by(texts, *, start=200.0, step=40.0, y=300.0, confidence=0.95):
    """Make frames of one plate that moves; None is a frame that misses it."""
    return [
        [] if text is None else [plate(reading(text, confidence), start + index * step, y)]
        for index, text in enumerate(texts)
    ]


def events(frames, rules=None):
    """Return all passages of some frames, the camera's end included."""
    passages = Passages(rules)
    return drive(passages, frames) + passages.flush()


def nothing(seconds):
    return [[]] * round(seconds / FRAME_S)


def both(first, second):
    """Lay two vehicles' frames over each other."""
    return [a + b for a, b in zip(first, second, strict=True)]


def test_one_vehicle_is_one_passage():
    """A vehicle that passes is reported once, with its times, size and what was read."""
    reported = drive(Passages(), [*nothing(1), *drive_by([TRUE] * 10), *nothing(6)])
    (passage,) = reported
    assert (passage.text, passage.legible, passage.gone) == (TRUE, True, True)
    assert (passage.begin_s, passage.end_s) == pytest.approx((1.0, 2.8))
    assert (passage.frames, passage.width_px) == (10, 100)
    assert passage.views <= PassageRules().max_views
    assert (passage.verdict.kind, passage.verdict.code) == ("civil", "02")
    assert passage.doubtful == ()


@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("wrong", ["皖A12B45", "皖D1Z8A5", "苏EB6789", "皖A1234", "A12345", ""])
def test_wrong_single_frame(at, wrong):
    """One misread frame, wherever it comes and however sure it is, changes nothing."""
    texts = [TRUE] * 8
    texts[at] = wrong
    assert [p.text for p in events(drive_by(texts))] == [TRUE]


@pytest.mark.parametrize("missing", [range(1, 2), range(2, 6), range(1, 8, 2), range(1, 7)])
def test_missing_frames(missing):
    """A plate that is not found for some frames is still one vehicle's."""
    texts = [None if index in missing else TRUE for index in range(9)]
    assert [p.text for p in events(drive_by(texts))] == [TRUE]


def test_broken_track_is_joined_by_its_text():
    """Hidden for three seconds and seen again elsewhere, one character off, it is the same."""
    frames = [*drive_by([TRUE] * 4), *nothing(3), *drive_by(["皖A12B45", TRUE, TRUE], start=1500)]
    (passage,) = events(frames)
    assert (passage.text, passage.frames) == (TRUE, 7)


def test_track_is_joined_also_when_it_is_read_late():
    """Half hidden at first, a plate that comes out again is recognised when it can be read."""
    later = drive_by([TRUE] * 5, start=1200)
    for frame in later[:2]:
        frame[0] = plate(reading("A1", 0.5), frame[0].detection.corners[0][0] + 50)
    (passage,) = events([*drive_by([TRUE] * 4), *nothing(2), *later])
    assert (passage.number, passage.text) == (1, TRUE)


def test_two_vehicles_at_once():
    """Two vehicles in one picture are two passages, also when they cross."""
    frames = both(
        drive_by([TRUE] * 20, step=60), drive_by([OTHER] * 20, start=1400, step=-60, y=340)
    )
    assert sorted(p.text for p in events(frames)) == sorted([TRUE, OTHER])


def test_twins_at_once():
    """Two plates that differ by one character are told apart while both are seen."""
    twin = "皖A12346"
    frames = both(drive_by([TRUE] * 10), drive_by([twin] * 10, start=900, y=500))
    assert sorted(p.text for p in events(frames)) == [TRUE, twin]


@pytest.mark.parametrize("pause", [0, 0.4, 1.2, 3])
def test_one_behind_another(pause):
    """A vehicle that follows on the same way is another one."""
    frames = [*drive_by([TRUE] * 8), *nothing(pause), *drive_by([OTHER] * 8)]
    assert [p.text for p in events(frames)] == [TRUE, OTHER]


def test_another_vehicle_at_the_very_place():
    """Another text at the same place is a misreading, until it stays."""
    frames = drive_by([TRUE] * 6 + [OTHER] * 6, step=0)
    assert [p.text for p in events(frames)] == [TRUE, OTHER]


def test_returning_vehicle_is_a_new_passage():
    """The same vehicle some time later is another passage."""
    frames = [*drive_by([TRUE] * 6), *nothing(6), *drive_by([TRUE] * 6), *nothing(6)]
    passages = Passages()
    assert [p.text for p in drive(passages, frames)] == [TRUE, TRUE]
    assert passages.flush() == []


def test_parked_vehicle_is_reported_once():
    """One that stands for long is reported after its time, and never again while it stands."""
    passages = Passages()
    frames = drive_by([TRUE] * 5_000, step=0)
    early = drive(passages, frames[:99])
    assert early == []
    (passage,) = drive(passages, frames[99:], begin=99 * FRAME_S)
    assert (passage.text, passage.gone) == (TRUE, False)
    assert passage.end_s == pytest.approx(20, abs=FRAME_S)
    assert drive(passages, nothing(60), begin=1000) + passages.flush() == []


def test_people_before_a_parked_vehicle():
    """Hidden for a while, a parked vehicle that was reported is not reported again."""
    standing = drive_by([TRUE] * 150, step=0)
    frames = [*standing, *nothing(20), *standing, *nothing(20), *standing]
    assert [p.text for p in events(frames)] == [TRUE]


def test_next_vehicle_at_a_parked_ones_place():
    """Who stops where a reported vehicle stood is reported, even if badly read at first."""
    arriving = drive_by(["苏E"] * 3 + [OTHER] * 20, step=0)
    frames = [*drive_by([TRUE] * 150, step=0), *nothing(8), *arriving]
    assert [p.text for p in events(frames)] == [TRUE, OTHER]


@pytest.mark.parametrize(
    ("text", "confidence"), [("C00D", 0.99), ("88", 0.9), ("", 0.9), (TRUE, 0.4), ("PARKING1", 0.5)]
)
def test_badges_and_sign_boards_are_nothing(text, confidence):
    """What never shows five legible characters is not reported, however long it hangs there."""
    assert events(drive_by([text] * 300, step=0, confidence=confidence)) == []


def test_unreadable_plate_tells_what_is_known():
    """One doubtful character makes a plate unreadable: its text is not told, the rest is."""
    doubtful = reading(TRUE, 0.95, doubtful={3: 0.55}, colour="yellow", rows=2)
    (passage,) = events([[plate(doubtful, 200 + 40 * index)] for index in range(10)])
    assert not passage.legible
    assert (passage.text, passage.known, passage.doubtful) == ("", "皖A1?345", (3,))
    assert (passage.reading.colour, passage.reading.rows, passage.width_px) == ("yellow", 2, 100)


def test_doubtful_length_is_unreadable():
    """If a character may be lost, the text is not told."""
    (passage,) = events(
        [[plate(reading(TRUE, absence=0.5), 200 + 40 * index)] for index in range(3)]
    )
    assert (passage.text, passage.doubtful) == ("", (7,))


@pytest.mark.parametrize(("confidence", "text"), [(0.9, ""), (0.97, TRUE)])
def test_single_view_must_be_very_sure(confidence, text):
    """What only one frame saw counts if every character is very sure."""
    (passage,) = events(drive_by([TRUE], confidence=confidence))
    assert (passage.text, passage.views) == (text, 1)


def test_views_that_disagree_are_unreadable():
    """Two frames with two texts give neither of them."""
    (passage,) = events(drive_by([TRUE, "皖A12346"], confidence=0.9))
    assert not passage.legible


def test_grammar_never_drops_a_read():
    """A clear text of no known form is reported as it is."""
    (passage,) = events(drive_by(["皖AI2345"] * 5))
    assert (passage.text, passage.verdict.kind) == ("皖AI2345", "other")


def test_plate_cut_by_the_edge_is_not_read():
    """While it enters and leaves the picture a plate's text is cut: those frames do not count."""
    entering = [[plate(reading("345", 0.99), 10)], [plate(reading("A12345", 0.99), 40)]]
    (passage,) = events([*entering, *drive_by([TRUE] * 6, start=80)])
    assert (passage.text, passage.frames, passage.views) == (TRUE, 8, 6)
    assert events(entering) == []


def test_best_views_are_kept():
    """Later and nearer views replace small ones, and the best one's corners are told."""
    far = [[plate(reading("皖A12845", 0.85), 500 + i, width=40)] for i in range(30)]
    near = [[plate(reading(TRUE), 530 + i, width=75)] for i in range(4)]
    nearer = [[plate(reading(TRUE), 534 + i, width=140)] for i in range(6)]
    (passage,) = events([*far, *near, *nearer])
    assert (passage.text, passage.views, passage.width_px) == (TRUE, 8, 140)
    assert passage.best[1][0] - passage.best[0][0] == 140


def test_alarm_does_not_wait_for_the_end():
    """A text is told as soon as it is legible, once, with the number of its later passage."""
    passages = Passages()
    told = []
    reported = []
    for index, plates in enumerate(drive_by([TRUE] * 10)):
        reported += passages.update(plates, index * FRAME_S, SIZE)
        told += [(index, passage.number, passage.text) for passage in passages.confident()]
    assert told == [(0, 1, TRUE)]
    assert [p.number for p in reported + passages.flush()] == [1]


def test_alarm_waits_for_a_second_view():
    """A text that one frame alone is not sure of is told when another one confirms it."""
    passages = Passages()
    first, second = drive_by([TRUE, TRUE], confidence=0.9)
    passages.update(first, 0, SIZE)
    assert passages.confident() == []
    passages.update(second, FRAME_S, SIZE)
    assert [p.text for p in passages.confident()] == [TRUE]


def test_live_view_shows_what_is_there_now():
    """The current passages have the newest corners, and go when the plate is gone."""
    passages = Passages()
    drive(passages, drive_by([TRUE] * 3))
    (passage,) = passages.current()
    assert (passage.text, passage.gone) == (TRUE, False)
    assert passage.last[0][0] == 230
    passages.update([], 3, SIZE)
    assert passages.current() == []


def test_number_of_tracks_is_bounded():
    """More plates than can be followed end the oldest, which is reported then."""
    passages = Passages(PassageRules(max_tracks=2))
    drive(passages, [[plate(reading(TRUE), 300)], [plate(reading(OTHER), 900)]])
    third, fourth = plate(reading("浙C55555"), 1500), plate(reading("京D77777"), 1500, 800)
    assert [p.text for p in passages.update([third], 0.4, SIZE)] == [TRUE]
    assert [p.text for p in passages.update([third, fourth], 0.6, SIZE)] == [OTHER]
    assert sorted(p.text for p in passages.flush()) == ["京D77777", "浙C55555"]


def test_memory_is_flat():
    """Ten thousand frames of parked, passing and never legible plates leave nothing behind."""
    passages = Passages()
    parked, board = plate(reading(TRUE), 300, 900), plate(reading("C00D"), 900, 100)

    def run(begin, end):
        for index in range(begin, end):
            text = f"苏E{index // 10 * 97 % 100_000:05}"
            passing = plate(reading(text), 200 + index % 10 * 150)
            passages.update([parked, board, passing], index * FRAME_S, SIZE)
            passages.confident()

    def blocks():
        gc.collect()
        return sys.getallocatedblocks()

    run(0, 1000)
    before = blocks()
    run(1000, 10_000)
    assert blocks() - before < 500


sightings = st.builds(
    lambda text, confidence, x, width: plate(reading(text, confidence), x, width=width),
    st.sampled_from([TRUE, OTHER, "皖A1234", "", "皖A12346"]),
    st.floats(0, 1),
    st.floats(-50, 2000),
    st.floats(0, 400),
)


@given(st.lists(st.tuples(st.lists(sightings, max_size=4), st.floats(0, 30)), max_size=30))
def test_any_frames(frames):
    """Whatever is found, no passage is reported twice, and none ends before it began."""
    passages = Passages(PassageRules(max_tracks=3, max_views=2))
    now, reported = 0.0, []
    for plates, seconds in frames:
        now += seconds
        reported += passages.update(plates, now, SIZE)
        passages.confident()
        assert len(passages.current()) <= 3
    reported += passages.flush()
    assert len({p.number for p in reported}) == len(reported)
    for passage in reported:
        assert 0 <= passage.begin_s <= passage.end_s <= now
        assert passage.views <= min(passage.frames, 2)
