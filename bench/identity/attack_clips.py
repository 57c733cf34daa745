"""Clips of people before a kiosk's camera, and of attacks, made from ``../shared/data``.

Attacks: a print held in a hand, the same bent, a cut-out, a still on a phone, a recording on a
phone (its pixels too fine for the camera) and on a monitor (whose grid beats with the camera's),
and a phone that shows somebody who once answered a challenge.
People: the one who talks in ``video/faces.mp4``, and the portraits of ``faces`` brought to life:
turned as solids of a head's depth, with mouth and lids that move. That depth is drawn from
nobody's head, so these say that the signs do what they claim rather than how people are.

Both kinds go through the same camera: lens, noise, exposure and JPEG.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.identity.base import Picture
from vision.identity.liveness.challenge import random_steps
from vision.identity.reasons import Step

FOLDER = Path(__file__).parents[3] / "shared" / "data"
FRAMES_PER_S = 10.0
FRAMES = 100
"""Of a clip: a whole check."""
ATTACKS = (
    "print",
    "bent_print",
    "cut_out",
    "phone_still",
    "phone_replay",
    "monitor_replay",
    "recorded_answer",
)

Floats = NDArray[Any]
"""float32."""
_TALKING = range(82, 211)
"""The frames of one person who talks, 30 a second, without a cut."""
_EACH = 3
"""Of them is seen by a camera with ``FRAMES_PER_S``."""
_PORTRAITS: tuple[str, ...] = (
    *("alex0", "alex1", "biden0", "biden1", "kit0", "lin0", "obama0", "obama1", "obama2"),
    *("obama3", "obama4", "rose0", "rose1"),
)


class Portrait(NamedTuple):
    """A picture of one person, scaled so that the eyes are ``EYES_PX`` apart."""

    picture: Picture
    middle: tuple[float, float]
    """Between the eyes."""


EYES_PX = 90.0

Eyes = Callable[[Picture], tuple[tuple[float, float], tuple[float, float]] | None]
"""Where the eyes of the largest face of a picture are, in its pixels."""


def portraits(eyes: Eyes) -> list[Portrait]:
    """Give the portraits in which a face is found."""
    found = []
    for name in _PORTRAITS:
        (path,) = (FOLDER / "faces").glob(f"{name}.*")
        picture = np.asarray(cv2.imread(str(path)), np.uint8)
        both = eyes(picture)
        if both is None:
            continue
        scale = EYES_PX / float(np.hypot(both[0][0] - both[1][0], both[0][1] - both[1][1]))
        scaled = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        x, y = ((a + b) / 2 * scale for a, b in zip(*both, strict=True))
        left, top = max(0, int(x - 3 * EYES_PX)), max(0, int(y - 2.6 * EYES_PX))
        part = scaled[top : top + int(6.5 * EYES_PX), left : left + int(6 * EYES_PX)]
        found.append(Portrait(np.asarray(part, np.uint8), (x - left, y - top)))
    return found


@cache
def talking() -> tuple[Picture, ...]:
    """Give the frames of the person who talks, 30 a second."""
    video = cv2.VideoCapture(str(FOLDER / "video" / "faces.mp4"))
    frames = []
    for index in range(_TALKING.stop):
        read, frame = video.read()
        if not read:
            break
        if index >= _TALKING.start:
            frames.append(np.asarray(frame, np.uint8))
    video.release()
    return tuple(frames)


# -- movement ----------------------------------------------------------------------------------


def sway(rng: Random, count: int, period_s: float = 2.0) -> Floats:
    """Give a smooth movement between about -1 and 1, a value a frame."""
    at = np.arange(count, dtype=np.float32) / FRAMES_PER_S
    waves = [
        (rng.uniform(0.4, 1.0), period_s * rng.uniform(0.6, 1.8), rng.uniform(0, 6.28))
        for _ in range(3)
    ]
    total = sum(size * np.sin(6.283 * at / period + phase) for size, period, phase in waves)
    return np.asarray(total / sum(size for size, *_ in waves) * 1.4, np.float32)


class Pose(NamedTuple):
    """How something is held before the camera."""

    yaw: float
    pitch: float
    roll: float
    x: float
    y: float
    scale: float


def hand(rng: Random, count: int, size: tuple[int, int], scale: float) -> list[Pose]:
    """Move a thing as hands do: up to 20 degrees of turn, a tenth of the picture aside."""
    width, height = size
    ways = [sway(rng, count) for _ in range(6)]
    lean = rng.uniform(0.5, 1.0)
    return [
        Pose(
            np.radians(20 * lean * yaw),
            np.radians(12 * lean * pitch),
            np.radians(5 * roll),
            width * (0.5 + 0.08 * x),
            height * (0.5 + 0.06 * y),
            scale * (1 + 0.08 * near),
        )
        for yaw, pitch, roll, x, y, near in zip(*ways, strict=True)
    ]


def homography(pose: Pose, middle: tuple[float, float], far: float) -> NDArray[np.float64]:
    """Project a plane, in its own pixels, at a distance of ``far`` of these."""
    cy, sy, cp, sp = np.cos(pose.yaw), np.sin(pose.yaw), np.cos(pose.pitch), np.sin(pose.pitch)
    cr, sr = np.cos(pose.roll), np.sin(pose.roll)
    turn = (
        np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    )
    plane = np.column_stack([turn[:, 0], turn[:, 1], [0, 0, far]])
    focal = pose.scale * far
    camera = np.array([[focal, 0, pose.x], [0, focal, pose.y], [0, 0, 1]])
    centre = np.array([[1, 0, -middle[0]], [0, 1, -middle[1]], [0, 0, 1]])
    return np.asarray(camera @ plane @ centre, np.float64)


# -- scenes and camera -------------------------------------------------------------------------


def room(rng: Random, width: int, height: int) -> Picture:
    """Paint what is behind: a wall, a door, notices; straight edges all over, out of focus."""
    base = np.array([rng.uniform(60, 200) for _ in range(3)], np.float32)
    light = np.linspace(rng.uniform(0.6, 1), rng.uniform(0.6, 1.1), width, dtype=np.float32)
    picture = np.ones((height, width, 3), np.float32) * base * light[None, :, None]
    for _ in range(rng.randint(3, 7)):
        left, top = rng.randint(-50, width), rng.randint(-50, height)
        right = left + rng.randint(width // 10, width // 3)
        bottom = top + rng.randint(height // 5, height)
        colour = tuple(rng.uniform(20, 240) for _ in range(3))
        cv2.rectangle(picture, (left, top), (right, bottom), colour, rng.choice((-1, 3, 8)))
    grain = np.random.default_rng(rng.getrandbits(32)).normal(0, 6, (height // 4, width // 4, 1))
    picture += cv2.resize(grain.astype(np.float32), (width, height))[..., None]
    return _bytes(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.8, 2.5)))


def film(rng: Random, scenes: Iterator[Picture]) -> Iterator[Picture]:
    """See scenes through one camera, whose lens, noise and JPEG quality are drawn once."""
    noise = np.random.default_rng(rng.getrandbits(32))
    blur, grain = rng.uniform(0.35, 0.9), rng.uniform(0.8, 3.0)
    gain, quality = rng.uniform(0.85, 1.1), rng.randint(75, 95)
    flicker = sway(rng, 400, 1.0)
    for index, scene in enumerate(scenes):
        seen: Floats = cv2.GaussianBlur(scene.astype(np.float32), (0, 0), blur)
        seen *= gain * (1 + 0.01 * flicker[index])
        seen += np.asarray(noise.normal(0, 1, seen.shape), np.float32) * (
            grain * np.sqrt(0.3 + np.clip(seen, 0, 255) / 128)
        )
        _, packed = cv2.imencode(".jpg", _bytes(seen), [cv2.IMWRITE_JPEG_QUALITY, quality])
        yield np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


# -- people ------------------------------------------------------------------------------------


def talk(rng: Random) -> Iterator[Picture]:
    """The person who talks, larger: from a part of the recording, forwards once, 3 to 4 s."""
    its = talking()[::_EACH]
    start = rng.randint(0, 12)
    zoom = rng.uniform(1.6, 2.4)
    flip = rng.random() < 0.5
    for frame in its[start:]:
        part = frame[:, 80:400]
        part = part[:, ::-1] if flip else part
        yield np.asarray(
            cv2.resize(part, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC), np.uint8
        )


def living(
    rng: Random,
    portrait: Portrait,
    *,
    yaw_degrees: Floats | None = None,
    nearer: Floats | None = None,
) -> Iterator[Picture]:
    """A portrait as a solid, with its mouth and lids moving, before a room of its own."""
    count = FRAMES if yaw_degrees is None else len(yaw_degrees)
    yaw = 10 * rng.uniform(0.3, 1.2) * sway(rng, count) if yaw_degrees is None else yaw_degrees
    pitch = 5 * rng.uniform(0.3, 1) * sway(rng, count)
    roll, x, y = (sway(rng, count) for _ in range(3))
    near = 1 + 0.04 * sway(rng, count) if nearer is None else nearer
    mouth = np.clip(sway(rng, count, 0.5), 0, 1) * rng.uniform(0, 1)
    blink_at = rng.randint(3, 30)
    behind = room(rng, 640, 480)
    size, room_px = rng.uniform(0.75, 1.0), rng.uniform(10, 70)
    matte = _matte(portrait)
    for index in range(count):
        lids = max(0.0, 1 - abs(index % 30 - blink_at) / 1.5)
        turned = _turned(portrait, np.radians(yaw[index]), np.radians(pitch[index]))
        source = _expression(portrait, turned, float(mouth[index]), lids)
        aside, down = 320 + room_px * x[index], 220 + 12 * y[index]
        pose = Pose(0, 0, np.radians(3 * roll[index]), aside, down, size * near[index])
        place = homography(pose, portrait.middle, 1000)
        yield _on(behind, portrait.picture, matte, place, source)


def answer(rng: Random, portrait: Portrait, steps: Sequence[Step]) -> Iterator[Picture]:
    """A portrait that does what it is asked for, in its own time: about 3 s a step.

    It turns by 22 to 40 degrees, and comes nearer by a third to a half.
    """
    yaw, near = [0.0] * rng.randint(8, 12), [1.0] * 12
    near = near[: len(yaw)]
    for step in steps:
        bow = np.sin(np.linspace(0, np.pi, rng.randint(12, 20))).clip(0, 0.8) / 0.8
        most = rng.uniform(22, 40) * {"turn_left": 1, "turn_right": -1}.get(step, 0)
        growth = rng.uniform(0.35, 0.5) if step == "nearer" else 0.0
        pause = [0.0] * rng.randint(8, 14)
        yaw += [*(most * bow), *pause]
        near += [*(1 + growth * bow), *(1 + moment for moment in pause)]
    degrees = np.array(yaw, np.float32) + 2 * sway(rng, len(yaw))
    return living(rng, portrait, yaw_degrees=degrees, nearer=np.array(near, np.float32))


def _turned(portrait: Portrait, yaw: float, pitch: float) -> tuple[Floats, Floats]:
    """Where each pixel of the turned head comes from; a smooth bulge with a nose on it."""
    height, width = portrait.picture.shape[:2]
    gx, gy = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    mx, my = portrait.middle
    x, y = gx.copy(), gy.copy()
    for _ in range(6):
        u, v = (x - mx) / EYES_PX, (y - my) / EYES_PX - 0.35
        away = np.minimum(1, np.hypot(u / 1.9, v / 2.4))
        head = np.cos(np.pi / 2 * away) ** 2
        nose = 0.35 * np.exp(-((u / 0.28) ** 2) - (((v - 0.2) / 0.35) ** 2))
        depth = 1.25 * head + nose - 0.75 * head * 0.4
        x = gx - head * (mx - x) * (1 - np.cos(yaw)) - EYES_PX * depth * np.sin(yaw)
        y = gy - head * (my - y) * (1 - np.cos(pitch)) + EYES_PX * depth * np.sin(pitch)
    return x.astype(np.float32), y.astype(np.float32)


def _expression(
    portrait: Portrait, source: tuple[Floats, Floats], mouth: float, lids: float
) -> tuple[Floats, Floats]:
    x, y = source
    u, v = (x - portrait.middle[0]) / EYES_PX, (y - portrait.middle[1]) / EYES_PX
    jaw = np.exp(-((u / 0.8) ** 2) - (((v - 1.35) / 0.45) ** 2))
    y = y - 0.12 * mouth * EYES_PX * jaw
    eyes = np.exp(-(((abs(u) - 0.5) / 0.25) ** 2) - ((v / 0.16) ** 2))
    y = y + 0.9 * lids * v * EYES_PX * eyes * 1.2 - 0.08 * lids * EYES_PX * eyes
    return x, y.astype(np.float32)


def _matte(portrait: Portrait) -> Floats:
    """Guess where the person is: grab cut from a head and shoulders."""
    height, width = portrait.picture.shape[:2]
    mask = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    x, y = (round(v) for v in portrait.middle)
    e = EYES_PX
    cv2.ellipse(mask, (x, round(y + 0.4 * e)), (round(1.5 * e), round(2.1 * e)), 0, 0, 360,
                cv2.GC_PR_FGD, -1)  # fmt: skip
    mask[min(height - 1, round(y + 2.2 * e)) :, max(0, round(x - 2 * e)) : round(x + 2 * e)] = (
        cv2.GC_PR_FGD
    )
    cv2.ellipse(mask, (x, round(y + 0.4 * e)), (round(0.9 * e), round(1.3 * e)), 0, 0, 360,
                cv2.GC_FGD, -1)  # fmt: skip
    mask[:5], mask[:, :5], mask[:, -5:] = cv2.GC_BGD, cv2.GC_BGD, cv2.GC_BGD
    cv2.setRNGSeed(1)
    cut: Any = cv2.grabCut  # its stubs do not know that no rectangle may be given
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cut(portrait.picture, mask, None, *models, 3, cv2.GC_INIT_WITH_MASK)
    found = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    return np.asarray(cv2.GaussianBlur(found.astype(np.float32), (0, 0), 2.5), np.float32)


# -- attacks -----------------------------------------------------------------------------------


def held_print(
    rng: Random, portrait: Portrait, *, cut_out: bool = False, bent: bool = False
) -> Iterator[Picture]:
    """A print in a hand: white border or cut out, flat or bent about its upright axis."""
    sheet, alpha, middle = _sheet(rng, portrait, cut_out=cut_out)
    behind = room(rng, 640, 480)
    bend = rng.uniform(0.5, 0.9) if bent else 0.0
    for pose in hand(rng, FRAMES, (640, 480), rng.uniform(0.6, 0.85)):
        source = _bent(sheet.shape, middle, bend) if bent else None
        yield _on(behind, sheet, alpha, homography(pose, middle, 700), source)


def _sheet(
    rng: Random, portrait: Portrait, *, cut_out: bool
) -> tuple[Picture, Floats, tuple[float, float]]:
    paper = np.random.default_rng(rng.getrandbits(32))
    picture = portrait.picture.astype(np.float32)
    grey = picture.mean(2, keepdims=True)
    # A printer's inks: less saturated, black is dark grey, white is the paper's.
    ink = 28 + (grey + (picture - grey) * rng.uniform(0.7, 0.95)) * rng.uniform(0.72, 0.82)
    ink += cv2.GaussianBlur(paper.normal(0, 8, ink.shape[:2]).astype(np.float32), (0, 0), 1)[
        ..., None
    ]
    mx, my = portrait.middle
    if cut_out:
        return _bytes(ink), _matte(portrait), portrait.middle
    border = rng.randint(8, 45)
    sheet = cv2.copyMakeBorder(
        ink, border, border, border, border, cv2.BORDER_CONSTANT, value=(232, 236, 236)
    )
    return _bytes(sheet), np.ones(sheet.shape[:2], np.float32), (mx + border, my + border)


def _bent(
    shape: tuple[int, ...], middle: tuple[float, float], bend: float
) -> tuple[Floats, Floats]:
    height, width = shape[:2]
    gx, gy = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    radius = width / (2 * bend)
    x = middle[0] + radius * np.arcsin(np.clip((gx - middle[0]) / radius, -1, 1))
    return x.astype(np.float32), gy


def phone(rng: Random, contents: Iterator[Picture], *, shape: tuple[int, int]) -> Iterator[Picture]:
    """A phone in a hand: bezel, glare, a display's gamma; its pixels are too fine to be seen."""
    height, width = shape
    rim = rng.randint(6, 16)
    middle = (width / 2 + rim, height / 2 + rim)
    behind = room(rng, 640, 480)
    glare = rng.uniform(0, 30)
    scale = rng.uniform(0.85, 1.0) * 420 / height
    for pose, content in zip(hand(rng, FRAMES, (640, 480), scale), contents, strict=False):
        body = cv2.copyMakeBorder(_shown(content, glare), rim, rim, rim, rim, cv2.BORDER_CONSTANT,
                                  value=(18, 18, 18))  # fmt: skip
        alpha = np.ones(body.shape[:2], np.float32)
        yield _on(behind, body, alpha, homography(pose, middle, 900), None)


