import csv
from pathlib import Path

import cv2
import pytest

from vision.clip import counter
from vision.identity.backends import open_backend

FACES = Path(__file__).parents[4] / "shared" / "data" / "faces"


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """Where this run keeps dlib's network, so that it is converted once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def backend(cache):
    """The shipped backend, for live video."""
    return _opened(cache, thorough=False)


@pytest.fixture(scope="session")
def still_backend(cache):
    """The shipped backend, for stills."""
    return _opened(cache, thorough=True)


def _opened(cache, *, thorough):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CACHE_DIRECTORY", str(cache))
        return open_backend(thorough=thorough)


@pytest.fixture(scope="session")
def drawn():
    """A drawn person in a drawn room, 1280 by 720: the eyes are about 86 pixels apart."""
    return counter.frame(counter.background(720, 1280), counter.person(), 12.0)


@pytest.fixture(scope="session")
def real_faces():
    """Real pictures and whom they show, which are not part of the project."""
    if not FACES.is_dir():
        pytest.skip("no real faces beside this checkout (../shared/data/faces)")
    with (FACES / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [(cv2.imread(str(FACES / row["file"])), row["identity"]) for row in rows]
