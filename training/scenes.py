"""Training material of the detector: pictures with plates, their corners, and what looks alike.

Backgrounds are drawn, or are real pictures whose plates are known: most of these are covered by
synthetic plates in the same place, which gives realistic scenes with exact corners.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Canvas
from PIL import ImageDraw, ImageFont

from training.photograph import Image, expose, framed_plate, pose, weather
from training.photograph import field as noise
from training.plates import draw
from training.typeface import CJK_FONTS, LATIN_FONTS, Typeface, one_of
from vision.plates.alphabet import CHARACTERS

SIDE = 320
"""Width and height of a training picture."""
MAX_PLATES = 6
_WORDS = "出入口停车收费禁止通行安全检查服务中心交通警察一二三四五欢迎光临公司汽车销售"


@dataclass(frozen=True, slots=True)
class Photo:
    """A real picture and its plates: centre, width, height, in pixels."""

    file: Path
    image: Image
    boxes: tuple[tuple[float, float, float, float], ...]


@dataclass(slots=True)
class Scene:
    """One sample: corners are NaN where a real plate's are not known."""

    image: Image
    quads: list[NDArray[np.float32]] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    """Centre, width and height of all plates, those with corners first."""


@dataclass(frozen=True, slots=True)
class Props:
    """Plates and look-alikes, drawn once and photographed many times."""

    plates: list[Image]
    signs: list[Image]

    @classmethod
    def make(cls, typeface: Typeface, rng: np.random.Generator, count: int = 1500) -> "Props":
        """Draw ``count`` plates and half as many signs."""
        plates = [weather(draw(typeface, rng).image, rng) for _ in range(count)]
        fonts = _fonts()
        return cls(plates, [_sign(fonts, rng) for _ in range(count // 2)])


def clutter(real: Sequence[Photo], rng: np.random.Generator, count: int = 1000) -> list[Image]:
    """Draw signs and cut windows without a plate out of real pictures: no plates for a reader."""
    fonts = _fonts()
    pieces = [_sign(fonts, rng) for _ in range(count // 2)]
    while real and len(pieces) < count:
        photo = one_of(real, rng)
        height, width = photo.image.shape[:2]
        wide = int(min(width - 1, np.exp(rng.uniform(np.log(60), np.log(500)))))
        tall = min(height - 1, wide // 2)
        x, y = int(rng.integers(width - wide)), int(rng.integers(height - tall))
        if not any(
            abs(box[0] - x - wide / 2) < (box[2] + wide) / 2
            and abs(box[1] - y - tall / 2) < (box[3] + tall) / 2
            for box in photo.boxes
        ):
            pieces.append(photo.image[y : y + tall, x : x + wide].copy())
    return pieces


def photos(folder: Path) -> list[Photo]:
    """Load whole pictures with ``labels.csv`` (``file``, ``cx``, ``cy``, ``width``, ``height``)."""
    boxes = defaultdict(list)
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["cx"]:
                cx, cy, w, h = (float(row[key]) for key in ("cx", "cy", "width", "height"))
                boxes[row["file"]].append((cx, cy, max(w, h), min(w, h)))
    loaded = ((name, cv2.imread(str(folder / name))) for name in sorted(boxes))
    return [Photo(folder / n, image, tuple(boxes[n])) for n, image in loaded if image is not None]


def stream(props: Props, real: Sequence[Photo], seed: int, real_share: float) -> Iterator[Scene]:
    """Give scenes without end."""
    rng = np.random.default_rng(seed)
    while True:
        if real and rng.random() < real_share:
            scene = _from_photo(one_of(real, rng), props, rng)
        else:
            scene = Scene(_drawn_background(rng))
            for _ in range(int(rng.choice((0, 1, 1, 2, 3)))):
                width = float(np.exp(rng.uniform(np.log(20), np.log(300))))
                _hang(scene, props, rng.uniform(0, SIDE, 2), width, rng)
        for _ in range(int(rng.choice((0, 0, 1, 2)))):
            _distract(scene, props, rng)
        scene.image = expose(scene.image, rng, hardness=0.7)
        yield scene


def _from_photo(photo: Photo, props: Props, rng: np.random.Generator) -> Scene:
    """Cut a window out of a real picture around one of its plates, or anywhere."""
    height, width = photo.image.shape[:2]
    box = one_of(photo.boxes, rng)
    wanted = float(np.exp(rng.uniform(np.log(20), np.log(260))))
    scale = float(np.clip(wanted / box[2], 0.15, 3))
    if rng.random() < 0.8:
        middle = np.array(box[:2]) + rng.uniform(-0.45, 0.45, 2) * SIDE / scale
    else:
        middle = rng.uniform(0, 1, 2) * (width, height)
    source = photo.image
    if scale < 0.7:
        source = cv2.resize(source, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    step = scale * width / source.shape[1]
    angle = rng.normal(0, 3)
    turn = cv2.getRotationMatrix2D((0, 0), angle, step)
    at = turn[:, :2] @ (middle * scale / step)
    turn[:, 2] = SIDE / 2 - at
    image = cv2.warpAffine(
        source, turn, (SIDE, SIDE), borderMode=cv2.BORDER_CONSTANT,
        borderValue=[float(rng.uniform(0, 255))] * 3,
    )  # fmt: skip
    scene = Scene(np.asarray(image, np.uint8))
    reflected = []
    covered = rng.random() < 0.7
    for cx, cy, width, height in photo.boxes:
        x, y = turn[:, :2] @ (np.array((cx, cy)) * scale / step) + turn[:, 2]
        w, h = width * scale, height * scale
        if not (-w / 2 < x < SIDE + w / 2 and -h / 2 < y < SIDE + h / 2):
            continue
        if covered:
            _cover(scene.image, (x, y, w, h))
            _hang(scene, props, np.array((x, y)), w * rng.uniform(1.05, 1.3), rng)
        else:
            reflected.append((x, y, w, h))
    if rng.random() < 0.25:
        width = float(np.exp(rng.uniform(np.log(20), np.log(200))))
        _hang(scene, props, rng.uniform(0, SIDE, 2), width, rng)
    scene.boxes += reflected
    return scene


def _cover(image: Image, box: tuple[float, float, float, float]) -> None:
    """Paint over a real plate with what is around it, so that nothing of it shows."""
    x, y, w, h = box
    x1, x2 = (int(np.clip(v, 0, SIDE)) for v in (x - w * 0.58, x + w * 0.58 + 1))
    y1, y2 = (int(np.clip(v, 0, SIDE)) for v in (y - h * 0.75, y + h * 0.75 + 1))
    part = image[y1:y2, x1:x2]
    if part.size:
        edge = np.concatenate((part[0], part[-1])).astype(np.float32)
        part[:] = np.clip(
            edge.mean(axis=0) + noise(y2 - y1, x2 - x1, np.random.default_rng(0)) * 10, 0, 255
        )


def _hang(
    scene: Scene, props: Props, at: NDArray[np.float64], pixels: float, rng: np.random.Generator
) -> None:
    """Put a plate into a scene, if enough of it is inside and no other is there."""
    plate = one_of(props.plates, rng)
    if plate.shape[1] < 400:
        pixels *= 0.7
    askew = float(rng.choice((1.0, 2.0)))
    quad = pose(pixels, plate.shape[0] / plate.shape[1], rng, askew)
    quad += at.astype(np.float32) - quad.mean(axis=0)
    low, high = quad.min(axis=0), quad.max(axis=0)
    if (low < -2).any() or (high > SIDE + 1).any() or len(scene.quads) >= MAX_PLATES:
        return
    for box in scene.boxes:
        if abs(box[0] - at[0]) < (box[2] + pixels) * 0.6 and abs(box[1] - at[1]) < (
            box[3] + pixels * 0.4
        ):
            return
    _paste(scene.image, plate, quad, rng)
    scene.quads.append(quad)
    size = high - low
    scene.boxes.append((float(at[0]), float(at[1]), float(size[0]), float(size[1])))


def _paste(image: Image, plate: Image, quad: NDArray[np.float32], rng: np.random.Generator) -> None:
    pixels = float(np.linalg.norm(quad[1] - quad[0]))
    framed, border = framed_plate(plate, rng)
    shrink = min(1.0, max(0.08, 1.2 * pixels / plate.shape[1]))
    framed = cv2.resize(framed, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    height, width = plate.shape[:2]
    source = np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float32)
    to_picture = cv2.getPerspectiveTransform(source, quad)
    grow = np.array(((1 / shrink, 0, -border), (0, 1 / shrink, -border), (0, 0, 1)))
    size = image.shape[1], image.shape[0]
    flat = cv2.warpPerspective(framed, to_picture @ grow, size, borderMode=cv2.BORDER_REPLICATE)
    mask = np.full(framed.shape[:2], 255, np.uint8)
    alpha = cv2.warpPerspective(mask, to_picture @ grow, size)[..., None]
    x1, y1, w, h = cv2.boundingRect(alpha[..., 0])
    part = np.s_[y1 : y1 + h, x1 : x1 + w]
    if w == 0 or h == 0:
        return
    around = float(image[part].mean()) + 15
    light = float(np.clip((around / 110) ** rng.uniform(0, 0.9), 0.15, 1.5)) * rng.uniform(
        0.75, 1.25
    )
    share = alpha[part].astype(np.float32) / 255
    blended = image[part] * (1 - share) + np.clip(flat[part] * light, 0, 255) * share
    image[part] = np.asarray(blended, np.uint8)


def _distract(scene: Scene, props: Props, rng: np.random.Generator) -> None:
    """Put a sign, a badge or a grille into a scene, beside its plates."""
    at = rng.uniform(0, SIDE, 2)
    pixels = float(np.exp(rng.uniform(np.log(16), np.log(260))))
    for box in scene.boxes:
        if abs(box[0] - at[0]) < (box[2] + pixels) * 0.65 and abs(box[1] - at[1]) < (
            box[3] + pixels * 0.6
        ):
            return
    if rng.random() < 0.25:
        _grille(scene.image, at, pixels, rng)
        return
    sign = one_of(props.signs, rng)
    quad = pose(pixels, sign.shape[0] / sign.shape[1], rng)
    quad += at.astype(np.float32) - quad.mean(axis=0)
    _paste(scene.image, sign, quad, rng)


def _grille(image: Image, at: NDArray[np.float64], pixels: float, rng: np.random.Generator) -> None:
    x, y = at.astype(int)
    bright, dark = rng.uniform(60, 250), rng.uniform(0, 80)
    step = max(2, int(pixels / rng.integers(5, 14)))
    tall = int(pixels * rng.uniform(0.15, 0.6))
    for offset in range(0, int(pixels), step):
        shade = [float(bright if (offset // step) % 2 else dark)] * 3
        if rng.random() < 0.5:
            cv2.rectangle(image, (x + offset, y), (x + offset + step // 2, y + tall), shade, -1)
        else:
            cv2.line(
                image,
                (x, y + offset // 3),
                (x + int(pixels), y + offset // 3),
                shade,
                max(1, step // 3),
            )


def _fonts() -> list[ImageFont.FreeTypeFont]:
    files = {str(path): path for path in Path("/usr/share/fonts").rglob("*") if path.is_file()}
    found = []
    for name, index in (*CJK_FONTS, *LATIN_FONTS):
        path = next((files[key] for key in files if key.endswith("/" + name)), None)
        if path:
            found.append(ImageFont.truetype(str(path), 80, index=index))
    return found


def _sign(fonts: Sequence[ImageFont.FreeTypeFont], rng: np.random.Generator) -> Image:
    """Draw a board with words, a logo, or nothing on it."""
    width, height = int(rng.integers(160, 480)), int(rng.integers(60, 240))
    colours = (
        (170, 70, 15),
        (20, 180, 240),
        (235, 235, 235),
        (30, 30, 30),
        (40, 40, 190),
        (90, 140, 40),
    )
    paint = np.array(one_of(colours, rng)) + rng.normal(0, 25, 3)
    ink = (255,) * 3 if paint.mean() < 130 else (15,) * 3
    board = Canvas.new("RGB", (width, height), tuple(int(v) for v in paint.clip(0, 255)))
    pen = ImageDraw.Draw(board)
    what = rng.random()
    if what < 0.75:
        chinese = rng.random() < 0.5
        letters = _WORDS if chinese else CHARACTERS[:34] + CHARACTERS[:34].lower() + " -:/"
        font = one_of(fonts[:10] if chinese else fonts, rng).font_variant(
            size=int(rng.uniform(0.2, 0.75) * height)
        )
        count = int(rng.choice((2, 3, 4, 5, 9, 10, 12)))
        for row in range(int(rng.integers(1, 4))):
            word = "".join(letters[i] for i in rng.integers(len(letters), size=count))
            at = (
                float(rng.uniform(0, width * 0.3)),
                float(rng.uniform(-0.1, 0.5) * height + row * height * 0.4),
            )
            pen.text(at, word, fill=ink, font=font)
    elif what < 0.9:
        for _ in range(int(rng.integers(1, 6))):
            x, y = rng.uniform(0, width), rng.uniform(0, height)
            r = rng.uniform(5, height / 2)
            pen.ellipse((x - r, y - r, x + r, y + r), outline=ink, width=int(rng.integers(2, 9)))
    if rng.random() < 0.5:
        pen.rectangle((4, 4, width - 5, height - 5), outline=ink, width=int(rng.integers(1, 6)))
    return np.asarray(np.asarray(board)[..., ::-1], np.uint8).copy()


def _drawn_background(rng: np.random.Generator) -> Image:
    """Draw bodywork, road, walls and lamps as far as shapes and noise go."""
    ground = np.empty((SIDE, SIDE, 3), np.float32)
    ground[:] = rng.uniform(0, 255, 3) if rng.random() < 0.4 else rng.uniform(5, 250)
    ground *= 0.4 + 1.1 * noise(SIDE, SIDE, rng, (2, 12))
    for _ in range(int(rng.integers(3, 16))):
        colour = (np.full(3, rng.uniform(0, 255)) + rng.normal(0, 30, 3)).clip(0, 255).tolist()
        kind, (x, y) = rng.random(), rng.integers(-40, SIDE + 40, 2)
        w, h = rng.integers(5, 260), rng.integers(4, 160)
        if kind < 0.35:
            cv2.rectangle(ground, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
        elif kind < 0.6:
            axes = int(w / 2), int(h / 2)
            cv2.ellipse(
                ground,
                (int(x), int(y)),
                axes,
                float(rng.uniform(0, 180)),
                0,
                360,
                colour,
                -1 if kind < 0.5 else 5,
            )
        elif kind < 0.8:
            points = (rng.uniform(-1, 1, (int(rng.integers(3, 7)), 2)) * (w, h) + (x, y)).astype(
                np.int32
            )
            cv2.fillPoly(ground, [points], colour)
        else:
            end = int(x + rng.normal(0, 200)), int(y + rng.normal(0, 200))
            cv2.line(ground, (int(x), int(y)), end, colour, int(rng.integers(1, 14)))
    ground += rng.normal(0, rng.uniform(0, 14), (SIDE, SIDE, 1))
    return np.asarray(np.clip(ground, 0, 255), np.uint8)
