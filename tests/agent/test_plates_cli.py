"""``kiosk-agent plates``: pictures and videos in, one JSON line each out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from agent.plates_cli import BEFORE_OPENCV, plates
from tests.support.plate_networks import (
    picture_with_plate,
    reader_of,
    white_box_detector,
    write_models,
)
from vision.models.errors import ModelError

app = typer.Typer()
app.command()(plates)

DOUBTFUL = {3: {"D": 0.55, "0": 0.44}}


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command sets for its process must not reach other tests' processes."""
    for name, value in BEFORE_OPENCV.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Models that read 京A12345 in every white box."""
    return models(tmp_path, reader_of("京A12345", 0.97))


def models(tmp_path: Path, reader: bytes) -> Path:
    folder = tmp_path / "models"
    folder.mkdir(exist_ok=True)
    return write_models(folder, white_box_detector(), reader)


def read(manifest: Path, *words: str | Path) -> tuple[list[dict], Result]:
    result = CliRunner().invoke(app, ["--models", str(manifest), "--json", *map(str, words)])
    return [json.loads(line) for line in result.stdout.splitlines()], result


def save(path: Path, picture: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
    return path


def test_one_line_a_picture_says_all_that_is_known(manifest, tmp_path):
    """The keys and their types are a contract."""
    file = save(tmp_path / "a.png", picture_with_plate())
    (record,), result = read(manifest, file)
    assert result.exit_code == 0
    assert record.keys() == {"file", "plates", "ms"}
    assert record["file"] == str(file)
    assert record["ms"] > 0
    (plate,) = record["plates"]
    assert plate | {"characters": None, "score": 1} == {
        "text": "京A12345",
        "known": "京A12345",
        "readable": True,
        "confidence": pytest.approx(0.97**8, abs=1e-3),
        "min_confidence": 0.97,
        "class": "02",
        "kind": "civil",
        "well_formed": True,
        "doubts": [],
        "colour": "blue",
        "colour_confidence": 0.9,
        "rows": 1,
        "characters": None,
        "score": 1,
        "corners": [[200, 200], [295, 200], [295, 231], [200, 231]],
    }
    assert plate["characters"][0] == {"text": "京", "confidence": 0.97, "alternatives": []}


def test_a_doubtful_character_makes_a_plate_unreadable(tmp_path):
    """No guess: no text and no class, but what is known, with the likely readings."""
    manifest = models(tmp_path, reader_of("京A12345", places=DOUBTFUL))
    file = save(tmp_path / "a.png", picture_with_plate())
    (record,), result = read(manifest, "--min-character", "0.6", file)
    assert result.exit_code == 0
    (plate,) = record["plates"]
    assert (plate["text"], plate["readable"], plate["known"]) == ("", False, "京A1?345")
    assert (plate["class"], plate["kind"], plate["well_formed"]) == ("99", "other", False)
    assert plate["characters"][3]["alternatives"] == [["0", 0.44]]
    (record,), _ = read(manifest, "--min-character", "0.5", file)
    assert record["plates"][0]["text"] == "京A1D345"


def test_a_text_that_may_be_cut_short_is_unreadable(tmp_path):
    """That nothing follows must be as sure as every character."""
    manifest = models(tmp_path, reader_of("京A1234", places={6: {"": 0.45, "5": 0.4}}))
    (record,), _ = read(manifest, save(tmp_path / "a.png", picture_with_plate()))
    assert record["plates"][0]["readable"] is False


def test_a_piece_of_a_plate_is_unreadable(tmp_path):
    """No plate has so few characters, however sure they are."""
    manifest = models(tmp_path, reader_of("京A12"))
    (record,), _ = read(manifest, save(tmp_path / "a.png", picture_with_plate()))
    (plate,) = record["plates"]
    assert (plate["text"], plate["readable"], plate["known"]) == ("", False, "京A12")


def test_what_cannot_be_read_does_not_stop_the_rest(manifest, tmp_path):
    """An error has its own line in its place; the exit code says that there was one."""
    good = save(tmp_path / "z.png", picture_with_plate())
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff garbage")
    records, result = read(manifest, tmp_path / "gone.png", tmp_path / "bad.jpg", good)
    assert result.exit_code == 1
    assert ["error" in record for record in records] == [True, True, False]
    assert [Path(record["file"]).name for record in records] == ["gone.png", "bad.jpg", "z.png"]
    assert records[0].keys() == {"file", "error"}


@pytest.mark.parametrize("shape", [(1, 1, 3), (10_000, 3), (3, 10_000, 4), (700, 10_000)])
def test_pictures_of_any_shape_are_read(manifest, tmp_path, shape):
    """One pixel, very long ones, grey and transparent: no plate is no error."""
    (record,), result = read(manifest, save(tmp_path / "a.png", np.full(shape, 90, np.uint8)))
    assert result.exit_code == 0
    assert record["plates"] == []


def test_folders_and_patterns_stand_for_their_pictures(manifest, tmp_path):
    """In order of name, hidden and other files left out; an empty one is an error."""
    for name in ("in/2.png", "in/deep/1.JPG", "in/.hidden.png", "in/x.bmp"):
        save(tmp_path / name, picture_with_plate())
    (tmp_path / "in" / "labels.csv").write_text("file,plate")
    (tmp_path / "empty").mkdir()
    records, result = read(manifest, tmp_path / "in", tmp_path / "in" / "*.bmp")
    assert [Path(record["file"]).name for record in records] == ["2.png", "1.JPG", "x.bmp", "x.bmp"]
    assert result.exit_code == 0
    records, result = read(manifest, tmp_path / "empty", tmp_path / "*.webp")
    assert ["error" in record for record in records] == [True, True]
    assert result.exit_code == 1


def test_cut_out_plates_are_read_as_they_are(manifest, tmp_path):
    """Where no plate is found in them, too."""
    (record,), _ = read(manifest, "--crops", save(tmp_path / "a.png", np.zeros((24, 94), np.uint8)))
    assert record["plates"][0]["text"] == "京A12345"


def test_annotated_pictures_are_written(manifest, tmp_path):
    """Under their own names, which two folders may share; the originals stay as they are."""
    first = save(tmp_path / "one" / "a.png", picture_with_plate())
    second = save(tmp_path / "two" / "a.png", picture_with_plate())
    _, result = read(manifest, "--draw", tmp_path / "out", first, second)
    assert result.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a-2.jpg", "a.jpg"]
    drawn = cv2.imread(str(tmp_path / "out" / "a.jpg"))
    assert drawn.shape == (480, 640, 3)
    assert np.abs(drawn.astype(int) - cv2.imread(str(first))).max() > 100


def test_drawing_into_the_pictures_own_folder_keeps_them(manifest, tmp_path):
    """What is drawn never takes the place of what was read."""
    file = tmp_path / "a.jpg"
    file.write_bytes(cv2.imencode(".jpg", picture_with_plate())[1].tobytes())
    content = file.read_bytes()
    _, result = read(manifest, "--draw", tmp_path, file)
    assert result.exit_code == 0
    assert file.read_bytes() == content
    assert (tmp_path / "a-2.jpg").is_file()


def test_what_cannot_be_drawn_does_not_stop_the_rest(manifest, tmp_path):
    """Longer than a JPEG can be: an error of its own."""
    long = save(tmp_path / "long.png", np.full((2, 70_000), 90, np.uint8))
    good = save(tmp_path / "z.png", picture_with_plate())
    records, result = read(manifest, "--draw", tmp_path / "out", long, good)
    assert result.exit_code == 1
    assert ["error" in record for record in records] == [True, False]


def test_names_that_no_file_can_have_do_not_stop_the_rest(manifest, tmp_path):
    """Too long, or no text: the line is UTF-8 and gives the name back, byte for byte."""
    odd = tmp_path / os.fsdecode(b"\xff\xe4.jpg")
    odd.write_bytes(cv2.imencode(".jpg", picture_with_plate())[1].tobytes())
    words = ["--models", str(manifest), str(tmp_path / ("a" * 300)), str(odd)]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 1
    first, second = (json.loads(line) for line in result.stdout_bytes.decode().splitlines())
    assert "too long" in first["error"]
    assert os.fsencode(second["file"]) == os.fsencode(odd)
    assert second["plates"]


def test_a_table_shows_any_name(manifest, tmp_path):
    """Brackets are no markup, and nothing in a name moves the cursor."""
    odd = tmp_path / os.fsdecode(b"\xff[b]\n\x1b[2J.jpg")
    odd.write_bytes(cv2.imencode(".jpg", picture_with_plate())[1].tobytes())
    words = ["--models", str(manifest), str(odd), f"{odd}.gone"]
    result = CliRunner().invoke(app, words, env={"COLUMNS": "300"})
    assert result.exit_code == 1
    assert "京A12345" in result.stdout
    assert result.stdout.count(r"\udcff[b]\n\x1b[2J.jpg") == 2


def test_a_person_gets_a_table(manifest, tmp_path):
    """With what could not be read in it."""
    file = save(tmp_path / "a.png", picture_with_plate())
    result = CliRunner().invoke(
        app, ["--models", str(manifest), str(file), "gone.png"], env={"COLUMNS": "200"}
    )
    assert result.exit_code == 1
    assert "京A12345" in result.stdout
    assert "no such file" in result.stdout


def test_a_video_gives_a_line_for_each_passage(manifest, tmp_path):
    """With its times; what is no video is an error."""
    path = tmp_path / "drive.avi"
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    video = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, 10, (480, 240))
    for index in range(20):
        video.write(picture_with_plate(480, 240, (20 + 6 * index, 100, 96, 32)))
    video.release()
    (passage,), result = read(manifest, "--video", path)
    assert result.exit_code == 0
    assert (passage["text"], passage["class"]) == ("京A12345", "02")
    assert passage["begin_s"] == 0
    assert passage["end_s"] > 1
    for source in (tmp_path / "gone.avi", ""):
        (error,), result = read(manifest, "--video", source)
        assert result.exit_code == 1
        assert error.keys() == {"file", "error"}


@pytest.mark.parametrize(
    "words", [[], ["a.png", "--video", "b.avi"], ["--video", "b.avi", "--crops"]]
)
def test_what_cannot_be_meant_is_refused(manifest, words):
    """Pictures or a video, not both."""
    _, result = read(manifest, *words)
    assert result.exit_code == 2


def test_a_wrong_model_reads_nothing(manifest, tmp_path):
    """The error says so."""
    with manifest.with_name("plate-reader.onnx").open("ab") as file:
        file.write(b"x")
    records, result = read(manifest, save(tmp_path / "a.png", picture_with_plate()))
    assert records == []
    assert isinstance(result.exception, ModelError)
    assert "not loaded" in str(result.exception)


def test_lines_come_as_they_are_read_and_nothing_else_does(manifest, tmp_path):
    """In a process of its own: no library's noise, and a huge picture is refused unread."""
    good = save(tmp_path / "a.png", picture_with_plate())
    (tmp_path / "cut.jpg").write_bytes(
        cv2.imencode(".jpg", picture_with_plate())[1].tobytes()[:400]
    )
    huge = tmp_path / "huge.pgm"
    huge.write_bytes(b"P5 11000 10000 255\n" + bytes(1000))
    code = "import typer; from agent.plates_cli import plates; typer.run(plates)"
    words = ["--models", str(manifest), "--json", str(good), str(tmp_path / "cut.jpg"), str(huge)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(records) == 3
    assert "million pixels" in records[2]["error"]
    assert done.stderr == ""
