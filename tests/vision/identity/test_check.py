"""One check: what it waits for, what it tells the person, and how it ends."""

import numpy as np
import pytest

from tests.support.faces import CALIBRATION, DIMENSION, PICTURE, FakeChain, face, template
from vision.identity.check import Check
from vision.identity.comparison import against, among, enrolling
from vision.identity.gallery_record import Stored
from vision.identity.report import Answered, Enrol, Hint, Identify, Verify
from vision.identity.search import Index, packed
from vision.identity.witness import Witness

STEPS = ("turn_left", "nearer", "turn_right")


def verify(liveness="off", limit_s=20.0):
    return Verify(id="a", limit_s=limit_s, liveness=liveness, portrait=b"")


def staff(*persons):
    return Index((Stored(f"{who:016x}", packed(template(who))) for who in persons), DIMENSION)


class Scene:
    """A check of person 1 that is shown what the test wants, ten looks a second."""

    def __init__(self, ask=None, *, compare=None):
        self.chain = FakeChain()
        self.now_s = 100.0
        self.hints = []
        self.answer = None
        ask = ask or verify()
        self.check = Check(
            ask,
            compare=compare or against(template(1), self.chain),
            chain=self.chain,
            witness=lambda: Witness(ask.liveness, steps=STEPS),
            begun_s=self.now_s,
        )
        self.is_still = ask.liveness == "off"
        self.random = np.random.default_rng(1)

    def _picture(self):
        return PICTURE if self.is_still else self.random.integers(0, 255, PICTURE.shape, np.uint8)

    def show(self, *faces, seconds=1.0):
        """Show these faces for so long, or until there is an answer."""
        for _ in range(round(seconds * 10)):
            if self.answer is not None:
                break
            self.now_s = round(self.now_s + 0.1, 3)
            made = self.chain.templates
            match self.check.take(self._picture(), faces, self.now_s):
                case Hint() as hint:
                    self.hints.append(hint)
                case Answered() as answer:
                    self.answer = answer
            assert self.chain.templates - made <= 1, "each takes time that the next frame needs"
        return self.answer

    def answer_challenge(self, person=1):
        """Do what is asked for, as a living person does."""
        x, eyes = 320.0, 60.0
        for step in STEPS:
            self.show(face(person, x=x, eyes=eyes), seconds=0.6)
            if step == "nearer":
                eyes *= 1.3
                self.show(face(person, x=x, eyes=eyes), seconds=0.4)
            else:
                aside = 0.2 if step == "turn_left" else -0.2
                self.show(face(person, x=x, eyes=eyes, aside=aside), seconds=0.3)
        return self.show(face(person, x=x, eyes=eyes), seconds=1.0)


@pytest.fixture
def scene():
    return Scene()


def test_the_person_of_the_document(scene):
    """Three good frames of them, a little apart, are a match; that takes less than a second."""
    answer = scene.show(face(1), seconds=2)
    assert (answer.outcome, answer.reasons, answer.frames) == ("match", (), 3)
    assert answer.similarity == pytest.approx(1)
    assert 600 <= answer.took_ms <= 1000


def test_another_person(scene):
    """That it is somebody else takes more frames and more time to say."""
    assert scene.show(face(2), seconds=1.2) is None
    answer = scene.show(face(2), seconds=2)
    assert (answer.outcome, answer.reasons) == ("no_match", ("different",))
    assert answer.frames >= 5


def test_between_the_limits(scene):
    """Who is neither alike nor unlike is left to a human, after several frames."""
    scene.chain.likeness = 0.91
    answer = scene.show(face(1), seconds=5)
    assert (answer.outcome, answer.reasons) == ("refer", ("doubtful",))
    assert answer.frames >= 8


def test_nobody(scene):
    """Nobody comes: the hint says what is missed, and at the limit a human decides."""
    answer = scene.show(seconds=21)
    assert (answer.outcome, answer.reasons) == ("refer", ("no_face", "timeout"))
    assert [hint.reasons for hint in scene.hints] == [("no_face",)]
    assert (answer.frames, answer.similarity) == (0, None)
    assert 20_000 <= answer.took_ms <= 20_200


def test_below_the_quality_gate_nothing_is_guessed(scene):
    """A face that will not do is never compared, however long it is there."""
    scene.chain.reasons = ("too_dark", "blurred")
    answer = scene.show(face(1), seconds=21)
    assert (answer.outcome, answer.reasons) == ("refer", ("too_dark", "blurred", "timeout"))
    assert scene.chain.templates == 0


def test_two_people_in_front(scene):
    """One at a time: it is said so, and nobody is compared while two stand there."""
    answer = scene.show(face(1), face(2, x=500), seconds=21)
    assert (answer.outcome, answer.reasons) == ("refer", ("several_faces", "timeout"))
    assert scene.hints[-1].reasons == ("several_faces",)
    assert scene.chain.templates == 0


def test_somebody_far_behind_does_not_matter(scene):
    """A face less than half as large is not before the kiosk."""
    assert scene.show(face(1), face(2, x=500, eyes=25), seconds=2).outcome == "match"


def test_two_who_take_turns_are_not_one(scene):
    """Frames of different people are never combined."""
    for _ in range(30):
        scene.show(face(1), seconds=0.4)
        scene.show(face(2), seconds=0.4)
    assert (scene.answer.outcome, scene.answer.reasons) == ("refer", ("timeout",))


