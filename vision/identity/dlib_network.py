"""dlib's face recognition network as an ONNX graph: the same answers, several times as fast.

The weights are those of ``dlib_face_recognition_resnet_model_v1.dat`` (Davis King, CC0): a ResNet
of 29 convolutions in dlib's own serialised form (``dlib/serialize.h``, ``dlib/dnn/layers.h``).

``python -m vision.identity.dlib_network`` reads dlib's file from its standard input and writes the
ONNX file to its standard output; exit status 1 and a line on standard error where it is another.
"""

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from vision.models.errors import UnusableModelError

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

CHIP_PX = 150
"""Edge of the square face that the network sees."""
DESCRIPTOR = 128
"""Numbers of an answer."""
INPUT, OUTPUT = "chips", "descriptors"
"""``(n, 150, 150, 3)`` BGR of 8 bits, and ``(n, 128)`` as dlib has them, not of length 1."""
VERSION = 1
"""Of the conversion: another one may write another graph."""

_OPSET, _IR = 17, 10
_BLOCKS = 14
_SCALE = 256.0
"""What the network was trained on is (value - mean) / 256 (``dlib/dnn/input.h``)."""

Weights = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Convolution:
    weights: Weights
    """``(out, in, rows, columns)``."""
    bias: Weights
    stride: int
    padding: int

    def then(self, factor: Weights, shift: Weights) -> "_Convolution":
        """Do the work of the affine layer behind it as well."""
        weights = self.weights * factor[:, None, None, None]
        return _Convolution(weights, self.bias * factor + shift, self.stride, self.padding)

    def of_bytes(self, mean: NDArray[np.float64]) -> "_Convolution":
        """Take BGR of 8 bits where (RGB - mean) / 256 was wanted; exact without padding."""
        weights = self.weights / _SCALE
        shift = weights.sum((2, 3), dtype=np.float64) @ mean
        bias = (self.bias - shift).astype(np.float32)
        return _Convolution(weights[:, ::-1], bias, self.stride, self.padding)


@dataclass(frozen=True, slots=True)
class _Block:
    """``relu(second(relu(first(x))) + x)``; one that halves adds ``x`` at half its size."""

    first: _Convolution
    second: _Convolution

    @property
    def halves(self) -> bool:
        return self.first.stride == 2


@dataclass(frozen=True, slots=True)
class _Network:
    stem: _Convolution
    blocks: tuple[_Block, ...]
    last: Weights
    """``(in, out)``."""


def convert(content: bytes) -> bytes:
    """Make an ONNX file of dlib's; it needs the package ``onnx`` and some 300 MB for a moment.

    Raises:
        UnusableModelError: the file holds another network, or is damaged.
    """
    return _write(_File(content).network())


# -- dlib's file -------------------------------------------------------------------------------


class _File:
    """Reads what dlib has serialised, one value after the other."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def network(self) -> _Network:
        self._expect(1, "the version")
        self._layer("loss_metric_2")
        self._reals(2)
        self._layer("input_rgb_image_sized")
        mean = np.array(self._reals(3))
        self._settings("the face", CHIP_PX, CHIP_PX)
        stem = self._convolution().of_bytes(mean)
        self._simple("relu_")
        self._simple("max_pool_2", 3, 3, 2, 2, 0, 0)
        blocks = tuple(self._block() for _ in range(_BLOCKS))
        self._simple("avg_pool_2", 0, 0, 1, 1, 0, 0)
        last = self._last()
        if self._at != len(self._content):
            self._fail("more follows")
        return _Network(stem, blocks, last)

    def _block(self) -> _Block:
        first = self._convolution()
        self._simple("relu_")
        block = _Block(first, self._convolution())
        if block.halves:
            self._simple("avg_pool_2", 2, 2, 2, 2, 0, 0)
        self._simple("add_prev_")
        self._simple("relu_")
        return block

    def _convolution(self) -> _Convolution:
        """A convolution and the affine layer behind it."""
        self._layer("con_4")
        values = self._tensor()
        count, rows, columns, *moves = (self._integer() for _ in range(7))
        shape = self._shape()
        self._settings("the biases", 1, 1, count, 1, 1)
        self._reals(4)
        self._end_of_layer()
        size = math.prod(shape)
        if (shape[0], *shape[2:]) != (count, rows, columns) or len(values) != size + count:
            self._fail(f"a convolution of the shape {shape} with {len(values)} weights")
        if moves not in ([2, 2, 0, 0], [1, 1, 1, 1]):
            self._fail(f"a convolution with strides and padding {moves}")
        convolution = _Convolution(
            values[:size].reshape(shape), values[size:], stride=moves[0], padding=moves[2]
        )
        self._layer("affine_")
        values = self._tensor()
        self._settings("the factors", 1, 1, count, 1, 1)
        self._settings("the shifts", 1, 1, count, 1, 1)
        self._expect(0, "the mode")
        self._end_of_layer()
        if len(values) != 2 * count:
            self._fail(f"an affine layer with {len(values)} weights")
        return convolution.then(values[:count], values[count:])

    def _last(self) -> Weights:
        self._layer("fc_2")
        self._expect(DESCRIPTOR, "the length of an answer")
        depth = self._integer()
        values = self._tensor()
        self._settings("the last layer", 1, depth, DESCRIPTOR, 1, 1)
        self._settings("its biases", 1, 0, 0, 0, 0)
        self._expect(1, "the mode")
        self._reals(4)
        self._end_of_layer()
        if len(values) != depth * DESCRIPTOR:
            self._fail(f"a last layer with {len(values)} weights")
        return values.reshape(depth, DESCRIPTOR)

    def _simple(self, name: str, *settings: int) -> None:
        self._layer(name)
        self._settings(name, *settings)
        self._end_of_layer()

    def _layer(self, name: str) -> None:
        """A layer's name, behind the versions of all that surrounds it."""
        while 1 <= (length := self._integer()) <= 3:
            pass
        found = self._take(length) if length == len(name) else b""
        if found != name.encode():
            self._fail(f"no layer {name}")

    def _end_of_layer(self) -> None:
        """Three flags, and what training left behind: gradients and the last answer."""
        if set(self._take(3)) - set(b"01"):
            self._fail("no end of a layer")
        for _ in range(3):
            self._tensor()

    def _settings(self, what: str, *values: int) -> None:
        for value in values:
            self._expect(value, what)

    def _tensor(self) -> Weights:
        """Four sizes and as many floats, flat."""
        self._expect(2, "the version of a tensor")
        shape = [self._integer() for _ in range(4)]
        if min(shape) < 0:
            self._fail(f"a tensor of the shape {shape}")
        return np.frombuffer(self._take(4 * math.prod(shape)), "<f4")

    def _shape(self) -> tuple[int, ...]:
        self._expect(1, "the version of a shape")
        return tuple(self._integer() for _ in range(4))

    def _reals(self, count: int) -> list[float]:
        """Each a mantissa and an exponent, both whole."""
        pairs = [(self._integer(), self._integer()) for _ in range(count)]
        return [math.ldexp(mantissa, min(exponent, 900)) for mantissa, exponent in pairs]

    def _integer(self) -> int:
        """A byte with the sign and the number of bytes, then those, the lowest first."""
        control = self._take(1)[0]
        if control & 0x70 or not 1 <= control & 0x0F <= 8:
            self._fail("no number")
        value = int.from_bytes(self._take(control & 0x0F), "little")
        return -value if control & 0x80 else value

    def _expect(self, value: int, what: str) -> None:
        if (found := self._integer()) != value:
            self._fail(f"{what} has {found} for {value}")

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._content):
            self._fail("it ends too early")
        taken = self._content[self._at : end]
        self._at = end
        return taken

    def _fail(self, fault: str) -> NoReturn:
        msg = f"not dlib's face recognition network of 2017: {fault}, about byte {self._at}"
        raise UnusableModelError(msg)


