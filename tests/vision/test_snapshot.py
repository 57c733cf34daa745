"""Snapshots show the place and what happens there, nobody's face and no plate."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import cv2
import dlib
import numpy as np
import psutil
import pytest

from tests.support.plate_networks import (
    picture_with_plate,
    reader_of,
    white_box_detector,
    write_models,
)
from vision.clip import counter, street
from vision.frames import FrameWriter, SharedFrame
from vision.plates.backends import open_recogniser
from vision.snapshot import Order, count, encode, find_faces, find_plates, hide, take

FACES = Path(__file__).parents[3] / "shared" / "data" / "faces"


WITHOUT_FACES = pytest.mark.skipif(
    not FACES.is_dir(), reason="no real faces beside this checkout (../shared/data/faces)"
)


@pytest.fixture(scope="module")
def person():
    """Somebody who stands before the camera, drawn, 640 by 360."""
    return counter.frame(counter.background(360, 640), counter.person(), 12.0)


def photo(name: str):
    """A real face, in a size that is quickly searched."""
    picture = cv2.imread(str(FACES / name))
    scale = (160_000 / (picture.shape[0] * picture.shape[1])) ** 0.5
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def decoded(jpeg: bytes):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def frame(picture) -> SharedFrame:
    return SharedFrame(picture.copy(), 1, 0)


def test_a_face_is_hidden_and_the_rest_stays(person):
    """One person, one face: no detector finds it in the picture, which is else the same."""
    header, jpeg = take(frame(person), Order())
    assert header.faces_hidden == 1
    assert (header.width_px, header.height_px, header.size) == (640, 360, len(jpeg))
    picture = decoded(jpeg)
    assert find_faces(picture) == []
    changed = cv2.absdiff(picture, person).max(axis=2) > 60
    rows, columns = np.where(changed)
    assert changed.any()
    assert columns.max() - columns.min() < 300  # not the whole picture is spoilt
    assert rows.max() - rows.min() < 300


@WITHOUT_FACES
@pytest.mark.parametrize("name", ["lin0.png", "obama3.jpg", "partial_obama0.jpg", "rose0.jpg"])
def test_real_faces_are_hidden(name):
    """Real people, whole and cut off: found, and not found again."""
    picture = photo(name)
    faces = find_faces(picture)
    assert count(faces) == 1
    hide(picture, faces)
    assert find_faces(picture) == []


@WITHOUT_FACES
def test_small_faces_and_many_of_them_are_hidden():
    """Three people of 28 pixels each in a picture 1280 wide."""
    picture = counter.background(720, 1280)
    for place, name in enumerate(("alex0.jpg", "biden1.jpg", "rose0.jpg")):
        whole = photo(name)
        (box,) = dlib.get_frontal_face_detector()(whole, 0)
        around = box.width() // 2
        face = whole[
            max(0, box.top() - around) : box.bottom() + around,
            max(0, box.left() - around) : box.right() + around,
        ]
        scale = 28 / box.width()
        small = cv2.resize(face, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        x = 80 + 190 * place
        picture[250 : 250 + small.shape[0], x : x + small.shape[1]] = small
    header, _ = take(frame(picture), Order())
    assert header.faces_hidden == 3


def test_nobody_there_nothing_hidden():
    """A street and an empty room are shown as they are."""
    for picture in (street.background(360, 640), counter.background(360, 640)):
        header, jpeg = take(frame(picture), Order())
        assert header.faces_hidden == 0
        assert np.abs(decoded(jpeg).astype(int) - picture).mean() < 8


def test_a_plate_is_hidden_and_the_rest_stays():
    """Nothing can be read of it; the car is there as it was."""
    picture = street.frame(street.background(720, 1280), street.car(), 10)
    header, jpeg = take(frame(picture), Order())
    assert header.plates_hidden == 1
    assert [
        p for p in open_recogniser().find(decoded(jpeg)) if p.reading.min_confidence > 0.5
    ] == []
    assert np.abs(decoded(jpeg).astype(int) - picture).mean() < 8


def test_a_plate_of_which_nothing_is_read_is_hidden(monkeypatch, tmp_path):
    """Where the detector is sure: one half covered says nothing to the reader, but to people."""
    manifest = write_models(tmp_path, white_box_detector(), reader_of(""))
    monkeypatch.setattr(
        "vision.snapshot.open_recogniser", partial(open_recogniser, manifest=manifest)
    )
    ((left, top, right, bottom),) = find_plates(picture_with_plate(box=(200, 200, 96, 32)))
    assert (left, top) <= (200, 200)
    assert (right, bottom) >= (296, 232)


def test_two_signatures_show_the_face(person):
    """Without blur nobody looks for faces, and the face is there."""
    header, jpeg = take(frame(person), Order(blur=False))
    assert header.faces_hidden is None
    assert len(dlib.get_frontal_face_detector()(decoded(jpeg), 0)) == 1


def test_a_face_at_the_border_is_hidden_to_the_border():
    """Boxes reach over the border of the picture: what is inside is hidden, coarsely."""
    noise = np.random.default_rng(1).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    picture = noise.copy()
    hide(picture, [(-30, -30, 50, 50), (280, 180, 340, 260), (400, 400, 500, 500)])
    assert picture[:90, :90].std() < noise.std() / 4
    assert picture[160:, 260:].std() < noise.std() / 2
    assert (picture[120:150, 120:200] == noise[120:150, 120:200]).all()


def test_scaled_to_the_wanted_width_and_never_up(person):
    """At most as wide as asked for, in proportion."""
    header, jpeg = take(frame(person), Order(blur=False, max_width_px=320))
    assert (header.width_px, header.height_px) == (320, 180)
    assert decoded(jpeg).shape == (180, 320, 3)
    small = cv2.resize(person, (160, 90))
    assert take(frame(small), Order(blur=False, max_width_px=640))[0].width_px == 160


def test_a_grey_camera_gives_a_picture(person):
    """One channel is enough."""
    grey = cv2.cvtColor(person, cv2.COLOR_BGR2GRAY)[..., None]
    assert take(frame(grey), Order())[0].faces_hidden == 1


@pytest.mark.parametrize("limit", [512 * 1024, 100_000, 20_000, 4096])
def test_quality_and_size_give_way_to_the_limit(limit):
    """Pure noise, the worst there is: it becomes as coarse as it must."""
    noise = np.random.default_rng(2).integers(0, 255, (720, 1280, 3), dtype=np.uint8)
    jpeg, width, height = encode(noise, limit)
    assert len(jpeg) <= limit
    assert decoded(jpeg).shape[:2] == (height, width)


def test_the_jpeg_says_nothing_but_the_picture(person):
    """No EXIF, no comment, no thumbnail: JFIF's own marker is the only one for applications."""
    jpeg, _, _ = encode(person, 512 * 1024)
    markers, at = [], 2
    while jpeg[at + 1] != 0xDA:  # start of scan
        markers.append(jpeg[at + 1])
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    assert [marker for marker in markers if marker >= 0xE0] == [0xE0]


