"""``kiosk-agent faces``: what the identity chain makes of pictures and videos."""

import csv
import json
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.plates_cli import BEFORE_OPENCV

if TYPE_CHECKING:
    from agent.faces_report import Pair, Record
    from vision.identity.chain import Chain

_ON_THE_BOX = (
    "A maintenance tool on the box: it opens no connection but the video's, and keeps nothing."
)

faces_app = typer.Typer(
    help=f"Compare faces in pictures and videos. {_ON_THE_BOX}",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@faces_app.callback()
def _before_opencv() -> None:
    """Set what OpenCV reads when it is loaded."""
    for name, value in BEFORE_OPENCV.items():
        os.environ.setdefault(name, value)


Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Models = Annotated[Path | None, typer.Option(metavar="FILE", help="Another list of models.")]

_COLUMNS = {"file_x", "file_y"}
_SAME = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@faces_app.command(
    help="Tell whether two pictures show the same person; of several faces in a picture the "
    f"largest counts. The exit code is 1 where they cannot be compared. {_ON_THE_BOX}"
)
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A picture.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    *,
    as_json: Json = False,
    models: Models = None,
) -> None:
    """Compare two pictures."""
    chain = _open(models, thorough=True)
    from agent.faces_looks import see
    from agent.faces_report import compared, models_of

    record = compared(see(a, chain), see(b, chain), chain)
    _print({"file_x": str(a), "file_y": str(b), **record, **models_of(chain)}, as_json=as_json)
    raise typer.Exit(int(record["similarity"] is None))


@faces_app.command(
    help="Compare the pairs of a list, one line each, and sum up how often that was wrong. The "
    "list is CSV with the columns file_x, file_y (relative to it) and same (1 or 0, true or false, "
    "yes or no; the column may be called Decision). Of several faces in a picture the largest "
    "counts; a pair without a face counts as not matched. The exit code is 1 where a picture "
    f"cannot be read. {_ON_THE_BOX}"
)
def pairs(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="The list.")],
    *,
    as_json: Json = False,
    models: Models = None,
) -> None:
    """Compare the pairs of a list."""
    listed = list(_read_pairs(file))
    chain = _open(models, thorough=True)
    from agent.faces_looks import see_all
    from agent.faces_report import compared, pair_record, summary

    folder = file.parent
    names = {name for pair in listed for name in (pair.file_x, pair.file_y)}
    seen = see_all((folder / name for name in names), chain, models)
    records = []
    for pair in listed:
        result = compared(seen[folder / pair.file_x], seen[folder / pair.file_y], chain)
        records.append(pair_record(pair, result))
        _print(records[-1], as_json=as_json)
    total = summary(records, chain)
    if not as_json:
        del total["roc"]
    _print(total, as_json=as_json)
    raise typer.Exit(int(total["unreadable"] > 0))


@faces_app.command(
    help="Show what the chain sees in a video: faces, their quality, and how similar they are to "
    "the persons seen before, who are numbered. --out writes it as a video (.mp4, .mkv, .mov, "
    ".avi) or as pictures into a folder: these show faces, so delete them when they have been "
    f"looked at. {_ON_THE_BOX}"
)
def watch(
    video: Annotated[str, typer.Option("--video", metavar="FILE|URL", help="What to look at.")],
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE|FOLDER", help="Write what is seen here.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.01, help="Stop after so much of the video.")
    ] = None,
    per_s: Annotated[
        float, typer.Option(min=0.1, max=60, help="Frames looked at in each second.")
    ] = 5.0,
    as_json: Json = False,
    models: Models = None,
) -> None:
    """Show what the chain sees in a video."""
    chain = _open(models, thorough=False)
    from agent.faces_watch import FaceWatch, Film
    from vision.picture import PictureError

    watched = FaceWatch(chain)
    try:
        with Film(out, per_s) if out else nullcontext() as film:
            for frame in watched.frames(video, per_s=per_s, seconds=seconds):
                _print(frame.record, as_json=as_json)
                if film:
                    film.write(frame.picture)
    except (PictureError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    _print(watched.summary(), as_json=as_json)


def _open(models: Path | None, *, thorough: bool) -> "Chain":
    """Load the models. Raises ``ModelError``."""
    from vision.identity import backends
    from vision.identity.chain import Chain

    return Chain(backends.open_backend(models, thorough=thorough))


def _read_pairs(file: Path) -> Iterator["Pair"]:
    """Read a list of pairs; what is wrong with it is a sentence for the command line."""
    from agent.faces_report import Pair

    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.DictReader(opened)
            columns = set(rows.fieldnames or ())
            truth = "same" if "same" in columns else "Decision"
            if missing := sorted(({*_COLUMNS, truth}) - columns):
                msg = f"{file} has no column {', '.join(missing).replace('Decision', 'same')}"
                raise typer.BadParameter(msg)
            for row in rows:
                same = _SAME.get((row[truth] or "").strip().lower())
                if same is None or not row["file_x"] or not row["file_y"]:
                    msg = f"{file}, line {rows.line_num}: two files and yes or no are expected"
                    raise typer.BadParameter(msg)
                yield Pair(row["file_x"], row["file_y"], same)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{file} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise typer.BadParameter(msg) from error


def _print(record: "Record", *, as_json: bool) -> None:
    """Write a record as JSON, or as words of which each says what it is."""
    line = json.dumps(record, ensure_ascii=False) if as_json else _words(record)
    # Names need not be text: what UTF-8 cannot hold is escaped, in JSON's own way.
    typer.echo(line.encode(errors="backslashreplace"))


def _words(record: "Record") -> str:
    if "at_s" in record:
        faces = (", ".join(_face_words(face)) for face in record["faces"])
        return f"{record['at_s']:8.2f} s  " + ("; ".join(faces) or "no face")
    if "outcome" not in record:
        return "\n".join(f"{name:15} {value}" for name, value in record.items())
    similarity = record["similarity"]
    parts = [f"{record['outcome']:8}", " ------ " if similarity is None else f"{similarity:.4f}"]
    for side in ("x", "y"):
        reasons = record[f"reasons_{side}"]
        parts.append(record[f"file_{side}"] + (f" ({', '.join(reasons)})" if reasons else ""))
    if not record.get("right", True):
        parts.append("WRONG: the same person" if record["same"] else "WRONG: two persons")
    return "  ".join([*parts, record.get("error", "")]).rstrip()


def _face_words(face: "Record") -> Iterator[str]:
    if "person" in face:
        similarity = face["similarity"]
        yield f"person {face['person']}" + ("" if similarity is None else f" {similarity:.4f}")
        yield face["outcome"]
    yield from face["reasons"]
    yield f"eyes {face['eye_distance_px']:.0f} px"
