"""Made-up faces, and a chain that knows them: a face's score says who it is."""

import numpy as np

from vision.identity.backends import Backend
from vision.identity.base import FaceDetector, FaceRecogniser
from vision.identity.chain import Chain, PortraitError
from vision.identity.face import Face, Quality
from vision.models.manifest import Calibration

CALIBRATION = Calibration(
    version="made-up-1",
    set="made-up",
    pictures=2,
    persons=2,
    genuine_pairs=1,
    impostor_pairs=1,
    match_at=0.92,
    no_match_below=0.9,
    identify_at=0.94,
    fmr=0,
    fmr_low=0,
    fmr_high=1,
    fnmr=0,
    fnmr_low=0,
    fnmr_high=1,
)
PICTURE = np.zeros((90, 160, 3), np.uint8)
DIMENSION = 8


def face(person=1, *, x=320.0, y=180.0, eyes=60.0, aside=0.0):
    """A face whose middle of the eyes is at ``x, y``; ``aside``: of the nose, in eye distances."""
    return Face(
        left=x - eyes,
        top=y - eyes * 0.8,
        width=2 * eyes,
        height=2 * eyes,
        score=person,
        right_eye=(x - eyes / 2, y),
        left_eye=(x + eyes / 2, y),
        nose=(x + aside * eyes, y + eyes * 0.7),
        landmarks=(),
    )


def template(person, likeness=1.0):
    """A template of a person; ``likeness``: its similarity to another one of them."""
    made = np.zeros(DIMENSION, np.float32)
    made[int(person)], made[0] = likeness, (1 - likeness**2) ** 0.5
    return made


def show(picture, *persons):
    """Write into a picture who is in it, for :class:`FakeDetector`."""
    picture[:2] = 0
    for place, person in enumerate(persons):
        picture[0, place] = person
    return picture


class FakeDetector(FaceDetector):
    name = "written-1"

    def find(self, picture):
        row = picture[0, :4, 0]
        return [face(person, x=150 * place) for place, person in enumerate(row) if person]


class FakeRecogniser(FaceRecogniser):
    name = "score-1"
    dimension = DIMENSION

    def align(self, picture, face):
        return np.full((1, 1, 3), face.score, np.uint8)

    def embed(self, chips):
        return [template(chip[0, 0, 0]) for chip in chips]


class FakeChain(Chain):
    """Finds and compares made-up faces; counts the templates that it makes."""

    def __init__(self):
        super().__init__(Backend(FakeDetector(), FakeRecogniser(), CALIBRATION, None))
        self.reasons = ()
        self.likeness = 1.0
        self.templates = 0

    def judge(self, picture, face):
        turned = abs(face.nose[0] - face.middle[0]) > 18
        return Quality(0.9, ("turned",) if turned else self.reasons)

    def template(self, picture, face):
        self.templates += 1
        return template(face.score, self.likeness)

    def portrait(self, content):
        """Its first character is a digit: the person."""
        if not content[:1].isdigit():
            raise PortraitError(reason="portrait_unreadable")
        return template(int(content[:1]))
