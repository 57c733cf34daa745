"""The gallery: sealed records that are kept, found, bound, and gone when they are deleted."""

import hashlib
import json
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from vision.identity.gallery import Gallery, GalleryDamagedError, delete_set_aside, set_aside
from vision.identity.gallery_key import GalleryError, GalleryKeyError
from vision.identity.gallery_record import Moment, NewPerson, Stored

ROOT = Path(__file__).parents[3]
START = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
NOW = Moment(START, synced=True)
DAY_S = 86_400.0
KEY, OTHER_KEY = b"k" * 32, b"o" * 32
MODEL = "dlib-20"


def later(days, *, synced=True):
    return Moment(START + timedelta(days=days), synced)


def face(seed):
    """A template, or what looks like one."""
    return hashlib.shake_128(str(seed).encode()).digest(512)


def person(subject="P-1", **changes):
    told = {
        "purposes": ("presence", "cabinet"),
        "consent_code": "HR/2026/17",
        "days": 30,
        "recogniser": MODEL,
        "by": "li, wang",
    }
    return NewPerson(subject=subject, **(told | changes))


def silent(_):
    return ()


def enrol(gallery, subject="P-1", *, seed=0, now=NOW, note=silent, **changes):
    return gallery.enrol(person(subject, **changes), face(seed), now, note)


def on_disk(path):
    """Everything that the gallery's folder holds."""
    return b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())


def sealed(path):
    with closing(sqlite3.connect(path)) as db:
        return dict(db.execute("SELECT enrolment, sealed FROM person"))


def change(path, statement, *values):
    """Write into the file behind the gallery's back."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement, values)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gallery.db"


@pytest.fixture
def box(path):
    """Opens the gallery, as often as one likes."""
    opened = []

    def open_it(key=KEY):
        opened.append(Gallery(path, key))
        return opened[-1]

    yield open_it
    for gallery in opened:
        gallery.close()


def test_an_empty_one(box):
    """A new gallery holds nobody, needs no key, and has nothing to tell."""
    gallery = box(None)
    assert (gallery.count(), gallery.key_problem(), gallery.notes()) == (0, None, [])
    assert list(gallery.persons()) == []
    assert gallery.remove("P-1", silent).enrolments == ()


def test_who_is_enrolled_stays_so(box):
    """Another life finds the person and the template as they were given."""
    done = enrol(box(), seed=7)
    gallery = box()
    [found] = gallery.persons()
    assert found == done.person == gallery.find(found.enrolment, NOW, 365)
    assert (found.subject, found.purposes, found.by) == ("P-1", ("presence", "cabinet"), "li, wang")
    assert (found.enrolled, found.expires) == (START, START + timedelta(days=30))
    assert list(gallery.templates(MODEL)) == [Stored(found.enrolment, face(7))]
    assert (done.replaced, done.persons) == (None, 1)


def test_templates_of_another_model(box):
    """They are not comparable, so they are not handed out."""
    gallery = box()
    enrol(gallery, "P-1", recogniser="old")
    kept = enrol(gallery, "P-2").person
    assert [one.enrolment for one in gallery.templates(MODEL)] == [kept.enrolment]


def test_the_file_names_nobody(box, path):
    """Without the key there is no name, no consent, no purpose and no template in it."""
    gallery = box()
    enrol(gallery, "Zhang-3", seed=5, consent_code="HR/2026/4711")
    content = on_disk(path)
    for secret in (b"Zhang-3", b"4711", b"cabinet", b"li, wang", face(5)[:16]):
        assert secret not in content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_same_twice_is_sealed_twice(box, path):
    """Nothing tells that two records are of one person or face."""
    gallery = box()
    enrol(gallery, "P-1", seed=1)
    first = sealed(path)
    enrol(gallery, "P-1", seed=1)
    assert set(first.values()).isdisjoint(sealed(path).values())


def test_enrolled_anew(box):
    """A subject has one record: the new one takes the place of the old, with another number."""
    gallery = box()
    old = enrol(gallery, seed=1).person
    done = enrol(gallery, seed=2)
    assert done.person.enrolment != old.enrolment
    assert done.replaced.enrolments == (old.enrolment,)
    assert list(gallery.templates(MODEL)) == [Stored(done.person.enrolment, face(2))]
    assert gallery.find(old.enrolment, NOW, 365) is None


def test_what_was_sealed_cannot_be_used_otherwise(box, path):
    """No column can be changed, nor a record put in another's place: it is damaged then."""
    gallery = box()
    one, other = enrol(gallery, "P-1", seed=1).person, enrol(gallery, "P-2", seed=2).person
    kept = sealed(path)
    changes = {
        "days = 1000": (),
        "enrolled_ms = enrolled_ms + 1": (),
        "synced = 0": (),
        "lived_s = 5": (),
        "enrolment = '0123456789abcdef'": (),
        "subject = randomblob(32)": (),
        "sealed = zeroblob(length(sealed))": (),
        "sealed = x'00'": (),
        "sealed = ?": (kept[other.enrolment],),
    }
    before = path.read_bytes()
    for what, values in changes.items():
        change(path, f"UPDATE person SET {what} WHERE number = 1", *values)
        assert len(gallery.damaged()) == 1, what
        assert [found.subject for found in gallery.persons()] == ["P-2"], what
        assert [found.enrolment for found in gallery.templates(MODEL)] == [other.enrolment], what
        path.write_bytes(before)
    assert gallery.damaged() == ()
    assert gallery.find(one.enrolment, NOW, 365) is not None


