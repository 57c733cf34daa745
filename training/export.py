"""From trained networks to the ONNX files that a kiosk runs, checked to answer alike."""

import copy
import hashlib
import subprocess
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.networks import DetectorNet, ReaderNet
from training.strips import Strip, encode

_OPSET = 17
_TOLERANCE = 2e-3
_LAST = ("head", "score", "corners")
Role = Literal["plate-detector", "plate-reader"]


class DetectorGraph(nn.Module):
    """The detector as ``vision.plates.onnx_detector`` runs it: bytes in, scores and corners out."""

    def __init__(self, net: DetectorNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        with torch.no_grad():  # a division of every pixel less
            self.net.fine[0][0].weight.div_(255)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        score, corners = self.net(image.permute(0, 3, 1, 2).float())
        return score[0].sigmoid(), corners[0]


class ReaderGraph(nn.Module):
    """The reader as ``vision.plates.onnx_reader`` runs it: bytes in, probabilities out."""

    def __init__(self, net: ReaderNet, sharpness: float) -> None:
        super().__init__()
        self.net = net
        self.sharpness = sharpness

    def forward(self, plates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        characters, colour, rows, _ = self.net(plates.permute(0, 3, 1, 2).float() / 255)
        return (
            (characters * self.sharpness).softmax(dim=2),
            colour.softmax(dim=1),
            rows.softmax(dim=1),
        )


def load_mean(net: nn.Module, checkpoint: Path) -> None:
    """Load the running mean of the weights out of a checkpoint."""
    net.load_state_dict(torch.load(checkpoint, weights_only=True, map_location="cpu")["mean"])
    net.eval()


@torch.no_grad()
def sharpness(net: ReaderNet, strips: Sequence[Strip]) -> float:
    """Find the factor on the logits that makes confidences most true (Guo et al., ICML 2017)."""
    images = torch.from_numpy(np.stack([strip.image for strip in strips]))
    wanted = torch.tensor([encode(strip.text) for strip in strips]).flatten()
    parts = [
        net(part.permute(0, 3, 1, 2).float() / 255)[0].flatten(0, 1) for part in images.split(256)
    ]
    logits = torch.cat(parts)
    factors = torch.linspace(0.5, 3, 126)
    losses = [float(nn.functional.cross_entropy(logits * f, wanted)) for f in factors]
    return float(factors[int(np.argmin(losses))])


def export_detector(net: DetectorNet, file: Path) -> None:
    """Write the detector.

    Raises:
        ValueError: the file answers otherwise than the network.
    """
    graph = DetectorGraph(net).eval()
    sides = {1: "height", 2: "width"}
    cells = {0: "rows", 1: "columns"}
    shape = {"image": sides, "score": cells, "quad": {2: "rows", 3: "columns"}}
    sample = torch.randint(0, 255, (1, 96, 160, 3), dtype=torch.uint8)
    _write(graph, sample, file, ["image"], ["score", "quad"], shape)
    _compare(graph, torch.randint(0, 255, (1, 352, 480, 3), dtype=torch.uint8), file)


def export_reader(net: ReaderNet, file: Path, factor: float) -> None:
    """Write the reader.

    Raises:
        ValueError: the file answers otherwise than the network.
    """
    graph = ReaderGraph(net, factor).eval()
    names = ["characters", "colour", "rows"]
    shape = {name: {0: "n"} for name in ("plates", *names)}
    sample = torch.randint(0, 255, (2, 64, 160, 3), dtype=torch.uint8)
    _write(graph, sample, file, ["plates"], names, shape)
    _compare(graph, torch.randint(0, 255, (3, 64, 160, 3), dtype=torch.uint8), file)


def quantise(source: Path, file: Path, samples: Sequence[NDArray[np.uint8]], name: str) -> None:
    """Write a network's int8 twin, its ranges taken from ``samples`` of its input ``name``.

    The last layers stay as they are: what comes after them is measured in pixels. Weights have
    seven bits, so that no sum overflows on processors without VNNI.
    """
    import onnx  # noqa: PLC0415 - as below
    from onnxruntime.quantization import (  # noqa: PLC0415 - needs onnx
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: PLC0415

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._left = iter(samples)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            sample = next(self._left, None)
            return None if sample is None else {name: sample}

    ready = file.with_suffix(".pre.onnx")
    quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
    nodes = [node.name for node in onnx.load(str(ready)).graph.node if node.op_type == "Conv"]
    quantize_static(
        str(ready),
        str(file),
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Add"],
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[node for node in nodes if any(last in node for last in _LAST)],
        calibrate_method=CalibrationMethod.Percentile,
        extra_options={"CalibPercentile": 99.99},
    )
    ready.unlink()


def describe(file: Path, name: str, role: Role, figures: dict[str, float]) -> str:
    """Give the entry of ``vision/models/manifest.toml`` for a file."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607 - a developer's own git
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    lines = [
        "[[model]]",
        f'name = "{name}"',
        f'file = "{file.name}"',
        f'role = "{role}"',
        f'sha256 = "{hashlib.sha256(file.read_bytes()).hexdigest()}"',
        'licence = "Apache-2.0"',
        f'training_commit = "{commit}"',
        f"made = {datetime.now(UTC):%Y-%m-%d}",
        "[model.figures]",
        *(f"{key} = {value:g}" for key, value in figures.items()),
    ]
    return "\n".join(lines) + "\n"


def _write(
    graph: nn.Module,
    sample: Tensor,
    file: Path,
    inputs: list[str],
    outputs: list[str],
    shape: dict[str, dict[int, str]],
) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # The newer exporter needs onnxscript and writes the same graph, larger.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph, (sample,), str(file), dynamo=False, opset_version=_OPSET, input_names=inputs,
            output_names=outputs, dynamic_axes=shape,
        )  # fmt: skip


@torch.no_grad()
def _compare(graph: nn.Module, sample: Tensor, file: Path) -> None:
    session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    answers = session.run(None, {session.get_inputs()[0].name: sample.numpy()})
    for mine, theirs in zip(graph(sample), answers, strict=True):
        apart = float(np.abs(mine.numpy() - theirs).max()) / max(1.0, float(mine.abs().max()))
        if mine.shape != theirs.shape or apart > _TOLERANCE:
            msg = f"{file.name} answers otherwise than its network, by {apart:.2g}"
            raise ValueError(msg)
