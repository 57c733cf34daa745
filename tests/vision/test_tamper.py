"""Tampering is told, once; what happens every day is not."""

import cv2
import numpy as np
import pytest

from vision.scene import Scene
from vision.settings import TamperSettings
from vision.tamper import Tamper

RATE = 5
SETTINGS = TamperSettings(learn_s=4, moved_s=4, relearn_s=30, frozen_s=5, clear_s=2)


class Feed:
    """Shows a watcher pictures with a sensor's noise, five a second."""

    def __init__(self, settings=SETTINGS, scene=None):
        self.tamper = Tamper(settings, scene)
        self.now = 0.0
        self._random = np.random.default_rng(9)

    def show(self, picture, seconds, *, noise=1.5, occupied=False):
        """Show ``picture``, or what a function of the second gives; return what was told."""
        told = []
        for index in range(round(seconds * RATE)):
            grey = picture(index / RATE) if callable(picture) else picture
            grain = self._random.normal(0, noise, grey.shape) if noise else 0
            frame = np.clip(grey + grain, 0, 255).astype(np.uint8)
            told += self.tamper.update(frame, self.now, occupied=occupied)
            self.now += 1 / RATE
        return told


def names(told):
    return [(change.condition, change.phase) for change in told]


def hand(picture):
    """Something dark and out of focus close to the lens."""
    mask = np.zeros(picture.shape, np.uint8)
    cv2.ellipse(mask, (150, 100), (165, 120), 10, 0, 360, 255, -1)
    share = cv2.GaussianBlur(mask, (0, 0), 9) / 255
    return picture * (1 - share) + np.linspace(50, 90, picture.shape[1]) * share


def person(picture, x):
    """Somebody who walks through the picture, with stripes on the coat."""
    picture = picture.copy()
    x = round(x)
    cv2.rectangle(picture, (x, 30), (x + 90, 180), 60, -1)
    for y in range(40, 180, 12):
        cv2.line(picture, (x, y), (x + 90, y), 120, 3)
    cv2.circle(picture, (x + 45, 25), 22, 170, -1)
    return picture


TAMPERED = {
    "black": lambda scene: scene * 0.02,
    "blurred": lambda scene: cv2.GaussianBlur(scene, (0, 0), 3),
    "covered": hand,
    "moved": lambda scene: np.roll(scene, 60, axis=1),
}


@pytest.mark.parametrize("condition", TAMPERED)
def test_tampering_begins_once_and_ends_once(scene, condition):
    """Each kind of tampering is told under its own name, at its begin and at its end only."""
    feed = Feed()
    assert feed.show(scene, 10) == []
    begun = feed.show(TAMPERED[condition](scene), 12)
    ended = feed.show(scene, 8)
    assert names(begun) == [(condition, "begin")]
    assert names(ended) == [(condition, "end")]
    assert begun[0].duration_s is None
    assert 7 < ended[0].duration_s < 16


def test_frozen_is_the_same_picture_to_the_last_pixel(scene):
    """A picture without even noise is frozen; a still scene of a live sensor is not."""
    feed = Feed()
    assert feed.show(scene, 20) == []
    begun = feed.show(scene, 8, noise=0)
    assert names(begun) == [("frozen", "begin")]
    assert begun[0].evidence.still_s >= SETTINGS.frozen_s
    assert names(feed.show(scene, 1)) == [("frozen", "end")]


def test_short_tampering_is_not_told(scene):
    """A hand that passes over the lens is no tampering."""
    feed = Feed()
    feed.show(scene, 10)
    assert feed.show(hand(scene), 2) + feed.show(scene, 8) == []


@pytest.mark.parametrize(
    ("picture", "seconds"),
    [
        pytest.param(lambda scene: lambda t: person(scene, 60 * t - 100), 8, id="a person walks"),
        pytest.param(lambda scene: lambda _: person(scene, 110), 40, id="a person stays"),
        pytest.param(lambda scene: lambda t: scene * (1 - 0.5 * t / 60), 60, id="evening comes"),
        pytest.param(lambda scene: lambda _: scene * 0.35, 20, id="half the lights go off"),
        pytest.param(
            lambda scene: lambda t: np.clip(scene * (1 + 0.3 * np.sin(t)), 0, 255),
            30,
            id="the exposure hunts",
        ),
        pytest.param(
            lambda scene: lambda t: np.roll(scene, round(np.sin(5 * t)), axis=1), 20, id="wind"
        ),
    ],
)
def test_ordinary_use_is_not_tampering(scene, picture, seconds):
    """What happens before a camera every day is told as nothing."""
    feed = Feed()
    feed.show(scene, 10)
    assert feed.show(picture(scene), seconds) + feed.show(scene, 5) == []


def test_lights_off_at_night_is_black_only(scene):
    """A dark room is black, not covered, moved or blurred, and all is well in the morning."""
    feed = Feed()
    feed.show(scene, 10)
    night = feed.show(scene * 0.03, 60, noise=2)
    assert names(night) == [("black", "begin")]
    assert names(feed.show(scene, 10)) == [("black", "end")]


def test_somebody_close_is_no_cover(scene):
    """Who faces the camera may hide the scene for as long as the service takes."""
    feed = Feed()
    feed.show(scene, 10)
    assert feed.show(hand(scene), 20, occupied=True) == []


def test_restart_remembers_the_scene(scene):
    """A camera that was turned while its process was down is told as moved all the same."""
    first = Feed()
    first.show(scene, 10)
    remembered = Scene.decode(first.tamper.scene.encode())
    second = Feed(scene=remembered)
    assert names(second.show(np.roll(scene, 60, axis=1), 12)) == [("moved", "begin")]


def test_new_scene_is_learned_in_the_end(scene):
    """A camera that was turned for good ends its condition after a while."""
    feed = Feed()
    feed.show(scene, 10)
    told = feed.show(np.roll(scene, 60, axis=1), 60)
    assert names(told) == [("moved", "begin"), ("moved", "end")]


def test_scene_text_that_is_no_picture_is_ignored():
    """A damaged memory is as good as none."""
    assert Scene.decode("not base64!") is None
    assert Scene.decode("AAAA") is None


def test_restless_view_is_never_learned(scene):
    """A programme that cuts from scene to scene has none that a camera could be moved from."""
    feed = Feed(TamperSettings(learn_s=6))
    views = [scene, scene[::-1], np.roll(scene, 90, axis=1)]
    assert feed.show(lambda t: views[int(t / 3) % 3], 60) == []
    assert feed.tamper.scene is None


def test_picture_of_another_size_starts_afresh(scene):
    """A camera that changes its resolution is learned anew."""
    feed = Feed()
    feed.show(scene, 10)
    assert feed.show(scene[:160, :300], 10) == []
    assert feed.tamper.scene.picture.shape == (160, 300)
