"""The kiosk's counter: a person comes, stands before the camera, and goes."""

import cv2
import numpy as np

from vision.clip.paint import Color, Image, Layer, paste, texture

_SKIN: Color = (150, 182, 226)
_SHADE: Color = (92, 122, 172)
_HAIR: Color = (26, 26, 30)
_COAT: Color = (92, 74, 58)


def background(height: int, width: int) -> Image:
    """Draw the empty room."""
    layer = Layer(height, width)
    w, h = float(width), float(height)
    layer.gradient(layer.mask([(0, 0), (w, 0), (w, h), (0, h)]), (206, 214, 216), (168, 178, 184))
    for x in np.arange(0.0, w, w / 9):  # panels
        layer.tint(layer.mask([(x, 0), (x + 3, 0), (x + 3, h), (x, h)]), (120, 128, 132), 0.5)
    _window(layer, w, h)
    _notices(layer, w, h)
    layer.polygon([(0, h * 0.80), (w, h * 0.80), (w, h * 0.815), (0, h * 0.815)], (110, 122, 130))
    layer.gradient(
        layer.mask([(0, h * 0.815), (w, h * 0.815), (w, h), (0, h)]), (96, 120, 142), (64, 84, 104)
    )
    image = np.asarray(layer.color) + texture(height, width, 3, grain=1.5, strength=3)
    image += texture(height, width, 4, grain=25, strength=4)
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def _window(layer: Layer, w: float, h: float) -> None:
    left, right, top, bottom = w * 0.05, w * 0.27, h * 0.12, h * 0.60
    box = [(left, top), (right, top), (right, bottom), (left, bottom)]
    layer.polygon(
        [
            (x + dx, y + dy)
            for (x, y), (dx, dy) in zip(box, ((-9, -9), (9, -9), (9, 9), (-9, 9)), strict=True)
        ],
        (112, 108, 104),
    )
    layer.gradient(layer.mask(box), (232, 214, 190), (206, 212, 200))
    random = np.random.default_rng(11)
    for x in np.linspace(left + 14, right - 40, 5):
        tall = float(random.uniform(0.1, 0.3) * h)
        shade = int(random.integers(140, 180))
        layer.polygon(
            [(x, bottom), (x, bottom - tall), (x + 36, bottom - tall), (x + 36, bottom)],
            (shade, shade - 4, shade - 12),
        )
    x = (left + right) / 2 - 4
    layer.polygon([(x, top), (x + 8, top), (x + 8, bottom), (x, bottom)], (112, 108, 104))


def _notices(layer: Layer, w: float, h: float) -> None:
    left, top = w * 0.70, h * 0.14
    layer.polygon(
        [(left, top), (w * 0.95, top), (w * 0.95, h * 0.56), (left, h * 0.56)], (150, 84, 30)
    )
    for text, row, size in (
        ("交通智慧岗亭", 0.065, 34),
        ("车辆检验", 0.15, 26),
        ("违法处理", 0.22, 26),
        ("驾驶证业务", 0.29, 26),
    ):
        origin = int(left + w * 0.025), int(top + h * row)
        cv2.putText(
            layer.color,
            text,
            origin,
            (244, 244, 240),
            cv2.FontFace("uni"),
            round(size * w / 1280),
            500,
        )
    layer.polygon(
        [(w * 0.72, h * 0.50), (w * 0.93, h * 0.50), (w * 0.93, h * 0.507), (w * 0.72, h * 0.507)],
        (220, 210, 190),
    )


def person() -> Layer:
    """Draw a person from the hips up, 900 by 1100 pixels, transparent around."""
    layer = Layer(1100, 900)
    _torso(layer)
    _head(layer)
    _eyes(layer)
    _nose_and_mouth(layer)
    _hair(layer)
    layer.color = np.asarray(cv2.GaussianBlur(layer.color, (0, 0), 1.6), np.uint8)
    return layer


def _torso(layer: Layer) -> None:
    coat = [
        (450, 560),
        (560, 640),
        (740, 700),
        (830, 800),
        (880, 1100),
        (20, 1100),
        (70, 800),
        (160, 700),
        (340, 640),
    ]
    layer.gradient(layer.mask(coat), _COAT, (58, 46, 36))
    layer.polygon([(370, 620), (450, 770), (530, 620)], (226, 228, 228))  # collar
    layer.gradient(
        layer.mask([(372, 500), (528, 500), (540, 640), (450, 720), (360, 640)]),
        _SHADE,
        (126, 156, 200),
    )
    for side in (-1, 1):
        layer.tint(
            layer.mask(
                [
                    (450 + side * 60, 640),
                    (450 + side * 96, 628),
                    (450 + side * 40, 900),
                    (450 + side * 6, 790),
                ]
            ),
            (36, 28, 22),
            0.7,
        )