def test_what_is_deleted_is_named_in_the_receipt(box, path):
    """The digest is of what was stored, so that a copy can be recognised as the deleted one."""
    gallery = box()
    gone, kept = enrol(gallery, "P-1").person.enrolment, enrol(gallery, "P-2").person.enrolment
    stored = sealed(path)[gone]
    removed = gallery.remove("P-1", silent)
    expected = hashlib.sha256(gone.encode() + len(stored).to_bytes(4, "big") + stored)
    assert (removed.enrolments, removed.digest) == ((gone,), expected.hexdigest())
    assert removed.persons == gallery.count() == 1
    assert list(sealed(path)) == [kept]
    nothing = gallery.remove("P-1", silent)
    assert (nothing.enrolments, nothing.digest) == ((), hashlib.sha256().hexdigest())


def test_what_is_deleted_is_gone_from_the_disk(box, path):
    """No part of a deleted record is left in any file; the file is written anew without it."""
    gallery = box()
    empty = path.stat().st_size
    for number in range(30):
        enrol(gallery, f"P-{number}", seed=number, consent_code="x" * (number % 30 + 1))
    stored = sealed(path)
    gone = [enrolment for enrolment in stored if int(enrolment[0], 16) % 3]
    for enrolment in gone:
        gallery.remove_enrolments([enrolment], silent)
    content = on_disk(path)
    for enrolment in gone:
        record = stored[enrolment]
        assert not any(record[at : at + 16] in content for at in range(0, len(record) - 16, 16))
        assert enrolment.encode() not in content
    assert gallery.count() == len(stored) - len(gone)
    gallery.remove_all(silent)
    assert path.stat().st_size == empty


def test_what_is_replaced_is_gone_from_the_disk(box, path):
    """Enrolling anew leaves nothing of the former record."""
    gallery = box()
    enrolment = enrol(gallery, seed=1).person.enrolment
    record = sealed(path)[enrolment]
    enrol(gallery, seed=2)
    content = on_disk(path)
    assert not any(record[at : at + 16] in content for at in range(0, len(record) - 16, 16))


