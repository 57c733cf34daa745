"""What the chain sees of a video, frame by frame, and the pictures of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2

from agent.faces_report import Record, models_of
from vision.identity.annotate import Mark, annotate
from vision.identity.base import Picture, Template
from vision.identity.chain import Chain, merge
from vision.identity.face import Face
from vision.picture import PictureError
from vision.video import frames_of

_CODECS = {".avi": "MJPG", ".mkv": "mp4v", ".mov": "mp4v", ".mp4": "mp4v"}
_JPEG_QUALITY = 92
_REMEMBERED = 8
"""Frames of a person that later ones are compared with."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One frame."""

    record: Record
    picture: Picture
    """With its faces marked."""


class FaceWatch:
    """Follows who is seen: the first in good quality is person 1, and so on."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._persons: list[list[Template]] = []
        self._frames = self._with_face = self._good = 0

    def frames(self, source: str, *, per_s: float, seconds: float | None) -> Iterator[Watched]:
        """Yield the frames that are looked at.

        Raises:
            PictureError: the video cannot be opened or read.
        """
        for now, picture in frames_of(source, per_s=per_s):
            if seconds is not None and now >= seconds:
                return
            yield self._look(picture, now)

    def summary(self) -> Record:
        """Sum up what was seen."""
        return {
            "frames": self._frames,
            "with_face": self._with_face,
            "good": self._good,
            "persons": len(self._persons),
            **models_of(self._chain),
        }

    def _look(self, picture: Picture, now: float) -> Watched:
        look = self._chain.look(picture)
        faces, marks = [], []
        for face in look.faces:
            record = self._describe(picture, face)
            faces.append(record)
            marks.append(Mark(face, not record["reasons"], _lines(record)))
        self._frames += 1
        self._with_face += bool(faces)
        self._good += look.quality.is_good
        reasons = list(look.quality.reasons)
        record = {"at_s": round(now, 3), "reasons": reasons, "faces": faces}
        return Watched(record, annotate(picture, marks))

    def _describe(self, picture: Picture, face: Face) -> Record:
        quality = self._chain.judge(picture, face)
        record: Record = {
            "box": [round(value) for value in (face.left, face.top, face.width, face.height)],
            "score": round(face.score, 3),
            "eye_distance_px": round(face.eye_distance, 1),
            "quality": round(quality.score, 3),
            "reasons": list(quality.reasons),
        }
        return {**record, **self._who(picture, face)} if quality.is_good else record

    def _who(self, picture: Picture, face: Face) -> Record:
        """Compare a good face with all persons so far; one unlike all of them is another."""
        template = self._chain.template(picture, face)
        persons = self._persons
        similarities = [self._chain.similarity(merge(person), template) for person in persons]
        best = max(similarities, default=None)
        outcome = "no_match" if best is None else self._chain.outcome(best)
        if best is None or outcome == "no_match":
            persons.append([template])
            return {"person": len(persons), "outcome": "new", "similarity": best}
        number = similarities.index(best)
        if outcome == "match" and len(persons[number]) < _REMEMBERED:
            persons[number].append(template)
        return {"person": number + 1, "outcome": outcome, "similarity": best}


def _lines(record: Record) -> tuple[str, ...]:
    said = [", ".join(record["reasons"])] if record["reasons"] else []
    if "person" in record:
        doubt = "?" if record["outcome"] == "refer" else ""
        known = "new" if record["outcome"] == "new" else f"{record['similarity']:.3f}"
        said.append(f"person {record['person']}{doubt} {known}")
    return (*said, f"quality {record['quality']:.2f}, eyes {record['eye_distance_px']:.0f} px")


class Film:
    """Writes the pictures as a video, or into a folder; a video is there whole or not at all."""

    def __init__(self, out: Path, per_s: float) -> None:
        self._out = out
        self._per_s = per_s
        self._codec = _CODECS.get(out.suffix.lower())
        self._part = out.with_name(f".{out.stem}.part{out.suffix}")
        self._video: cv2.VideoWriter | None = None
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._video is None:
            return
        self._video.release()
        if kind is None:
            self._part.replace(self._out)
        else:
            self._part.unlink(missing_ok=True)

    def write(self, picture: Picture) -> None:
        """Write the next one.

        Raises:
            PictureError: it cannot be written.
        """
        self._count += 1
        if self._codec is None:
            self._write_jpeg(picture)
            return
        if self._video is None:
            self._video = self._open(self._codec, picture.shape[1], picture.shape[0])
        self._video.write(picture)

    def _open(self, codec: str, width: int, height: int) -> cv2.VideoWriter:
        self._out.parent.mkdir(parents=True, exist_ok=True)
        four = cv2.VideoWriter.fourcc(*codec)
        video = cv2.VideoWriter(str(self._part), cv2.CAP_FFMPEG, four, self._per_s, (width, height))
        if not video.isOpened():
            msg = f"{self._out} cannot be written"
            raise PictureError(msg)
        return video

    def _write_jpeg(self, picture: Picture) -> None:
        options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        encoded, content = cv2.imencode(".jpg", picture, options)
        if not encoded:
            msg = "larger than a JPEG can be: not drawn"
            raise PictureError(msg)
        self._out.mkdir(parents=True, exist_ok=True)
        (self._out / f"frame-{self._count:05}.jpg").write_bytes(content.tobytes())
