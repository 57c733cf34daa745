"""``kiosk-agent models``: what is there, and whether it is the right thing."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from agent.cli import main
from agent.models_cli import models
from agent.plates_cli import BEFORE_OPENCV
from tests.support.plate_networks import reader_of, white_box_detector, write_models
from vision.models.manifest import load_manifest

app = typer.Typer()
app.command()(models)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_models(tmp_path, white_box_detector(), reader_of("京A12345"))


def listed(manifest: Path) -> tuple[list[dict], int]:
    result = CliRunner().invoke(app, ["--json", "--models", str(manifest)])
    return [json.loads(line) for line in result.stdout.splitlines()], result.exit_code


def test_models_are_listed_with_origin_and_figures(manifest):
    """One JSON object a line."""
    records, code = listed(manifest)
    assert code == 0
    assert [record["role"] for record in records] == ["plate-detector", "plate-reader"]
    assert records[0]["state"] == "good"
    assert records[0]["figures"] == {"exact_percent": 97.5}
    assert records[0]["bytes"] == manifest.with_name("plate-detector.onnx").stat().st_size


@pytest.mark.parametrize(("change", "state"), [(b"x", "wrong hash"), (None, "missing")])
def test_a_file_that_is_not_the_listed_one_is_told(manifest, change, state):
    """The exit code is 1; the other models are listed all the same."""
    file = manifest.with_name("plate-reader.onnx")
    if change is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes() + change)
    records, code = listed(manifest)
    assert code == 1
    assert [record["state"] for record in records] == ["good", state]
    assert str(file) in records[1]["error"]
    result = CliRunner().invoke(app, ["--models", str(manifest)], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert state in result.stdout


@pytest.mark.parametrize("words", [["models"], ["plates", "a.png"], ["faces", "compare", "a", "b"]])
def test_models_that_cannot_be_used_are_one_sentence(words, tmp_path, monkeypatch, capsys):
    """Of every command that needs them; not a trace."""
    for name, value in BEFORE_OPENCV.items():
        monkeypatch.setenv(name, value)
    gone = str(tmp_path / "gone.toml")
    monkeypatch.setattr("sys.argv", ["kiosk-agent", *words, "--models", gone])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    [sentence] = said.err.splitlines()
    assert gone in sentence


def test_the_shipped_models_are_good():
    """Without options it is the project's own list."""
    assert CliRunner().invoke(app, ["--json"]).exit_code == 0


def test_thresholds_of_faces_are_told_with_what_they_rest_on():
    """How many pairs, and how sure the rates are."""
    calibration = load_manifest().pick("face-recogniser").calibration
    assert calibration is not None
    shown = CliRunner().invoke(app, env={"COLUMNS": "200"}).stdout
    line = next(
        line for line in shown.splitlines() if f"calibration {calibration.version}:" in line
    )
    for part in (
        f"match from {calibration.match_at:g}",
        calibration.set,
        f"of {calibration.impostor_pairs} pairs",
        f"to {100 * calibration.fnmr_high:.2f}",
    ):
        assert part in line