def test_while_somebody_reads(box, path, monkeypatch):
    """A reader that is in the middle of the templates neither stops nor outlives a deletion."""
    monkeypatch.setattr("vision.identity.gallery._AT_ONCE", 2)
    gallery, reader = box(), box()
    for number in range(5):
        enrol(gallery, f"P-{number}", seed=number)
    stored = sealed(path)
    going = reader.templates(MODEL)
    next(going)
    assert len(gallery.remove_all(silent).enrolments) == 5
    content = on_disk(path)
    assert not any(record[:16] in content for record in stored.values())
    assert len(list(going)) == 1


def test_another_process_writes(box, path):
    """A file that stays locked is an error that says so, and nothing was changed."""
    gallery = box()
    enrol(gallery)
    gallery._db.execute("PRAGMA busy_timeout=1")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GalleryError, match="database is locked; nothing was changed"):
            gallery.remove("P-1", silent)
    assert gallery.count() == 1


def test_from_any_thread(box):
    """An open gallery may be handed from thread to thread."""
    gallery = box()
    thread = threading.Thread(target=enrol, args=(gallery,))
    thread.start()
    thread.join()
    assert gallery.count() == 1


# -- the key -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "what"), [(None, "is missing"), (OTHER_KEY, "is not the one they were enrolled with")]
)
def test_a_lost_key(box, key, what):
    """Nobody is found, it is said why and what to do, and all is well when the key is back."""
    enrol(box())
    gallery = box(key)
    assert what in gallery.key_problem()
    for act in (
        lambda: list(gallery.templates(MODEL)),
        lambda: list(gallery.persons()),
        gallery.damaged,
        lambda: gallery.find("0" * 16, NOW, 365),
        lambda: enrol(gallery, "P-2"),
        lambda: gallery.remove("P-1", silent),
    ):
        with pytest.raises(GalleryKeyError, match=what):
            act()
    assert gallery.count() == 1
    assert [one.subject for one in box().persons()] == ["P-1"]


def test_what_works_without_the_key(box):
    """Everybody can be removed, and whose time is over is; another key may begin then."""
    enrol(box(), "P-1", days=1)
    enrol(box(), "P-2")
    lost = box(None)
    assert lost.expire(later(1), 365, silent, limit=64).persons == 1
    assert lost.remove_all(silent).persons == 0
    assert lost.key_problem() is None
    anew = box(OTHER_KEY)
    enrol(anew, "P-3")
    assert [one.subject for one in anew.persons()] == ["P-3"]
    assert box(KEY).key_problem() is not None


def test_nobody_is_enrolled_without_a_key(box):
    """An empty gallery without a key takes nobody."""
    with pytest.raises(GalleryKeyError):
        enrol(box(None))


# -- retention ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("enrolled", "now", "lived_days", "over"),
    [
        (NOW, later(29.99), 0, False),
        (NOW, later(30), 0, True),
        (NOW, later(-20_000, synced=False), 29.99, False),
        (NOW, later(-20_000, synced=False), 30, True),
        (NOW, later(400, synced=False), 1, False),
        (Moment(datetime(1970, 1, 1, tzinfo=UTC), synced=False), NOW, 1, False),
        (Moment(datetime(1970, 1, 1, tzinfo=UTC), synced=False), NOW, 30, True),
        (NOW, later(-5), 3, False),
        (NOW, later(-5), 30, True),
    ],
)
def test_when_time_is_over(box, enrolled, now, lived_days, over):
    """By a clock that was right at both ends, or by the time in use, whichever is first."""
    gallery = box()
    enrolment = enrol(gallery, now=enrolled).person.enrolment
    gallery.live(lived_days * DAY_S)
    assert (gallery.find(enrolment, now, 365) is None) == over
    assert bool(gallery.expire(now, 365, silent, limit=64).enrolments) == over


def test_time_in_use_before_the_enrolment_does_not_count(box):
    """A gallery that is old makes nobody in it old."""
    gallery = box()
    gallery.live(100 * DAY_S)
    enrol(gallery)
    assert not gallery.expire(NOW, 365, silent, limit=64).enrolments


