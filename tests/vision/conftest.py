from pathlib import Path

import cv2
import numpy as np
import pytest

from vision.clip import street
from vision.scene import small_grey

RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "video"


@pytest.fixture(scope="session")
def recordings():
    """Folder of real recordings, which are not part of the project."""
    if not RECORDINGS.is_dir():
        pytest.skip("no real recordings beside this checkout (../shared/data/video)")
    return RECORDINGS


@pytest.fixture(scope="session")
def scene():
    """A street, as a small grey picture."""
    return small_grey(street.background(360, 640))


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """A second of moving, noisy pictures, 320 by 180 at 20 frames a second."""
    path = tmp_path_factory.mktemp("clip") / "second.avi"
    write_clip(path)
    return path


def write_clip(path):
    random = np.random.default_rng(3)
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    video = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, 20, (320, 180))
    for index in range(20):
        frame = random.integers(90, 110, (180, 320, 3), dtype=np.uint8)
        cv2.rectangle(frame, (10 * index, 60), (10 * index + 40, 120), (250, 240, 230), -1)
        video.write(frame)
    video.release()
