import hashlib
import os
import subprocess
import sys

import pytest

from tests.support.plate_networks import reader_of, white_box_detector, write_models
from vision.models.errors import (
    ManifestError,
    MissingModelError,
    ModelError,
    UnusableModelError,
    WrongHashError,
)
from vision.models.manifest import SHIPPED, load_manifest
from vision.models.session import load_session
from vision.plates.backends import open_recogniser

GOOD = f"""
[[model]]
name = "plates-1"
file = "plates.onnx"
role = "plate-detector"
sha256 = "{hashlib.sha256(b"network").hexdigest()}"
licence = "Apache-2.0"
made = 2026-11-25
"""


@pytest.fixture
def manifest(tmp_path):
    return write_models(tmp_path, white_box_detector(), reader_of("京A12345"))


def test_a_listed_model_is_loaded(manifest):
    """Its file lies beside the list."""
    model = load_manifest(manifest).pick("plate-detector")
    assert model.file == manifest.with_name("plate-detector.onnx")
    assert model.figures == {"exact_percent": 97.5}
    assert [output.name for output in load_session(model).get_outputs()] == ["score", "quad"]


def test_a_model_may_lie_anywhere(tmp_path):
    """Users name their own networks by path."""
    elsewhere = tmp_path / "elsewhere.onnx"
    elsewhere.write_bytes(b"network")
    (tmp_path / "models.toml").write_text(GOOD.replace("plates.onnx", str(elsewhere)))
    (model,) = load_manifest(tmp_path / "models.toml").model
    assert model.read() == b"network"


def test_another_file_than_the_listed_one_is_not_loaded(manifest):
    """One changed byte is enough; the error names file, hash and what to do."""
    model = load_manifest(manifest).pick("plate-reader")
    content = bytearray(model.file.read_bytes())
    content[-1] ^= 1
    model.file.write_bytes(content)
    with pytest.raises(WrongHashError, match="not loaded") as failure:
        load_session(model)
    assert str(model.file) in str(failure.value)
    assert hashlib.sha256(content).hexdigest() in str(failure.value)
    with pytest.raises(WrongHashError):
        open_recogniser(manifest=manifest)


def test_a_missing_file_is_told(manifest):
    """With its path."""
    model = load_manifest(manifest).pick("plate-reader")
    model.file.unlink()
    with pytest.raises(MissingModelError, match="cannot be read"):
        load_session(model)


def test_a_task_without_a_model_is_told(tmp_path):
    """An empty list is a good list, for who needs nothing."""
    (tmp_path / "models.toml").write_text("")
    with pytest.raises(MissingModelError, match="plate-reader"):
        load_manifest(tmp_path / "models.toml").pick("plate-reader")


def test_what_is_no_network_is_told(tmp_path):
    """Though its hash is right."""
    (tmp_path / "plates.onnx").write_bytes(b"network")
    (tmp_path / "models.toml").write_text(GOOD)
    (model,) = load_manifest(tmp_path / "models.toml").model
    with pytest.raises(UnusableModelError, match="plates-1"):
        load_session(model)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[model", "array declaration"),
        (GOOD.replace("plate-detector", "plate-smeller"), "role"),
        (GOOD.replace('licence = "Apache-2.0"', ""), "licence"),
        (GOOD + "colour = 1", "colour"),
        (GOOD.replace('sha256 = "', 'sha256 = "g'), "sha256"),
        (GOOD + GOOD, "twice"),
        ("models = 1", "models"),
    ],
)
def test_a_wrong_list_says_what_is_wrong(tmp_path, text, reason):
    """And where."""
    (tmp_path / "models.toml").write_text(text)
    with pytest.raises(ManifestError, match=reason):
        load_manifest(tmp_path / "models.toml")


def test_a_missing_list_is_told(tmp_path):
    """As every error of the models it is one of their tree."""
    with pytest.raises(ModelError, match=r"gone\.toml"):
        load_manifest(tmp_path / "gone.toml")