def test_nobody_is_kept_for_longer_than_the_settings_say(box):
    """A limit that was lowered holds for those enrolled before."""
    gallery = box()
    enrol(gallery, days=300)
    assert gallery.expire(later(10), 10, silent, limit=64).persons == 0


def test_so_many_at_once(box):
    """No more are deleted at once than one word of it can name."""
    gallery = box()
    for number in range(5):
        enrol(gallery, f"P-{number}")
    deleted = [gallery.expire(later(30), 365, silent, limit=2).persons for _ in range(4)]
    assert deleted == [3, 1, 0, 0]


# -- what is to be told ------------------------------------------------------------------------


def test_a_change_is_told_until_it_was(box):
    """What is to be told of a change is kept with it, over lives, until somebody has."""
    gallery = box()
    enrol(gallery, note=lambda done: [f"enrolled, {done.persons} now"])
    gallery.remove("P-1", lambda gone: ["removed", f"{gone.persons} left"])
    gallery.remove("P-1", lambda _: ["nothing to tell of"])
    notes = box().notes()
    assert [text for _, text in notes] == ["enrolled, 1 now", "removed", "0 left"]
    gallery.told(notes[0][0])
    assert box().notes() == notes[1:]


def test_without_its_note_there_is_no_change(box):
    """A change that cannot be told is not made."""

    def fails(_):
        raise ZeroDivisionError

    gallery = box()
    enrol(gallery)
    changes = gallery.changes()
    for act in (
        lambda: enrol(gallery, seed=2, note=fails),
        lambda: gallery.remove("P-1", fails),
        lambda: gallery.remove_all(fails),
    ):
        with pytest.raises(ZeroDivisionError):
            act()
    assert next(gallery.templates(MODEL)).template == face(0)
    assert gallery.changes() == changes


