"""The street before the kiosk: a car drives up, stops so that its plate is read, and drives on."""

import cv2
import numpy as np

from vision.clip.paint import Color, Image, Layer, paste, texture
from vision.clip.plate import plate

PLATE = "蒙BK2345"
_GLASS: Color = (74, 60, 44)
_RUBBER: Color = (24, 23, 22)
_CHROME: Color = (178, 176, 170)


def background(height: int, width: int) -> Image:
    """Draw the empty street."""
    layer = Layer(height, width, (150, 150, 150))
    horizon = height * 0.40
    layer.gradient(_area(layer, 0, horizon), (222, 196, 160), (232, 224, 212))
    _houses(layer, horizon)
    layer.gradient(_area(layer, horizon, height), (112, 116, 116), (74, 76, 78))
    _road(layer, horizon)
    image = layer.color.astype(np.float32)
    ground = np.zeros((height, width, 1), np.float32)
    ground[int(horizon) :] = 1
    image += ground * texture(height, width, 1, grain=1.2, strength=7)
    image += texture(height, width, 2, grain=12, strength=3)
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def _area(layer: Layer, top: float, bottom: float) -> Image:
    width = layer.alpha.shape[1]
    return layer.mask([(0, top), (width, top), (width, bottom), (0, bottom)])


