from itertools import islice
from random import Random

import numpy as np
import pytest

from bench.identity import attack_clips as clips
from bench.identity import attacks
from tests.support.faces import FakeChain, show
from vision.clip import counter

STILLS = ("print", "bent_print", "cut_out", "phone_still", "recorded_answer")


@pytest.fixture(scope="module")
def portrait():
    """The demo's drawn person, as large as portraits are."""
    drawn = counter.frame(counter.background(720, 1280), counter.person(), 15.0)
    return clips.Portrait(np.asarray(drawn[60:645, 370:910], np.uint8), (270.0, 234.0))


def made(kind, portrait, count=3):
    rng = Random(kind)
    return list(islice(clips.film(rng, clips.attack(rng, kind, portrait)), count))


@pytest.mark.parametrize("kind", STILLS)
def test_each_attack_moves_before_a_camera(kind, portrait):
    """Frames of a camera's size, each another one, and the same each time they are made."""
    frames = made(kind, portrait)
    assert {frame.shape for frame in frames} == {(480, 640, 3)}
    assert not np.array_equal(frames[0], frames[2])
    assert all(map(np.array_equal, frames, made(kind, portrait)))


@pytest.mark.skipif(not clips.FOLDER.is_dir(), reason="no recording (../shared/data)")
@pytest.mark.parametrize("kind", ["phone_replay", "monitor_replay"])
def test_a_recording_is_shown_on_a_screen(kind, portrait):
    """It is that of the person who talks, as a camera sees it."""
    frames = made(kind, portrait)
    assert {frame.shape for frame in frames} == {(480, 640, 3)}
    assert not np.array_equal(frames[0], frames[2])


def test_a_portrait_answers_what_it_is_asked(portrait):
    """It looks straight first, and then to the side that it was asked for."""
    left, right = (
        list(islice(clips.answer(Random(1), portrait, (step,)), 20))
        for step in ("turn_left", "turn_right")
    )
    assert np.array_equal(left[0], right[0])
    assert not np.array_equal(left[19], right[19])


def test_a_still_is_seen_until_the_challenge_is_over():
    """Nobody moves: the challenge is lost in its time, and clips have nothing else to show."""
    picture = show(np.zeros((90, 160, 3), np.uint8), 1)
    seen = attacks.look(FakeChain(), [picture] * 100, ("turn_left", "turn_right", "nearer"))
    assert not seen.answered
    assert seen.early == seen.late == ("replayed",)
    assert 80 < seen.faces < 90


def test_without_the_data_there_are_no_figures(monkeypatch, tmp_path):
    """Nothing is invented."""
    monkeypatch.setattr(clips, "FOLDER", tmp_path / "absent")
    assert attacks.figures() == {}
