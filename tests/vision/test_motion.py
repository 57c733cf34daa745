"""Motion is told once at its begin and once at its end."""

import cv2
import numpy as np
import pytest

from vision.motion import Motion
from vision.settings import MotionSettings

RATE = 5


def watch(picture, seconds, *, motion=None, start=0.0, noise=2.0):
    """Show what ``picture`` gives for each second; return what was told."""
    motion = motion or Motion(MotionSettings())
    random = np.random.default_rng(4)
    told = []
    for index in range(round(seconds * RATE)):
        grey = picture(index / RATE)
        frame = np.clip(grey + random.normal(0, noise, grey.shape), 0, 255).astype(np.uint8)
        report = motion.update(frame, start + index / RATE)
        told += [report] if report else []
    return told


def walker(scene, t):
    picture = scene.copy()
    cv2.rectangle(picture, (round(40 * t), 60), (round(40 * t) + 40, 160), 20, -1)
    return picture


def test_one_passage_is_one_motion(scene):
    """Something passes: one begin, one end, with its largest area."""
    told = watch(lambda t: walker(scene, t - 3) if 3 <= t <= 10 else scene, 20)
    assert [report.phase for report in told] == ["begin", "end"]
    assert told[1].duration_s == pytest.approx(11, abs=2)
    assert told[1].area_percent >= told[0].area_percent > 0.5


@pytest.mark.parametrize("noise", [0.5, 3, 8])
def test_still_scene_does_not_move(scene, noise):
    """The noise of a sensor, even a bad one by night, is not motion."""
    assert watch(lambda _: scene, 30, noise=noise) == []


@pytest.mark.parametrize("light", [0.5, 1.3])
def test_light_switched_is_not_motion_for_long(scene, light):
    """A sudden change of light is over in a few seconds at most."""
    told = watch(lambda t: np.clip(scene * (light if t > 5 else 1), 0, 255), 20)
    assert sum(report.duration_s for report in told) < 7


def test_slow_light_is_not_motion(scene):
    """A cloud passes."""
    assert watch(lambda t: scene * (1 - 0.3 * np.sin(t / 10) ** 2), 60) == []


def test_what_stays_is_not_motion(scene):
    """A car that parks comes to rest, and its leaving is another motion."""

    def car(t):
        return walker(scene, min(t, 4.0)) if t < 15 else walker(scene, t - 11)

    assert [r.phase for r in watch(car, 30)] == ["begin", "end", "begin", "end"]
