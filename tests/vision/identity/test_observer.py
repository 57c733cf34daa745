"""Which frames are looked at, and who is said to be there."""

import pytest

from tests.support.faces import DIMENSION, PICTURE, FakeChain, show, template
from vision.identity.gallery_record import Stored
from vision.identity.observer import Observer
from vision.identity.report import Answered, Blind, Enrol, Identify, Present, Verify
from vision.identity.search import Index, packed


def name(person):
    return f"{person:016x}"


def staff(*persons):
    return Index((Stored(name(who), packed(template(who))) for who in persons), DIMENSION)


def verify(person=1, *, id_="a", session="s", limit_s=20.0):
    portrait = str(person).encode()
    return Verify(id=id_, limit_s=limit_s, liveness="off", portrait=portrait, session=session)


class Counter:
    """An observer that is shown a counter, some frames a second; the test says who stands there."""

    def __init__(self):
        self.chain = FakeChain()
        self.now_s = 1000.0
        self.observer = Observer(self.chain, now_s=self.now_s)
        self.said = []
        self.persons = ()
        self.moving = True
        self._frames = 0

    def pass_(self, seconds, *, frames=True, per_s=2):
        """Let time go by; returns the number of looks."""
        before = self.observer.looks
        for _ in range(round(seconds * per_s)):
            self.now_s += 1 / per_s
            self.said += self._frame() if frames else self.observer.miss(self.now_s)
        return self.observer.looks - before

    def _frame(self):
        picture = PICTURE.copy()
        if self.moving:
            self._frames += 1
            picture[20:60, 10 * (self._frames % 8) :][:, :60] = 200
        return self.observer.take(show(picture, *self.persons), self.now_s)

    def stand(self, *persons, seconds=6.0):
        """Let them stand there; returns what was said of it last."""
        self.persons = persons
        self.pass_(seconds)
        return self.present

    @property
    def present(self):
        return [one for one in self.said if isinstance(one, Present)][-1]

    def check(self, ask):
        """Do a check; returns its answer."""
        assert self.observer.begin(ask, self.now_s) is None
        while self.observer.is_checking:
            self.pass_(0.1, per_s=10)
        return [one for one in self.said if isinstance(one, Answered)][-1]


@pytest.fixture
def counter():
    return Counter()


def test_an_empty_counter_costs_nothing(counter):
    """After a first look around, frames in which nothing moves are not looked at."""
    counter.moving = False
    assert counter.pass_(10) <= 8
    assert counter.present == Present(faces=0)
    assert counter.pass_(600) == 0


def test_who_stands_still_costs_little(counter):
    """Somebody who is known and moves no more is looked at now and then."""
    counter.observer.know(staff(1))
    counter.stand(1)
    counter.moving = False
    counter.pass_(10)
    said = len(counter.said)
    assert counter.pass_(600) <= 600 / 5
    assert len(counter.said) == said


def test_staff_are_known(counter):
    """Enrolled persons are named after two looks that agree; others are counted."""
    counter.observer.know(staff(1, 2))
    assert counter.stand(1) == Present(faces=1, staff=(name(1),))
    assert counter.stand(1, 3) == Present(faces=2, staff=(name(1),), others=1)
    assert counter.stand(2, 1, seconds=15) == Present(faces=2, staff=(name(1), name(2)))


def test_who_is_known_stays_so_while_followed(counter):
    """Poor frames and a turned head change nothing, and few templates are made."""
    counter.observer.know(staff(1))
    counter.stand(1)
    made = counter.chain.templates
    counter.chain.reasons = ("turned",)
    assert counter.stand(1, seconds=60).staff == (name(1),)
    assert counter.chain.templates == made
    counter.chain.reasons = ()
    counter.pass_(60)
    assert counter.chain.templates - made <= 16


def test_presence_is_steady(counter):
    """One look is nobody yet, a short gap is no leaving; five seconds unseen are."""
    counter.observer.know(staff(1))
    counter.stand(1)
    said = len(counter.said)
    for _ in range(3):
        counter.stand(seconds=3)
        counter.stand(1, seconds=2)
    assert len(counter.said) == said
    assert counter.stand(seconds=6) == Present(faces=0)
    counter.stand(2, seconds=0.5)
    assert counter.stand(seconds=6) == Present(faces=0)
    assert len(counter.said) == said + 1


def test_doubt_names_nobody(counter):
    """Between the limits a face is neither staff nor somebody else."""
    counter.observer.know(staff(1))
    counter.chain.likeness = 0.91
    assert counter.stand(1) == Present(faces=1)


