"""Calibration of a face recogniser: thresholds from labelled pictures, into a list of models."""

import tomllib

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.support.faces import CALIBRATION, FakeDetector, FakeRecogniser, show
from training import faces
from training.__main__ import app
from vision.identity import backends
from vision.identity.backends import Backend
from vision.identity.chain import Chain
from vision.models.manifest import load_manifest

LIST = """\
# Kept as it is.
[[model]]
name = "landmarks-1"
file = "a.dat"
role = "face-landmarks"
sha256 = "{hash}"
licence = "CC0-1.0"
made = 2026-01-02
[model.figures]
width_px = 480  # and this

[[model]]
name = "recogniser-1"
file = "b.dat"
role = "face-recogniser"
sha256 = "{hash}"
licence = "CC0-1.0"
made = 2026-01-02
{calibration}
[[model]]
name = "detector-1"
file = "c.dat"
role = "face-detector"
sha256 = "{hash}"
licence = "CC0-1.0"
made = 2026-01-02
"""
OLD = "\n".join(
    [
        "[model.calibration]",
        *(f"{key} = {value!r}" for key, value in CALIBRATION.model_dump().items()),
        "",
    ]
)
SIMILARITY = np.random.default_rng(5).normal(0.5, 0.08, 3000)


@pytest.fixture
def chain():
    return Chain(Backend(FakeDetector(), FakeRecogniser(), CALIBRATION, None))


def person(angle):
    """A template; the similarity of two is the cosine of the angle between them."""
    return np.array([np.cos(angle), np.sin(angle)], np.float32)


def calibrated(chain, found, **options):
    options = {"name": "made up", "version": "7", "fmr": 0.001, **options}
    return faces.calibrate(found, chain, **options)


def write_list(path, calibration=OLD):
    path.write_text(LIST.format(hash="0" * 64, calibration=calibration), encoding="utf-8")
    return path


def test_thresholds_part_persons(chain):
    """What is one person's matches, what is two persons' does not."""
    found = [(name, person(a)) for name, a in (("a", 0), ("a", 0.1), ("b", 1.3))]
    calibration = calibrated(chain, found).calibration
    assert calibration.no_match_below <= calibration.match_at <= calibration.identify_at
    assert np.cos(1.2) < calibration.match_at < np.cos(0.1)
    assert (calibration.genuine_pairs, calibration.impostor_pairs) == (1, 2)
    assert (calibration.fmr, calibration.fnmr) == (0, 0)
    assert (calibration.pictures, calibration.persons) == (3, 2)
    assert (calibration.set, calibration.version) == ("made up", "7")


def test_few_pairs_are_no_proof(chain):
    """The intervals say so, and the text that a rate was extrapolated."""
    found = [(name, person(a)) for name, a in (("a", 0), ("a", 0.1), ("b", 1.5), ("c", 2.6))]
    result = calibrated(chain, found)
    assert result.calibration.fmr_high > 0.3
    assert result.calibration.fnmr_high > 0.7
    assert "extrapolated" in result.text
    assert "the truth is wider" in result.text


def test_a_given_threshold_is_measured(chain):
    """With the errors that it makes."""
    found = [(name, person(a)) for name, a in (("a", 0), ("a", 0.4), ("b", 0.2), ("b", 1.5))]
    calibration = calibrated(chain, found, match_at=0.95).calibration
    assert calibration.match_at == 0.95
    assert calibration.fnmr == 1
    assert calibration.fmr == 0.5


@pytest.mark.parametrize("fmr", [0.1, 0.01, 0.005])
def test_a_rate_that_the_set_shows_is_read_off_it(fmr):
    """At most that share of pairs reaches the threshold, and not much less."""
    share = (faces.threshold_at(list(SIMILARITY), fmr) <= SIMILARITY).mean()
    assert 0.9 * fmr <= share <= fmr


def test_a_rate_beyond_the_set_is_extrapolated():
    """As a normal distribution has it: 4.75 deviations for one in a million."""
    assert faces.threshold_at(list(SIMILARITY), 1e-6) == pytest.approx(0.5 + 4.753 * 0.08, abs=0.02)
    assert faces.threshold_at([0.9, 0.99], 1e-6) <= 1


