"""``kiosk-agent faces``: pictures, lists of pairs and videos in, lines out."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from agent.cli import app
from agent.plates_cli import BEFORE_OPENCV
from tests.support.drawn_face import drawn
from tests.support.faces import CALIBRATION, FakeDetector, FakeRecogniser, show
from vision.identity import backends
from vision.identity.backends import Backend

NOBODY = np.full((720, 1280, 3), 128, np.uint8)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """What the command sets for its process must not reach other tests' processes."""
    for name, value in BEFORE_OPENCV.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def made_up(monkeypatch):
    """Models for which a person is a number in a picture's first row."""
    backend = Backend(FakeDetector(), FakeRecogniser(), CALIBRATION, None)
    monkeypatch.setattr(backends, "open_backend", lambda *_, **__: backend)


@pytest.fixture
def pictures(tmp_path):
    """Persons 1 and 2, twice each; nobody; two persons."""
    for name, persons in {
        "one-a": [1], "one-b": [1], "two-a": [2], "two-b": [2], "nobody": [], "both": [1, 2],
    }.items():  # fmt: skip
        picture = show(np.zeros((360, 640, 3), np.uint8), *persons)
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    return tmp_path


def run(*words):
    result = CliRunner().invoke(app, ["faces", *map(str, words)])
    return result, [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def write_film(path: Path, pictures) -> Path:
    """Write a video of ten pictures a second."""
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    video = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, 10, pictures[0].shape[1::-1])
    for picture in pictures:
        video.write(picture)
    video.release()
    return path


def listed(folder, *rows, header="file_x,file_y,same"):
    path = folder / "pairs.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def pairs_of(folder, *rows, **options):
    result, records = run("pairs", listed(folder, *rows, **options), "--json")
    return result, records[:-1], records[-1]


@pytest.mark.usefixtures("made_up")
def test_two_pictures_of_one_person_match(pictures):
    """With the threshold and the models that say so."""
    result, (record,) = run("compare", pictures / "one-a.png", pictures / "one-b.png", "--json")
    assert result.exit_code == 0
    assert record["outcome"] == "match"
    assert record["similarity"] == 1
    assert record["threshold"] == CALIBRATION.match_at
    assert (record["recogniser"], record["calibration"]) == ("score-1", "made-up-1")


@pytest.mark.usefixtures("made_up")
def test_two_persons_do_not_match(pictures):
    """A person reads it in a line."""
    result, _ = run("compare", pictures / "one-a.png", pictures / "two-a.png")
    assert result.exit_code == 0
    assert result.stdout.startswith("no_match  0.0000")


@pytest.mark.usefixtures("made_up")
def test_of_several_faces_the_largest_counts(pictures):
    """The line says that there were more."""
    _, (record,) = run("compare", pictures / "both.png", pictures / "one-a.png", "--json")
    assert record["faces_x"] == 2
    assert record["reasons_x"][0] == "several_faces"


@pytest.mark.usefixtures("made_up")
def test_a_picture_that_cannot_be_compared_says_why(pictures):
    """No face, no file; the exit code tells programs."""
    for other, reason in (("nobody.png", "no_face"), ("gone.png", "unreadable")):
        result, (record,) = run("compare", pictures / "one-a.png", pictures / other, "--json")
        assert result.exit_code == 1
        assert record["outcome"] == "refer"
        assert record["similarity"] is None
        assert record["reasons_y"] == [reason]
        assert ("no such file" in record.get("error", "")) == (reason == "unreadable")


@pytest.mark.usefixtures("made_up")
def test_pairs_end_with_how_often_they_were_wrong(pictures):
    """One line a pair, and the sum as the last one."""
    result, records, total = pairs_of(
        pictures,
        "one-a.png,one-b.png,1",
        "two-a.png,two-b.png,0",  # said to be two persons
        "one-a.png,two-a.png,0",
        "one-b.png,two-a.png,1",  # said to be one
    )
    assert result.exit_code == 0
    assert [record["matched"] for record in records] == [True, True, False, False]
    assert [record["right"] for record in records] == [True, False, True, False]
    assert total["accuracy"] == total["fmr"] == total["fnmr"] == 0.5
    assert (total["pairs"], total["missed"], total["false"]) == (4, 1, 1)
    assert total["threshold"] == CALIBRATION.match_at
    assert total["fmr_interval"][0] < 0.5 < total["fmr_interval"][1]


@pytest.mark.usefixtures("made_up")
def test_a_pair_without_a_face_is_not_matched(pictures):
    """It counts, and the line says why."""
    result, (first, second), total = pairs_of(
        pictures, "one-a.png,nobody.png,yes", "nobody.png,two-a.png,no"
    )
    assert result.exit_code == 0
    assert (first["matched"], second["matched"]) == (False, False)
    assert first["reasons_y"] == ["no_face"]
    assert (total["fnmr"], total["fmr"], total["without_face"]) == (1, 0, 2)
    assert total["roc"] == []


