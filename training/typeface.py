"""Glyphs for synthetic plates: free fonts brought to the even strokes of GA 36, and real ones.

A plate's characters have strokes of one width in a narrow box (45 by 90 mm), which no free font
has. So a font's glyph is squeezed into the box and thinned to its skeleton; ink is what lies
within half a stroke's width of it, which gives any weight at the cost of one comparison.
"""

import csv
import functools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vision.plates.alphabet import AUTHORITY_O, DIGITS, LETTERS, PROVINCES, SUFFIXES

Item = TypeVar("Item")
Ink = NDArray[Any]
"""``(height, width)`` of float32, 0 (paint) to 1 (ink)."""

BOX = (45, 90)
"""Width and height of a character's box at one pixel a millimetre."""
_DETAIL = 3
_WIDTHS = {"1": (0.34, 0.58), "J": (0.8, 1.0), "L": (0.85, 1.0)}
"""Of characters that do not always fill their box, as shares of its width."""

CJK_FONTS = (
    ("noto/NotoSansCJK-Light.ttc", 2),
    ("noto/NotoSansCJK-DemiLight.ttc", 2),
    ("noto/NotoSansCJK-Regular.ttc", 2),
    ("noto/NotoSansCJK-Medium.ttc", 2),
    ("noto/NotoSansCJK-Bold.ttc", 2),
    ("wqy/wqy-zenhei.ttc", 0),
    ("wqy/wqy-microhei.ttc", 0),
    ("droid/DroidSansFallbackFull.ttf", 0),
    ("lxgw-wenkai/LXGWWenKai-Regular.ttf", 0),
    ("smiley-sans/SmileySans-Oblique.ttf", 0),
)
LATIN_FONTS = (
    ("opendin/OSP-DIN.ttf", 0),
    ("millimetre/millimetreA 01.otf", 0),
    ("millimetre/millimetreA Bold 01.otf", 0),
    ("routed-gothic/routed-gothic.ttf", 0),
    ("routed-gothic/routed-gothic-narrow.ttf", 0),
    ("roboto/unhinted/RobotoCondensed-Medium.ttf", 0),
    ("roboto/unhinted/RobotoCondensed-Bold.ttf", 0),
    ("liberation/LiberationSansNarrow-Bold.ttf", 0),
    ("liberation/LiberationSans-Bold.ttf", 0),
    ("dejavu/DejaVuSansCondensed-Bold.ttf", 0),
    ("dejavu/DejaVuSans-Bold.ttf", 0),
    ("dosis/Dosis-Medium.otf", 0),
    ("dosis/Dosis-Bold.otf", 0),
    ("play/Play-Bold.ttf", 0),
    ("mplus/Mplus1-Bold.otf", 0),
    ("mplus/MplusCodeLatin50-Bold.otf", 0),
    ("noto/NotoSansCJK-Bold.ttc", 2),
    ("lato/Lato-Bold.ttf", 0),
    ("open-sans/OpenSans-CondBold.ttf", 0),
    ("wqy/wqy-zenhei.ttc", 0),
)
"""Fonts by the end of their path under ``/usr/share/fonts``, and the face's index."""


@dataclass(frozen=True, slots=True)
class Glyph:
    """One character of one font: distances in mm, so that ink of any weight is cut from it."""

    skeleton: Ink
    """Distance to the middle of the nearest stroke."""
    outline: Ink
    """Distance to the font's own outline, negative inside."""


class Typeface:
    """All glyphs there are: of fonts and, where given, of real plates.

    Args:
        real: the folder of ``plates/provinces`` and others with ``labels.csv``, or None.
        fonts: where fonts lie.
    """

    def __init__(self, real: Path | None = None, fonts: Path = Path("/usr/share/fonts")) -> None:
        files = {str(path): path for path in fonts.rglob("*") if path.is_file()}
        self._glyphs: dict[str, list[Glyph]] = defaultdict(list)
        for names, characters in (
            (CJK_FONTS, PROVINCES + SUFFIXES),
            (LATIN_FONTS, DIGITS + LETTERS + AUTHORITY_O),
        ):
            for name, index in names:
                path = next((files[key] for key in files if key.endswith("/" + name)), None)
                if path is None:
                    continue
                font = ImageFont.truetype(str(path), 40 * _DETAIL, index=index)
                for character in characters:
                    for width in _WIDTHS.get(character, (1.0,)):
                        glyph = _glyph(font, character, width)
                        if glyph is not None:
                            self._glyphs[character].append(glyph)
        self._real: dict[str, list[Ink]] = _real_glyphs(real) if real else {}
        missing = [c for c in PROVINCES + DIGITS + LETTERS if not self._glyphs[c]]
        if missing:
            msg = (
                f"no font has {''.join(missing)}; install fonts-noto-cjk, fonts-wqy-zenhei "
                "and the fonts named in docs/training.md"
            )
            raise FileNotFoundError(msg)

    def ink(
        self, character: str, size: tuple[int, int], rng: np.random.Generator, style: "Style"
    ) -> Ink:
        """Draw one character to fill ``size`` (width, height in px, one a mm)."""
        real = self._real.get(character)
        if real and style.real:
            ink = one_of(real, rng)
            return np.clip(cv2.resize(ink, size, interpolation=cv2.INTER_CUBIC), 0, 1)
        glyphs = self._glyphs[character]
        glyph = glyphs[(style.font + rng.integers(2) * style.mixed) % len(glyphs)]
        width = size[0] / BOX[0]
        if style.skeleton:
            distance, weight = glyph.skeleton, style.stroke / 2 * (0.5 + width / 2)
        else:
            distance, weight = glyph.outline, style.bolder
        ink = np.clip((weight - distance) / style.softness + 0.5, 0, 1)
        if size == BOX:
            return ink
        return cv2.resize(ink, size, interpolation=cv2.INTER_AREA)


