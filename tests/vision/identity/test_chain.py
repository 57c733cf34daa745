"""From a picture to a decision: what a frame shows, what a document's portrait is good for."""

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.drawn_face import FACE, drawn, light, masked, scaled
from tests.support.faces import CALIBRATION, FakeDetector, FakeRecogniser, template
from vision.identity.backends import Backend, open_backend
from vision.identity.chain import MAX_PORTRAIT_PIXELS, Chain, PortraitError, merge
from vision.identity.picture_header import size_of
from vision.video import frames_of

VIDEO = Path(__file__).parents[4] / "shared" / "data" / "video" / "faces.mp4"


@pytest.fixture(scope="module")
def live():
    """The shipped models, as for a camera."""
    return Chain(open_backend())


@pytest.fixture(scope="module")
def still():
    """The shipped models, as for pictures."""
    return Chain(open_backend(thorough=True))


@pytest.fixture
def made_up():
    return Chain(Backend(FakeDetector(), FakeRecogniser(), CALIBRATION, None))


def file(picture, kind=".png", *options):
    return cv2.imencode(kind, picture, options)[1].tobytes()


def jpeg_turned(picture, orientation):
    """A JPEG file with the EXIF orientation (TIFF tag 0x0112)."""
    content = file(picture, ".jpg")
    tiff = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0" + tiff
    return content[:2] + struct.pack(">HH", 0xFFE1, len(exif) + 2) + exif + content[2:]


def without_person():
    """The counter, and nobody before it."""
    empty = drawn()
    empty[:, 300:1000] = empty[:, :1]
    return empty


def beside(picture, other, left, top):
    """A piece of ``other`` in the picture."""
    height, width = other.shape[:2]
    picture[top : top + height, left : left + width] = other
    return picture


def reason_of(chain, content):
    with pytest.raises(PortraitError) as error:
        chain.portrait(content)
    return error.value.reason


def test_a_person_before_the_camera_matches_their_portrait(live, still):
    """Another picture of them, as small as an identity card's and in other light."""
    small, face = scaled(drawn(), FACE, 25 / FACE.eye_distance)
    left, top = round(face.middle[0] - 51), round(face.middle[1] - 65)
    card = light(small[top : top + 126, left : left + 102], (0.8, 0.95, 1.0))
    portrait = still.portrait(file(card, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 60))
    look = live.look(drawn())
    assert look.quality.is_good
    similarity = live.similarity(live.template(drawn(), look.main), portrait)
    assert live.outcome(similarity) == "match"


def test_nobody_before_the_camera(live):
    """There is no face and no template of one."""
    look = live.look(without_person())
    assert (look.faces, look.main) == ((), None)
    assert look.quality.reasons == ("no_face",)


def test_two_persons_are_one_too_many(live):
    """The larger one counts, and yet it will not do."""
    piece = drawn()[150:700, 380:900]
    look = live.look(beside(without_person(), np.hstack([piece, piece]), 100, 150))
    assert len(look.faces) == 2
    assert "several_faces" in look.quality.reasons


def test_a_face_on_a_poster_behind_is_no_second_person(live):
    """It is less than half as large as the one in front."""
    poster, _ = scaled(drawn()[200:600, 430:850], FACE, 0.45)
    look = live.look(beside(drawn(), poster, 30, 40))
    assert look.main.left > 400
    assert "several_faces" not in look.quality.reasons


def test_a_face_upside_down_is_none(live):
    """Before a camera nobody stands on their head."""
    assert live.look(np.ascontiguousarray(drawn()[::-1, ::-1])).main is None


def test_a_portrait_is_turned_as_its_file_says(still):
    """Phones write sideways pictures with a note."""
    upright = still.portrait(file(drawn(), ".jpg"))
    sideways = jpeg_turned(cv2.rotate(drawn(), cv2.ROTATE_90_COUNTERCLOCKWISE), 6)
    assert still.similarity(upright, still.portrait(sideways)) > 0.98


