"""dlib's network as an ONNX graph: the same answers, or a clear word."""

import dlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.identity.dlib_network import INPUT, OUTPUT, convert
from vision.models.errors import UnusableModelError
from vision.models.manifest import load_manifest
from vision.models.session import open_session

MODEL = load_manifest().pick("face-recogniser")
CONTENT = MODEL.read()


@pytest.fixture(scope="module")
def session():
    return open_session(convert(CONTENT), name="converted")


@pytest.fixture(scope="module")
def chips(backend, drawn):
    """A face, noise, and pictures of one colour each: black, white, red."""
    (face,) = backend.detector.find(drawn)
    noise = np.random.default_rng(2).integers(0, 256, (150, 150, 3), np.uint8)
    plain = [np.full((150, 150, 3), colour, np.uint8) for colour in (0, 255, (0, 0, 255))]
    return np.stack([backend.recogniser.align(drawn, face), noise, *plain])


def answer(session, chips):
    return session.run([OUTPUT], {INPUT: chips})[0]


def test_it_answers_as_dlib_does(session, chips):
    """Each number of each answer within 1e-4; dlib takes RGB."""
    theirs = dlib.face_recognition_model_v1(str(MODEL.file))
    wanted = [
        theirs.compute_face_descriptor(np.ascontiguousarray(chip[:, :, ::-1])) for chip in chips
    ]
    np.testing.assert_allclose(answer(session, chips), np.array(wanted), rtol=0, atol=1e-4)


def test_a_face_in_a_batch_is_answered_as_alone(session, chips):
    """Whatever lies beside it."""
    together = answer(session, chips)
    for chip, one in zip(chips, together, strict=True):
        np.testing.assert_allclose(answer(session, chip[None])[0], one, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"network",
        CONTENT[:100],
        CONTENT[:-1],
        CONTENT[: len(CONTENT) // 2],
        CONTENT + b"\x01",
        CONTENT.replace(b"con_4", b"con_9"),
        CONTENT.replace(b"loss_metric_2", b"loss_metric_3"),
    ],
    ids=["empty", "other", "head", "cut", "half", "more", "layer", "loss"],
)
def test_another_file_is_told(content):
    """It says what is wrong and where."""
    with pytest.raises(UnusableModelError, match=r"not dlib's face recognition network .* byte"):
        convert(content)


def test_another_network_of_dlib_is_told():
    """One that finds faces is none that compares them."""
    detector = load_manifest().pick("face-detector").read()
    with pytest.raises(UnusableModelError, match="loss_metric_2"):
        convert(detector)


@given(st.binary(max_size=400), st.integers(0, 280))
@settings(max_examples=200)
def test_no_file_does_harm(noise, kept):
    """Bytes after a good beginning are refused in order; they are never a crash."""
    with pytest.raises(UnusableModelError):
        convert(CONTENT[:kept] + noise)
