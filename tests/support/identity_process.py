"""An identity process whose networks are made up: who is in a frame is written in its pixels."""

from tests.support.faces import FakeChain
from vision.identity.watch import Models, main
from vision.models.errors import MissingModelError


class Chain(FakeChain):
    """Breaks at the sight of person 7."""

    def template(self, picture, face):
        if face.score == 7:
            raise ValueError(str(picture))
        return super().template(picture, face)


def load(identity):
    """Two threads stand for a machine without models."""
    if identity.threads == 2:
        msg = "no model for the task face-recogniser is listed"
        raise MissingModelError(msg)
    return Models(Chain(), None)


if __name__ == "__main__":
    main(load)
