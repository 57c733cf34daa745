"""From a picture to a decision: find faces, judge them, make templates, compare, decide."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vision.identity.backends import Backend
from vision.identity.base import Picture, Template
from vision.identity.face import Face, Quality
from vision.identity.picture_header import size_of
from vision.identity.quality import PORTRAIT, judge
from vision.identity.reasons import TEXTS, Reason
from vision.identity.report import Outcome
from vision.identity.track import foreground

MAX_PORTRAIT_PIXELS = 50_000_000
"""Of a document's picture, before it is decoded: a phone's largest."""

_PORTRAIT_EDGE_PX = 1280
"""A larger portrait is made smaller: a face fills a good part of it."""


class PortraitError(Exception):
    """A document's portrait cannot be compared."""

    def __init__(self, *, reason: Reason) -> None:
        super().__init__(TEXTS[reason][1])
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Look:
    """What one frame of a camera shows."""

    faces: tuple[Face, ...]
    """The largest first."""
    main: Face | None
    """The one to compare: the largest."""
    quality: Quality
    """Of the main face; with ``several_faces``, where another one stands beside it."""


class Chain:
    """Faces found, judged and compared with one detector and one recogniser."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def find(self, picture: Picture) -> list[Face]:
        """Find all faces, the largest first."""
        return self.backend.detector.find(picture)

    def judge(self, picture: Picture, face: Face) -> Quality:
        """Tell what one face before the camera is worth, whoever else is there."""
        return judge(picture, face)

    def look(self, picture: Picture) -> Look:
        """Find the faces of a camera's frame and judge the one that is to be compared."""
        faces = tuple(self.find(picture))
        if not faces:
            return Look((), None, Quality(0.0, ("no_face",)))
        quality = self.judge(picture, faces[0])
        if len(foreground(faces)) > 1:
            quality = Quality(quality.score / 2, ("several_faces", *quality.reasons))
        return Look(faces, faces[0], quality)

    def template(self, picture: Picture, face: Face) -> Template:
        """Make the template of one face."""
        recogniser = self.backend.recogniser
        (template,) = recogniser.embed([recogniser.align(picture, face)])
        return template

    def portrait(self, content: bytes) -> Template:
        """Make the template of a document's portrait: a JPEG, PNG or BMP file, in memory only.

        It is turned upright as its EXIF data say. Of several faces the largest counts.

        Raises:
            PortraitError: it cannot be read, shows no face, or none that will do.
        """
        picture = _decode(content)
        faces = self.find(picture)
        if not faces:
            raise PortraitError(reason="portrait_no_face")
        if not judge(picture, faces[0], PORTRAIT).is_good:
            raise PortraitError(reason="portrait_poor")
        return self.template(picture, faces[0])

    def similarity(self, a: Template, b: Template) -> float:
        """Compare two templates: -1 to 1, as the calibration counts."""
        return float(a @ b)

    def outcome(self, similarity: float) -> Outcome:
        """Decide by the recogniser's calibration; between its limits a human has to."""
        calibration = self.backend.calibration
        if similarity >= calibration.match_at:
            return "match"
        return "refer" if similarity >= calibration.no_match_below else "no_match"


def merge(templates: Sequence[Template]) -> Template:
    """Make one template of several of a person: their mean, of length 1. At least one is needed."""
    mean = np.mean(templates, axis=0, dtype=np.float64)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def _decode(content: bytes) -> Picture:
    """Decode what its own header says to be small enough."""
    size = size_of(content)
    if size is None or not 0 < size[0] * size[1] <= MAX_PORTRAIT_PIXELS:
        raise PortraitError(reason="portrait_unreadable")
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise PortraitError(reason="portrait_unreadable") from error
    if decoded is None:
        raise PortraitError(reason="portrait_unreadable")
    picture = np.asarray(decoded, np.uint8)
    scale = _PORTRAIT_EDGE_PX / max(picture.shape[:2])
    if scale < 1:
        size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return picture
