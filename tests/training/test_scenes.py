import cv2
import numpy as np
import pytest

from training.scenes import MAX_PLATES, SIDE, Photo, Props, clutter, photos, stream
from training.typeface import Typeface


@pytest.fixture(scope="module")
def props(typeface: Typeface) -> Props:
    return Props.make(typeface, np.random.default_rng(1), count=12)


def test_corners_of_a_scene_enclose_its_plate_clockwise(props: Props):
    scenes = stream(props, [], seed=1, real_share=0)
    seen = 0
    for _ in range(40):
        scene = next(scenes)
        assert scene.image.shape == (SIDE, SIDE, 3)
        assert len(scene.quads) <= MAX_PLATES
        for quad, box in zip(scene.quads, scene.boxes, strict=False):
            seen += 1
            assert cv2.contourArea(quad, oriented=True) > 0
            assert np.allclose(quad.mean(axis=0), box[:2], atol=2)
    assert seen > 10


def test_a_known_plate_of_a_real_picture_is_covered_or_told(props: Props, tmp_path):
    image = np.full((480, 640, 3), 90, np.uint8)
    image[200:240, 300:420] = 255  # as if a plate
    photo = Photo(tmp_path / "a.jpg", image, ((360.0, 220.0, 120.0, 40.0),))
    scenes = stream(props, [photo], seed=2, real_share=1)
    told = covered = 0
    for _ in range(40):
        scene = next(scenes)
        told += len(scene.boxes) > len(scene.quads)
        covered += bool(scene.quads)
    assert told
    assert covered


def test_clutter_shows_no_plate(props: Props, tmp_path):
    image = np.zeros((300, 400, 3), np.uint8)
    image[100:140, 100:220] = (0, 0, 255)  # as if a plate
    photo = Photo(tmp_path / "a.jpg", image, ((160.0, 120.0, 120.0, 40.0),))
    pieces = clutter([photo], np.random.default_rng(0), count=40)
    assert len(pieces) == 40
    for piece in pieces[20:]:
        assert not (piece == (0, 0, 255)).all(axis=2).any()


def test_a_list_of_real_pictures_is_loaded_with_its_boxes(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 60, 3), np.uint8))
    (tmp_path / "labels.csv").write_text(
        "file,plate,colour,cx,cy,width,height,is_main\n"
        "a.png,京A12345,blue,30,20,8,24,1\n"
        "a.png,京A12346,blue,,,,,0\n",
        encoding="utf-8",
    )
    (photo,) = photos(tmp_path)
    assert photo.boxes == ((30.0, 20.0, 24.0, 8.0),)
