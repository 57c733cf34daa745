"""dlib's backend: what it finds, where, and what its templates say."""

import itertools

import cv2
import numpy as np
import pytest


def template(backend, picture):
    """Of the largest face."""
    face = backend.detector.find(picture)[0]
    (made,) = backend.recogniser.embed([backend.recogniser.align(picture, face)])
    return made


def test_a_face_is_found_with_its_points(backend, drawn):
    """Right and left are the person's own; places are in pixels of the picture."""
    (face,) = backend.detector.find(drawn)
    assert face.eye_distance == pytest.approx(86, abs=8)
    assert face.right_eye[0] < face.nose[0] < face.left_eye[0]
    assert face.right_eye[1] == pytest.approx(face.left_eye[1], abs=6)
    assert face.right_eye[1] < face.nose[1] < face.top + face.height
    assert abs(face.middle[0] - 640) < 20
    assert len(face.landmarks) == 5


def test_nobody_is_found_where_nobody_is(backend, still_backend):
    """Neither in live video nor in stills, which are looked at more often."""
    empty = np.full((240, 320, 3), 127, np.uint8)
    assert backend.detector.find(empty) == []
    assert still_backend.detector.find(empty) == []


def test_the_largest_face_comes_first(backend, drawn):
    """It is the one to compare."""
    small = cv2.resize(drawn, (960, 540))[:, 240:720]
    both = np.zeros((720, 1120, 3), np.uint8)
    both[180:, :480], both[:, 480:] = small, drawn[:, 320:960]
    first, second = backend.detector.find(both)
    assert first.middle[0] > 480 > second.middle[0]
    assert first.width > second.width


def test_an_upside_down_face_is_one_in_stills_alone(backend, still_backend, drawn):
    """A live person stands upright; a picture may be filed turned."""
    upright = template(still_backend, drawn)
    for quarters in (1, 2, 3):
        turned = np.ascontiguousarray(np.rot90(drawn, quarters))
        assert backend.detector.find(turned) == []
        (face,) = still_backend.detector.find(turned)
        (ax, ay), (bx, by) = face.right_eye, face.left_eye
        direction = {1: (0, -1), 2: (-1, 0), 3: (0, 1)}[quarters]
        assert np.dot(direction, (bx - ax, by - ay)) == pytest.approx(86, abs=8)
        assert face.left < ax < face.left + face.width
        assert template(still_backend, turned) @ upright > 0.97


@pytest.mark.parametrize("size", [(4000, 2250), (640, 360)])
def test_size_matters_little(backend, still_backend, drawn, size):
    """A picture of 12 megapixels or a small one: the same face in its place."""
    shown = cv2.resize(drawn, size)
    for each in (backend, still_backend):
        (face,) = each.detector.find(shown)
        assert face.eye_distance == pytest.approx(86 * size[0] / 1280, rel=0.1)
        assert template(each, shown) @ template(each, drawn) > 0.95


def test_a_portrait_of_an_identity_card_is_large_enough(backend, drawn):
    """Its picture is 102 by 126 pixels."""
    card = cv2.resize(drawn[60:554, 440:840], (102, 126), interpolation=cv2.INTER_AREA)
    assert template(backend, card) @ template(backend, drawn) > 0.9


def test_an_odd_picture_is_looked_at_all_the_same(backend, still_backend):
    """A line, a dot: nobody is there."""
    for shape in ((1, 1, 3), (1, 4000, 3), (4000, 1, 3)):
        assert backend.detector.find(np.zeros(shape, np.uint8)) == []
        assert still_backend.detector.find(np.zeros(shape, np.uint8)) == []


def test_a_face_at_the_edge_is_cut_out(backend, drawn):
    """What lies beyond the picture is black."""
    half = np.ascontiguousarray(drawn[:, 610:])
    (face,) = backend.detector.find(drawn)
    moved = [(x - 610, y) for x, y in face.landmarks]
    at_edge = type(face)(
        left=face.left - 610, top=face.top, width=face.width, height=face.height, score=1,
        right_eye=(face.right_eye[0] - 610, face.right_eye[1]),
        left_eye=(face.left_eye[0] - 610, face.left_eye[1]),
        nose=(face.nose[0] - 610, face.nose[1]), landmarks=tuple(moved),
    )  # fmt: skip
    chip = backend.recogniser.align(half, at_edge)
    assert chip.shape == (150, 150, 3)
    assert chip[:, :30].max() == 0
    assert chip[:, 75:].mean() > 60


def test_templates_have_length_one_whatever_the_batch(backend, drawn):
    """So their scalar product is their similarity; one alone has the same."""
    (face,) = backend.detector.find(drawn)
    chip = backend.recogniser.align(drawn, face)
    grey = np.full_like(chip, 90)
    assert backend.recogniser.embed([]) == []
    one, other = backend.recogniser.embed([chip, grey])
    assert one.dtype == np.float32
    assert one.shape == (backend.recogniser.dimension,)
    assert [float(t @ t) for t in (one, other)] == pytest.approx([1, 1], abs=1e-5)
    np.testing.assert_allclose(backend.recogniser.embed([chip])[0], one, atol=1e-5)
    assert one @ other < backend.calibration.no_match_below


def test_a_mirror_image_is_the_same_person(backend, drawn):
    """The template is of both, so that one-sided light weighs less."""
    (face,) = backend.detector.find(drawn)
    chip = backend.recogniser.align(drawn, face)
    one, other = backend.recogniser.embed([chip, chip[:, ::-1]])
    assert one @ other == pytest.approx(1, abs=1e-4)


def test_real_persons_are_told_apart(backend, still_backend, real_faces):
    """Stills in both ways: all pairs of one person match, none of two persons does."""
    made = [
        (template(each, picture), person)
        for each in (backend, still_backend)
        for picture, person in real_faces
    ]
    match_at = backend.calibration.match_at
    for (a, one), (b, other) in itertools.combinations(made, 2):
        assert (a @ b >= match_at) == (one == other)
