"""What is asked and looked for in one check to see that a living person stands there."""

from vision.identity.base import Picture
from vision.identity.face import Face
from vision.identity.liveness.attack_model import AttackModel
from vision.identity.liveness.challenge import Challenge, random_steps
from vision.identity.liveness.passive import Passive
from vision.identity.reasons import LivenessReason, Step
from vision.identity.settings import Liveness

_PASSIVE_S = 3.0
"""So long a person is looked at before signs that were not seen count as absent."""


class Witness:
    """Follows one person, as far as it is ordered: not at all, only looking, or with a challenge.

    Args:
        mode: what is ordered.
        model: the user's own that knows attacks.
        steps: of the challenge; random where none are given.
    """

    def __init__(
        self,
        mode: Liveness,
        *,
        model: AttackModel | None = None,
        steps: tuple[Step, ...] | None = None,
    ) -> None:
        self._passive = Passive(model) if mode != "off" else None
        self._challenge = Challenge(steps or random_steps()) if mode == "challenge" else None
        self._steps = self.steps_left
        self._begun_s: float | None = None
        self._now_s = 0.0

    @property
    def step(self) -> Step | None:
        """What the person is asked for now."""
        return self._challenge.step if self._challenge else None

    @property
    def steps_left(self) -> int:
        """How many movements are still to be made."""
        return self._challenge.steps_left if self._challenge else 0

    @property
    def is_under_way(self) -> bool:
        """Whether a movement was made already."""
        return self._challenge is not None and self._challenge.steps_left < self._steps

    @property
    def failure(self) -> LivenessReason | None:
        """Why the challenge is lost."""
        return self._challenge.failure if self._challenge else None

    @property
    def is_done(self) -> bool:
        """Whether enough was asked and seen."""
        if self._challenge is not None:
            return self._challenge.passed
        if self._passive is not None:
            return self._begun_s is not None and self._now_s - self._begun_s >= _PASSIVE_S
        return True

    def update(self, picture: Picture, face: Face | None, now_s: float, *, clear: bool) -> None:
        """Take a look at the person, or that they are not seen; ``clear``: in good quality."""
        self._now_s = now_s
        if self._begun_s is None:
            self._begun_s = now_s
        if self._passive is not None:
            self._passive.update(picture, face, now_s)
        if self._challenge is not None:
            self._challenge.update(face, now_s, clear=clear)

    def signs(self) -> tuple[LivenessReason, ...]:
        """Tell which signs of an attack were seen."""
        return self._passive.verdict() if self._passive else ()