def monitor(rng: Random, contents: Iterator[Picture]) -> Iterator[Picture]:
    """A monitor that fills the picture, with 0.6 to 1.4 of its pixels on one of the camera.

    The stripes of the three colours are summed over each of the camera's pixels and then sampled,
    as a sensor does it; so the beats are those that geometry gives.
    """
    ratio, lean = rng.uniform(0.6, 1.4), rng.uniform(-3, 3)
    drift, turn = sway(rng, FRAMES, 4.0), sway(rng, FRAMES, 5.0)
    glare, lens = rng.uniform(0, 25), rng.uniform(0.3, 0.5)
    gx, gy = np.meshgrid(np.arange(640, dtype=np.float32), np.arange(480, dtype=np.float32))
    seen = np.sinc(ratio * 0.8) * np.exp(-2 * (np.pi * ratio * lens) ** 2)
    for index, content in enumerate(contents):
        angle = np.radians(lean + 0.4 * turn[index])
        cos, sin = ratio * np.cos(angle), ratio * np.sin(angle)
        across = cos * gx + sin * gy + 3 * drift[index]
        down = -sin * gx + cos * gy
        shown = _shown(cv2.resize(content, (640, 480), interpolation=cv2.INTER_AREA), glare)
        light = (shown.astype(np.float32) / 255) ** 2.2
        for channel, third in enumerate((2, 1, 0)):
            stripes = 2 * np.sinc(1 / 3) * seen * np.cos(2 * np.pi * (across - third / 3))
            rows = 0.3 * seen * np.cos(2 * np.pi * down)
            light[..., channel] *= (1 + stripes) * (1 + rows)
        yield _bytes(255 * np.clip(light, 0, 1) ** (1 / 2.2))