def test_a_changed_gallery(counter):
    """Who is enrolled or removed is known or unknown from then on; no gallery, no names."""
    assert counter.stand(1) == Present(faces=1)
    counter.observer.know(staff(1))
    assert counter.stand(1).staff == (name(1),)
    assert counter.observer.enrolled == 1
    counter.observer.know(staff())
    assert counter.stand(1) == Present(faces=1)
    counter.observer.know(None)
    assert counter.stand(1) == Present(faces=1)


def test_the_person_of_a_session(counter):
    """Once verified: here, away, another one alone, back again, forgotten."""
    counter.stand(1)
    assert counter.check(verify(1)).outcome == "match"
    assert counter.stand(1) == Present(faces=1, session="s", session_person="here")
    assert counter.stand(1, 2).session_person == "here"
    assert counter.stand(seconds=8).session_person == "away"
    counter.stand(2, seconds=2)
    assert counter.present.session_person == "away"
    assert counter.stand(2, seconds=6).session_person == "other"
    assert counter.stand(2, 3).session_person == "away"
    assert counter.stand(1, seconds=12).session_person == "here"
    counter.observer.forget("another session")
    assert counter.stand(1).session == "s"
    counter.observer.forget("s")
    assert counter.stand(1) == Present(faces=1)


def test_the_verified_person_gives_up_the_place_without_a_gap(counter):
    """Another one in the same place a moment later is noticed, too."""
    counter.stand(1)
    counter.check(verify(1))
    assert counter.stand(2, seconds=15).session_person == "other"


def test_only_a_match_with_a_session_is_watched(counter):
    """Who was not verified, or without a session, is not looked for."""
    counter.stand(1)
    assert counter.check(verify(2)).outcome == "no_match"
    assert counter.check(verify(1, session=None)).outcome == "match"
    assert counter.stand(1).session is None


def test_a_session_that_ends_during_its_check_is_not_watched(counter):
    """Forgotten is forgotten."""
    counter.stand(1)
    assert counter.observer.begin(verify(1), counter.now_s) is None
    counter.observer.forget("s")
    counter.pass_(3, per_s=10)
    assert counter.stand(1).session is None


def test_one_check_at_a_time(counter):
    """A second one is told so; a cancelled one makes room, and only its own number cancels it."""
    counter.stand(1)
    assert counter.observer.begin(verify(), counter.now_s) is None
    busy = counter.observer.begin(verify(id_="b"), counter.now_s)
    assert (busy.id, busy.outcome, busy.reasons) == ("b", "refer", ("busy",))
    assert counter.observer.cancel("b", counter.now_s) is None
    assert counter.observer.cancel("a", counter.now_s).reasons == ("cancelled",)
    assert counter.check(verify(id_="b")).outcome == "match"


def test_a_portrait_that_will_not_do(counter):
    """It is said why, without a look at the person."""
    ask = verify().model_copy(update={"portrait": b"no picture"})
    assert counter.observer.begin(ask, counter.now_s).reasons == ("portrait_unreadable",)
    assert not counter.observer.is_checking


def test_without_anybody_enrolled(counter):
    """Whoever is looked for is unknown; whoever just stands there costs no template."""
    counter.observer.know(staff())
    assert counter.stand(1) == Present(faces=1)
    assert counter.chain.templates == 0
    answer = counter.check(Identify(id="a", limit_s=20, liveness="off"))
    assert (answer.outcome, answer.reasons) == ("no_match", ("unknown_person",))


def test_without_a_gallery(counter):
    """Nobody can be identified; a first person can be enrolled."""
    counter.stand(1)
    counter.observer.know(None)
    identify = Identify(id="a", limit_s=20, liveness="off")
    assert counter.observer.begin(identify, counter.now_s).reasons == ("gallery_unusable",)
    assert counter.check(Enrol(id="b", limit_s=20, liveness="off")).template is not None
    counter.observer.know(staff(1))
    assert counter.check(identify).enrolment == name(1)


def test_a_camera_without_frames(counter):
    """A check is left to a human after three seconds; who is there is not known until it sees."""
    counter.stand(1)
    assert counter.observer.begin(verify(), counter.now_s) is None
    counter.said.clear()
    counter.pass_(2.5, frames=False)
    assert counter.said == []
    counter.pass_(2, frames=False)
    answer, blind = counter.said
    assert (answer.outcome, answer.reasons) == ("refer", ("camera_unavailable",))
    assert blind == Blind()
    counter.pass_(60, frames=False)
    assert len(counter.said) == 2
    assert counter.stand(1) == Present(faces=1)


def test_a_grey_camera(counter):
    """One channel is enough."""
    picture = show(PICTURE.copy(), 1)[:, :, :1]
    counter.observer.begin(verify(), counter.now_s)
    for _ in range(20):
        counter.now_s += 0.1
        counter.said += counter.observer.take(picture, counter.now_s)
    assert next(one.outcome for one in counter.said if isinstance(one, Answered)) == "match"
