"""The models that the project ships, on pictures that it draws itself."""

import itertools

import cv2
import numpy as np
import pytest

from vision.clip.plate import plate as drawn_plate
from vision.clip.render import FRAMES_PER_S, frames
from vision.clip.street import PLATE
from vision.models.manifest import SHIPPED, load_manifest
from vision.plates.backends import open_recogniser
from vision.plates.onnx_detector import STILL
from vision.plates.passage import Passages

TEXTS = ["苏E05EV8", "京A12345", "粤B8D0Q2", "沪C7Z2B8"]


@pytest.fixture(scope="module")
def recogniser():
    if not {"plate-detector", "plate-reader"} <= {
        model.role for model in load_manifest(SHIPPED).model
    }:
        pytest.skip("no plate models are listed in vision/models/manifest.toml")
    return open_recogniser(long_edges=STILL)


def street_at(second):
    return next(itertools.islice(frames("street"), int(second * FRAMES_PER_S), None))


def test_the_car_before_the_kiosk_is_read(recogniser):
    """Its plate, where it hangs, and no other."""
    (plate,) = recogniser.find(street_at(10))
    assert plate.reading.text == PLATE
    assert plate.reading.colour == "blue"
    assert plate.reading.rows == 1
    assert plate.reading.min_confidence > 0.8


@pytest.mark.parametrize("scene", ["street", "counter"])
def test_where_no_vehicle_is_no_plate_is_found(recogniser, scene):
    """Neither in an empty street nor among a counter's notices, whose texts are as large."""
    assert recogniser.find(next(frames(scene))) == []


def test_a_car_that_drives_up_and_away_is_one_passage(recogniser):
    """Read right, though not in every frame."""
    passages = Passages()
    over = []
    for index, picture in enumerate(frames("street")):
        if index % 3 == 0 and index < 200:
            size = picture.shape[1], picture.shape[0]
            over += passages.update(recogniser.find(picture), index / FRAMES_PER_S, size)
    over += passages.flush()
    assert [passage.text for passage in over] == [PLATE]


@pytest.mark.parametrize("text", TEXTS)
def test_a_cut_out_plate_is_read(recogniser, text):
    """As it is cut."""
    crop = cv2.resize(drawn_plate(text), (220, 70), interpolation=cv2.INTER_AREA)
    assert recogniser.read_crop(np.asarray(crop, np.uint8)).reading.text == text


def test_a_plate_that_fills_a_large_picture_is_read(recogniser):
    """A phone held before the plate."""
    picture = np.full((2400, 3600, 3), (60, 58, 55), np.uint8)
    picture[700:1640, 300:3254] = cv2.resize(drawn_plate(TEXTS[0]), (2954, 940))
    assert TEXTS[0] in [plate.reading.text for plate in recogniser.find(picture)]


def test_the_files_are_small(recogniser):
    """They travel over 4G lines to a thousand kiosks."""
    ours = [model for model in load_manifest(SHIPPED).model if model.package is None]
    sizes = [model.file.stat().st_size for model in ours]
    assert sum(sizes) < 16 * 2**20
