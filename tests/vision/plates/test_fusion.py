"""Several views make one reading: wrong ones are outvoted, many ones are no certainty."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.plates import reading
from vision.plates.alphabet import CHARACTERS, MAX_LENGTH
from vision.plates.fusion import View, fuse
from vision.plates.plate import COLOURS, Character, Reading

TRUE = "皖A12345"


def fused(*readings, width=100.0):
    return fuse([View(each, width) for each in readings])


def test_single_view_is_its_own_reading():
    """One view is handed on as it is."""
    only = reading(TRUE, 0.7)
    assert fused(only) is only


def test_wrong_single_frame_is_outvoted():
    """One sure misreading among right views changes nothing of the text."""
    right, wrong = reading(TRUE, 0.9), reading("皖A1Z34S", 0.99)
    result = fused(right, right, wrong, right)
    assert result.text == TRUE
    assert result.characters[0].confidence > result.characters[3].confidence
    assert result.characters[3].alternatives[0][0] == "Z"


def test_each_view_gives_the_characters_it_saw():
    """No view is right as a whole, and the fused text is."""
    views = [reading(TRUE[:at] + "X" + TRUE[at + 1 :], doubtful={at: 0.5}) for at in (2, 4, 6)]
    assert TRUE not in {view.text for view in views}
    assert fused(*views).text == TRUE


def test_large_views_count_more():
    """Of two equally sure readings the one from nearby counts."""
    far, near = View(reading("皖A12845", 0.9), 30), View(reading(TRUE, 0.9), 120)
    assert fuse([far, near]).text == fuse([near, far]).text == TRUE


def test_alternatives_of_the_views_count():
    """A character that is everybody's close second beats what each view sees otherwise."""

    def seen(first):
        characters = [*reading(TRUE).characters]
        characters[4] = Character(first, 0.5, (("3", 0.45),))
        return Reading(tuple(characters), "blue", 0.9, 1)

    assert fused(seen("8"), seen("5"), seen("2")).text == TRUE


@pytest.mark.parametrize("short", ["皖A1234", "皖A2345", "A12345"])
def test_lost_character_is_outvoted(short):
    """Readings of another length stand against the rest as a whole, and shift no character."""
    result = fused(reading(short, 0.9, absence=0.9), reading(TRUE), reading(TRUE))
    assert result.text == TRUE
    assert 0.5 < result.absence < 0.99


def test_sure_end_beats_doubtful_end():
    """The number of characters is decided by how sure their end is, not by counting views."""
    cut = reading("皖A1234", 0.9, absence=0.5)
    assert fused(cut, cut, reading(TRUE, absence=0.999)).text == TRUE


def test_doubted_last_character_counts_against_its_length():
    """A runner-up that says "no character here" speaks for the shorter text."""
    longer = reading(TRUE + "7", 0.9)
    doubted = Character("7", 0.5, (("", 0.48),))
    longer = Reading((*longer.characters[:-1], doubted), "blue", 0.9, 1)
    assert fused(longer, reading(TRUE, 0.9)).text == TRUE


def test_repetition_is_no_proof():
    """A hundred equal doubtful views stay doubtful: what blurs one blurs all."""
    few, many = (fused(*[reading(TRUE, 0.6)] * count) for count in (3, 100))
    assert few.min_confidence < many.min_confidence < 0.75
    assert fused(*[reading(TRUE, 0.95)] * 100).min_confidence < 0.999


def test_agreement_makes_surer_and_dispute_less_sure():
    """Equal views confirm each other; contrary ones leave a doubt that the gate sees."""
    one = reading(TRUE, 0.8)
    assert fused(one, one).min_confidence > 0.8
    assert fused(one, reading("皖A12346", 0.8)).min_confidence < 0.6


def test_colour_and_rows_by_vote():
    """One wrong colour and one wrong number of rows are outvoted."""
    right = reading(TRUE, colour="yellow", rows=2)
    result = fused(reading(TRUE, colour="blue", rows=1), right, right)
    assert (result.colour, result.rows) == ("yellow", 2)
    assert result.colour_confidence > 0.5


def test_views_without_characters():
    """A view that shows no character tells the colour, and nothing of the text."""
    blank = reading("", colour="yellow")
    assert fused(blank, reading(TRUE), blank).text == TRUE
    assert fused(blank, blank).text == ""
    assert fused(blank, blank).colour == "yellow"


shares = st.floats(0, 1)
characters = st.builds(
    Character,
    st.sampled_from(CHARACTERS),
    shares,
    st.lists(st.tuples(st.sampled_from(("", *CHARACTERS)), shares), max_size=3).map(tuple),
)
readings = st.builds(
    Reading,
    st.lists(characters, max_size=MAX_LENGTH).map(tuple),
    st.sampled_from(COLOURS),
    shares,
    st.sampled_from((1, 2)),
    shares,
)


@given(st.lists(st.builds(View, readings, st.floats(0, 2000)), min_size=1, max_size=9))
def test_any_views_fuse(views):
    """Whatever the reader says, the result is a reading of one of the lengths, all shares sound."""
    result = fuse(views)
    lengths = {len(view.reading.characters) for view in views}
    assert len(result.characters) in lengths
    confidences = [character.confidence for character in result.characters]
    for share in (*confidences, result.absence, result.colour_confidence, result.confidence):
        assert 0 <= share <= 1
    for place, character in enumerate(result.characters):
        seen = {
            v.reading.characters[place].text for v in views if len(v.reading.characters) > place
        }
        told = seen.union(
            text
            for v in views
            if len(v.reading.characters) > place
            for text, _ in v.reading.characters[place].alternatives
        )
        assert character.text in told
