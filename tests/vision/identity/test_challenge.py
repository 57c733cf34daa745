from itertools import pairwise
from math import cos, radians, sin
from random import Random

import pytest

from tests.support.faces import face
from vision.identity.face import Face
from vision.identity.liveness.challenge import Challenge, aside, random_steps

EYES, NOSE = ((-0.5, 0.0, 0.0), (0.5, 0.0, 0.0)), (0.0, 0.8, 0.28)
"""Right, left; in eye distances, the depth towards the camera."""


def seen(yaw=0.0, *, depth=1.0, lean=0.0, far=8.0):
    """A head turned to its own left by ``yaw`` degrees; a picture of it with ``depth`` 0.

    The axis is upright, or leans by ``lean`` degrees; the distance is in eye distances.
    """

    def project(point):
        x, y, z = point[0], point[1], point[2] * depth
        c, s = cos(radians(lean)), sin(radians(lean))
        x, y = c * x + s * y, c * y - s * x
        x, z = (
            x * cos(radians(yaw)) + z * sin(radians(yaw)),
            z * cos(radians(yaw)) - x * sin(radians(yaw)),
        )
        x, y = c * x - s * y, c * y + s * x
        return 320 + 480 * x / (far - z), 240 + 480 * y / (far - z)

    right, left = (project(eye) for eye in EYES)
    return Face(260, 180, 120, 120, 1.0, right, left, project(NOSE), ())


class Person:
    """Does what the test says before a challenge, ten looks a second."""

    def __init__(self, *steps, step_s=8.0):
        self.challenge = Challenge(steps, step_s=step_s)
        self.now_s = 50.0

    def show(self, face, looks=3, **other):
        for _ in range(looks):
            self.now_s += 0.1
            self.challenge.update(face, self.now_s, **other)
        return self.challenge


def test_who_does_all_steps_passes():
    """Each movement follows a straight look, and nothing more is asked for after the last."""
    person = Person("turn_left", "nearer", "turn_right")
    asked = []
    near = 6.2
    for made in (seen(), seen(30), seen(), seen(far=near), seen(far=near), seen(-30, far=near)):
        asked.append((person.challenge.step, person.challenge.steps_left))
        person.show(made)
    assert asked == [
        ("look", 3),
        ("turn_left", 3),
        ("look", 2),
        ("nearer", 2),
        ("look", 1),
        ("turn_right", 1),
    ]
    assert person.challenge.passed
    assert person.challenge.step is None
    assert person.challenge.steps_left == 0


def test_the_other_side_is_another_movement():
    """Whoever turns clearly to the other side did not do what was asked."""
    person = Person("turn_left")
    person.show(seen())
    assert person.show(seen(-35)).failure == "challenge_failed"
    assert person.challenge.step is None


def test_a_glance_is_no_movement():
    """One look alone counts for nothing, to either side."""
    person = Person("turn_left")
    person.show(seen())
    person.show(seen(-35), looks=1)
    person.show(seen(35), looks=1)
    assert person.show(seen()).step == "turn_left"
    assert person.show(seen(35), looks=1).passed


def test_each_step_has_its_time():
    """Who stands still is too slow; time that a step took is not taken from the next."""
    person = Person("turn_left", "turn_right", step_s=2.0)
    person.show(None, looks=60)
    person.show(seen(), looks=18)
    person.show(seen(30), looks=2)
    person.show(seen(), looks=18)
    assert person.challenge.step == "turn_right"
    assert person.show(seen(), looks=10).failure == "challenge_timeout"


@pytest.mark.parametrize("yaw", range(-45, 46, 5))
@pytest.mark.parametrize("step", ["turn_left", "turn_right"])
def test_a_picture_turned_about_its_upright_axis_turns_no_head(step, yaw):
    """Even held near, where perspective makes one half of it larger."""
    person = Person(step)
    person.show(seen(depth=0, far=5))
    assert person.show(seen(yaw, depth=0, far=5), looks=20).step == step


@pytest.mark.parametrize("lean", range(-90, 91, 15))
def test_a_picture_tilted_by_20_degrees_turns_no_head(lean):
    """About whatever axis; a steeper tilt about a slanting one is for the passive signs."""
    assert abs(aside(seen(20, depth=0, lean=lean))) < 0.1


@pytest.mark.parametrize("roll", [-20, 20])
def test_a_head_that_leans_turns_as_an_upright_one(roll):
    """The nose is measured along the line of the eyes."""

    def leaning(point):
        c, s = cos(radians(roll)), sin(radians(roll))
        return c * point[0] - s * point[1], s * point[0] + c * point[1]

    upright = seen(30)
    points = [leaning(p) for p in (upright.right_eye, upright.left_eye, upright.nose)]
    assert aside(Face(0, 0, 9, 9, 1.0, *points, ())) == pytest.approx(aside(upright))
    assert aside(upright) > 0.12


def test_another_place_or_size_at_once_is_another_face():
    """No person leaps from one look to the next."""
    for leap in (face(x=620), face(eyes=120)):
        person = Person("turn_left")
        person.show(face(), looks=2)
        assert person.show(leap, looks=1).failure == "challenge_failed"


def test_a_face_lost_in_a_turn_is_waited_for():
    """The detector loses those who turn far; on the way back they are seen again."""
    person = Person("turn_left", "turn_right")
    person.show(seen())
    person.show(seen(25), looks=1)
    person.show(None, looks=12)
    assert person.show(seen(25), looks=1).steps_left == 1
    assert person.challenge.failure is None


def test_who_was_away_begins_anew():
    """Nobody goes on with what another did; the straight look is the new person's own."""
    person = Person("turn_left", "turn_right")
    begun_s = person.show(seen()).begun_s
    person.show(seen(30))
    person.show(None, looks=20)
    assert person.show(seen(), looks=1).steps_left == 2
    assert person.challenge.step == "look"
    assert person.challenge.begun_s > begun_s
    for made in (seen(), seen(30), seen(), seen(-30)):
        person.show(made)
    assert person.challenge.passed


def test_a_straight_look_is_still_straight_and_clear():
    """Neither one turned aside, nor a moving one, nor one that cannot be compared."""
    person = Person("turn_left")
    assert person.show(seen(45), looks=5).step == "look"
    for yaw in (0, 12, 0, 12, 0):
        person.show(seen(yaw), looks=1)
    assert person.challenge.step == "look"
    assert person.show(seen(), looks=5, clear=False).step == "look"
    assert person.show(seen(), looks=3).step == "turn_left"


def test_coming_nearer_while_turned_is_not_coming_nearer():
    """It is the straight face that has to grow."""
    person = Person("nearer")
    person.show(seen())
    assert person.show(seen(30, far=6.2), looks=5).step == "nearer"
    assert person.show(seen(far=6.2), looks=2).passed


def test_what_is_asked_for_is_not_known_beforehand():
    """Three steps in one of ten orders, turns in all of them, and no movement twice in a row."""
    orders = {random_steps(Random(seed)) for seed in range(300)}
    assert len(orders) == 10
    for order in orders:
        assert len(order) == 3
        assert any(step != "nearer" for step in order)
        assert all(a != b for a, b in pairwise(order))
    assert random_steps() in orders


def test_a_face_whose_eyes_are_at_one_place_is_none():
    """What a detector may say on a bad day ends no check."""
    person = Person("turn_left")
    assert person.show(face(eyes=0.0)).failure is None
    assert person.challenge.begun_s is None
