"""The identity process: asked through its pipe, shown frames in shared memory."""

import asyncio
import contextlib
import itertools
import os
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from tests.support.clock import START
from tests.support.faces import FakeRecogniser, show, template
from tests.support.real_clock import RealClock
from vision.frames import FrameWriter
from vision.identity.gallery import Gallery
from vision.identity.gallery_record import Moment, NewPerson
from vision.identity.report import (
    MAX_PORTRAIT_BYTES,
    GalleryAccess,
    Identify,
    IdentityOrder,
    Opened,
    Verify,
    parse_report,
)
from vision.identity.search import packed
from vision.identity.settings import CameraIdentitySettings, IdentitySettings
from vision.identity.watcher import IdentityWatch, start_identity
from vision.process import ChildProcess, start

SOON_S = 30


class Process:
    """A real identity process with made-up networks, and frames that the test writes."""

    def __init__(self, **identity):
        self.fd = os.memfd_create("frames")
        self.writer = FrameWriter(self.fd)
        self.order = IdentityOrder(
            frames=Path(f"/proc/{os.getpid()}/fd/{self.fd}"),
            settings=CameraIdentitySettings(enabled=True, per_s=10, check_per_s=25),
            identity=IdentitySettings(**identity),
        )
        self.child = None
        self.present = []
        self.persons = ()

    def show(self, *persons):
        show(self.writer.slot(90, 160), *persons)
        self.writer.commit()

    async def start(self, order):
        self.child = await start(ChildProcess, "tests.support.identity_process", order)
        return self.child

    @contextlib.asynccontextmanager
    async def watch(self):
        """Its watch at work; frames come meanwhile as :attr:`persons` says."""
        watch = IdentityWatch(
            "front",
            self.order,
            clock=RealClock(),
            present=lambda _, present: self.present.append(present),
            start=self.start,
        )
        tasks = [asyncio.create_task(watch.run()), asyncio.create_task(self._film())]
        try:
            async with asyncio.timeout(SOON_S):
                while watch.health().state != "watching":
                    await asyncio.sleep(0.02)
                yield watch
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _film(self):
        while True:
            self.show(*self.persons)
            await asyncio.sleep(0.04)


@pytest.fixture
def process():
    made = Process()
    yield made
    os.close(made.fd)


def verify(portrait=b"1", *, id_="a", limit_s=5.0, session=None):
    return Verify(id=id_, limit_s=limit_s, liveness="off", portrait=portrait, session=session)


async def ask(watch, check):
    """Ask without listening to hints."""
    return await watch.ask(check, lambda _: None)


async def test_the_person_of_the_document_stands_there(process):
    """A portrait goes in, frames are compared with it, and an answer comes out; then others do."""
    process.persons = (1,)
    async with process.watch() as watch:
        answer = await ask(watch, verify(session="s"))
        assert (answer.outcome, answer.frames) == ("match", 3)
        assert (await ask(watch, verify(b"2"))).outcome == "no_match"
        assert (await ask(watch, verify(b"no"))).reasons == ("portrait_unreadable",)
        while not process.present or process.present[-1].session_person != "here":
            await asyncio.sleep(0.02)
        watch.forget("s")
        while process.present[-1].session is not None:
            await asyncio.sleep(0.02)
        assert process.present[-1].faces == 1
    assert process.present[-1] is None


