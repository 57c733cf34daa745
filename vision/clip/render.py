"""Renders a demo clip into a file: what a camera at the kiosk would see, for 24 seconds."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from vision.clip import counter, street
from vision.clip.paint import Image

Scene = Literal["street", "counter"]
SCENES: tuple[Scene, ...] = get_args(Scene)

WIDTH_PX, HEIGHT_PX = 1280, 720
FRAMES_PER_S = 10
SECONDS = 24
_NOISE = 2.5
"""Grey levels: the sensor's noise, without which a still scene would be a frozen one."""


class RenderError(Exception):
    """A clip cannot be written."""


def frames(scene: Scene) -> Iterator[Image]:
    """Draw the frames of one round, ``(720, 1280, 3)`` BGR each."""
    if scene == "street":
        background, sprite = street.background(HEIGHT_PX, WIDTH_PX), street.car()
        draw: Callable[[float], Image] = lambda at: street.frame(background, sprite, at)  # noqa: E731
    else:
        background, sprite = counter.background(HEIGHT_PX, WIDTH_PX), counter.person()
        draw = lambda at: counter.frame(background, sprite, at)  # noqa: E731
    random = np.random.default_rng(1)
    noise = random.normal(0, _NOISE, (HEIGHT_PX + 64, WIDTH_PX + 64)).round().astype(np.int16)
    for index in range(SECONDS * FRAMES_PER_S):
        x, y = random.integers(0, 64, 2)
        grain = noise[y : y + HEIGHT_PX, x : x + WIDTH_PX]
        picture = cv2.add(draw(index / FRAMES_PER_S), cv2.merge([grain] * 3), dtype=cv2.CV_8U)
        yield np.asarray(picture, np.uint8)


def render_portrait(path: Path) -> None:
    """Write a picture (PNG) of the person at the counter, as on a document.

    Raises:
        RenderError: the file cannot be written.
    """
    background = counter.background(HEIGHT_PX, WIDTH_PX)
    picture = counter.frame(background, counter.person(), SECONDS / 2)[100:600, 400:880]
    part = path.with_name(f".{path.stem}.{os.getpid()}.png")
    try:
        if not cv2.imwrite(str(part), picture):
            msg = f"the portrait cannot be written to {path}"
            raise RenderError(msg)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def render_demo_clip(path: Path, scene: Scene) -> None:
    """Write a clip (MJPEG in AVI) to ``path``, whole or not at all.

    Raises:
        RenderError: the file cannot be written.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.avi")
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    video = cv2.VideoWriter(str(part), cv2.CAP_FFMPEG, codec, FRAMES_PER_S, (WIDTH_PX, HEIGHT_PX))
    if not video.isOpened():
        msg = f"the demo clip cannot be written to {path}"
        raise RenderError(msg)
    try:
        for picture in frames(scene):
            video.write(picture)
        video.release()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