@dataclass(frozen=True, slots=True)
class Style:
    """How the characters of one plate are drawn."""

    font: int
    mixed: int
    skeleton: bool
    real: bool
    stroke: float
    """mm"""
    bolder: float
    """mm added to the font's outline"""
    softness: float

    @classmethod
    def draw(cls, rng: np.random.Generator, *, latin: bool) -> "Style":
        """Draw a style at random."""
        return cls(
            font=int(rng.integers(1 << 20)),
            mixed=int(rng.random() < 0.1),
            skeleton=bool(rng.random() < 0.7),
            real=bool(rng.random() < 0.6),
            stroke=float(rng.uniform(7.5, 13.5) if latin else rng.uniform(4.5, 9)),
            bolder=float(rng.uniform(-1.2, 1.2)),
            softness=float(rng.uniform(1, 3)),
        )


def _glyph(font: ImageFont.FreeTypeFont, character: str, share: float) -> Glyph | None:
    left, top, right, bottom = font.getbbox(character)
    width, height = int(right - left), int(bottom - top)
    if width < 2 or height < 2:
        return None
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).text((-left, -top), character, fill=255, font=font)
    mask = np.asarray(image)
    if not mask.any() or _is_missing(font, mask):
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    box = BOX[0] * _DETAIL, BOX[1] * _DETAIL
    inner = round(box[0] * share)
    edge = 3 * _DETAIL  # a stroke's half width stays inside the box
    fitted = cv2.resize(mask, (inner - 2 * edge, box[1] - 2 * edge), interpolation=cv2.INTER_AREA)
    canvas = np.zeros((box[1], box[0]), np.uint8)
    x = edge + (box[0] - inner) // 2
    canvas[edge : edge + fitted.shape[0], x : x + fitted.shape[1]] = fitted
    solid = np.asarray(canvas > 127, np.uint8)
    skeleton = cv2.distanceTransform(1 - _thin(solid), cv2.DIST_L2, 5)
    outline = cv2.distanceTransform(1 - solid, cv2.DIST_L2, 5) - cv2.distanceTransform(
        solid, cv2.DIST_L2, 5
    )
    return Glyph(
        *(
            cv2.resize(d / _DETAIL, BOX, interpolation=cv2.INTER_AREA).astype(np.float32)
            for d in (skeleton, outline)
        )
    )


@functools.lru_cache(maxsize=64)
def _missing_mask(font: ImageFont.FreeTypeFont) -> bytes:
    left, top, right, bottom = font.getbbox("\U0010fffd")
    image = Image.new("L", (max(1, int(right - left)), max(1, int(bottom - top))))
    ImageDraw.Draw(image).text((-left, -top), "\U0010fffd", fill=255, font=font)
    return image.tobytes()


def _is_missing(font: ImageFont.FreeTypeFont, mask: NDArray[np.uint8]) -> bool:
    return mask.tobytes() == _missing_mask(font)


def _thin(solid: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Thin a mask to lines of one pixel (Zhang and Suen, CACM 27(3), 1984)."""
    image = np.pad(solid, 1).astype(np.uint8)
    while True:
        before = int(image.sum())
        for step in (0, 1):
            p = [
                image[:-2, 1:-1], image[:-2, 2:], image[1:-1, 2:], image[2:, 2:],
                image[2:, 1:-1], image[2:, :-2], image[1:-1, :-2], image[:-2, :-2],
            ]  # fmt: skip
            count = sum(n.astype(np.int8) for n in p)
            turns = sum(((p[i] == 0) & (p[(i + 1) % 8] == 1)).astype(np.int8) for i in range(8))
            first, second = (
                ((p[0], p[2], p[4]), (p[2], p[4], p[6]))
                if step == 0
                else ((p[0], p[2], p[6]), (p[0], p[4], p[6]))
            )
            gone = (
                (image[1:-1, 1:-1] == 1) & (count >= 2) & (count <= 6) & (turns == 1)
                & (first[0] * first[1] * first[2] == 0) & (second[0] * second[1] * second[2] == 0)
            )  # fmt: skip
            image[1:-1, 1:-1][gone] = 0
        if int(image.sum()) == before:
            return image[1:-1, 1:-1]


def _real_glyphs(folder: Path) -> dict[str, list[Ink]]:
    """Cut ink from real cut-out characters, whatever their colours."""
    glyphs: dict[str, list[Ink]] = defaultdict(list)
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            picture = cv2.imread(str(folder / row["file"]))
            if picture is not None:
                glyphs[row["character"]].append(_ink_of(picture))
    return dict(glyphs)


def _ink_of(picture: NDArray[Any]) -> Ink:
    grey = picture.astype(np.float32).mean(axis=2)
    blue, _, red = picture.reshape(-1, 3).astype(np.float32).mean(axis=0)
    low, high = np.percentile(grey, (15, 95))
    ink = (grey - low) / max(high - low, 1)
    if red > blue:  # black on yellow
        low, high = np.percentile(grey, (5, 80))
        ink = (high - grey) / max(high - low, 1)
    return np.clip(cv2.resize(ink, BOX, interpolation=cv2.INTER_CUBIC), 0, 1).astype(np.float32)


def one_of(items: Sequence[Item], rng: np.random.Generator) -> Item:
    """Draw one of several."""
    return items[int(rng.integers(len(items)))]
