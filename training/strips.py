"""Training material of the reader: strips as ``vision.plates.rectify`` cuts them, with labels."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from training.photograph import Image, expose, field, framed_plate, pose, weather
from training.plates import Drawn, draw
from training.typeface import Typeface, one_of
from vision.plates.alphabet import CHARACTERS, MAX_LENGTH
from vision.plates.plate import COLOURS
from vision.plates.rectify import HEIGHT, WIDTH, plate_in_strip, rectify

T = TypeVar("T")
UNKNOWN = -1
"""Label of what a real picture's list does not say."""


@dataclass(frozen=True, slots=True)
class Strip:
    """One sample."""

    image: Image
    """``(HEIGHT, WIDTH, 3)`` BGR"""
    text: str
    colour: int
    rows: int
    """0: one row, 1: two."""
    centres: NDArray[np.float32]
    """``(MAX_LENGTH, 2)`` in pixels of the strip, NaN where there is no character or not known."""


def encode(text: str) -> list[int]:
    """Give the reader's classes of a text, filled up with "no character"."""
    codes = [CHARACTERS.index(character) + 1 for character in text]
    return codes + [0] * (MAX_LENGTH - len(codes))


def synthetic(
    typeface: Typeface, rng: np.random.Generator, views: int = 1, clutter: Sequence[Image] = ()
) -> list[Strip]:
    """Draw a plate, take it through weather and camera, and cut it out as a detector would.

    Drawing costs more than a photograph, so ``views`` are made of each plate. Some strips are
    to be read as nothing: surroundings, ``clutter``, and plates cut through or far too small.
    """
    if rng.random() < 0.10:
        return [_nothing(rng, clutter)]
    plate = draw(typeface, rng)
    worn = weather(plate.image, rng)
    return [_strip(plate, worn, rng) for _ in range(views)]


def _strip(plate: Drawn, worn: Image, rng: np.random.Generator) -> Strip:
    height, width = worn.shape[:2]
    framed, border = framed_plate(worn, rng)
    pixels = float(np.exp(rng.uniform(np.log(46), np.log(230))))  # plate's width in the picture
    if pixels < width * 0.6:  # a camera averages what falls on a pixel
        shrink = max(pixels * 1.3 / width, 0.15)
        framed = cv2.resize(framed, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    else:
        shrink = 1.0
    quad = pose(pixels, height / width, rng)
    low, high = quad.min(axis=0), quad.max(axis=0)
    margin = np.array((0.25, 0.6)) * (high - low) + 4
    size = np.ceil(high - low + 2 * margin).astype(int)
    quad = (quad - low + margin).astype(np.float32)
    source = np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float32)
    to_picture = cv2.getPerspectiveTransform(source, quad)
    grow = np.array(((1 / shrink, 0, -border), (0, 1 / shrink, -border), (0, 0, 1)))
    picture = _surroundings(int(size[1]), int(size[0]), rng)
    cv2.warpPerspective(
        framed,
        to_picture @ grow,
        (int(size[0]), int(size[1])),
        dst=picture,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    picture = expose(picture, rng, hardness=float(np.clip(pixels / 110, 0.5, 1.3)))
    centres = cv2.perspectiveTransform(plate.centres[None], to_picture)[0]
    if rng.random() < 0.03:  # what no good detector gives
        return Strip(_miscut(picture, quad, rng), "", UNKNOWN, UNKNOWN, _nowhere())
    if rng.random() < 0.6:  # by its four corners, not exactly
        across = float(np.linalg.norm(quad[1] - quad[0]))
        spread = np.array((0.018, 0.018 * 1.6)) * across * rng.uniform(0, 1.6)
        cut = quad + rng.normal(0, 1, (4, 2)) * spread * 0.6 + rng.normal(0, 1, 2) * spread * 0.6
    else:  # by an upright box around it
        box = quad.max(axis=0) - quad.min(axis=0)
        # Some cut away the plate's edge up to the characters, and a little of these.
        loose, tight = np.array((0.07, 0.10)), np.array((0.05, 0.18 / plate.layout.rows))
        low = quad.min(axis=0) + rng.uniform(-loose, tight) * box
        high = quad.max(axis=0) + rng.uniform(-tight, loose) * box
        cut = np.array(((low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])))
    return _cut(picture, cut.astype(np.float32), centres, plate)


def _miscut(picture: Image, quad: NDArray[np.float32], rng: np.random.Generator) -> Image:
    """Cut so that at least a character is missing, or all are tiny."""
    middle = quad.mean(axis=0)
    if rng.random() < 0.3:
        quad = middle + (quad - middle) * rng.uniform(2.4, 4)
    else:
        across = (quad[1] - quad[0]) * rng.choice((-1, 1)) * rng.uniform(0.2, 0.6)
        quad = quad + across + rng.normal(0, 0.03, 2) * np.linalg.norm(quad[1] - quad[0])
    return _cut_out(picture, quad)


def _cut_out(picture: Image, corners: NDArray[Any]) -> Image:
    """Straighten what lies between four corners, ``(4, 2)``."""
    a, b, c, d = ((float(x), float(y)) for x, y in corners)
    return rectify(picture, (a, b, c, d))