def still(portrait: Portrait) -> Iterator[Picture]:
    """The same picture for ever, cut as a phone shows it."""
    while True:
        yield portrait.picture


def looped(rng: Random) -> Iterator[Picture]:
    """The person who talks, over and over: each time round takes 1.2 to 4 s."""
    its = talking()
    count = rng.randint(36, 120)
    start = rng.randint(0, len(its) - count)
    for index in range(FRAMES):
        yield its[start + index * _EACH % count]


def attack(rng: Random, kind: str, portrait: Portrait) -> Iterator[Picture]:
    """Make the scenes of one attack of a kind of :data:`ATTACKS`."""
    if kind == "phone_still":
        return phone(rng, still(portrait), shape=portrait.picture.shape[:2])
    if kind == "phone_replay":
        return phone(rng, (frame[:310, 110:350] for frame in looped(rng)), shape=(310, 240))
    if kind == "monitor_replay":
        return monitor(rng, (frame[:, 30:510] for frame in looped(rng)))
    if kind == "recorded_answer":
        recording = answer(rng, portrait, random_steps(rng))
        return phone(rng, (frame[:, 120:520] for frame in recording), shape=(480, 400))
    return held_print(rng, portrait, cut_out=kind == "cut_out", bent=kind == "bent_print")


def _shown(content: NDArray[Any], glare: float) -> Floats:
    return np.asarray(
        np.clip(255 * (content.astype(np.float32) / 255) ** 1.1 * 0.92 + glare, 0, 255), np.float32
    )


def _on(
    behind: Picture,
    front: NDArray[np.uint8] | Floats,
    alpha: Floats,
    place: NDArray[np.float64],
    source: tuple[Floats, Floats] | None,
) -> Picture:
    """Lay ``front`` over what is behind, through a warp of its own and a homography."""
    if source is not None:
        front = cv2.remap(front, *source, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.remap(alpha, *source, cv2.INTER_LINEAR)
    size = behind.shape[1], behind.shape[0]
    put = cv2.warpPerspective(front.astype(np.float32), place, size, flags=cv2.INTER_AREA)
    share = cv2.warpPerspective(alpha, place, size)[..., None]
    return _bytes(put * share + behind * (1 - share))


def _bytes(picture: NDArray[Any]) -> Picture:
    return np.asarray(np.clip(picture, 0, 255).round(), np.uint8)
