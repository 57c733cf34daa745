"""The project's own plate reader, run by ONNX Runtime."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from vision.models.errors import UnusableModelError
from vision.picture import as_bgr
from vision.plates.alphabet import CHARACTERS, MAX_LENGTH
from vision.plates.base import Picture, PlateReader
from vision.plates.plate import COLOURS, Character, Quad, Reading
from vision.plates.rectify import rectify

_TEXTS = ("", *CHARACTERS)
"""By class; the first is "no character here"."""
_AT_ONCE = 8
_RUNNERS_UP = 3
_LEAST_LIKELY = 0.01
"""Less likely runners-up are not told."""


class OnnxPlateReader(PlateReader):
    """Reads plates with a network from ``plates`` to ``characters``, ``colour`` and ``rows``.

    ``plates`` is ``(n, HEIGHT, WIDTH, 3)`` as :func:`~vision.plates.rectify.rectify` makes it;
    the rest are probabilities, ``(n, MAX_LENGTH, 1 + len(CHARACTERS))``, ``(n, len(COLOURS))`` and
    ``(n, 2)``. The text ends before the first place where "no character" is likeliest; what
    the places after it say counts for nothing.

    Raises:
        UnusableModelError: the network is another one.
    """

    def __init__(self, session: ort.InferenceSession, *, name: str) -> None:
        outputs = {output.name: output.shape for output in session.get_outputs()}
        expected = [MAX_LENGTH, len(_TEXTS)]
        if (
            [i.name for i in session.get_inputs()] != ["plates"]
            or not {"characters", "colour", "rows"} <= outputs.keys()
            or outputs["characters"][1:] != expected
        ):
            msg = (
                f"model {name}: no plate reader of this project (plates to characters "
                f"{expected}, colour and rows)"
            )
            raise UnusableModelError(msg)
        self.name = name
        self._session = session

    def read(self, picture: Picture, quads: Sequence[Quad]) -> list[Reading]:
        """Read the plate in each quad of ``picture``; one reading a quad, in their order.

        Raises:
            PictureError: it is no picture.
        """
        picture = as_bgr(picture)
        readings: list[Reading] = []
        for start in range(0, len(quads), _AT_ONCE):
            strips = [rectify(picture, quad) for quad in quads[start : start + _AT_ONCE]]
            readings += self.read_strips(np.stack(strips))
        return readings

    def read_strips(self, strips: NDArray[np.uint8]) -> list[Reading]:
        """Read plates that are straightened already, ``(n, HEIGHT, WIDTH, 3)``."""
        outputs = self._session.run(["characters", "colour", "rows"], {"plates": strips})
        return [_reading(*of_one) for of_one in zip(*outputs, strict=True)]


def _reading(
    places: NDArray[np.float32], colour: NDArray[np.float32], rows: NDArray[np.float32]
) -> Reading:
    best = places.argmax(1)
    length = int(np.argmax(best == 0)) if (best == 0).any() else len(best)
    number: Literal[1, 2] = 1 if rows[0] >= rows[1] else 2
    return Reading(
        characters=tuple(_character(place) for place in places[:length]),
        colour=COLOURS[int(colour.argmax())],
        colour_confidence=_share(colour.max()),
        rows=number,
        absence=_share(places[length][0]) if length < len(places) else 1.0,
    )


def _character(place: NDArray[np.float32]) -> Character:
    best, *others = np.argsort(-place, kind="stable")[: 1 + _RUNNERS_UP]
    return Character(
        text=_TEXTS[best],
        confidence=_share(place[best]),
        alternatives=tuple(
            (_TEXTS[other], _share(place[other]))
            for other in others
            if place[other] >= _LEAST_LIKELY
        ),
    )


def _share(probability: np.float32) -> float:
    """Make a plain number of it; rounding may have put it a little above 1."""
    return min(max(float(probability), 0.0), 1.0)
