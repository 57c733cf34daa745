"""Clean synthetic plates of every class of GA 36-2018, drawn at one pixel a millimetre."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from training.photograph import Image
from training.typeface import Style, Typeface, one_of
from vision.plates.alphabet import AUTHORITY_O, DIGITS, LETTERS, PROVINCES
from vision.plates.plate import Colour

_SAMPLES = tuple[float, float, float]

_PAINT: dict[Colour, tuple[_SAMPLES, ...]] = {  # BGR, what cameras make of the paint
    "blue": ((170, 70, 15), (200, 90, 30), (140, 50, 10), (160, 100, 60), (190, 60, 40)),
    "yellow": ((20, 180, 240), (40, 160, 220), (10, 150, 200), (70, 200, 240)),
    "green": ((140, 200, 100), (120, 190, 60), (160, 210, 130)),
    "yellow_green": ((110, 200, 70), (90, 180, 40)),
    "white": ((235, 235, 235), (210, 215, 220), (225, 220, 210)),
    "black": ((30, 30, 30), (45, 40, 38), (20, 22, 26)),
}
_WHITE, _BLACK, _RED = (238.0, 240.0, 240.0), (25.0, 25.0, 25.0), (40.0, 35.0, 200.0)

Box = tuple[float, float, float, float]
"""x, y, width, height in mm."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the characters of a plate are."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    dot: tuple[float, float] | None = None

    @property
    def rows(self) -> int:
        """1 or 2."""
        return 2 if len({round(box[1] + box[3] / 2) for box in self.boxes}) > 1 else 1


@dataclass(frozen=True, slots=True)
class Drawn:
    """A clean plate."""

    image: Image
    """``(height, width, 3)`` BGR, one pixel a millimetre."""
    text: str
    colour: Colour
    layout: Layout

    @property
    def centres(self) -> NDArray[np.float32]:
        """``(n, 2)``: the middle of each character, in mm."""
        return np.array([(x + w / 2, y + h / 2) for x, y, w, h in self.layout.boxes], np.float32)


def _single(count: int, split: int = 2, width: int = 440, gap: float = 12) -> Layout:
    """Lay out one row of ``count`` characters, the dot after ``split``."""
    space = 34.0 if count == 7 else 30.0
    wide = (width - 31 - space - gap * (count - 2)) / count
    boxes, x = [], 15.5
    for index in range(count):
        boxes.append((x, 25.0, wide, 90.0))
        x += wide + (space if index == split - 1 else gap)
    dot = boxes[split - 1][0] + wide + space / 2
    return Layout(width, 140, tuple(boxes), (dot, 70.0))


def _double(count: int, top: int = 2) -> Layout:
    """Lay out a rear plate: two characters above, the serial below (440 by 220)."""
    below = count - top
    if top == 2:
        first = [(x, 15.0, 80.0, 60.0) for x in (110.0, 250.0)]
    else:
        wide = 300 / top
        first = [(70 + i * wide, 15.0, wide - 15, 60.0) for i in range(top)]
    wide = (440 - 55 - 15 * (below - 1)) / below
    second = [(27.5 + i * (wide + 15), 90.0, wide, 110.0) for i in range(below)]
    return Layout(440, 220, (*first, *second), (220.0, 45.0) if top == 2 else None)


def _motorcycle(count: int, *, low_speed: bool) -> Layout:
    """Lay out a motorcycle's (220 by 140) or a low-speed vehicle's plate (300 by 165)."""
    base = _double(count)
    width, height = (300, 165) if low_speed else (220, 140)
    x, y = width / base.width, height / base.height
    boxes = tuple((a * x, b * y, w * x, h * y) for a, b, w, h in base.boxes)
    return Layout(width, height, boxes, (width / 2, 45 * y))


def _pick(rng: np.random.Generator, characters: str, count: int = 1) -> str:
    return "".join(characters[i] for i in rng.integers(len(characters), size=count))


def _serial(rng: np.random.Generator, length: int = 5) -> str:
    """Draw a serial: mostly digits, up to three letters anywhere."""
    letters = int(rng.choice(4, p=(0.3, 0.36, 0.28, 0.06)))
    serial = list(_pick(rng, DIGITS, length))
    for index in rng.permutation(length)[:letters]:
        serial[index] = _pick(rng, LETTERS)
    return "".join(serial)


