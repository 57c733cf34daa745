import cv2
import numpy as np
import pytest

from tests.support.plate_networks import reader_of, white_box_detector
from vision.models.session import open_session
from vision.picture import PictureError
from vision.plates.onnx_detector import OnnxPlateDetector
from vision.plates.onnx_reader import OnnxPlateReader
from vision.plates.passage import Passages
from vision.plates.recognise import Recogniser
from vision.plates.video import video_passages


@pytest.fixture
def recogniser():
    detector = OnnxPlateDetector(open_session(white_box_detector(), name="d-1"), name="d-1")
    session = open_session(reader_of("京A12345"), name="r-1")
    return Recogniser(detector, OnnxPlateReader(session, name="r-1"))


def write_drive(path, frames=40, fps=10):
    """A plate that drives by and is gone for the last second and a half."""
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    video = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, fps, (480, 240))
    for index in range(frames):
        picture = np.full((240, 480, 3), 60, np.uint8)
        if index < frames - 15:
            picture[100:132, 20 + 8 * index : 116 + 8 * index] = 255
        video.write(picture)
    video.release()


def test_a_vehicle_that_passes_is_one_passage(tmp_path, recogniser):
    """With its times in the video and the text that its views agree on."""
    write_drive(tmp_path / "drive.avi")
    told = []
    (passage,) = video_passages(
        str(tmp_path / "drive.avi"), recogniser, Passages(), per_s=5, progress=told.append
    )
    assert passage.text == "京A12345"
    assert passage.begin_s == 0
    assert 2 <= passage.end_s <= 2.5
    assert 10 <= passage.frames <= 13
    assert told[-1] == pytest.approx(1)


@pytest.mark.parametrize("content", [None, b"", b"no video"])
def test_what_is_no_video_is_an_error(tmp_path, recogniser, content):
    """One that says so."""
    path = tmp_path / "drive.avi"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PictureError, match="no video"):
        list(video_passages(str(path), recogniser, Passages(), per_s=5))


def test_an_address_is_told_without_its_password(recogniser):
    """It may stand in an error."""
    address = "rtsp://admin:secret@127.0.0.1:1/live"
    with pytest.raises(PictureError, match=r"127\.0\.0\.1:1") as failure:
        list(video_passages(address, recogniser, Passages(), per_s=5))
    assert "secret" not in str(failure.value)
