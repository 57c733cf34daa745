"""YuNet and SFace through OpenCV: tiny networks with their inputs and outputs stand in for them."""

import hashlib
from datetime import date

import numpy as np
import pytest

from tests.support.face_networks import sface_of_means, yunet_seeing
from vision.identity.opencv_backend import SFaceRecogniser, YuNetDetector
from vision.models.errors import UnusableModelError, WrongHashError
from vision.models.manifest import Model

TWO = yunet_seeing([(3, 4, 0.8), (10, 8, 0.95)])


@pytest.fixture
def listed(tmp_path):
    def make(content, role="face-detector"):
        file = tmp_path / f"{hashlib.sha256(content).hexdigest()[:8]}.onnx"
        file.write_bytes(content)
        return Model(
            name="mine-1", file=file, role=role, licence="MIT", made=date(2026, 11, 25),
            sha256=hashlib.sha256(content).hexdigest(),
        )  # fmt: skip

    return make


@pytest.fixture
def recogniser(listed):
    return SFaceRecogniser(listed(sface_of_means(), "face-recogniser"))


def test_faces_are_found_in_pixels_of_the_picture(listed):
    """It is shown a small one: 480 pixels are the width of what YuNet sees here."""
    detector = YuNetDetector(listed(TWO))
    picture = np.full((720, 960, 3), 100, np.uint8)
    faces = sorted(detector.find(picture), key=lambda face: face.left)
    assert [(f.left, f.top, f.width, f.height) for f in faces] == [
        (128, 192, 128, 128),
        (576, 448, 128, 128),
    ]
    assert faces[0].right_eye == (192, 256)
    assert faces[0].left_eye == (200, 264)
    assert faces[0].nose == (208, 272)
    assert faces[0].landmarks[3:] == ((216, 280), (224, 288))
    assert [face.score for face in faces] == pytest.approx([0.8, 0.95])


def test_a_still_is_looked_at_until_a_face_is_found(listed):
    """First as a whole, then closer, then from afar; 480 is here what shows one."""
    picture = np.full((720, 960, 3), 100, np.uint8)
    assert len(YuNetDetector(listed(TWO), edges=(480, 320)).find(picture)) == 2
    nobody = YuNetDetector(listed(yunet_seeing([])), edges=(480, 240))
    assert nobody.find(picture) == []


def test_templates_are_of_length_one(recogniser, listed):
    """The same face is the same template; its likeness falls with the difference."""
    detector = YuNetDetector(listed(TWO))
    random = np.random.default_rng(3)
    picture = random.integers(0, 256, (720, 960, 3), np.uint8)
    face = detector.find(picture)[0]
    chip = recogniser.align(picture, face)
    assert chip.shape == (112, 112, 3)
    darker = np.clip(chip.astype(int) - 40, 0, 255).astype(np.uint8)
    other = random.integers(0, 256, chip.shape, np.uint8) // 3
    other[:60] = 0
    one, same, near, far = recogniser.embed([chip, chip, darker, other])
    assert one.shape == (recogniser.dimension,) == (128,)
    assert float(one @ one) == pytest.approx(1, abs=1e-5)
    assert float(one @ same) == pytest.approx(1, abs=1e-5)
    assert float(one @ near) > float(one @ far)
    assert recogniser.embed([]) == []


def test_a_damaged_file_is_not_loaded(listed):
    """Its hash is that of another one."""
    model = listed(TWO)
    model.file.write_bytes(TWO[:-1] + b"x")
    with pytest.raises(WrongHashError):
        YuNetDetector(model)


@pytest.mark.parametrize("content", [b"network", sface_of_means()], ids=["none", "another"])
def test_another_network_is_no_detector(listed, content):
    """It is told at once, not at the first face."""
    with pytest.raises(UnusableModelError, match="mine-1: OpenCV cannot use it as a face-detector"):
        YuNetDetector(listed(content))


@pytest.mark.parametrize("content", [b"network", TWO], ids=["none", "another"])
def test_another_network_is_no_recogniser(listed, content):
    """As above."""
    with pytest.raises(UnusableModelError, match="as a face-recogniser"):
        SFaceRecogniser(listed(content, "face-recogniser"))
