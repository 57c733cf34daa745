"""The passive signs of an attack, over the frames of one check.

Nothing is asked of the person. The limits are set so that a person is rarely taken for an
attack, and an attack is missed rather than a citizen turned away: docs/liveness.md has the
figures.
"""

from vision.identity.base import Picture
from vision.identity.face import Face
from vision.identity.liveness.attack_model import AttackModel
from vision.identity.liveness.flat_motion import FlatMotion
from vision.identity.liveness.paper_edges import PaperEdges
from vision.identity.liveness.replayed import Replayed
from vision.identity.liveness.screen_pattern import ScreenPattern
from vision.identity.liveness.sign import Sign
from vision.identity.reasons import LivenessReason


class Passive:
    """Looks for all signs, and asks the user's model where there is one.

    It holds parts of the frames, in memory only: let go of it after the check. Frames come at the
    camera's own size, faces in their pixels, times in seconds of any one clock.
    """

    def __init__(self, model: AttackModel | None = None) -> None:
        signs: tuple[Sign, ...] = (ScreenPattern(), FlatMotion(), PaperEdges(), Replayed())
        self._signs = signs if model is None else (*signs, model.sign())

    def update(self, picture: Picture, face: Face | None, now_s: float) -> None:
        """Take one frame and the one face in it; without a face it tells nothing."""
        if face is None or face.eye_distance < 1:
            return
        for sign in self._signs:
            sign.update(picture, face, now_s)

    def verdict(self) -> tuple[LivenessReason, ...]:
        """Tell which signs are there so far; none where too little was seen to judge."""
        scores = self.scores()
        return tuple(
            sign.reason
            for sign in self._signs
            if (score := scores[sign.reason]) is not None and score >= sign.limit
        )

    def scores(self) -> dict[LivenessReason, float | None]:
        """Tell how strong each sign is; None: too little was seen to judge. For measuring."""
        return {sign.reason: sign.score() for sign in self._signs}
