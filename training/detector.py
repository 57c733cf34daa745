"""Training of the detector."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks import STRIDE, DetectorNet
from training.pool import Pool, Sample
from training.reader import in_another_light
from training.scenes import MAX_PLATES, SIDE, Photo, Props, stream
from training.schedule import Batch, Run, device, learn

_BATCH = 16
_POOL = 12_000
_FIELDS = {
    "image": ((SIDE, SIDE, 3), "uint8"),
    "quads": ((MAX_PLATES, 4, 2), "float32"),
    "boxes": ((MAX_PLATES, 4), "float32"),
}
_FOUND = 0.4


def train(
    props: Props,
    real: Sequence[Photo],
    validation: Sequence[Photo],
    *,
    folder: Path,
    minutes: float,
    real_share: float,
    seed: int,
    makers: int,
    say: Callable[[str], None],
) -> None:
    """Train for so many minutes, or go on where the checkpoint in ``folder`` stands."""
    torch.manual_seed(seed)
    net = DetectorNet().to(device(), memory_format=torch.channels_last)
    run = Run(net, minutes=minutes, peak=2e-3, checkpoint=folder / "detector.pt")
    make = functools.partial(_samples, props, real, real_share)
    pool = Pool(_FIELDS, _POOL, make, makers=makers, seed=seed + 1000 * (run.step + 1))
    plates = sum(len(photo.boxes) for photo in validation)

    def loss(batch: Batch) -> Tensor:
        with torch.autocast(device().type, dtype=torch.bfloat16):
            score, corners = net(in_another_light(batch["image"]))
        return _loss(score, corners, batch["quads"], batch["boxes"])

    def say_worth(mean: nn.Module) -> str:
        hits, false = check(mean, validation)
        return f"held back: {hits} of {plates} found, {false} false"

    learn(run, pool, count=_BATCH, seed=seed, loss=loss, check=say_worth, say=say)


def _samples(props: Props, real: Sequence[Photo], real_share: float, seed: int) -> Iterator[Sample]:
    for scene in stream(props, real, seed, real_share):
        quads = np.full((MAX_PLATES, 4, 2), np.nan, np.float32)
        boxes = np.full((MAX_PLATES, 4), np.nan, np.float32)
        for index, quad in enumerate(scene.quads[:MAX_PLATES]):
            quads[index] = quad
        for index, box in enumerate(scene.boxes[:MAX_PLATES]):
            boxes[index] = box
        yield {"image": scene.image, "quads": quads, "boxes": boxes}


def _loss(score: Tensor, corners: Tensor, quads: Tensor, boxes: Tensor) -> Tensor:
    """Compare with what is there: quality focal loss (Li et al., 2020) and L1 in plate widths."""
    n, h, w = score.shape
    y = torch.arange(h, device=score.device)[:, None] * STRIDE + (STRIDE - 1) / 2
    x = torch.arange(w, device=score.device)[None, :] * STRIDE + (STRIDE - 1) / 2
    there = ~boxes[..., 0].isnan()
    safe = boxes.nan_to_num(0.0)[..., None, None]
    away = ((x - safe[:, :, 0]) / (0.13 * safe[:, :, 2] + 3)) ** 2
    away = away + ((y - safe[:, :, 1]) / (0.16 * safe[:, :, 3] + 3)) ** 2
    near = torch.exp(-away / 2) * there[..., None, None]
    wanted, owner = near.max(dim=1)
    # The nearest cell of a plate is its middle, however the cells lie.
    best = near.flatten(2).max(dim=2).values[..., None, None].clamp(min=1e-6)
    wanted = torch.maximum(wanted, ((near / best) * (near > 0)).max(dim=1).values)
    given = score.sigmoid()
    cross = functional.binary_cross_entropy_with_logits(score, wanted, reduction="none")
    found = ((wanted - given).abs().pow(2) * cross).sum() / there.sum().clamp(min=1) * 2
    owned = quads[torch.arange(n, device=score.device)[:, None, None], owner]  # n h w 4 2
    known = (wanted > 0.4) & ~owned[..., 0, 0].isnan()
    width = boxes[torch.arange(n, device=score.device)[:, None, None], owner][..., 2]
    off = corners.permute(0, 3, 4, 1, 2)[known] - owned[known]
    size = width[known].clamp(min=16)[:, None, None]
    bent = functional.smooth_l1_loss(off / size, torch.zeros_like(off), beta=0.02, reduction="none")
    weight = wanted[known][:, None, None]
    return found + 12 * (bent * weight).sum() / (weight.sum() * 8).clamp(min=1)


@torch.no_grad()
def check(net: nn.Module, photos: Sequence[Photo], long_edge: int = 960) -> tuple[int, int]:
    """Count plates found by a peak near their middle, and peaks where there is none."""
    where = next(net.parameters()).device
    hits = false = 0
    for photo in photos:
        height, width = photo.image.shape[:2]
        scale = min(1.0, long_edge / max(height, width))
        image = cv2.resize(photo.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pad = (-image.shape[0]) % 32, (-image.shape[1]) % 32
        image = np.pad(image, ((0, pad[0]), (0, pad[1]), (0, 0)))
        x = torch.from_numpy(image).to(where).permute(2, 0, 1)[None].float() / 255
        score = net(x)[0].sigmoid()
        peaks = (score == functional.max_pool2d(score, 5, 1, 2)) & (score > _FOUND)
        spots = [(8 * x + 3.5, 8 * y + 3.5) for _, y, x in peaks.nonzero().tolist()]
        left = [tuple(value * scale for value in box) for box in photo.boxes]
        for spot in spots:
            owner = next(
                (b for b in left if abs(spot[0] - b[0]) < b[2] / 2 and abs(spot[1] - b[1]) < b[3]),
                None,
            )
            if owner is not None:
                left.remove(owner)
                hits += 1
            elif not any(
                abs(spot[0] - b[0] * scale) < b[2] * scale
                and abs(spot[1] - b[1] * scale) < b[3] * scale * 1.5
                for b in photo.boxes
            ):
                false += 1
    return hits, false