def test_hints_do_not_flicker(scene):
    """What changes from frame to frame is not told; what stays is, at most three times a second."""
    for _ in range(10):
        scene.chain.reasons = ("too_small",)
        scene.show(face(1), seconds=0.5)
        for _ in range(3):
            scene.chain.reasons = ("blurred",)
            scene.show(face(1), seconds=0.1)
            scene.chain.reasons = ("turned",)
            scene.show(face(1), seconds=0.1)
    assert [hint.reasons for hint in scene.hints] == [("too_small",)]


def test_a_living_person_answers_the_challenge():
    """Movements in their order, with looks between them, and the person is compared in all."""
    scene = Scene(verify("challenge"))
    answer = scene.answer_challenge()
    assert (answer.outcome, answer.reasons) == ("match", ())
    assert answer.frames >= 4
    steps = [hint.step for hint in scene.hints if hint.step]
    asked = [step for before, step in zip([None, *steps], steps, strict=False) if step != before]
    assert [step for step in asked if step != "look"] == list(STEPS)
    assert scene.hints[-1].steps_left in {0, 1}


def test_a_poster_does_not_answer():
    """What only hangs there is not compared to an end; its time runs out."""
    scene = Scene(verify("challenge"))
    answer = scene.show(face(1), seconds=21)
    assert answer.outcome == "refer"
    assert answer.reasons == ("challenge_timeout",)


def test_who_answers_the_challenge_is_who_is_compared():
    """Somebody else answers and then makes room for the person of the document: refused."""
    scene = Scene(verify("challenge"))
    scene.show(face(2), seconds=0.6)
    scene.show(face(2, aside=0.2), seconds=0.3)
    answer = scene.show(face(1), seconds=1)
    assert (answer.outcome, answer.reasons) == ("refer", ("challenge_failed",))


def test_a_picture_that_is_lowered_for_each_movement():
    """Shown straight is the document's person, but another one turns their head: refused."""
    scene = Scene(verify("challenge"))
    scene.show(face(1), seconds=0.6)
    answer = scene.show(face(2, aside=0.4), seconds=0.3)
    assert (answer.outcome, answer.reasons) == ("refer", ("challenge_failed",))


def test_a_wrong_movement():
    """Turning the other way is no answer."""
    scene = Scene(verify("challenge"))
    scene.show(face(1), seconds=0.6)
    assert scene.show(face(1, aside=-0.2), seconds=1).reasons == ("challenge_failed",)


def test_who_leaves_begins_anew():
    """After a gap, whoever comes has nothing done yet."""
    scene = Scene(verify("challenge"))
    scene.show(face(1), seconds=0.6)
    scene.show(face(1, aside=0.2), seconds=0.3)
    scene.show(seconds=2)
    scene.show(face(1), seconds=0.2)
    assert scene.hints[-1].steps_left == 3
    assert scene.answer_challenge().outcome == "match"


def test_passive_signs_take_time():
    """Where only looking is ordered, a match waits until signs of an attack had time to show."""
    scene = Scene(verify("passive"))
    assert scene.show(face(1), seconds=2.5) is None
    assert scene.show(face(1), seconds=2).outcome == "match"


def test_a_still_is_no_person():
    """Signs of an attack leave the decision to a human, whoever is seen."""
    scene = Scene(verify("passive"))
    scene.is_still = True
    answer = scene.show(face(1), seconds=5)
    assert (answer.outcome, answer.reasons) == ("refer", ("replayed",))
    assert answer.similarity is None


def test_one_of_the_staff():
    """Who is enrolled is named; who is not is unknown; who looks like two is left to a human."""
    ask = Identify(id="a", limit_s=20, liveness="off")

    def answer(person, index):
        scene = Scene(ask, compare=among(index, CALIBRATION))
        return scene.show(face(person), seconds=5)

    known = answer(2, staff(1, 2))
    assert (known.outcome, known.enrolment) == ("match", f"{2:016x}")
    unknown = answer(3, staff(1, 2))
    assert (unknown.outcome, unknown.reasons) == ("no_match", ("unknown_person",))
    assert unknown.enrolment is None
    assert answer(3, staff()).reasons == ("unknown_person",)
    assert answer(1, staff(1, 1)).reasons == ("doubtful",)


def test_enrolling():
    """A template is made of several good frames; who looks the same already is named."""
    ask = Enrol(id="a", limit_s=20, liveness="off")
    scene = Scene(ask, compare=enrolling(staff(1, 2), CALIBRATION))
    answer = scene.show(face(2), seconds=5)
    assert (answer.outcome, answer.enrolment) == ("match", f"{2:016x}")
    assert np.frombuffer(answer.template, "<f4") == pytest.approx(template(2))
    assert answer.frames >= 5
    scene = Scene(ask, compare=enrolling(None, CALIBRATION))
    assert scene.show(face(3), seconds=5).enrolment is None


def test_an_end_from_outside(scene):
    """A check can be ended with a reason at any time."""
    scene.show(face(1), seconds=0.3)
    answer = scene.check.refer("cancelled", now_s=scene.now_s)
    assert (answer.outcome, answer.reasons, answer.took_ms) == ("refer", ("cancelled",), 300)