@pytest.mark.parametrize("change", ["enrol", "remove", "remove_all", "expire"])
def test_a_power_cut(change):
    """Killed at any statement, a change has happened whole, or not at all.

    With it its note is there, and what it deleted is gone from the disk.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.mortal_gallery", change],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    outcome = json.loads(done.stdout)
    assert outcome["deaths"] > 10
    assert outcome["faults"] == []


# -- a damaged file ----------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"not a database, but long enough to be one" * 9, b"SQLite"])
def test_what_is_no_database(box, path, content):
    """A file of something else is damaged; it is left as it is."""
    path.write_bytes(content)
    with pytest.raises(GalleryDamagedError):
        box()
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE person",
        "CREATE TABLE other (a)",
        "ALTER TABLE person ADD COLUMN template BLOB",
        "DELETE FROM gallery",
        "PRAGMA user_version=0",
    ],
)
def test_another_schema(box, path, statement):
    """A database that is not a gallery as this agent makes it is damaged."""
    box()
    change(path, statement)
    with pytest.raises(GalleryDamagedError):
        box()


def test_broken_pages(box, path):
    """A file with broken pages is damaged from the start, not in the middle of a search."""
    gallery = box()
    for number in range(50):
        enrol(gallery, f"P-{number}")
    gallery.close()
    content = bytearray(path.read_bytes())
    content[8192:12288] = b"\xff" * 4096
    path.write_bytes(content)
    with pytest.raises(GalleryDamagedError):
        box()


def test_a_newer_agents_gallery(box, path):
    """An agent that went back to an older version leaves it as it is, and says so."""
    enrol(box())
    change(path, "PRAGMA user_version=2")
    with pytest.raises(GalleryError, match="newer agent") as caught:
        box()
    assert not isinstance(caught.value, GalleryDamagedError)


def test_where_nothing_can_be_written(tmp_path):
    """A folder that is not there is an error that says so."""
    with pytest.raises(GalleryError, match="No such file"):
        Gallery(tmp_path / "missing" / "gallery.db", KEY)


def test_set_aside(box, path):
    """Damaged files are moved away one beside the other, and deleted all together."""
    for expected in ("gallery.db.damaged-1", "gallery.db.damaged-2"):
        path.write_bytes(b"broken")
        path.with_name("gallery.db-journal").write_bytes(b"old")
        assert set_aside(path).name == expected
    assert box().count() == 0
    assert delete_set_aside(path) == 2
    assert [file.name for file in path.parent.iterdir()] == ["gallery.db"]


def test_it_says_nothing_of_faces(box):
    """What may get into a log holds neither name nor template."""
    done = enrol(box(), "Zhang-3")
    assert "Zhang" not in repr(done)
    assert "template" not in repr(done)


# -- the whole against a model -----------------------------------------------------------------

SUBJECTS = st.sampled_from(["P-1", "P-2", "P-3", "Li.W@hq"])


class GalleryLife(RuleBasedStateMachine):
    """Whatever is done in whatever order, the gallery holds what a dictionary would hold."""

    def __init__(self):
        super().__init__()
        self.gallery = Gallery(self.folder() / "gallery.db", KEY)
        self.model = {}
        self.now_s, self.lived_s = 0.0, 0.0

    @staticmethod
    def folder():
        raise NotImplementedError

    def moment(self, *, synced=True):
        return Moment(START + timedelta(seconds=self.now_s), synced)

    @rule(subject=SUBJECTS, seed=st.integers(0, 99), days=st.integers(1, 4), synced=st.booleans())
    def enrol(self, subject, seed, days, synced):
        former = self.model.get(subject)
        now = self.moment(synced=synced)
        done = enrol(self.gallery, subject, seed=seed, days=days, now=now)
        assert (done.replaced is None) == (former is None)
        self.model[subject] = (done.person.enrolment, seed, days, synced, self.now_s, self.lived_s)

    @rule(subject=SUBJECTS)
    def remove(self, subject):
        former = self.model.pop(subject, None)
        removed = self.gallery.remove(subject, silent)
        assert removed.enrolments == ((former[0],) if former else ())

    @rule()
    def remove_all(self):
        expected = tuple(sorted(one[0] for one in self.model.values()))
        self.model.clear()
        assert self.gallery.remove_all(silent).enrolments == expected

    @rule(days=st.integers(0, 2), runs=st.booleans())
    def time_passes(self, days, runs):
        self.now_s += days * DAY_S
        if runs:
            self.lived_s += days * DAY_S
            self.gallery.live(days * DAY_S)

    @rule(synced=st.booleans(), most=st.integers(1, 5))
    def expire(self, synced, most):
        def over(one):
            _, _, days, was_synced, now_s, lived_s = one
            age_s = self.lived_s - lived_s
            if synced and was_synced:
                age_s = max(age_s, self.now_s - now_s)
            return age_s >= min(days, most) * DAY_S

        gone = {subject for subject, one in self.model.items() if over(one)}
        removed = self.gallery.expire(self.moment(synced=synced), most, silent, limit=64)
        assert set(removed.enrolments) == {self.model.pop(subject)[0] for subject in gone}

    @rule()
    def next_life(self):
        self.gallery.close()
        self.gallery = Gallery(self.gallery._path, KEY)

    @invariant()
    def same_persons(self):
        held = {(one.subject, one.enrolment) for one in self.gallery.persons()}
        assert held == {(subject, one[0]) for subject, one in self.model.items()}
        templates = {(one.enrolment, one.template) for one in self.gallery.templates(MODEL)}
        assert templates == {(one[0], face(one[1])) for one in self.model.values()}
        assert self.gallery.count() == len(self.model)

    def teardown(self):
        self.gallery.close()


def test_any_life(tmp_path_factory):
    """Enrolling, removing, expiring and restarting in any order is what a dictionary would do."""

    class Machine(GalleryLife):
        @staticmethod
        def folder():
            return tmp_path_factory.mktemp("gallery")

    run_state_machine_as_test(
        Machine, settings=settings(max_examples=25, stateful_step_count=15, deadline=None)
    )
