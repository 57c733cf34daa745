"""A screen's grid: narrow peaks in the spectrum of a face's brightness.

The pixels of a camera and those of a screen before it beat (moiré); skin and hair have broad
spectra. Where many screen pixels fall on one of the camera (a phone that fills the picture),
there is nothing to see. Bands of a screen's refresh are not judged: lamps make the same.

A camera that enlarges its picture (360 lines sold as 1080) repeats the face's coarse structure
across the spectrum, in narrow peaks, too: faint ones, while a grid that beats is as strong as the
face. So only strong peaks count. Of 224 clips of people, enlarged 1.5 to 3 times (linear, cubic,
Lanczos), 94 would be taken for screens without that; with it none is (2.7 at most), and the same 11
of 73 monitors are known as without it. A camera that enlarges by repeating pixels is still taken
for a screen, in 10 of 16 clips.
"""

from statistics import median

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.identity.base import Picture
from vision.identity.face import Face
from vision.identity.liveness.sign import Sign

_LEAST_PX, _MOST_PX = 64, 192
_LEAST_FRAMES = 5
_LOWEST = 0.12
"""In periods a pixel: below it is the face itself."""
_FAINT = 2.5
"""In nepers of power below the strongest of the face: what is so far down is no grid."""
_BLOCK_PX = 8
"""JPEG and H.264 work in blocks of so many pixels: what repeats with them is theirs."""


class ScreenPattern(Sign):
    """Judges by what repeats across the face, in the middle one of the frames.

    The score is in nepers of power over the surroundings in the spectrum: about 2.5 for pure noise.
    """

    reason = "screen_pattern"
    limit = 3.7

    def __init__(self) -> None:
        self._peaks: list[float] = []

    def update(self, picture: Picture, face: Face, now_s: float) -> None:  # noqa: ARG002 - timeless
        """Measure the highest peak of one frame."""
        side = int(min(face.width, face.height, _MOST_PX)) // 2 * 2
        left, top = round(face.middle[0] - side / 2), round(face.middle[1] - side / 2)
        inside = (
            left >= 0
            and top >= 0
            and left + side <= picture.shape[1]
            and top + side <= picture.shape[0]
        )
        if inside and side >= _LEAST_PX:
            cut = picture[top : top + side, left : left + side]
            self._peaks.append(_peak(cv2.cvtColor(cut, cv2.COLOR_BGR2GRAY).astype(np.float32)))

    def score(self) -> float | None:
        """Tell the median of the peaks."""
        return median(self._peaks) if len(self._peaks) >= _LEAST_FRAMES else None


def _peak(grey: NDArray[np.float32]) -> float:
    side = len(grey)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), 3)
    # Edges of eyes and hair would drown the rest: all of the face counts alike.
    fine /= 2 + np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 6))
    window = np.hanning(side).astype(np.float32)
    spectrum = np.fft.rfft2(fine * window * window[:, None])
    power = np.fft.fftshift(np.log(np.abs(spectrum) ** 2 + 1e-6), axes=0).astype(np.float32)
    down = np.fft.fftshift(np.fft.fftfreq(side)).astype(np.float32)[:, None]
    across = np.fft.rfftfreq(side).astype(np.float32)[None]
    above = power - cv2.blur(power, (15, 15), borderType=cv2.BORDER_REFLECT)
    cell = 2.5 / side
    of_blocks = (abs(down) < cell) & (_to_block(across) < cell)
    of_blocks |= (abs(across) < cell) & (_to_block(down) < cell)
    judged = (np.hypot(down, across) >= _LOWEST) & ~of_blocks & (power > power.max() - _FAINT)
    return float(above[judged].max(initial=0.0))


def _to_block(frequency: NDArray[np.float32]) -> NDArray[np.float32]:
    times = frequency * _BLOCK_PX
    return np.asarray(abs(times - np.round(times)) / _BLOCK_PX, np.float32)
