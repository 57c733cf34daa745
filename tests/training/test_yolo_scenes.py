import cv2
import numpy as np
import pytest

from training.scenes import SIDE, Scene
from training.yolo_scenes import write

QUAD = np.array(((99.5, 59.5), (199.5, 79.5), (199.5, 119.5), (99.5, 99.5)), np.float32)
BOX = (149.5, 89.5, 100.0, 60.0)


def scene(*quads, boxes=None, shade=0):
    image = np.full((SIDE, SIDE, 3), shade, np.uint8)
    return Scene(image, list(quads), [BOX] * len(quads) if boxes is None else boxes)


def numbers(file):
    return [[float(word) for word in line.split()] for line in file.read_text().splitlines()]


def test_a_plate_is_told_as_class_box_and_corners_in_shares_of_the_picture(tmp_path):
    """YOLO's pixels have their corners at whole numbers, so half a pixel is added."""
    write([scene(QUAD)], tmp_path / "set", 1)
    (told,) = numbers(tmp_path / "set/labels/val/000000.txt")
    expected = np.array((150, 90, 100, 60, 100, 60, 200, 80, 200, 120, 100, 100)) / SIDE
    assert told[0] == 0
    assert np.allclose(told[1:], expected, atol=1e-5)


def test_corners_outside_the_picture_are_put_on_its_edge(tmp_path):
    """Ultralytics drops pictures with labels beyond 0 to 1."""
    shifts = np.array(((-101, 0), (122, 0)), np.float32)
    write([scene(QUAD + shift) for shift in shifts], tmp_path / "set", 2)
    for file in sorted((tmp_path / "set/labels").rglob("*.txt")):
        (told,) = numbers(file)
        assert min(told) >= 0
        assert max(told) <= 1


def test_every_picture_has_its_labels_and_one_in_ten_is_for_validation(tmp_path):
    """A picture without plates has an empty file; after ``count`` no scene is drawn."""
    scenes = (scene(*[QUAD] * (number % 2), shade=number) for number in range(1000))
    dataset = write(scenes, tmp_path / "set", 40)
    folder = dataset.parent
    assert len(list((folder / "images/val").iterdir())) == 4
    pictures = sorted((folder / "images").rglob("*.jpg"), key=lambda file: file.name)
    assert len(pictures) == 40
    for number, file in enumerate(pictures):
        assert abs(int(cv2.imread(str(file)).mean()) - number) <= 1
        labels = folder / "labels" / file.parent.name / f"{file.stem}.txt"
        assert len(numbers(labels)) == number % 2
    assert next(scenes).image[0, 0, 0] == 40
    for line in ("train: images/train", "val: images/val", "kpt_shape: [4, 2]"):
        assert line in dataset.read_text().splitlines()


def test_scenes_with_a_plate_of_unknown_corners_are_left_out(tmp_path):
    """Unlabelled, its plate would teach that plates are none."""
    write([scene(boxes=[BOX], shade=200), scene(shade=20)], tmp_path / "set", 2)
    (file,) = (tmp_path / "set/images").rglob("*.jpg")
    assert cv2.imread(str(file)).mean() == pytest.approx(20, abs=1)


def test_no_data_set_is_written_over_another(tmp_path):
    """Samples of two would mix."""
    write([scene()], tmp_path / "set", 1)
    with pytest.raises(FileExistsError):
        write([scene()], tmp_path / "set", 1)
