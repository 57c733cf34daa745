"""What happens to a plate before a reader sees it: wear, weather, light, lens, sensor, JPEG."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[Any]
"""``(height, width, 3)`` of 8 bits, BGR."""
Floats = NDArray[Any]
"""float32"""


def field(
    height: int, width: int, rng: np.random.Generator, cells: tuple[int, int] = (3, 8)
) -> Floats:
    """Draw smooth noise, ``(height, width, 1)``, about 0 to 1, with so many cells a side."""
    coarse = rng.random((int(rng.integers(*cells)), int(rng.integers(*cells)) + 2), np.float32)
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine, np.float32)[..., None]


def pose(
    pixels: float, aspect: float, rng: np.random.Generator, askew: float = 1.0
) -> NDArray[np.float32]:
    """Give the four corners of a plate ``pixels`` wide, seen from somewhere, usually in front."""
    # From the side a plate gets narrower.
    aspect *= float(np.exp(rng.normal(0.05 * askew, 0.14 * askew)))
    quad = np.array(((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))) * (1, aspect)
    quad[:, 1] += quad[:, 0] * rng.normal(0, 0.10 * askew)  # shear by yaw and by pitch
    quad[:, 0] += quad[:, 1] * rng.normal(0, 0.16 * askew)
    angle = np.radians(rng.normal(0, 4.5 * askew))
    turn = np.array(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))
    quad = quad @ turn.T
    quad *= 1 + np.sign(quad[:, :1]) * rng.normal(0, 0.03)
    quad += rng.normal(0, 0.006, (4, 2))
    return (quad * pixels).astype(np.float32)


def framed_plate(plate: Image, rng: np.random.Generator) -> tuple[Image, int]:
    """Screw a plate into a frame, or into none; also gives the frame's width in pixels."""
    border = int(rng.integers(4, 26)) if rng.random() < 0.6 else 0
    if border == 0:
        return plate, 0
    shade = float(rng.choice((rng.uniform(10, 70), rng.uniform(120, 240))))
    value = (np.full(3, shade) + rng.normal(0, 8, 3)).clip(0, 255).tolist()
    framed = cv2.copyMakeBorder(
        plate, border, border, border, border, cv2.BORDER_CONSTANT, value=value
    )
    return framed, border


def weather(plate: Image, rng: np.random.Generator) -> Image:
    """Wear, dirt and shadow a clean plate."""
    image: Floats = plate.astype(np.float32)
    height, width = image.shape[:2]
    if rng.random() < 0.4:  # mud and dust: more below
        dirt = np.clip((field(height, width, rng, (4, 16)) - rng.uniform(0.45, 0.95)) * 3, 0, 0.9)
        tint = np.array((70, 85, 100), np.float32) * rng.uniform(0.4, 2)
        image += (tint - image) * dirt * rng.uniform(0.2, 0.9)
    if rng.random() < 0.25:  # paint worn or faded
        image += (
            (image.mean() - image)
            * np.clip(field(height, width, rng, (3, 20)), 0, 1)
            * rng.uniform(0.2, 0.7)
        )
    if rng.random() < 0.3:  # hard shadow
        x1, x2 = rng.uniform(-0.2, 1.2, 2) * width
        shade: Floats = np.ones((height, width), np.float32)
        side = width * 2 if rng.random() < 0.5 else -width
        points = np.array([(x1, 0), (x2, height), (side, height), (side, 0)], np.int32)
        cv2.fillPoly(shade, [points], float(rng.uniform(0.35, 0.8)))
        image *= cv2.GaussianBlur(shade, (0, 0), float(rng.uniform(0.5, 6)))[..., None]
    if rng.random() < 0.35:  # uneven light
        image *= 0.6 + 0.8 * field(height, width, rng)
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def expose(picture: Image, rng: np.random.Generator, hardness: float = 1.0) -> Image:
    """Light, lens, sensor and compression, on the pixels of the camera."""
    image: Floats = picture.astype(np.float32)
    height, width = image.shape[:2]
    sigma = abs(rng.normal(0, 0.7)) * hardness
    if sigma > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    if rng.random() < 0.15 * hardness:
        image = cv2.filter2D(image, -1, _motion(rng, max(2.0, min(width, 160) * 0.035 * hardness)))
    image = _light(image, rng, hardness)
    if rng.random() < 0.06:  # rain: bright slanting streaks
        streaks: Floats = np.asarray(rng.random((height, width)) > 0.985, np.float32)
        streaks = cv2.filter2D(streaks, -1, _motion(rng, max(3.0, height * 0.25)))[..., None]
        image += streaks * rng.uniform(60, 250)
    noise = abs(rng.normal(0, 6)) * hardness
    if noise > 1:
        image += rng.standard_normal(image.shape, np.float32) * noise
    out = np.asarray(np.clip(image, 0, 255), np.uint8)
    if rng.random() < 0.6:
        quality = int(rng.uniform(25, 95))
        coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        out = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return out


def _motion(rng: np.random.Generator, longest: float) -> Floats:
    length = float(rng.uniform(1.5, max(1.6, longest)))
    size = int(length) | 1
    size = max(3, size)
    angle = rng.normal(0, 0.4) if rng.random() < 0.7 else rng.uniform(0, np.pi)
    dx, dy = np.cos(angle) * length / 2, np.sin(angle) * length / 2
    middle = (size - 1) / 2
    kernel: Floats = np.zeros((size * 8, size * 8), np.float32)
    scale = 8.0
    start = round((middle + 0.5 - dx) * scale), round((middle + 0.5 - dy) * scale)
    end = round((middle + 0.5 + dx) * scale), round((middle + 0.5 + dy) * scale)
    cv2.line(kernel, start, end, 1.0, 8)
    kernel = cv2.resize(kernel, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _light(image: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    height, width = image.shape[:2]
    choice = rng.random()
    if choice < 0.10:  # infrared: no colours
        grey = image @ np.array((0.2, 0.4, 0.4), np.float32)
        if rng.random() < 0.3:
            grey = 255 - grey  # some paints turn over
        image = np.repeat(grey[..., None], 3, axis=2)
    elif choice < 0.5:  # a sensor's idea of white
        image = image * rng.normal(1, 0.12, 3).clip(0.6, 1.5).astype(np.float32)
    if rng.random() < 0.12:  # grey and faded
        grey = image.mean(axis=2, keepdims=True)
        image = image + (grey - image) * rng.uniform(0.3, 0.95)
    contrast, mean = rng.uniform(0.35, 1.25), float(image.mean())
    if rng.random() < 0.6:
        image = (image - mean) * contrast + mean
    if rng.random() < 0.7:
        gamma = float(np.exp(rng.normal(0, 0.45 * hardness)))
        image = 255 * np.clip(image / 255, 0, 1) ** gamma
    if rng.random() < 0.6:
        image = image * rng.uniform(0.35, 1.6) + rng.normal(0, 12)
    if rng.random() < 0.10:  # glare
        spot: Floats = np.zeros((height, width), np.float32)
        at = int(rng.uniform(-0.1, 1.1) * width), int(rng.uniform(-0.3, 1.3) * height)
        cv2.circle(spot, at, int(rng.uniform(0.05, 0.35) * width) + 1, 1.0, -1)
        spot = cv2.blur(spot, (width // 4 | 1, height // 2 | 1))
        image = image + spot[..., None] * rng.uniform(40, 220)
    if rng.random() < 0.08:  # lamps bloom at night
        image = image + cv2.GaussianBlur(np.maximum(image - 120, 0), (0, 0), 2) * rng.uniform(
            0.5, 2
        )
    return np.asarray(np.clip(image, 0, 255), np.float32)