# -- the ONNX graph ----------------------------------------------------------------------------


class _Graph:
    """Nodes and weights, named as they come."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def add(self, kind: str, *inputs: str, name: str = "", **settings: Any) -> str:
        """Add a node; returns the name of what it gives."""
        from onnx import helper  # noqa: PLC0415 - of no use and large but here

        output = name or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **settings))
        return output

    def constant(self, values: NDArray[Any]) -> str:
        from onnx import numpy_helper  # noqa: PLC0415 - as above

        name = f"weights{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def convolve(self, source: str, convolution: _Convolution) -> str:
        weights, bias = self.constant(convolution.weights), self.constant(convolution.bias)
        return self.add(
            "Conv", source, weights, bias, kernel_shape=convolution.weights.shape[2:],
            strides=[convolution.stride] * 2, pads=[convolution.padding] * 4,
        )  # fmt: skip

    def pad(self, source: str, *, channels: int = 0, edge: int = 0) -> str:
        """Add zeros behind, below and to the right, as dlib adds what is unlike in size."""
        ends = np.array([0, 0, 0, 0, 0, channels, edge, edge], np.int64)
        return self.add("Pad", source, self.constant(ends)) if ends.any() else source


def _write(network: _Network) -> bytes:
    import onnx  # noqa: PLC0415 - as above
    from onnx import helper  # noqa: PLC0415

    graph = _Graph()
    pixels = graph.add("Cast", INPUT, to=onnx.TensorProto.FLOAT)
    value = graph.add("Transpose", pixels, perm=[0, 3, 1, 2])
    value = graph.add("Relu", graph.convolve(value, network.stem))
    value = graph.add("MaxPool", value, kernel_shape=[3, 3], strides=[2, 2])
    edge = 35  # ((150 - 7) / 2 + 1 - 3) / 2 + 1
    for block in network.blocks:
        beside = value
        value = graph.add("Relu", graph.convolve(value, block.first))
        value = graph.convolve(value, block.second)
        if block.halves:
            count, depth = block.first.weights.shape[:2]
            value = graph.pad(value, edge=edge // 2 - ((edge - 3) // 2 + 1))
            beside = graph.add("AveragePool", beside, kernel_shape=[2, 2], strides=[2, 2])
            beside = graph.pad(beside, channels=count - depth)
            edge //= 2
        value = graph.add("Relu", graph.add("Add", value, beside))
    value = graph.add("Flatten", graph.add("GlobalAveragePool", value))
    graph.add("MatMul", value, graph.constant(network.last), name=OUTPUT)
    pixels_info = helper.make_tensor_value_info(
        INPUT, onnx.TensorProto.UINT8, ["n", CHIP_PX, CHIP_PX, 3]
    )
    answer_info = helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["n", DESCRIPTOR])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "face", [pixels_info], [answer_info], graph.weights),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
    )
    return bytes(model.SerializeToString())


def main() -> int:
    """Convert what comes in; returns the exit status."""
    try:
        sys.stdout.buffer.write(convert(sys.stdin.buffer.read()))
    except UnusableModelError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
