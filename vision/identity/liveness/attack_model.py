"""A network of the user's own that tells pictures of faces from faces.

It is listed with the role ``presentation-attack`` in the user's list of models, which pins its
hash. Its contract:

- One input, float32 ``(1 or n, 3, side, side)``: blue, green, red, 0 to 255. A network that wants
  other values scales them itself, in its first node.
- What it sees is a square about the middle of the face's box, ``crop_scale`` times its longer side
  (default 2.7), moved into the picture where it reaches out and made smaller where it does not fit.
- Its first output is ``(1, k)``. With k = 1 it is the probability of a living person; with more,
  these are classes, as logits or as probabilities, of which ``live_index`` (default 1) is the
  living person and all others are attacks.
- ``attack_at`` (default 0.5): an attack's probability from here on is an attack.

The three names are ``figures`` of its entry. The defaults are those of MiniVision's
Silent-Face-Anti-Spoofing (80 x 80 pixels, three classes, logits); of its networks choose the one
whose file name begins with its scale, as in ``2.7_80x80_MiniFASNetV2``, and export it to ONNX.
"""

from collections.abc import Mapping
from statistics import median

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from vision.identity.base import Picture
from vision.identity.face import Face
from vision.identity.liveness.sign import Sign
from vision.models.errors import UnusableModelError
from vision.models.manifest import Model
from vision.models.session import load_session

_EVERY_S = 0.3
_LEAST_FRAMES = 3


class AttackModel:
    """Tells how surely one frame shows an attack.

    Raises:
        UnusableModelError: the network or its figures do not keep to the contract.
    """

    def __init__(
        self, session: ort.InferenceSession, *, name: str, figures: Mapping[str, object]
    ) -> None:
        self.name = name
        self._session = session
        inputs = session.get_inputs()
        shape = inputs[0].shape
        if (
            len(inputs) != 1
            or inputs[0].type != "tensor(float)"
            or len(shape) != 4
            or shape[1] != 3
            or not isinstance(shape[2], int)
            or shape[2] != shape[3]
        ):
            msg = f"model {name}: takes no float32 (1, 3, side, side): docs/liveness.md"
            raise UnusableModelError(msg)
        self._input, self._side = inputs[0].name, shape[2]
        self._scale = self._figure(figures, "crop_scale", 2.7, 1.0, 10.0)
        self.limit = self._figure(figures, "attack_at", 0.5, 0.0, 1.0)
        self._live = int(self._figure(figures, "live_index", 1, 0, 1000))
        answer = self._run(np.zeros((self._side, self._side, 3), np.uint8))
        if answer.size > 1 and self._live >= answer.size:
            msg = f"model {name}: has {answer.size} classes, so none is live_index {self._live}"
            raise UnusableModelError(msg)

    def score(self, picture: Picture, face: Face) -> float:
        """Tell the probability of an attack."""
        answer = self._run(self._cut(picture, face))
        if answer.size == 1:
            return 1 - float(np.clip(answer[0], 0, 1))
        if answer.min() < 0 or abs(answer.sum() - 1) > 1e-3:
            powers = np.exp(answer - answer.max())
            answer = powers / powers.sum()
        return 1 - float(answer[self._live])

    def sign(self) -> Sign:
        """Begin to look at one check's frames."""
        return _AttackSign(self)

    def _run(self, cut: Picture) -> NDArray[np.float64]:
        given = np.ascontiguousarray(cut.transpose(2, 0, 1)[None], np.float32)
        try:
            answer = self._session.run(None, {self._input: given})[0]
        except Exception as error:  # its errors have no common root
            msg = f"model {self.name}: cannot judge a picture: {str(error)[:200]}"
            raise UnusableModelError(msg) from error
        flat = np.asarray(answer, np.float64)
        if flat.ndim != 2 or flat.shape[0] != 1 or not np.isfinite(flat).all():
            msg = f"model {self.name}: answers {flat.shape} and not numbers (1, classes)"
            raise UnusableModelError(msg)
        return np.asarray(flat[0])

    def _cut(self, picture: Picture, face: Face) -> Picture:
        height, width = picture.shape[:2]
        side = round(min(self._scale * max(face.width, face.height), height, width))
        side = max(side, 1)
        left = round(min(max(face.middle[0] - side / 2, 0), width - side))
        top = round(min(max(face.middle[1] - side / 2, 0), height - side))
        cut = picture[top : top + side, left : left + side]
        return np.asarray(cv2.resize(cut, (self._side, self._side)), np.uint8)

    def _figure(
        self, figures: Mapping[str, object], name: str, default: float, least: float, most: float
    ) -> float:
        value = figures.get(name, default)
        if not isinstance(value, int | float) or not least <= value <= most:
            msg = f"model {self.name}: {name} is no number from {least:g} to {most:g}"
            raise UnusableModelError(msg)
        return float(value)


def open_attack_model(model: Model, *, threads: int = 1) -> AttackModel:
    """Load the model of an entry.

    Raises:
        ModelError: its file is missing, has another hash or does not keep to the contract.
    """
    session = load_session(model, threads=threads)
    return AttackModel(session, name=model.name, figures=model.figures)


class _AttackSign(Sign):
    """Judges by the middle one of the frames, some three a second."""

    reason = "attack_model"

    def __init__(self, model: AttackModel) -> None:
        self.limit = model.limit
        self._model = model
        self._scores: list[float] = []
        self._last_s: float | None = None

    def update(self, picture: Picture, face: Face, now_s: float) -> None:
        if self._last_s is None or now_s - self._last_s >= _EVERY_S:
            self._last_s = now_s
            self._scores.append(self._model.score(picture, face))

    def score(self) -> float | None:
        return median(self._scores) if len(self._scores) >= _LEAST_FRAMES else None
