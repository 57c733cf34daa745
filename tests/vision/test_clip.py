"""The demo clips show what they promise, and loop without a jump."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from vision.clip import render, street
from vision.clip.plate import plate
from vision.clip.render import RenderError, render_demo_clip


def test_plate_has_the_norm_s_proportions():
    """A small car's plate is 440 by 140 millimetres, blue with white signs."""
    image = plate("蒙BK2345")
    assert image.shape == (280, 880, 3)
    blue, _, red = image[30, 60].tolist()
    assert blue > 2 * red
    assert (image.min(axis=2) > 200).mean() == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize("scene", render.SCENES)
def test_clip_is_written_and_read_again(tmp_path, monkeypatch, scene):
    """A clip is a video that OpenCV reads, and nothing else is left beside it."""
    monkeypatch.setattr(render, "SECONDS", 1)
    path = tmp_path / "clip.avi"
    render_demo_clip(path, scene)
    assert [p.name for p in tmp_path.iterdir()] == ["clip.avi"]
    video = cv2.VideoCapture(str(path))
    assert video.get(cv2.CAP_PROP_FPS) == render.FRAMES_PER_S
    ok, first = video.read()
    assert ok
    assert first.shape == (720, 1280, 3)


def test_round_starts_and_ends_empty():
    """The car is away at both ends of the round, so that the loop has no jump."""
    empty, car = street.background(360, 640), street.car()
    for second in (0, 23.9):
        assert (street.frame(empty, car, second) == empty).all()
    shown = street.frame(empty, car, 10)
    assert (np.abs(shown.astype(int) - empty).max(axis=2) > 20).mean() > 0.2


def test_place_that_cannot_be_written(tmp_path):
    """A folder that is not there is an error with the path, from the command line a status 1."""
    path = tmp_path / "nowhere" / "clip.avi"
    with pytest.raises(RenderError, match="nowhere"):
        render_demo_clip(path, "street")
    command = [sys.executable, "-m", "vision.clip", "street", str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "nowhere" in done.stderr
