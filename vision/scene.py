"""The scene that a camera usually sees, and how much of it a picture still shows.

Everything works on blocks of the small grey analysis picture and on gradient magnitudes, so that
light, contrast and slow drift matter little. Pictures are grey, ``(height, width)``.
"""

import base64
import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]
Float = NDArray[np.float32]

WIDTH_PX = 320
"""Width of the grey analysis picture."""
BLOCK_PX = 20
TEXTURED = 4.0
"""Grey levels: a block whose Laplacian varies by less has no detail worth watching."""
JUDGEABLE = 2.0
"""As above, after allowing for the present light: with less the noise decides."""
DETAIL_LEFT = 0.25
"""A block keeps its detail while more than this share of it is there."""
MIN_TEXTURED_BLOCKS = 8
STEADY_MATCH = 0.35
"""A view that matches itself better than this is one view."""
_JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class Likeness:
    """How a picture compares with the scene."""

    match: float
    """Mean correlation of the textured blocks' gradients, -1 to 1."""
    detail_lost: float
    """Share of the judgeable blocks that lost their detail, 0 to 1."""
    coarse: float
    """Correlation of the blocks' brightness, -1 to 1: high where only focus was lost."""
    judgeable: bool
    """Whether there is enough light and detail to say any of this."""


def small_grey(frame: np.ndarray) -> Grey:
    """Shrink a frame to the analysis picture; a smaller frame keeps its size."""
    grey = frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    height, width = grey.shape
    if width > WIDTH_PX:
        size = (WIDTH_PX, max(1, round(height * WIDTH_PX / width)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, dtype=np.uint8)


def _blocks(picture: Float) -> Float:
    rows, columns = picture.shape[0] // BLOCK_PX, picture.shape[1] // BLOCK_PX
    cut = picture[: rows * BLOCK_PX, : columns * BLOCK_PX]
    tiles = cut.reshape(rows, BLOCK_PX, columns, BLOCK_PX).swapaxes(1, 2)
    return tiles.reshape(rows * columns, BLOCK_PX * BLOCK_PX)


def _gradients(picture: Float) -> Float:
    smooth = cv2.GaussianBlur(picture, (3, 3), 0)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    return _float(cv2.magnitude(across, down))


def _float(picture: Any) -> Float:
    return np.asarray(picture, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class View:
    """A picture, seen as blocks."""

    brightness: Float
    """Mean of each block, 0 to 255."""
    detail: Float
    """Standard deviation of each block's Laplacian."""
    pattern: Float
    """Each block's gradients, smoothed against a shaking mast, of mean 0 and length 1."""

    @classmethod
    def of(cls, picture: Float) -> "View":
        """Look at a picture of float32 grey levels."""
        gradients = _gradients(picture)
        pattern = _blocks(_float(cv2.GaussianBlur(gradients, (5, 5), 0)))
        pattern = pattern - pattern.mean(axis=1, keepdims=True)
        length = np.linalg.norm(pattern, axis=1, keepdims=True)
        return cls(
            brightness=_blocks(picture).mean(axis=1),
            detail=_blocks(_float(cv2.Laplacian(picture, cv2.CV_32F))).std(axis=1),
            pattern=pattern / np.maximum(length, 1e-6),
        )

    def textured(self) -> NDArray[np.bool_]:
        """Which blocks have detail that can be recognised."""
        return self.detail > TEXTURED

    def compare(self, now: "View") -> Likeness:
        """Say how much of this view ``now`` still shows."""
        textured = self.textured()
        count = int(textured.sum())
        if count < MIN_TEXTURED_BLOCKS:
            return Likeness(match=1.0, detail_lost=0.0, coarse=1.0, judgeable=False)
        light = np.clip((now.brightness + 1) / (self.brightness + 1), 0, 1)
        expected = self.detail * light
        judged = textured & (expected > JUDGEABLE)
        lost = judged & (now.detail < DETAIL_LEFT * expected)
        match = (self.pattern * now.pattern).sum(axis=1)[textured].mean()
        return Likeness(
            match=float(match),
            detail_lost=float(lost.sum() / max(1, int(judged.sum()))),
            coarse=_correlation(self.brightness, now.brightness),
            judgeable=2 * int(judged.sum()) >= count,
        )


def _correlation(first: Float, second: Float) -> float:
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / scale if scale > 1e-3 else 0.0


class Scene:
    """A learned picture that follows slow changes."""

    def __init__(self, picture: Float) -> None:
        self.picture = picture
        self.view = View.of(picture)
        self._looked_s = 0.0

    def follow(self, recent: Float, elapsed_s: float, time_constant_s: float) -> None:
        """Drift towards what is seen now; ``elapsed_s`` since the last call."""
        share = 1 - math.exp(-elapsed_s / time_constant_s)
        self.picture += share * (recent - self.picture)
        self._looked_s += elapsed_s
        if self._looked_s > time_constant_s / 10:
            self._looked_s = 0.0
            self.view = View.of(self.picture)

    def sharpness(self) -> float:
        """Variance of the Laplacian of the learned picture."""
        return sharpness(self.picture)

    def encode(self) -> str:
        """Pack it into text, some 20 KiB."""
        grey = np.clip(self.picture, 0, 255).astype(np.uint8)
        _, jpeg = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        return base64.b64encode(jpeg.tobytes()).decode()

    @classmethod
    def decode(cls, text: str) -> "Scene | None":
        """Unpack what :meth:`encode` gave; None where it is no picture."""
        try:
            jpeg = np.frombuffer(base64.b64decode(text, validate=True), dtype=np.uint8)
            grey = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)
        except (ValueError, cv2.error):
            return None
        return None if grey is None else cls(grey.astype(np.float32))


class Learner:
    """Averages the view for as long as it stays one and the same."""

    def __init__(self) -> None:
        self._mean: Float | None = None
        self._view: View | None = None
        self._count = 0
        self.steady_s = 0.0
        """How long the present view has lasted."""

    def update(self, recent: Float, view: View, elapsed_s: float) -> None:
        """Take one more picture and its view."""
        if self._mean is None or self._view is None or not self._same(view):
            self._mean, self._view, self._count = recent.copy(), view, 1
            self.steady_s = 0.0
            return
        self._count += 1
        self.steady_s += elapsed_s
        self._mean += (recent - self._mean) / min(self._count, 100)
        if self._count & (self._count - 1) == 0:  # ever more rarely: the mean settles
            self._view = View.of(self._mean)

    def _same(self, view: View) -> bool:
        assert self._view is not None  # noqa: S101 - set together with the mean
        likeness = self._view.compare(view)
        if not self._view.textured().any():
            return likeness.coarse > STEADY_MATCH
        return likeness.match > STEADY_MATCH or not likeness.judgeable

    def scene(self) -> Scene:
        """The view so far as a scene."""
        assert self._mean is not None  # noqa: S101 - asked for after an update only
        return Scene(self._mean.copy())


def sharpness(picture: Float | Grey) -> float:
    """Variance of the Laplacian."""
    return float(cv2.Laplacian(picture, cv2.CV_32F).var())