@pytest.fixture
def camera():
    fd = os.memfd_create("test")
    yield FrameWriter(fd), f"/proc/{os.getpid()}/fd/{fd}"
    os.close(fd)


def run(path: str, order: dict) -> tuple[int, dict, bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "vision.snapshot", path],
        input=json.dumps(order).encode(),
        stdout=subprocess.PIPE,
        check=False,
    )
    line, _, jpeg = done.stdout.partition(b"\n")
    return done.returncode, json.loads(line), jpeg


def test_the_process_gives_header_and_picture(camera, person):
    """The newest frame of the shared memory: one line of JSON, then the JPEG and nothing else."""
    writer, path = camera
    writer.slot(360, 640)[:] = person
    writer.commit()
    status, header, jpeg = run(path, {"blur": False, "max_width_px": 320})
    assert status == 0
    assert header["error"] is None
    assert header["size"] == len(jpeg)
    assert 0 <= header["frame_age_ms"] < 60_000
    assert decoded(jpeg).shape == (180, 320, 3)


def test_the_process_says_that_there_is_no_frame(camera):
    """A camera that never gave one, and one that is gone: a sentence, no trace."""
    for path in (camera[1], "/nonexistent/frames"):
        status, header, jpeg = run(path, {})
        assert (status, header["error"], jpeg) == (1, "it has given no picture yet", b"")


def test_it_ends_with_its_agent():
    """An agent that is killed leaves no process behind that holds a picture."""
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'vision.snapshot', 'none'],"
        " stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\ntime.sleep(60)\n"
    )
    agent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(agent.stdout.readline()))
    while not _ignores_interrupts(child.pid):
        time.sleep(0.02)
    agent.kill()
    agent.communicate()
    psutil.wait_procs([child], 5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def _ignores_interrupts(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (ignored,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigIgn"))
    return bool(int(ignored, 16) >> (signal.SIGINT - 1) & 1)