async def test_a_portrait_of_megabytes(process):
    """The largest portrait gets through; nothing of it stays in the process's memory."""
    mark = os.urandom(12)
    portrait = b"1" + (mark * (MAX_PORTRAIT_BYTES // len(mark)))[: MAX_PORTRAIT_BYTES - 1]
    process.persons = (1,)
    async with process.watch() as watch:
        assert (await ask(watch, verify(portrait))).outcome == "match"
        child = _own_process()
        await asyncio.sleep(0.1)
        try:
            copies = _occurrences(child.pid, mark * 20)
        except OSError:
            pytest.skip("the memory of another process cannot be read here")
    assert copies == 0


def _own_process():
    """The newest identity process; other tests of this worker have children as well."""
    own = [one for one in psutil.Process().children() if _is_watch(one)]
    return max(own, key=lambda one: one.create_time())


def _is_watch(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(
            "identity_process" in part or "vision.identity.watch" in part
            for part in process.cmdline()
        )
    return False


def _occurrences(pid, mark):
    found = 0
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:  # noqa: PTH123
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            where, rights, *_ = line.split()
            if rights.startswith("rw"):
                begin, end = (int(part, 16) for part in where.split("-"))
                memory.seek(begin)
                found += memory.read(end - begin).count(mark)
    return found


async def test_the_gallery_is_read_and_read_again(process, tmp_path):
    """Who is enrolled is recognised: from the start, and after a change; then nobody is."""
    key, file = os.urandom(32), tmp_path / "gallery.db"
    identify = Identify(id="a", limit_s=5, liveness="off")
    access = GalleryAccess(file=file, key=key)
    await asyncio.to_thread(enrol, access, 1)
    process.order = process.order.model_copy(update={"gallery": access})
    process.persons = (2,)
    async with process.watch() as watch:
        assert (await ask(watch, identify)).reasons == ("unknown_person",)
        name = await asyncio.to_thread(enrol, access, 2)
        watch.reload(access)
        while watch.health().enrolled != 2:
            await asyncio.sleep(0.02)
        assert (await ask(watch, identify)).enrolment == name
        while not (process.present and process.present[-1].staff):
            await asyncio.sleep(0.02)
        assert process.present[-1].staff == (name,)
        watch.reload(None)
        while watch.health().enrolled != 0:
            await asyncio.sleep(0.02)
        assert (await ask(watch, identify)).reasons == ("unknown_person",)


async def test_a_gallery_that_cannot_be_used(process, tmp_path):
    """It is said why; all else works."""
    file = tmp_path / "gallery.db"
    file.write_bytes(b"nonsense" * 1000)
    access = GalleryAccess(file=file, key=os.urandom(32))
    process.order = process.order.model_copy(update={"gallery": access})
    process.persons = (1,)
    async with process.watch() as watch:
        while not watch.health().text:
            await asyncio.sleep(0.02)
        identify = Identify(id="a", limit_s=5, liveness="off")
        assert (await ask(watch, identify)).reasons == ("gallery_unusable",)
        assert (await ask(watch, verify())).outcome == "match"


async def test_a_key_that_is_lost_and_found(process, tmp_path):
    """Without it the gallery is unusable, which is not the same as nobody enrolled."""
    access = GalleryAccess(file=tmp_path / "gallery.db", key=os.urandom(32))
    name = await asyncio.to_thread(enrol, access, 1)
    lost = GalleryAccess(file=access.file)
    process.order = process.order.model_copy(update={"gallery": lost})
    process.persons = (1,)
    identify = Identify(id="a", limit_s=5, liveness="off")
    async with process.watch() as watch:
        assert (await ask(watch, identify)).reasons == ("gallery_unusable",)
        while "key of enrolled staff is missing" not in watch.health().text:
            await asyncio.sleep(0.02)
        watch.reload(access)
        while watch.health().text:
            await asyncio.sleep(0.02)
        assert (await ask(watch, identify)).enrolment == name


def enrol(access, person):
    """Enrol somebody; returns their number."""
    with contextlib.closing(Gallery(access.file, access.key)) as gallery:
        new = NewPerson(
            subject=f"person {person}",
            purposes=("presence",),
            consent_code="paper-1",
            days=30,
            recogniser=FakeRecogniser.name,
            by="test",
        )
        now = Moment(START, synced=True)
        enrolled = gallery.enrol(new, packed(template(person)), now, lambda _: ())
        return enrolled.person.enrolment


async def test_a_crash_tells_its_place_and_nothing_else(process):
    """What is said of an error holds no picture; a check is left to a human."""
    process.persons = (7,)
    async with process.watch() as watch:
        assert (await ask(watch, verify())).reasons == ("models_unavailable",)
        while watch.health().state != "failed":
            await asyncio.sleep(0.02)
        assert watch.health().text.startswith("ValueError in identity_process.py, line ")
        assert process.child.last_words == ""


async def test_a_process_that_was_started_anew_knows_nobody(process):
    """The verified person was in its memory alone: it does not claim to know whether they stay."""
    process.persons = (1,)
    async with process.watch() as watch:
        assert (await ask(watch, verify(session="s"))).outcome == "match"
        while not process.present or process.present[-1].session_person != "here":
            await asyncio.sleep(0.02)
        _own_process().kill()
        while process.present[-1] is not None:
            await asyncio.sleep(0.02)
        while process.present[-1] is None:
            await asyncio.sleep(0.02)
        assert (process.present[-1].faces, process.present[-1].session) == (1, None)


async def test_a_machine_without_models_is_a_fault_of_models():
    """What cannot be loaded is said in a sentence; the process ends."""
    process = Process(threads=2)
    child = await process.start(process.order)
    async with asyncio.timeout(SOON_S):
        report = parse_report(await child.read())
        assert (report.kind, report.reason) == ("failed", "model")
        assert "face-recogniser" in report.text
        assert await child.read() is None
    assert await child.close(kill=False) == 1
    os.close(process.fd)


async def test_it_ends_with_its_pipe_and_leaves_no_core(process):
    """Closing its standard input ends it at once, in order; its memory is never dumped."""
    child = await process.start(process.order)
    async with asyncio.timeout(SOON_S):
        assert isinstance(parse_report(await child.read()), Opened)
        assert _own_process().rlimit(psutil.RLIMIT_CORE) == (0, 0)
        assert await child.close(kill=False) == 0


async def test_nonsense_is_passed_over(process):
    """A line that is no ask, or too long, changes nothing."""
    process.persons = (1,)
    async with process.watch() as watch:
        too_long = verify().model_copy(update={"portrait": b"1" * 3 * MAX_PORTRAIT_BYTES})
        await process.child.tell(too_long)
        await process.child.tell(process.order)
        assert (await ask(watch, verify())).outcome == "match"


class RealProcess(Process):
    """The real process with the shipped networks; each frame is the next one of some pictures."""

    def __init__(self):
        super().__init__()
        self.pictures = itertools.cycle(())

    async def start(self, order):
        self.child = await start_identity(order)
        return self.child

    def show(self, *persons):
        picture = next(self.pictures)
        self.writer.slot(*picture.shape)[:] = picture
        self.writer.commit()

    def film(self, pictures):
        """Show these, forth and back."""
        self.pictures = itertools.cycle([*pictures, *pictures[::-1]])


@pytest.fixture(scope="module")
def speaker(recordings):
    """Frames in which one person speaks and moves their head, 640 by 360."""
    video = cv2.VideoCapture(str(recordings / "faces.mp4"))
    frames = [frame for ok, frame in (video.read() for _ in range(225)) if ok]
    video.release()
    return frames[90:]


@pytest.fixture
def real():
    made = RealProcess()
    yield made
    os.close(made.fd)


def jpeg(picture):
    return cv2.imencode(".jpg", picture)[1].tobytes()


async def test_people_of_a_recording(real, speaker, recordings):
    """With the shipped networks: themselves, somebody else, nobody, two, and a poster."""
    real.film(speaker[40:])
    async with real.watch() as watch:
        theirs = verify(jpeg(speaker[10]))
        assert (await ask(watch, theirs)).outcome == "match"
        other = (recordings.parent / "faces" / "biden0.jpg").read_bytes()
        assert (await ask(watch, verify(other))).outcome == "no_match"
        real.film([frame[:, ::-1] for frame in speaker[:1]])
        poster = theirs.model_copy(update={"liveness": "challenge", "limit_s": 2.5})
        answer = await ask(watch, poster)
        assert (answer.outcome, answer.similarity) == ("refer", None)
        real.film([np.hstack([frame[:, 100:400]] * 2) for frame in speaker[40:60]])
        answer = await ask(watch, verify(jpeg(speaker[10]), limit_s=1.5))
        assert answer.reasons == ("several_faces", "timeout")
        real.film([np.zeros_like(speaker[0])])
        answer = await ask(watch, verify(jpeg(speaker[10]), limit_s=1.5))
        assert (answer.outcome, answer.reasons) == ("refer", ("no_face", "timeout"))
        assert watch.health().rss_bytes < 200 * 2**20