def _place(rng: np.random.Generator) -> str:
    return _pick(rng, PROVINCES) + _pick(rng, LETTERS)


@dataclass(frozen=True, slots=True)
class Kind:
    """One class of plates."""

    share: float
    text: Callable[[np.random.Generator], str]
    colours: tuple[Colour, ...]
    layouts: tuple[Callable[[str], Layout], ...]
    red: Callable[[int, str], bool] = lambda _, __: False


def _nev(rng: np.random.Generator, *, large: bool) -> str:
    letter = _pick(rng, "DDDDFFFFABCEGHJK")
    if large:
        return _place(rng) + _pick(rng, DIGITS, 5) + letter
    second = _pick(rng, DIGITS + DIGITS + LETTERS)
    return _place(rng) + letter + second + _pick(rng, DIGITS, 4)


def _wj(rng: np.random.Generator) -> str:
    place = _pick(rng, PROVINCES) if rng.random() < 0.8 else ""
    return "WJ" + place + _pick(rng, DIGITS, 4) + _pick(rng, DIGITS + "TDSHBXJ")


def _emergency(rng: np.random.Generator) -> str:
    middle = _pick(rng, "XS") + _pick(rng, DIGITS, 4)
    return _pick(rng, PROVINCES) + middle + "应急"


def _consulate(rng: np.random.Generator) -> str:
    middle = (
        _pick(rng, DIGITS, 5) if rng.random() < 0.5 else _pick(rng, LETTERS) + _pick(rng, DIGITS, 4)
    )
    return _pick(rng, PROVINCES) + middle + "领"


def _row(text: str) -> Layout:
    long = len(text) > 7
    return _single(len(text), width=480 if long else 440, gap=9 if long else 12)


def _rear(text: str) -> Layout:
    return _double(len(text))


def _wj_row(text: str) -> Layout:
    return _single(len(text), split=len(text) - 5)


KINDS: dict[str, Kind] = {
    "small": Kind(0.46, lambda r: _place(r) + _serial(r), ("blue",), (_row,)),
    "large": Kind(0.10, lambda r: _place(r) + _serial(r), ("yellow",), (_row,)),
    "large_rear": Kind(0.08, lambda r: _place(r) + _serial(r), ("yellow",), (_rear,)),
    "nev_small": Kind(0.10, lambda r: _nev(r, large=False), ("green",), (_row,)),
    "nev_large": Kind(0.03, lambda r: _nev(r, large=True), ("yellow_green",), (_row,)),
    "police": Kind(
        0.03,
        lambda r: _pick(r, PROVINCES) + _pick(r, LETTERS + AUTHORITY_O) + _serial(r, 4) + "警",
        ("white",),
        (_row, _row, _rear),
        lambda i, _: i == 6,
    ),
    "police_old": Kind(
        0.015, lambda r: _pick(r, PROVINCES) + AUTHORITY_O + _serial(r), ("blue", "yellow"), (_row,)
    ),
    "coach": Kind(0.02, lambda r: _place(r) + _serial(r, 4) + "学", ("yellow",), (_row, _rear)),
    "trailer": Kind(0.025, lambda r: _place(r) + _serial(r, 4) + "挂", ("yellow",), (_rear, _row)),
    "hk_macau": Kind(0.02, lambda r: "粤Z" + _serial(r, 4) + _pick(r, "港澳"), ("black",), (_row,)),
    "embassy": Kind(
        0.015, lambda r: _pick(r, DIGITS, 6) + "使", ("black",), (lambda _: _single(7, 3),)
    ),
    "consulate": Kind(0.012, _consulate, ("black",), (_row,)),
    "emergency": Kind(0.012, _emergency, ("white",), (_row,), lambda i, _: i >= 6),
    "wj": Kind(
        0.015,
        _wj,
        ("white",),
        (_wj_row, lambda t: _double(len(t), len(t) - 5)),
        lambda i, t: i < len(t) - 5,
    ),
    "military": Kind(
        0.02,
        lambda r: _pick(r, LETTERS, 2) + _pick(r, DIGITS, 5),
        ("white",),
        (_row, _rear),
        lambda i, _: i < 2,
    ),
    "aviation": Kind(0.006, lambda r: "民航" + _serial(r), ("green",), (_row,)),
    "motorcycle": Kind(
        0.03,
        lambda r: _place(r) + _serial(r),
        ("yellow", "blue"),
        (lambda t: _motorcycle(len(t), low_speed=False),),
    ),
    "low_speed": Kind(
        0.01,
        lambda r: _place(r) + _serial(r),
        ("yellow",),
        (lambda t: _motorcycle(len(t), low_speed=True),),
    ),
}
_NAMES = tuple(KINDS)
_SHARES = np.array([kind.share for kind in KINDS.values()])
_SHARES /= _SHARES.sum()


