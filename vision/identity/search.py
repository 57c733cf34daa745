"""Who of the enrolled looks most like a face: one product of a matrix with a vector."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vision.identity.base import Template
from vision.identity.gallery_record import Stored

_WIRE = np.dtype("<f4")


@dataclass(frozen=True, slots=True)
class Found:
    """The enrolled person most like a face. Similarities stay inside the box."""

    enrolment: str
    similarity: float
    next_similarity: float | None
    """Of the nearest other person; None: nobody else is enrolled."""


class Index:
    """Templates of one recogniser in memory: 512 bytes a person at 128 numbers.

    Args:
        templates: each of the recogniser's dimension.
        dimension: that of the recogniser.

    Raises:
        ValueError: a template has another dimension.
    """

    def __init__(self, templates: Iterable[Stored], dimension: int) -> None:
        self._enrolments: list[str] = []
        rows = bytearray()
        for stored in templates:
            if len(stored.template) != dimension * _WIRE.itemsize:
                msg = f"the template of enrolment {stored.enrolment} is not of {dimension} numbers"
                raise ValueError(msg)
            self._enrolments.append(stored.enrolment)
            rows += stored.template
        self._rows = np.frombuffer(rows, _WIRE).reshape(-1, dimension).astype(np.float32)

    def __len__(self) -> int:
        return len(self._enrolments)

    def search(self, template: Template) -> Found | None:
        """Return the person most like a face; None: nobody is enrolled."""
        if not self._enrolments:
            return None
        similarities = self._rows @ template
        best = int(similarities.argmax())
        similarity = float(similarities[best])
        similarities[best] = -np.inf
        others = float(similarities.max()) if len(self) > 1 else None
        return Found(self._enrolments[best], similarity, others)


def packed(template: Template) -> bytes:
    """Return a template as it is stored and reported."""
    return template.astype(_WIRE).tobytes()