def _head(layer: Layer) -> None:
    for side in (-1, 1):  # ears
        layer.ellipse((450 + side * 172, 352), (26, 50), (120, 150, 200))
    face = layer.oval_mask((450, 330), (172, 226))
    face = np.maximum(face, layer.oval_mask((450, 410), (146, 158)))
    layer.gradient(face, (164, 196, 238), (130, 162, 210))
    inner = layer.oval_mask((450, 340), (128, 200), soft=28)
    layer.tint(
        np.where(inner < face, face - np.minimum(inner, face), 0).astype(np.uint8), _SHADE, 0.55
    )
    layer.tint(layer.oval_mask((450, 210), (96, 50), soft=24), (190, 216, 248), 0.6)
    for side in (-1, 1):  # cheekbones catch the light, the hollows below do not
        layer.tint(layer.oval_mask((450 + side * 88, 400), (40, 30), soft=16), (176, 204, 246), 0.5)
        layer.tint(layer.oval_mask((450 + side * 104, 470), (30, 44), soft=20), _SHADE, 0.45)


def _eyes(layer: Layer) -> None:
    for side in (-1, 1):
        x = 450 + side * 74
        layer.tint(layer.oval_mask((x, 318), (58, 32), soft=12), (70, 92, 140), 0.75)  # socket
        layer.tint(
            layer.oval_mask((x, 276), (60, 11), angle=-side * 6, soft=4), _HAIR, 0.95
        )  # brow
        layer.ellipse((x, 324), (38, 16), (222, 228, 232))
        layer.ellipse((x, 323), (16, 16), (30, 38, 54))
        layer.ellipse((x + 5, 318), (4, 4), (240, 240, 240))
        lid = layer.oval_mask((x, 311), (42, 9), angle=side * 4, soft=2)
        layer.tint(lid, (34, 40, 58), 0.9)
        layer.tint(layer.oval_mask((x, 346), (38, 7), soft=4), (96, 124, 172), 0.6)


def _nose_and_mouth(layer: Layer) -> None:
    for side in (-1, 1):
        flank = [(450 + side * 20, 300), (450 + side * 34, 410), (450 + side * 20, 424)]
        mask = cv2.GaussianBlur(layer.mask(flank), (0, 0), 7)
        layer.tint(np.asarray(mask, np.uint8), _SHADE, 0.75)
        layer.tint(layer.oval_mask((450 + side * 24, 428), (13, 8), soft=3), (44, 58, 96), 0.95)
    layer.tint(layer.oval_mask((450, 360), (13, 66), soft=7), (196, 222, 252), 0.7)
    layer.tint(layer.oval_mask((450, 408), (24, 18), soft=8), (190, 214, 250), 0.6)
    layer.tint(layer.oval_mask((450, 444), (44, 9), soft=6), (84, 110, 160), 0.8)
    layer.tint(layer.oval_mask((450, 490), (62, 15), soft=3), (86, 88, 168), 0.9)  # lips
    layer.tint(layer.oval_mask((450, 508), (50, 13), soft=4), (112, 116, 196), 0.8)
    layer.tint(layer.oval_mask((450, 497), (64, 4), soft=2), (34, 34, 70), 0.95)
    layer.tint(layer.oval_mask((450, 534), (46, 8), soft=6), (88, 114, 164), 0.7)
    layer.tint(layer.oval_mask((450, 560), (44, 18), soft=10), (180, 208, 244), 0.4)


def _hair(layer: Layer) -> None:
    cap = layer.oval_mask((450, 230), (188, 172))
    hairline = layer.oval_mask((450, 330), (150, 176))
    cap[(hairline > 127)] = 0
    cap[330:] = 0
    layer.gradient(cap, (58, 54, 54), _HAIR)
    strands = np.zeros_like(cap)
    random = np.random.default_rng(5)
    for x, y in zip(random.uniform(270, 630, 240), random.uniform(70, 300, 240), strict=True):
        lean = (x - 450) / 12
        cv2.line(strands, (int(x - lean), int(y - 22)), (int(x + lean), int(y + 22)), 255, 4)
    layer.tint(np.minimum(strands, cap), (92, 86, 84), 0.25)


def frame(scene: Image, sprite: Layer, second: float) -> Image:
    """Draw the room at a second of the clip; 24 of them make a round."""
    picture = scene.copy()
    height, width = picture.shape[:2]
    if 5 <= second <= 19:
        arrive, leave = min(1.0, (second - 5) / 2.5), max(0.0, (second - 16) / 3)
        arrive, leave = (share * share * (3 - 2 * share) for share in (arrive, leave))
        walking = 0 < arrive < 1 or leave > 0
        x = width * (-0.25 + 0.75 * arrive + 0.75 * leave) + 5 * np.sin(second * 1.9)
        y = height * 0.66 + (9 * np.sin(second * 9) if walking else 3 * np.sin(second * 1.3))
        paste(picture, sprite, (x, y), 0.58 * width / 1280 * (1 + 0.01 * np.sin(second)))
    return picture
