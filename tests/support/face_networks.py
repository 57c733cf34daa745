"""Tiny networks with the faces of YuNet and SFace: they see what they are made to see."""

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

STRIDES = (8, 16, 32)


def yunet_seeing(
    faces: Sequence[tuple[int, int, float]], *, width: int = 480, height: int = 384
) -> bytes:
    """A face detector that sees the same in each picture of one size.

    Each face is the column and row of a cell of 32 pixels and a score: its box is 64 by 64 around
    the cell's corner, and its points lie 0, 4, 8, 12 and 16 pixels right of and below the corner.
    """
    nodes, constants, outputs = [], {"none": np.zeros((), np.float32)}, []
    nodes.append(helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0))
    nodes.append(helper.make_node("Mul", ["mean", "none"], ["nothing"]))
    for kind, depth in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride in STRIDES:
            columns = width // stride
            answer = np.zeros((1, columns * (height // stride), depth), np.float32)
            if stride == 32:
                for column, row, score in faces:
                    answer[0, row * columns + column] = {
                        "cls": [score],
                        "obj": [score],
                        "bbox": [0, 0, np.log(2), np.log(2)],
                        "kps": np.repeat(np.arange(5), 2) / 8,
                    }[kind]
            name = f"{kind}_{stride}"
            constants[f"{name}_answer"] = answer
            nodes.append(helper.make_node("Add", [f"{name}_answer", "nothing"], [name]))
            outputs.append(
                helper.make_tensor_value_info(name, TensorProto.FLOAT, list(answer.shape))
            )
    return _model(nodes, "input", [1, 3, height, width], outputs, constants)


def sface_of_means(dimension: int = 128) -> bytes:
    """A face recogniser to which a face is its colours in 7 by 7 squares, shuffled."""
    mixing = np.random.default_rng(1).normal(size=(147, dimension)).astype(np.float32)
    nodes = [
        helper.make_node(
            "AveragePool", ["data"], ["squares"], kernel_shape=[16, 16], strides=[16, 16]
        ),
        helper.make_node("Flatten", ["squares"], ["flat"]),
        helper.make_node("MatMul", ["flat", "mixing"], ["fc1"]),
    ]
    answer = helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [1, dimension])
    return _model(nodes, "data", [1, 3, 112, 112], [answer], {"mixing": mixing})


def _model(nodes, source, shape, outputs, constants) -> bytes:
    initial = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    pixels = helper.make_tensor_value_info(source, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "tiny", [pixels], outputs, initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    checker.check_model(model)
    return model.SerializeToString()
