"""A few brushes over OpenCV: shapes in real coordinates, gradients, layers with transparency."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Color = tuple[int, int, int]
"""Blue, green, red."""
Point = tuple[float, float]

_SHIFT = 4


def _fixed(points: Sequence[Point]) -> NDArray[np.int32]:
    return np.round(np.asarray(points, dtype=np.float64) * (1 << _SHIFT)).astype(np.int32)


class Layer:
    """A picture ``(height, width)`` with an opacity of its own, drawn on with smooth edges."""

    def __init__(self, height: int, width: int, color: Color | None = None) -> None:
        self.color: Image = np.zeros((height, width, 3), np.uint8)
        self.alpha: Image = np.zeros((height, width), np.uint8)
        if color is not None:
            self.color[:] = color
            self.alpha[:] = 255

    def polygon(self, points: Sequence[Point], color: Color) -> None:
        """Fill a polygon."""
        _fill(self.color, points, color)
        _fill(self.alpha, points, 255)

    def ellipse(self, center: Point, axes: Point, color: Color, angle: float = 0) -> None:
        """Fill an ellipse; ``axes`` are half its width and height."""
        _ellipse(self.color, center, axes, angle, color)
        _ellipse(self.alpha, center, axes, angle, 255)

    def gradient(self, mask: Image, top: Color, bottom: Color) -> None:
        """Fill where ``mask`` is set, shaded from top to bottom of its extent."""
        _, first, _, rows = cv2.boundingRect(mask)
        share = np.clip((np.arange(mask.shape[0]) - first) / max(1, rows), 0, 1)
        shade = np.outer(1 - share, top) + np.outer(share, bottom)
        self._mix(mask, shade[:, None].astype(np.float32), 1.0)
        self.alpha = np.maximum(self.alpha, mask)

    def mask(self, points: Sequence[Point]) -> Image:
        """Make the mask of a polygon, ``(height, width)``."""
        mask = np.zeros_like(self.alpha)
        _fill(mask, points, 255)
        return mask

    def oval_mask(self, center: Point, axes: Point, angle: float = 0, soft: float = 0) -> Image:
        """Make the mask of an ellipse, its edge softened over ``soft`` pixels."""
        mask = np.zeros_like(self.alpha)
        _ellipse(mask, center, axes, angle, 255)
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), soft), np.uint8) if soft else mask

    def tint(self, mask: Image, color: Color, share: float) -> None:
        """Mix in a colour where ``mask`` is set, without touching the opacity."""
        self._mix(mask, np.array([[color]], np.float32), share)

    def _mix(self, mask: Image, color: NDArray[np.float32], share: float) -> None:
        """Mix in ``color``, ``(height or 1, 1, 3)``, by mask and share."""
        x, y, width, height = cv2.boundingRect(mask)
        rows, columns = slice(y, y + height), slice(x, x + width)
        part = self.color[rows, columns]
        amount = mask[rows, columns, None].astype(np.float32) * (share / 255)
        ink = color[rows] if len(color) > 1 else color
        part[:] = np.round(part + amount * (ink - part))


def _fill(image: Image, points: Sequence[Point], ink: Color | int) -> None:
    cv2.fillPoly(image, [_fixed(points)], _scalar(ink), cv2.LINE_AA, _SHIFT)


def _ellipse(image: Image, center: Point, axes: Point, angle: float, ink: Color | int) -> None:
    (x, y), (a, b) = _fixed([center, axes])
    cv2.ellipse(
        image,
        (int(x), int(y)),
        (int(a), int(b)),
        angle,
        0,
        360,
        _scalar(ink),
        -1,
        cv2.LINE_AA,
        _SHIFT,
    )


def _scalar(ink: Color | int) -> tuple[int, ...]:
    return ink if isinstance(ink, tuple) else (ink,)


def paste(scene: Image, layer: Layer, center: Point, scale: float) -> None:
    """Put a layer onto ``scene``, its middle at ``center``, scaled; what lies outside is cut."""
    height, width = scene.shape[:2]
    rows, columns = layer.alpha.shape
    left, top = center[0] - columns * scale / 2, center[1] - rows * scale / 2
    x0, y0 = max(0, int(left)), max(0, int(top))
    x1 = min(width, int(left + columns * scale) + 1)
    y1 = min(height, int(top + rows * scale) + 1)
    if x1 <= x0 or y1 <= y0:
        return
    size = x1 - x0, y1 - y0
    matrix = np.array([[scale, 0, left - x0], [0, scale, top - y0]])
    # Halve first: a plain warp would skip pixels and shimmer.
    color: Any = layer.color
    alpha: Any = layer.alpha
    steps = 0
    while scale * 2**steps < 0.5:
        color, alpha, steps = cv2.pyrDown(color), cv2.pyrDown(alpha), steps + 1
    matrix[:, :2] *= 2**steps
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    color = cv2.warpAffine(color, matrix, size, flags=flags)
    share = cv2.warpAffine(alpha, matrix, size, flags=flags)[..., None].astype(np.uint16)
    part = scene[y0:y1, x0:x1]
    part[:] = ((part * (255 - share) + color * share) // 255).astype(np.uint8)


def texture(height: int, width: int, seed: int, *, grain: float, strength: float) -> np.ndarray:
    """Make an uneven surface, ``(height, width, 1)`` around 0; ``grain`` is its size in pixels."""
    noise = np.random.default_rng(seed).normal(0, 1, (height, width)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), grain)
    return np.asarray(smooth / smooth.std() * strength)[..., None]