@pytest.mark.usefixtures("made_up")
def test_an_unreadable_picture_does_not_stop_the_rest(pictures):
    """The exit code says that there was one."""
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    result, records, total = pairs_of(pictures, "one-a.png,broken.jpg,1", "one-a.png,one-b.png,1")
    assert result.exit_code == 1
    assert "broken.jpg" in records[0]["error"]
    assert records[1]["matched"]
    assert total["unreadable"] == 1


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("true", "False"), ("Yes", "No")])
@pytest.mark.parametrize("column", ["same", "Decision"])
def test_lists_of_others_are_understood(pictures, column, yes, no):
    """Another name of the column, another word, further columns, a byte order mark."""
    _, records, _ = pairs_of(
        pictures,
        f"{yes},x,one-a.png,one-b.png",
        f"{no},y,one-a.png,two-a.png",
        header=f"\ufeff{column},note,file_x,file_y",
    )
    assert [record["same"] for record in records] == [True, False]


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize(
    ("header", "row", "fault"),
    [
        ("file_x,file_y", "a,b", "no column same"),
        ("x,file_y,same", "a,b,1", "no column file_x"),
        ("file_x,file_y,same", "a,b,maybe", "line 2"),
        ("file_x,file_y,same", "a", "line 2"),
    ],
)
def test_a_list_with_a_fault_says_where(pictures, header, row, fault):
    """Before anything is compared."""
    result, records = run("pairs", listed(pictures, row, header=header))
    assert result.exit_code == 2
    assert records == []
    assert fault in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.usefixtures("made_up")
def test_each_picture_is_looked_at_once(pictures, monkeypatch):
    """In however many pairs it stands."""
    found = []
    find = FakeDetector.find
    monkeypatch.setattr(
        FakeDetector, "find", lambda self, picture: found.append(1) or find(self, picture)
    )
    pairs_of(pictures, "one-a.png,one-b.png,1", "one-a.png,two-a.png,0", "one-b.png,two-a.png,0")
    assert len(found) == 3


def test_many_pictures_are_looked_at_in_several_processes(tmp_path):
    """With the same result."""
    for number in range(16):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), drawn()[100:600, 380:900])
    result, records, total = pairs_of(
        tmp_path, *(f"{number}.jpg,{number + 1}.jpg,1" for number in range(15))
    )
    assert result.exit_code == 0
    assert min(record["similarity"] for record in records) > 0.999
    assert total["accuracy"] == 1


def test_watch_shows_what_the_chain_sees(tmp_path):
    """Persons are numbered as they come; the pictures are written and nothing else is."""
    film = write_film(tmp_path / "in.avi", [NOBODY, NOBODY, *[drawn()] * 4])
    out = tmp_path / "out.mp4"
    result, records = run("watch", "--video", film, "--out", out, "--per-s", 10, "--json")
    assert result.exit_code == 0
    *frames, total = records
    assert [len(frame["faces"]) for frame in frames] == [0, 0, 1, 1, 1, 1]
    assert frames[0]["reasons"] == ["no_face"]
    first, second = frames[2]["faces"][0], frames[3]["faces"][0]
    assert (first["person"], first["outcome"], first["reasons"]) == (1, "new", [])
    assert (second["person"], second["outcome"]) == (1, "match")
    assert (total["frames"], total["with_face"], total["persons"]) == (6, 4, 1)
    shown = cv2.VideoCapture(str(out))
    assert (shown.get(cv2.CAP_PROP_FRAME_COUNT), shown.get(cv2.CAP_PROP_FRAME_WIDTH)) == (6, 1280)
    assert {path.name for path in tmp_path.iterdir()} == {"in.avi", "out.mp4"}


def test_watch_writes_pictures_into_a_folder(tmp_path):
    """One a frame; it stops when it is told to."""
    film = write_film(tmp_path / "in.avi", [drawn()] * 6)
    words = ("--out", tmp_path / "seen", "--per-s", 10, "--seconds", 0.3)
    result, _ = run("watch", "--video", film, *words)
    assert result.exit_code == 0
    assert "person 1" in result.stdout
    written = sorted((tmp_path / "seen").iterdir())
    assert [path.name for path in written] == [f"frame-{n:05}.jpg" for n in (1, 2, 3)]
    marked, plain = cv2.imread(str(written[0])).astype(int), drawn().astype(int)
    assert np.abs(marked - plain).max() > 100


def test_watch_of_no_video_is_one_sentence(tmp_path):
    """And no output."""
    result, _ = run("watch", "--video", tmp_path / "gone.avi", "--out", tmp_path / "out.mp4")
    assert result.exit_code == 1
    assert "no video" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["compare", "pairs", "watch"])
def test_help_says_what_kind_of_tool_it_is(command):
    """Somebody's face is on the screen."""
    result, _ = run(command, "--help")
    said = " ".join(result.stdout.split())
    assert "A maintenance tool on the box" in said
    assert command != "watch" or "these show faces" in said