def _houses(layer: Layer, horizon: float) -> None:
    height, width = layer.alpha.shape
    random = np.random.default_rng(7)
    x = -20.0
    while x < width:
        wide = float(random.uniform(0.07, 0.13) * width)
        tall = float(random.uniform(0.14, 0.33) * height)
        wall = int(random.integers(130, 190))
        layer.polygon(
            [(x, horizon), (x, horizon - tall), (x + wide, horizon - tall), (x + wide, horizon)],
            (wall - 6, wall, wall + 8),
        )
        for row in np.arange(horizon - tall + 12, horizon - 14, 22):
            for column in np.arange(x + 10, x + wide - 14, 20):
                shade = int(random.integers(60, 120))
                cv2.rectangle(
                    layer.color,
                    (int(column), int(row)),
                    (int(column) + 9, int(row) + 12),
                    (shade + 14, shade + 4, shade - 6),
                    -1,
                )
        x += wide + float(random.uniform(0, 0.02) * width)
    for x in np.linspace(0.04, 0.97, 9) * width:  # trees along the far pavement
        layer.polygon(
            [(x - 3, horizon + 6), (x - 2, horizon - 40), (x + 3, horizon + 6)], (44, 58, 76)
        )
        for _ in range(26):
            dx, dy = random.normal(0, 15), random.normal(-52, 13)
            green = int(random.integers(70, 116))
            layer.ellipse((x + dx, horizon + dy), (9, 8), (green // 2, green, green // 2 + 14))


def _road(layer: Layer, horizon: float) -> None:
    height, width = layer.alpha.shape
    middle = width / 2
    for side in (-1, 1):  # pavement with kerb
        edge = middle + side * width * 0.52
        layer.polygon(
            [
                (middle + side * width * 0.10, horizon),
                (middle + side * width * 0.60, horizon),
                (middle + side * width * 1.5, height),
                (edge + side * width * 0.06, height),
            ],
            (148, 154, 158),
        )
        layer.polygon(
            [
                (middle + side * width * 0.095, horizon),
                (middle + side * width * 0.102, horizon),
                (edge + side * width * 0.075, height),
                (edge + side * width * 0.045, height),
            ],
            (205, 208, 210),
        )
    for start in np.linspace(0.0, 1.0, 9):  # the dashes of the lane to the left
        near, far = (start + 0.055) ** 2, start**2
        points = []
        for depth, sign in ((far, -1), (far, 1), (near, 1), (near, -1)):
            y = horizon + (height - horizon) * depth
            x = middle - width * (0.035 + 0.30 * depth)
            points.append((x + sign * (1 + 7 * depth), y))
        layer.polygon(points, (215, 220, 222))
    stop = horizon + (height - horizon) * 0.80  # the line to stop at
    layer.polygon(
        [
            (width * 0.24, stop),
            (width * 0.93, stop),
            (width * 0.95, stop + 16),
            (width * 0.23, stop + 16),
        ],
        (214, 218, 220),
    )


def car() -> Layer:
    """Draw the car's front, 1080 by 880 pixels, transparent around it."""
    layer = Layer(880, 1080)
    body, dark, light = (126, 62, 36), (84, 40, 22), (178, 116, 84)
    layer.gradient(layer.oval_mask((540, 838), (500, 34), soft=12), (30, 30, 30), (30, 30, 30))
    layer.alpha = (layer.alpha * 0.75).astype(np.uint8)
    for x in (150, 930):  # wheels
        layer.polygon([(x - 72, 640), (x + 72, 640), (x + 66, 846), (x - 66, 846)], _RUBBER)
    roof = [(262, 96), (330, 58), (540, 48), (750, 58), (818, 96), (930, 372), (150, 372)]
    layer.gradient(layer.mask(roof), light, body)
    glass = [(290, 110), (350, 86), (540, 78), (730, 86), (790, 110), (884, 352), (196, 352)]
    layer.gradient(layer.mask(glass), (150, 132, 112), _GLASS)
    reflection = [(330, 100), (520, 88), (400, 340), (215, 340)]
    layer.tint(layer.mask(reflection), (235, 222, 205), 0.25)
    for x in (400, 690):  # seats and the driver's head behind the glass
        layer.tint(layer.oval_mask((x, 292), (66, 74), soft=5), (36, 32, 30), 0.7)
    layer.tint(layer.oval_mask((690, 224), (40, 50), soft=4), (70, 86, 112), 0.75)
    for side in (-1, 1):  # mirrors
        x = 540 + side * 452
        layer.polygon([(540 + side * 370, 330), (x, 322), (x, 344), (540 + side * 376, 352)], dark)
        layer.ellipse((x, 326), (58, 36), body)
    hood = [(150, 372), (930, 372), (1000, 470), (1010, 560), (70, 560), (80, 470)]
    layer.gradient(layer.mask(hood), light, body)
    for x in (300, 780):
        layer.tint(
            layer.mask(
                [
                    (x - 4, 380),
                    (x + 4, 380),
                    (x + (x - 540) / 8 + 4, 500),
                    (x + (x - 540) / 8 - 4, 500),
                ]
            ),
            dark,
            0.6,
        )
    front = [(66, 540), (1014, 540), (1022, 700), (990, 786), (90, 786), (58, 700)]
    layer.gradient(layer.mask(front), body, dark)
    layer.polygon([(300, 510), (780, 510), (752, 604), (328, 604)], (34, 33, 32))  # grille
    for y in range(524, 600, 17):
        inset = (y - 510) * 0.3
        layer.polygon(
            [(312 + inset, y), (768 - inset, y), (767 - inset, y + 5), (313 + inset, y + 5)],
            _CHROME,
        )
    layer.ellipse((540, 556), (36, 30), _CHROME)
    layer.ellipse((540, 556), (28, 22), (60, 58, 56))
    for side in (-1, 1):  # headlights, fog lights
        x = 540 + side * 372
        lamp = [
            (x - side * 104, 520),
            (x + side * 92, 486),
            (x + side * 98, 566),
            (x - side * 74, 590),
        ]
        layer.polygon(lamp, (96, 92, 88))
        layer.ellipse((x + side * 34, 538), (42, 34), (236, 240, 240))
        layer.ellipse((x + side * 34, 538), (26, 21), (255, 255, 255))
        layer.ellipse((x - side * 40, 552), (26, 22), (205, 212, 214))
        layer.ellipse((540 + side * 400, 716), (38, 24), (60, 58, 56))
        layer.ellipse((540 + side * 400, 716), (24, 15), (200, 206, 208))
    layer.polygon([(300, 724), (780, 724), (748, 778), (332, 778)], (30, 29, 28))
    sign = cv2.resize(plate(PLATE), (264, 84), interpolation=cv2.INTER_AREA)
    layer.polygon([(402, 622), (678, 622), (678, 718), (402, 718)], (40, 38, 36))
    layer.color[628:712, 408:672] = sign
    return layer


def frame(scene: Image, sprite: Layer, second: float) -> Image:
    """Draw the street at a second of the clip; 24 of them make a round."""
    picture = scene.copy()
    height, width = picture.shape[:2]
    depth = _depth(second)
    if depth is not None:
        horizon = height * 0.40
        away = max(0.0, depth - 1)
        scale = 0.62 * (width / 1280) * depth
        wheels = horizon + (height - horizon) * (0.06 + 0.83 * depth)
        x = width * (0.53 + 0.03 * depth + 0.75 * away)
        bob = 0.8 * np.sin(second * 23) if not 8 <= second <= 14 else 0.15 * np.sin(second * 60)
        paste(picture, sprite, (x, wheels - 405 * scale + bob), scale)
    return picture


def _depth(second: float) -> float | None:
    """How near the car is: 0 at the horizon, 1 where it stops, more as it passes."""
    if second < 3 or second > 18:
        return None
    if second < 8:
        share = (second - 3) / 5
        return float(0.07 + 0.93 * (1 - (1 - share) ** 2) ** 1.5)
    if second < 14:
        return 1.0
    return float(1 + 1.2 * ((second - 14) / 4) ** 2)
