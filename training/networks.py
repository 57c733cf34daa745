"""The two networks, small enough for a kiosk's processor."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision.plates.alphabet import CHARACTERS, MAX_LENGTH
from vision.plates.plate import COLOURS

CLASSES = len(CHARACTERS) + 1


def _conv(inputs: int, outputs: int, stride: int | tuple[int, int] = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(self.first(x)))


class _Context(nn.Module):
    """Look far along the plate: dense kernels on a map of half the size, and the mean of all."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shrink = _conv(channels, channels, 2)
        self.near = _Residual(channels)
        self.far = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, (2, 4), (2, 4), bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, (1, 2), (1, 2), bias=False),
            nn.BatchNorm2d(channels),
        )
        self.mean = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.near(self.shrink(x))
        y = functional.relu(y + self.far(y) + self.mean(y.mean(dim=(2, 3)))[:, :, None, None])
        return x + functional.interpolate(y, scale_factor=2.0, mode="nearest")


class ReaderNet(nn.Module):
    """Reads a strip: for each of eight places it learns where to look and what stands there.

    Takes ``(n, 3, 64, 160)`` BGR, 0 to 1. Gives logits of characters ``(n, 8, classes)``, colours
    ``(n, 6)`` and rows ``(n, 2)``, and where it looked, ``(n, 8, 8 * 40)`` log-probabilities over
    the cells of 8 by 4 pixels. Reading order is learned, so one net reads one row and two.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            _conv(3, 24, 2),
            _conv(24, 32),
            _conv(32, 64, 2),
            _Residual(64),
            _conv(64, 96, (2, 1)),
            _Residual(96),
        )
        channels = 96
        self.widen = nn.Conv2d(96 + 2, channels, 1)
        self.context = _Context(channels)
        self.look = nn.Conv2d(channels, MAX_LENGTH, 1)
        self.value = nn.Conv2d(channels, 160, 1)
        self.place = nn.Parameter(torch.zeros(MAX_LENGTH, 160))
        self.character = nn.Sequential(nn.ReLU(), nn.Dropout(0.1), nn.Linear(160, CLASSES))
        self.plate = nn.Linear(channels, len(COLOURS) + 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = self.trunk(x)
        rows = torch.linspace(-1, 1, x.shape[2], device=x.device, dtype=x.dtype)
        columns = torch.linspace(-1, 1, x.shape[3], device=x.device, dtype=x.dtype)
        at = torch.stack(
            (
                rows[:, None].expand(x.shape[2], x.shape[3]),
                columns[None].expand(x.shape[2], x.shape[3]),
            )
        )
        x = self.widen(torch.cat((x, at[None].expand(x.shape[0], -1, -1, -1)), dim=1))
        x = self.context(x)
        looked = self.look(x).flatten(2).float().log_softmax(dim=2)
        seen = looked.exp() @ self.value(x).flatten(2).float().transpose(1, 2)
        characters = self.character(seen + self.place)
        plate = self.plate(x.mean(dim=(2, 3)).float())
        return characters, plate[:, : len(COLOURS)], plate[:, len(COLOURS) :], looked


STRIDE = 8
"""Pixels of a detector's cell."""
_REACH = 16.0
"""Pixels for one unit of a corner's offset."""


class DetectorNet(nn.Module):
    """Finds plates: whether a cell of 8 by 8 pixels is one's middle, and where its corners are.

    Takes ``(n, 3, height, width)`` BGR, 0 to 1, sides multiples of 32. Gives logits ``(n, h, w)``
    and corners ``(n, 4, 2, h, w)``: x and y in pixels of the picture, for each cell.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            _conv(3, 16, 2), _conv(16, 24, 2), _conv(24, 48, 2), _conv(48, 48)
        )
        self.middle = nn.Sequential(_conv(48, 80, 2), _Residual(80))
        self.coarse = nn.Sequential(_conv(80, 112, 2), _Residual(112), _Residual(112))
        self.down = nn.Conv2d(112, 80, 1)
        self.mix = _conv(80, 64)
        self.across = nn.Conv2d(64, 48, 1)
        self.head = _conv(48, 48)
        self.score = nn.Conv2d(48, 1, 1)
        self.corners = nn.Conv2d(48, 8, 1)
        nn.init.constant_(self.score.bias, -4.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(x)
        middle = self.middle(fine)
        middle = self.mix(middle + _twice(self.down(self.coarse(middle))))
        x = self.head(fine + _twice(self.across(middle)))
        score = self.score(x)[:, 0].float()
        n, h, w = score.shape
        corners = self.corners(x).float().view(n, 4, 2, h, w) * _REACH
        at_x = torch.arange(w, device=x.device) * STRIDE + (STRIDE - 1) / 2
        at_y = torch.arange(h, device=x.device) * STRIDE + (STRIDE - 1) / 2
        cells = torch.stack((at_x[None, :].expand(h, w), at_y[:, None].expand(h, w)))
        return score, corners + cells


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