def test_a_set_without_two_persons_is_refused(chain):
    """Or without two pictures of one."""
    for names in ("aa", "abc"):
        found = [(name, person(at)) for at, name in enumerate(names)]
        with pytest.raises(faces.CalibrationError, match="two persons"):
            calibrated(chain, found)


@pytest.mark.parametrize("calibration", [OLD, ""])
def test_the_calibration_is_put_into_the_list(chain, tmp_path, calibration):
    """In place of an old one or anew; the rest stays to the letter."""
    listed = write_list(tmp_path / "list.toml", calibration)
    made = calibrated(chain, [("a", person(0)), ("a", person(0.1)), ("b", person(2))] * 2)
    assert faces.write(made.calibration, listed) == "recogniser-1"
    manifest = load_manifest(listed)
    assert [model.calibration for model in manifest.model] == [None, made.calibration, None]
    after = listed.read_text(encoding="utf-8")
    for line in LIST.format(hash="0" * 64, calibration="").splitlines():
        assert line in after
    assert after.count("[model.calibration]") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["list.toml"]


def test_the_name_of_a_set_is_any_text(chain, tmp_path):
    """Quotes and line breaks do no harm to the list."""
    listed = write_list(tmp_path / "list.toml")
    name = 'a "set"\\ of\n人脸'
    made = calibrated(chain, [("a", person(0)), ("a", person(0.1)), ("b", person(2))], name=name)
    faces.write(made.calibration, listed)
    assert load_manifest(listed).pick("face-recogniser").calibration.set == name


def test_a_list_without_a_recogniser_is_refused(chain, tmp_path):
    """And left as it is."""
    listed = tmp_path / "list.toml"
    listed.write_text("# nothing\n", encoding="utf-8")
    made = calibrated(chain, [("a", person(0)), ("a", person(0.1)), ("b", person(2))])
    with pytest.raises(faces.CalibrationError, match="face-recogniser"):
        faces.write(made.calibration, listed)
    assert listed.read_text(encoding="utf-8") == "# nothing\n"


def test_a_list_in_another_style_is_not_damaged(chain, tmp_path):
    """Inline tables are TOML, too; what this tool cannot write into it leaves alone."""
    listed = write_list(tmp_path / "list.toml")
    entries = tomllib.loads(listed.read_text(encoding="utf-8"))["model"]
    inline = ", ".join(
        "{" + ", ".join(f"{key} = {_toml(value)}" for key, value in entry.items()) + "}"
        for entry in entries
    )
    listed.write_text(f"model = [{inline}]\n", encoding="utf-8")
    before = listed.read_text(encoding="utf-8")
    made = calibrated(chain, [("a", person(0)), ("a", person(0.1)), ("b", person(2))])
    with pytest.raises(faces.CalibrationError, match="by hand"):
        faces.write(made.calibration, listed)
    assert listed.read_text(encoding="utf-8") == before
    assert [path.name for path in tmp_path.iterdir()] == ["list.toml"]


def _toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return f'"{value}"' if isinstance(value, str) else str(value)


@pytest.fixture
def made_up(monkeypatch, chain):
    monkeypatch.setattr(backends, "open_backend", lambda *_, **__: chain.backend)


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize("with_labels", [True, False])
def test_the_command_takes_labels_or_folders(tmp_path, with_labels):
    """And puts what it found into the list that is named."""
    rows = ["file,identity"]
    for name, number in (("a/1.png", 1), ("a/2.png", 1), ("b/1.png", 2), ("b/2.png", 2)):
        file = tmp_path / "set" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), show(np.zeros((90, 160, 3), np.uint8), number))
        rows.append(f"{name},{name[0]}")
    if with_labels:
        (tmp_path / "set" / "labels.csv").write_text("\n".join(rows), encoding="utf-8")
    listed = write_list(tmp_path / "list.toml")
    words = ["calibrate-faces", str(tmp_path / "set"), "--write", str(listed), "--version", "9"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "FMR  0 of 4" in result.stdout
    calibration = load_manifest(listed).pick("face-recogniser").calibration
    assert (calibration.set, calibration.version, calibration.persons) == ("set", "9", 2)


@pytest.mark.usefixtures("made_up")
def test_a_folder_without_pictures_is_one_sentence(tmp_path):
    """Not a trace."""
    result = CliRunner().invoke(app, ["calibrate-faces", str(tmp_path)])
    assert result.exit_code == 1
    assert "labels.csv" in result.stderr
