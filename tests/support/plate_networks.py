"""Tiny networks with the faces of the real ones, and pictures that they understand."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

from vision.plates.alphabet import CHARACTERS, MAX_LENGTH
from vision.plates.plate import COLOURS

_WHITE_BOX = """
<ir_version: 10, opset_import: ["": 17]>
white_box (uint8[1, H, W, 3] image) => (float[h, w] score, float[4, 2, h, w] quad)
<float limit = {250}, int64[1] one = {1}, int64[2] both = {0, 1}, int64[4] form = {4, 2, 1, 1},
 int64[2] start = {4, 2}>
{
  values = Cast <to = 1> (image)
  darkest = ReduceMin <axes = [3], keepdims = 0> (values)
  white = GreaterOrEqual (darkest, limit)
  mask = Cast <to = 1> (white)
  plane = Unsqueeze (mask, one)
  cells = AveragePool <kernel_shape = [8, 8], strides = [8, 8]> (plane)
  score = Squeeze (cells, both)
  columns = ReduceMax <axes = [1], keepdims = 0> (mask)
  rows = ReduceMax <axes = [2], keepdims = 0> (mask)
  left = ArgMax <axis = 1, keepdims = 0> (columns)
  right = ArgMax <axis = 1, keepdims = 0, select_last_index = 1> (columns)
  top = ArgMax <axis = 1, keepdims = 0> (rows)
  bottom = ArgMax <axis = 1, keepdims = 0, select_last_index = 1> (rows)
  corners = Concat <axis = 0> (left, top, right, top, right, bottom, left, bottom)
  numbers = Cast <to = 1> (corners)
  formed = Reshape (numbers, form)
  cell_shape = Shape (score)
  shape = Concat <axis = 0> (start, cell_shape)
  quad = Expand (formed, shape)
}
"""


def white_box_detector() -> bytes:
    """A plate detector to which the one white box of a picture is the plate."""
    return parser.parse_model(_WHITE_BOX).SerializeToString()


def reader_of(
    text: str,
    confidence: float = 0.97,
    *,
    colour: str = "blue",
    rows: int = 1,
    places: Mapping[int, Mapping[str, float]] | None = None,
) -> bytes:
    """A plate reader that reads the same everywhere.

    ``places`` gives the whole distribution of single places; the empty text is "no character".
    """
    classes = ("", *CHARACTERS)
    characters = np.full((1, MAX_LENGTH, len(classes)), 0.0, np.float32)
    for place in range(MAX_LENGTH):
        truth = text[place] if place < len(text) else ""
        shares = (places or {}).get(place, {truth: confidence})
        for each, share in shares.items():
            characters[0, place, classes.index(each)] = share
    colours = np.array([[0.9 if each == colour else 0.02 for each in COLOURS]], np.float32)
    number = np.array([[0.8, 0.2] if rows == 1 else [0.1, 0.9]], np.float32)
    outputs = {"characters": characters, "colour": colours, "rows": number}
    constants = {
        **{f"{name}_1": array for name, array in outputs.items()},
        **{f"{name}_rest": np.array(array.shape[1:], np.int64) for name, array in outputs.items()},
        "from": np.array([0], np.int64),
        "to": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Shape", ["plates"], ["shape"]),
        helper.make_node("Slice", ["shape", "from", "to"], ["count"]),
    ]
    for name in outputs:
        nodes += [
            helper.make_node("Concat", ["count", f"{name}_rest"], [f"{name}_to"], axis=0),
            helper.make_node("Expand", [f"{name}_1", f"{name}_to"], [name]),
        ]
    return _model(
        nodes,
        helper.make_tensor_value_info("plates", TensorProto.UINT8, ["n", 64, 160, 3]),
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *array.shape[1:]])
            for name, array in outputs.items()
        ],
        constants,
    )


def yolo_of(
    output: np.ndarray, metadata: Mapping[str, str], *, size: tuple[int, int] = (320, 320)
) -> bytes:
    """A YOLO export that answers ``output`` to every picture."""
    return _model(
        [helper.make_node("Identity", ["answer"], ["output0"])],
        helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *size]),
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, list(output.shape))],
        {"answer": output.astype(np.float32)},
        metadata,
    )


def write_models(folder: Path, detector: bytes, reader: bytes) -> Path:
    """Write both networks and a list of them; returns the list's path."""
    lines = []
    for role, content in (("plate-detector", detector), ("plate-reader", reader)):
        (folder / f"{role}.onnx").write_bytes(content)
        lines += [
            "[[model]]",
            f'name = "{role}-1"',
            f'file = "{role}.onnx"',
            f'role = "{role}"',
            f'sha256 = "{hashlib.sha256(content).hexdigest()}"',
            'licence = "Apache-2.0"',
            "made = 2026-11-25",
            "[model.figures]",
            "exact_percent = 97.5",
        ]
    manifest = folder / "models.toml"
    manifest.write_text("\n".join(lines))
    return manifest


def picture_with_plate(
    width: int = 640, height: int = 480, box: tuple[int, int, int, int] = (200, 200, 96, 32)
) -> np.ndarray:
    """A grey picture with a white box: left, top, width and height."""
    picture = np.full((height, width, 3), 90, np.uint8)
    left, top, across, down = box
    picture[top : top + down, left : left + across] = 255
    return picture


def _model(nodes, image, outputs, constants, metadata=None) -> bytes:
    initial = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "tiny", [image], outputs, initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model)
    return model.SerializeToString()
