"""Training of the reader."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.networks import ReaderNet
from training.pool import Pool, Sample
from training.schedule import Batch, Run, device, learn
from training.strips import Crop, encode, stream, whole
from training.typeface import Typeface
from vision.plates.alphabet import CHARACTERS, MAX_LENGTH
from vision.plates.rectify import HEIGHT, WIDTH

_CELLS = (8, 40)
_BATCH = 64
_POOL = 48_000
_FIELDS = {
    "image": ((HEIGHT, WIDTH, 3), "uint8"),
    "text": ((MAX_LENGTH,), "uint8"),
    "colour": ((), "int8"),
    "rows": ((), "int8"),
    "centres": ((MAX_LENGTH, 2), "float32"),
}


def train(
    typeface: Typeface,
    crops: Sequence[Crop],
    clutter: Sequence[NDArray[np.uint8]],
    validation: Sequence[Crop],
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
    net = ReaderNet().to(device(), memory_format=torch.channels_last)
    run = Run(net, minutes=minutes, peak=2.5e-3, checkpoint=folder / "reader.pt")
    make = functools.partial(_samples, typeface, crops, clutter, real_share)
    pool = Pool(_FIELDS, _POOL, make, makers=makers, seed=seed + 1000 * (run.step + 1))

    def loss(batch: Batch) -> Tensor:
        with torch.autocast(device().type, dtype=torch.bfloat16):
            outputs = net(in_another_light(batch["image"]))
        return _loss(outputs, batch)

    def check(mean: nn.Module) -> str:
        return f"held back right {100 * exact(mean, validation):.1f} %" if validation else ""

    learn(run, pool, count=_BATCH, seed=seed, loss=loss, check=check, say=say)


def _samples(
    typeface: Typeface,
    crops: Sequence[Crop],
    clutter: Sequence[NDArray[np.uint8]],
    real_share: float,
    seed: int,
) -> Iterator[Sample]:
    for strip in stream(typeface, crops, clutter, seed, real_share):
        yield {
            "image": strip.image,
            "text": np.array(encode(strip.text)),
            "colour": np.array(strip.colour),
            "rows": np.array(strip.rows),
            "centres": strip.centres,
        }


def in_another_light(images: Tensor) -> Tensor:
    """Make a network's input of a batch of pictures, each in another light."""
    x = images.permute(0, 3, 1, 2).float() / 255
    count = x.shape[0]
    gain = 1 + 0.25 * torch.randn(count, 1, 1, 1, device=x.device)
    tint = 1 + 0.06 * torch.randn(count, 3, 1, 1, device=x.device)
    shift = 0.06 * torch.randn(count, 1, 1, 1, device=x.device)
    return (x * gain * tint + shift).clamp(0, 1).contiguous(memory_format=torch.channels_last)


def _loss(outputs: tuple[Tensor, Tensor, Tensor, Tensor], batch: dict[str, Tensor]) -> Tensor:
    characters, colour, rows, looked = (output.float() for output in outputs)
    text = functional.cross_entropy(
        characters.flatten(0, 1), batch["text"].long().flatten(), label_smoothing=0.03
    )
    paint = functional.cross_entropy(colour, batch["colour"].long(), ignore_index=-1)
    lines = functional.cross_entropy(rows, batch["rows"].long(), ignore_index=-1)
    return 4 * text + 0.3 * paint + 0.3 * lines + 0.25 * _look(looked, batch["centres"])


def _look(looked: Tensor, centres: Tensor) -> Tensor:
    """Teach where to look, as far as that is known."""
    known = ~centres[..., 0].isnan()
    y = torch.arange(_CELLS[0], device=looked.device) * 8 + 3.5
    x = torch.arange(_CELLS[1], device=looked.device) * 4 + 1.5
    at = centres[known]
    wide = ((x[None, None, :] - at[:, 0, None, None]) / 4) ** 2
    tall = ((y[None, :, None] - at[:, 1, None, None]) / 9) ** 2
    target = (-(wide + tall) / 2).flatten(1).softmax(dim=1)
    return -(target * looked[known]).sum(dim=1).mean()


@torch.no_grad()
def read(net: nn.Module, strips: Sequence[NDArray[np.uint8]]) -> list[str]:
    """Read strips: the likeliest class at each place."""
    where = next(net.parameters()).device
    texts = []
    for start in range(0, len(strips), 256):
        x = torch.from_numpy(np.stack(strips[start : start + 256])).to(where)
        characters, *_ = net(x.permute(0, 3, 1, 2).float() / 255)
        texts += [
            "".join(CHARACTERS[code - 1] for code in codes if code)
            for codes in characters.argmax(dim=2).tolist()
        ]
    return texts


def exact(net: nn.Module, crops: Sequence[Crop]) -> float:
    """Share of crops read exactly right, shown whole."""
    texts = read(net, [whole(crop) for crop in crops])
    return sum(t == c.text for t, c in zip(texts, crops, strict=True)) / len(crops)