def test_the_shipped_models_are_the_listed_ones():
    """Each file is there and has its hash."""
    for model in load_manifest(SHIPPED).model:
        assert model.read()


def test_the_runtime_keeps_no_account_of_its_user(manifest, tmp_path):
    """ONNX Runtime makes no identifier of the device, and so has nothing to send to its maker."""
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "import sys, pathlib, vision.plates.backends as b\n"
        "b.open_recogniser(manifest=pathlib.Path(sys.argv[1]))"
    )
    # Its own suppression on build servers must not be what is seen here.
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    subprocess.run(
        [sys.executable, "-c", program, manifest], check=True, env={**kept, "HOME": str(home)}
    )
    assert list(home.rglob("*")) == []


CALIBRATED = (
    GOOD.replace("plate-detector", "face-recogniser")
    + """
[model.calibration]
version = "2026-11-a"
set = "made-up"
pictures = 4
persons = 2
genuine_pairs = 2
impostor_pairs = 4
match_at = 0.7
no_match_below = 0.6
identify_at = 0.8
fmr = 0.0
fmr_low = 0.0
fmr_high = 0.6
fnmr = 0.5
fnmr_low = 0.01
fnmr_high = 0.99
"""
)


def test_a_model_may_come_with_an_installed_package(tmp_path):
    """Its file lies there, and the package is not imported for it."""
    text = GOOD.replace('file = "plates.onnx"', 'package = "this"\nfile = "x/plates.onnx"')
    (tmp_path / "models.toml").write_text(text.replace("this", "xml"))
    (model,) = load_manifest(tmp_path / "models.toml").model
    assert model.file.parts[-3:] == ("xml", "x", "plates.onnx")
    assert model.file.is_absolute()
    with pytest.raises(MissingModelError, match="cannot be read"):
        model.read()
    program = (
        "import sys, pathlib; from vision.models.manifest import load_manifest\n"
        "load_manifest(pathlib.Path(sys.argv[1])); sys.exit('xml' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "models.toml"], check=True)


@pytest.mark.parametrize("package", ["no_such_package", "this"])
def test_a_package_that_is_not_there_is_told(tmp_path, package):
    """When the model is read: the rest of the list can be used. A module alone is no package."""
    text = GOOD.replace("file =", f'package = "{package}"\nfile =')
    (tmp_path / "models.toml").write_text(text)
    (model,) = load_manifest(tmp_path / "models.toml").model
    with pytest.raises(MissingModelError, match=f"the package {package} is not installed"):
        model.read()


def test_a_calibration_is_read(tmp_path):
    """It stands beside the recogniser whose similarities it explains."""
    (tmp_path / "models.toml").write_text(CALIBRATED)
    calibration = load_manifest(tmp_path / "models.toml").pick("face-recogniser").calibration
    assert calibration is not None
    assert (calibration.version, calibration.match_at) == ("2026-11-a", 0.7)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("match_at = 0.7", "match_at = 0.5", "must not fall"),
        ("identify_at = 0.8", "identify_at = 0.65", "must not fall"),
        ("identify_at = 0.8", "identify_at = 80", "identify_at"),
        ("fnmr = 0.5", "fnmr = 50", "fnmr"),
        ("fmr_high = 0.6", "", "fmr_high"),
        ('version = "2026-11-a"', 'version = "The newest"', "version"),
    ],
)
def test_a_wrong_calibration_says_what_is_wrong(tmp_path, old, new, reason):
    """Thresholds in disorder would let the less similar match."""
    (tmp_path / "models.toml").write_text(CALIBRATED.replace(old, new))
    with pytest.raises(ManifestError, match=reason):
        load_manifest(tmp_path / "models.toml")


def test_a_session_keeps_no_copy_of_its_file(manifest):
    """Else a network would lie in memory twice for as long as the process lives."""
    model = load_manifest(manifest).pick("plate-detector")
    held = vars(load_session(model)).values()
    assert model.read() not in [value for value in held if isinstance(value, bytes)]