def draw(typeface: Typeface, rng: np.random.Generator, kind: str | None = None) -> Drawn:
    """Draw a plate of a kind, or of one drawn by its share."""
    name = kind or _NAMES[rng.choice(len(_NAMES), p=_SHARES)]
    plan = KINDS[name]
    text = plan.text(rng)
    colour = one_of(plan.colours, rng)
    layout = one_of(plan.layouts, rng)(text)
    return Drawn(
        _paint(typeface, rng, text, colour, layout, plan, aviation=name == "aviation"),
        text,
        colour,
        layout,
    )


def _paint(
    typeface: Typeface,
    rng: np.random.Generator,
    text: str,
    colour: Colour,
    layout: Layout,
    kind: Kind,
    *,
    aviation: bool,
) -> Image:
    height, width = layout.height, layout.width
    paint = np.array(one_of(_PAINT[colour], rng), np.float32)
    paint = np.clip(paint + rng.normal(0, 10, 3), 0, 255)
    ground = np.empty((height, width, 3), np.float32)
    ground[:] = paint
    if colour == "green" and not aviation:
        down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] ** rng.uniform(0.5, 1.5)
        ground = np.array((235, 240, 235), np.float32) * (1 - down) + ground * down
    elif colour == "yellow_green":
        ground[:, : round(width * 0.22)] = (20, 180, 240)
    if aviation:
        ground[:] = np.array((60, 130, 20), np.float32) + rng.normal(0, 8, 3)
    light = colour in ("blue", "black") or aviation
    ink_colour = np.array(_WHITE if light else _BLACK, np.float32)
    red = np.array(_RED, np.float32)
    _border(ground, ink_colour, rng)
    latin, chinese = Style.draw(rng, latin=True), Style.draw(rng, latin=False)
    jitter = rng.uniform(0, 1.2)
    for index, (character, (x, y, w, h)) in enumerate(zip(text, layout.boxes, strict=True)):
        grow = rng.uniform(0.94, 1.04)
        size = max(8, round(w * grow)), max(8, round(h * rng.uniform(0.97, 1.02)))
        style = latin if character.isascii() else chinese
        ink = typeface.ink(character, size, rng, style)
        left = int(
            np.clip(round(x + (w - size[0]) / 2 + rng.normal(0, jitter)), 0, width - size[0])
        )
        top = int(
            np.clip(round(y + (h - size[1]) / 2 + rng.normal(0, jitter)), 0, height - size[1])
        )
        part = ground[top : top + size[1], left : left + size[0]]
        part += ((red if kind.red(index, text) else ink_colour) - part) * ink[..., None]
    if layout.dot and rng.random() < 0.85:
        at = round(layout.dot[0]), round(layout.dot[1])
        cv2.circle(ground, at, int(rng.integers(4, 7)), ink_colour.tolist(), -1)
    _screws(ground, rng)
    return np.asarray(np.clip(ground, 0, 255), np.uint8)


def _border(
    ground: NDArray[np.float32], ink: NDArray[np.float32], rng: np.random.Generator
) -> None:
    height, width = ground.shape[:2]
    if rng.random() < 0.9:
        inset, thick = int(rng.integers(2, 8)), int(rng.integers(1, 5))
        corners = (inset, inset), (width - inset, height - inset)
        cv2.rectangle(ground, *corners, ink.tolist(), thick)


def _screws(ground: NDArray[np.float32], rng: np.random.Generator) -> None:
    height, width = ground.shape[:2]
    if rng.random() < 0.25:
        return
    radius = int(rng.integers(4, 10))
    shade = float(rng.uniform(20, 230))
    ys = (
        [round(height * 0.09)]
        if rng.random() < 0.4
        else [round(height * 0.09), round(height * 0.91)]
    )
    for x in (round(width * 0.25), round(width * 0.75)):
        for y in ys:
            cv2.circle(ground, (x, y), radius, [shade] * 3, -1)
            cv2.circle(ground, (x, y), radius, [shade * 0.5] * 3, 1)
