"""One presence is one begin and one end, however often the face is missed."""

import math

import cv2
import pytest

from vision.analysis import Analysis
from vision.clip import counter
from vision.presence import Presence, dlib_faces
from vision.settings import CameraSettings, PresenceSettings


def told(found, *, settings=None):
    """Feed the widths of found faces, two looks a second; return (phase, faces, width)."""
    presence = Presence(settings or PresenceSettings(end_s=4), lambda _: [])
    reports = (presence.update(widths, index / 2) for index, widths in enumerate(found))
    return [(r.phase, r.faces, r.face_px) for r in reports if r]


FACE, NONE = [100], []


def test_presence_is_bridged_over_misses():
    """A face that is turned away for a moment does not end the presence."""
    found = [NONE, *[FACE] * 4, *[NONE] * 6, *[FACE] * 3, *[NONE] * 12]
    assert told(found) == [("begin", 1, 100), ("end", 1, 100)]


def test_single_sighting_is_no_presence():
    """One look that takes a lamp for a face is not confirmed by the next ones."""
    assert told([NONE, FACE, *[NONE] * 20, FACE, *[NONE] * 20]) == []


def test_end_tells_most_faces_and_largest():
    """The end sums up the presence."""
    assert told([FACE, FACE, [120, 80], FACE, *[NONE] * 12])[-1] == ("end", 2, 120)


def test_looks_only_near_motion_and_while_somebody_is_there():
    """The detector rests while nothing moves and nobody is there."""
    presence = Presence(PresenceSettings(after_motion_s=10), lambda _: [])
    assert not presence.due(0, math.inf)
    assert presence.due(0, 5)
    assert not presence.due(0, 11)
    presence.update(FACE, 1)
    presence.update(FACE, 1.5)
    assert presence.due(2, 11)


def test_drawn_person_is_found_and_empty_room_is_not():
    """The person of the demo clip has a face for the real detector, in camera pixels."""
    room, person = counter.background(720, 1280), counter.person()
    presence = Presence(PresenceSettings(), dlib_faces())
    assert presence.look(room, 0) is None
    assert presence.look(counter.frame(room, person, 10), 1) is None
    begun = presence.look(counter.frame(room, person, 10.5), 1.5)
    assert begun is not None
    assert 180 <= begun.face_px <= 260


def frames_of(path, rate=5):
    capture = cv2.VideoCapture(str(path))
    fps = capture.get(cv2.CAP_PROP_FPS)
    step, index = max(1, round(fps / rate)), 0
    while capture.grab():
        if index % step == 0:
            yield index / fps, capture.retrieve()[1]
        index += 1


@pytest.mark.parametrize(
    ("name", "rounds", "presences"), [("faces", 3, 1), ("cars", 1, 0), ("people", 1, 0)]
)
def test_real_recordings(recordings, name, rounds, presences):
    """Faces are told as presence, backs and cars are not, and nothing is told as tampering."""
    analysis = Analysis(CameraSettings(name="camera", source="0"))
    found, start = [], 0.0
    for _ in range(rounds):
        now = start
        for at, frame in frames_of(recordings / f"{name}.mp4"):
            now = start + at
            found += analysis.update(frame, now)
        start = now + 0.2
    kinds = [report.kind for report in found if report.phase == "begin"]
    assert kinds.count("present") == presences
    assert kinds.count("moving") >= 1
    assert "tampered" not in kinds
