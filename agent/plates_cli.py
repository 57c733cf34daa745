"""``kiosk-agent plates``: reads the number plates of pictures and videos."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from agent.plates_report import Record
    from agent.plates_view import PlatesView
    from vision.plates.base import Picture
    from vision.plates.recognise import Recogniser

BEFORE_OPENCV = {
    "OPENCV_IO_MAX_IMAGE_PIXELS": "100000000",  # vision.picture.MAX_PIXELS
    "OPENCV_LOG_LEVEL": "SILENT",  # what is wrong with a picture is said once, by us
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # AV_LOG_QUIET
}
"""Of the environment; what is set otherwise stays so."""

_JPEG_QUALITY = 92

Step = Callable[[float | None], None]


def plates(
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGE", help="Pictures, folders of them, or patterns."),
    ] = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line: a picture's, a passage's.")
    ] = False,
    crops: Annotated[
        bool, typer.Option("--crops", help="The pictures are cut-out plates.")
    ] = False,
    draw: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the pictures with marked plates here.")
    ] = None,
    video: Annotated[
        str | None,
        typer.Option(metavar="FILE|URL", help="Print each vehicle's passage of a video instead."),
    ] = None,
    min_character: Annotated[
        float,
        typer.Option(min=0, max=1, help="A plate with a character less sure is unreadable."),
    ] = 0.5,
    per_s: Annotated[
        float, typer.Option(min=0.1, max=60, help="Frames looked at in each second of a video.")
    ] = 8.0,
    models: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Another list of models.")
    ] = None,
    detector: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A YOLO detector: exported to ONNX, or as it is."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=64, help="For one picture.")] = 1,
) -> None:
    """Read the number plates of pictures, or the passages of a video.

    The exit code is 1 where a picture or the video could not be read; the others are.
    """
    if bool(images) == (video is not None):
        msg = "give pictures, or --video"
        raise typer.BadParameter(msg)
    if video is not None and (crops or draw):
        msg = "--crops and --draw are for pictures"
        raise typer.BadParameter(msg)
    for name, value in BEFORE_OPENCV.items():
        os.environ.setdefault(name, value)

    from agent.plates_view import PlatesView
    from vision.models.manifest import SHIPPED
    from vision.plates.backends import open_recogniser
    from vision.plates.onnx_detector import CAMERA, STILL
    from vision.plates.settings import DetectorKind

    kind: DetectorKind = "builtin"
    if detector:
        kind = "yolo-onnx" if detector.suffix == ".onnx" else "ultralytics"
    recogniser = open_recogniser(
        detector=kind,
        detector_file=detector,
        manifest=models or SHIPPED,
        threads=threads,
        long_edges=STILL if video is None else CAMERA,
    )
    view = None if as_json else PlatesView()
    with _progress("pictures" if video is None else "passages", shown=not as_json) as step:
        if video is None:
            records = _pictures(images or [], recogniser, min_character, draw, step, crops=crops)
        else:
            records = _passages(video, recogniser, min_character, per_s, step)
        failed = _take(records, view)
    if view:
        view.print()
    raise typer.Exit(int(failed))


def _pictures(
    words: list[str],
    recogniser: "Recogniser",
    min_character: float,
    draw: Path | None,
    step: Step,
    *,
    crops: bool,
) -> Iterator["Record"]:
    from agent.picture_files import name_pictures
    from agent.plates_report import picture_record
    from vision.picture import PictureError, read_picture

    files = list(name_pictures(words))
    drawing = Drawing(draw, files) if draw else None
    for index, file in enumerate(files):
        step(index / len(files))
        try:
            picture = read_picture(file)
            start = time.perf_counter()
            found = [recogniser.read_crop(picture)] if crops else recogniser.find(picture)
            ms = 1000 * (time.perf_counter() - start)
            record = picture_record(str(file), found, min_character=min_character, ms=ms)
            if drawing:
                drawing.write(file, picture, record)
        except (PictureError, OSError) as error:
            record = {"file": str(file), "error": str(error)}
        yield record


def _passages(
    source: str, recogniser: "Recogniser", min_character: float, per_s: float, step: Step
) -> Iterator["Record"]:
    from agent.plates_report import passage_record
    from vision.picture import PictureError
    from vision.plates.passage import PassageRules, Passages
    from vision.plates.video import video_passages
    from vision.source import redact

    shown = redact(source)
    passages = Passages(PassageRules(min_character=min_character))
    try:
        for passage in video_passages(source, recogniser, passages, per_s=per_s, progress=step):
            yield passage_record(shown, passage)
    except PictureError as error:
        yield {"file": shown, "error": str(error)}


def _take(records: Iterator["Record"], view: "PlatesView | None") -> bool:
    """Print each as it comes, or keep it for the view; tell whether one is an error."""
    failed = False
    for record in records:
        failed = failed or "error" in record
        if view:
            view.add(record)
        else:
            line = json.dumps(record, ensure_ascii=False)
            # Names need not be text: what UTF-8 cannot hold is escaped, in JSON's own way.
            typer.echo(line.encode(errors="backslashreplace"))
    return failed


class Drawing:
    """Writes annotated pictures into a folder, each under its own name, none over ``originals``."""

    def __init__(self, folder: Path, originals: Iterable[Path]) -> None:
        self._folder = folder
        self._taken = {os.path.realpath(file) for file in originals}

    def write(self, file: Path, picture: "Picture", record: "Record") -> None:
        """Write one picture, whole or not at all.

        Raises:
            PictureError: it is larger than a JPEG can be.
            OSError: it cannot be written.
        """
        import cv2

        from vision.picture import PictureError
        from vision.plates.annotate import annotate

        marks = [(plate["corners"], plate["text"]) for plate in record["plates"]]
        options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        encoded, content = cv2.imencode(".jpg", annotate(picture, marks), options)
        if not encoded:
            msg = "larger than a JPEG can be: not drawn"
            raise PictureError(msg)
        self._folder.mkdir(parents=True, exist_ok=True)
        target = self._target(file)
        part = target.with_suffix(".part")
        part.write_bytes(content.tobytes())
        part.replace(target)

    def _target(self, file: Path) -> Path:
        target, number = self._folder / f"{file.stem}.jpg", 1
        while (real := os.path.realpath(target)) in self._taken:
            number += 1
            target = self._folder / f"{file.stem}-{number}.jpg"
        self._taken.add(real)
        return target


@contextmanager
def _progress(what: str, *, shown: bool) -> Iterator[Step]:
    """Show on a terminal how far it is; lines of JSON on the same terminal are progress enough."""
    if not sys.stderr.isatty() or not (shown or not sys.stdout.isatty()):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(what, total=None)
        yield lambda share: bar.update(task, total=None if share is None else 1.0, completed=share)