def test_a_picture_of_twelve_million_pixels_is_a_portrait(still):
    """The same person as in a small one."""
    large = cv2.resize(drawn()[:, 320:1280], (4000, 3000), interpolation=cv2.INTER_CUBIC)
    similarity = still.similarity(
        still.portrait(file(large, ".jpg")), still.portrait(file(drawn()))
    )
    assert still.outcome(similarity) == "match"


def test_a_portrait_without_a_face_says_so(still):
    """A picture of something else."""
    assert reason_of(still, file(without_person())) == "portrait_no_face"


def test_a_portrait_with_a_mask_is_too_poor(still):
    """Or one in which the mask leaves no face to be found."""
    reason = reason_of(still, file(masked(drawn(), (215, 190, 140))))
    assert reason in {"portrait_poor", "portrait_no_face"}


@pytest.mark.parametrize("kind", [".jpg", ".png", ".bmp"])
def test_a_damaged_portrait_is_unreadable(made_up, kind):
    """Cut within its header; of another kind; empty."""
    content = file(np.full((64, 48, 3), 90, np.uint8), kind)
    for broken in (content[:20], b"", b"GIF89a" + content, b"\xff\xd8\xff"):
        assert reason_of(made_up, broken) == "portrait_unreadable"


def test_a_picture_too_large_to_decode_is_not_decoded(made_up):
    """A small file may claim any size."""
    edge = int(MAX_PORTRAIT_PIXELS**0.5) + 1
    header = struct.pack(">II4sIIBBBBBI", 0, 0, b"IHDR", edge, edge, 8, 2, 0, 0, 0, 0)
    assert reason_of(made_up, b"\x89PNG\r\n\x1a\n" + header[4:]) == "portrait_unreadable"


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"BM", b"\xff\xd8"]))
def test_any_bytes_are_a_portrait_or_a_reason(content, begin):
    """Nothing else comes of them."""
    chain = Chain(Backend(FakeDetector(), FakeRecogniser(), CALIBRATION, None))
    with pytest.raises(PortraitError) as error:
        chain.portrait(begin + content)
    assert error.value.reason in {"portrait_unreadable", "portrait_no_face", "portrait_poor"}


@pytest.mark.parametrize("kind", [".jpg", ".png", ".bmp"])
@given(width=st.integers(1, 70), height=st.integers(1, 70))
def test_a_header_tells_the_size(kind, width, height):
    """Before anything is decoded."""
    assert size_of(file(np.zeros((height, width, 3), np.uint8), kind)) == (width, height)


@pytest.mark.parametrize(
    ("similarity", "outcome"),
    [
        (1.0, "match"),
        (CALIBRATION.match_at, "match"),
        (CALIBRATION.match_at - 1e-6, "refer"),
        (CALIBRATION.no_match_below, "refer"),
        (CALIBRATION.no_match_below - 1e-6, "no_match"),
        (-1.0, "no_match"),
    ],
)
def test_the_answer_has_three_values(made_up, similarity, outcome):
    """Between the limits a human decides."""
    assert made_up.outcome(similarity) == outcome


def test_several_templates_of_a_person_make_one(made_up):
    """Of length 1, and nearer to another one of them than each alone is."""
    frames = [template(1, likeness) for likeness in (0.9, 0.95, 0.99)]
    merged = merge(frames)
    assert np.linalg.norm(merged) == pytest.approx(1)
    assert made_up.similarity(merged, template(1)) > min(frame[1] for frame in frames)
    assert np.array_equal(merge(frames[:1]), frames[0])


def test_an_error_tells_nothing_of_the_picture(made_up):
    """Its text is what the screen may show."""
    with pytest.raises(PortraitError) as error:
        made_up.portrait(b"BM secret")
    assert str(error.value) == "The document's picture cannot be read"


@pytest.mark.skipif(
    not VIDEO.is_file(), reason="no real recordings beside this checkout (../shared/data/video)"
)
def test_a_man_who_sings_is_good_enough_most_of_the_time(live):
    """He moves, turns, holds a microphone; at least nine frames of ten will do."""
    looks = [live.look(frame) for _, frame in frames_of(str(VIDEO), per_s=6)]
    good = [look.quality.is_good for look in looks if look.main]
    assert len(good) >= 15
    assert sum(good) >= 0.9 * len(good)