def _nowhere() -> NDArray[np.float32]:
    return np.full((MAX_LENGTH, 2), np.nan, np.float32)


def _cut(
    picture: Image, cut: NDArray[np.float32], centres: NDArray[np.float32], plate: Drawn
) -> Strip:
    strip = _cut_out(picture, cut)
    to_strip = cv2.getPerspectiveTransform(cut, plate_in_strip())
    places = _nowhere()
    places[: len(plate.text)] = cv2.perspectiveTransform(centres[None], to_strip)[0]
    rows = plate.layout.rows - 1
    return Strip(strip, plate.text, COLOURS.index(plate.colour), rows, places)


def _surroundings(height: int, width: int, rng: np.random.Generator) -> Image:
    """Paint of a car, shadow, road: smooth colours and some edges."""
    base = rng.uniform(0, 255, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(5, 250))
    ground = np.empty((height, width, 3), np.float32)
    ground[:] = base
    ground *= 0.5 + field(height, width, rng)
    for _ in range(int(rng.integers(0, 5))):
        colour = (np.full(3, rng.uniform(0, 255)) + rng.normal(0, 25, 3)).clip(0, 255).tolist()
        x, y = rng.integers(0, width), rng.integers(0, height)
        end = int(x + rng.normal(0, width)), int(y + rng.normal(0, height / 4))
        cv2.line(ground, (int(x), int(y)), end, colour, int(rng.integers(1, max(2, height // 4))))
    return np.asarray(np.clip(ground, 0, 255), np.uint8)


def _nothing(rng: np.random.Generator, clutter: Sequence[Image]) -> Strip:
    """Show what is no plate."""
    if clutter and rng.random() < 0.75:
        picture = one_of(clutter, rng)
        height, width = picture.shape[:2]
        quad = pose(width * float(rng.uniform(0.4, 1.1)), float(rng.uniform(0.28, 0.6)), rng)
        quad += np.asarray(rng.uniform(0.3, 0.7, 2) * (width, height), np.float32)
        picture = _cut_out(picture, quad)
    else:
        picture = _surroundings(HEIGHT, WIDTH, rng)
    return Strip(expose(picture, rng), "", UNKNOWN, UNKNOWN, _nowhere())


@dataclass(frozen=True, slots=True)
class Crop:
    """A real cut-out plate."""

    file: Path
    text: str
    image: Image


def real_crops(folder: Path) -> list[Crop]:
    """Load a folder with ``labels.csv`` (``file``, ``plate``)."""
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    crops = ((row, cv2.imread(str(folder / row["file"]))) for row in rows)
    return [Crop(folder / r["file"], r["plate"], image) for r, image in crops if image is not None]


def held_back(items: Sequence[T], share: int = 10) -> tuple[list[T], list[T]]:
    """Split into training and validation: each ``share``-th is held back."""
    kept = [item for index, item in enumerate(items) if index % share]
    return kept, [item for index, item in enumerate(items) if index % share == 0]


def whole(crop: Crop) -> Image:
    """Cut the strip that shows a cut-out plate whole."""
    height, width = crop.image.shape[:2]
    return rectify(crop.image, ((0, 0), (width, 0), (width, height), (0, height)))


def varied(crop: Crop, rng: np.random.Generator) -> Strip:
    """Show a real crop as another camera might have."""
    image = crop.image
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        image = expose(image, rng, hardness=0.6 if width < 120 else 1.0)
    size = np.array((width, height))
    cut = np.array(((0, 0), (1, 0), (1, 1), (0, 1))) * size
    scale = rng.normal((0.01, -0.02), (0.05, 0.10))
    middle = size / 2
    cut = middle + (cut - middle) * (1 + scale) + rng.normal(0, 0.025, 2) * size
    cut = cut + rng.normal(0, 0.02, (4, 2)) * size
    angle = np.radians(rng.normal(0, 4))
    turn = np.array(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))
    cut = middle + (cut - middle) @ turn.T
    strip = _cut_out(image, cut)
    return Strip(strip, crop.text, UNKNOWN, 0, _nowhere())


def stream(
    typeface: Typeface,
    crops: Sequence[Crop],
    clutter: Sequence[Image],
    seed: int,
    real_share: float,
) -> Iterator[Strip]:
    """Give samples without end; rare provinces of the real ones come as often as frequent ones."""
    rng = np.random.default_rng(seed)
    weights = np.array([_weight(crop, crops) for crop in crops])
    weights /= weights.sum() or 1
    chance = 3 * real_share / (1 + 2 * real_share)  # a plate gives three samples, a crop one
    while True:
        if crops and rng.random() < chance:
            yield varied(crops[rng.choice(len(crops), p=weights)], rng)
        else:
            yield from synthetic(typeface, rng, views=3, clutter=clutter)


def _weight(crop: Crop, crops: Sequence[Crop]) -> float:
    same = sum(other.text[0] == crop.text[0] for other in crops)
    return float(same**-0.6)
