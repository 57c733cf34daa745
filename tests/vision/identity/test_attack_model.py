import hashlib

import numpy as np
import pytest
from onnx import parser

from tests.support.faces import face
from vision.identity.liveness.attack_model import AttackModel, open_attack_model
from vision.identity.liveness.passive import Passive
from vision.models.errors import UnusableModelError, WrongHashError
from vision.models.manifest import load_manifest
from vision.models.session import open_session

FACE = face(x=160, y=120, eyes=40)
BLUE, GREEN, RED = (255, 0, 0), (0, 255, 0), (0, 0, 255)

COLOURS = """
<ir_version: 10, opset_import: ["": 17]>
colours (float[1, 3, 80, 80] image) => (float[1, 3] classes)
{
  mean = GlobalAveragePool (image)
  classes = Flatten (mean)
}
"""
"""The mean blue, green and red are the logits of its three classes."""
GREENNESS = """
<ir_version: 10, opset_import: ["": 17]>
greenness (float[1, 3, 32, 32] image) => (float[1, 1] live)
<float most = {255}, int64[1] from = {1}, int64[1] to = {2}, int64[1] of = {1}>
{
  mean = GlobalAveragePool (image)
  flat = Flatten (mean)
  green = Slice (flat, from, to, of)
  live = Div (green, most)
}
"""
"""How green the picture is is the probability of a living person."""


def model(text=COLOURS, **figures):
    session = open_session(parser.parse_model(text).SerializeToString(), name="a-1")
    return AttackModel(session, name="a-1", figures=figures)


def picture(colour=GREEN):
    made = np.zeros((240, 320, 3), np.uint8)
    made[:] = colour
    return made


def test_the_classes_are_logits_of_bgr():
    """Class 1 is the living person where nothing else is said."""
    assert model().score(picture(GREEN), FACE) == pytest.approx(0)
    assert model().score(picture(BLUE), FACE) == pytest.approx(1)
    assert model().score(picture(RED), FACE) == pytest.approx(1)
    assert model(live_index=0).score(picture(BLUE), FACE) == pytest.approx(0)


def test_one_number_is_the_probability_of_a_living_person():
    """As it is, not as a logit."""
    assert model(GREENNESS).score(picture((0, 204, 0)), FACE) == pytest.approx(0.2)


def test_classes_that_sum_to_one_are_probabilities():
    """The network's own softmax is not applied twice."""
    softmax = COLOURS.replace("classes = Flatten (mean)", "flat = Flatten (mean)\n"
                              "  classes = Softmax (flat)")  # fmt: skip
    assert model(softmax).score(picture((0, 1, 0)), FACE) == pytest.approx(1 - 0.5761, abs=1e-3)


def test_the_face_is_seen_with_what_is_around_it():
    """So many times its box; nothing beyond, and nothing outside the picture."""
    made = picture(BLUE)
    made[88:168, 120:200] = GREEN  # the box
    assert model(GREENNESS, crop_scale=1).score(made, FACE) == pytest.approx(0, abs=1e-6)
    assert model(GREENNESS, crop_scale=2).score(made, FACE) == pytest.approx(0.75, abs=0.03)
    assert model(crop_scale=10).score(picture(), face(x=2, y=2, eyes=30)) == pytest.approx(0)


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        (COLOURS.replace("float[1, 3, 80, 80]", "float[1, 3, 80, 64]"), {}),
        (COLOURS.replace("float[1, 3, 80, 80]", "float[1, 3, h, w]"), {}),
        (COLOURS.replace("float[1, 3]", "float[1, 3, 1, 1]").replace("Flatten", "Identity"), {}),
        (COLOURS, {"live_index": 3}),
        (COLOURS, {"crop_scale": 0.2}),
        (COLOURS, {"attack_at": "half"}),
    ],
)
def test_what_does_not_keep_to_the_contract_is_refused(text, figures):
    """When it is loaded, and by name, so that nobody finds out before a citizen."""
    with pytest.raises(UnusableModelError, match="a-1"):
        model(text, **figures)


def test_its_hash_is_that_of_the_list(tmp_path):
    """The figures of its entry are the contract's; another file is not loaded."""
    content = parser.parse_model(COLOURS).SerializeToString()
    (tmp_path / "a.onnx").write_bytes(content)
    (tmp_path / "models.toml").write_text(f"""
        [[model]]
        name = "mine-1"
        file = "a.onnx"
        role = "presentation-attack"
        sha256 = "{hashlib.sha256(content).hexdigest()}"
        licence = "Apache-2.0"
        made = 2026-11-25
        [model.figures]
        live_index = 2
        attack_at = 0.7
        """)
    listed = load_manifest(tmp_path / "models.toml").pick("presentation-attack")
    opened = open_attack_model(listed)
    assert opened.name == "mine-1"
    assert opened.limit == 0.7
    assert opened.score(picture(RED), FACE) == pytest.approx(0)
    (tmp_path / "a.onnx").write_bytes(content + b"\0")
    with pytest.raises(WrongHashError):
        open_attack_model(listed)


def test_it_is_one_of_the_signs_where_there_is_one():
    """One frame alone decides nothing, and each check begins with none."""
    random = np.random.default_rng(0)
    shared = model()
    for colour, verdict in ((BLUE, ("attack_model",)), (GREEN, ())):
        passive = Passive(shared)
        passive.update(picture(colour), FACE, 0.0)
        assert passive.verdict() == ()
        for index in range(1, 10):
            noise = random.integers(0, 3, (240, 320, 3), dtype=np.uint8)
            passive.update(picture(colour) - noise.clip(0, picture(colour)), FACE, index / 10)
        assert passive.verdict() == verdict
