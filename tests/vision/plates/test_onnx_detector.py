import numpy as np
import pytest

from tests.support.plate_networks import picture_with_plate, reader_of, white_box_detector
from vision.models.errors import UnusableModelError
from vision.models.session import open_session
from vision.picture import PictureError
from vision.plates.onnx_detector import CAMERA, STEP, STILL, OnnxPlateDetector


class Cells:
    """A session that answers with given cells: {(row, column): (score, corners)}."""

    def __init__(self, cells=None):
        self.cells = cells or {}
        self.shapes = []

    def get_inputs(self):
        return [type("Input", (), {"name": "image"})]

    def get_outputs(self):
        return [type("Output", (), {"name": name}) for name in ("score", "quad")]

    def run(self, names, feeds):
        _, height, width, channels = shape = feeds["image"].shape
        assert channels == 3
        self.shapes.append(shape[1:3])
        score = np.zeros((height // 8, width // 8), np.float32)
        quad = np.zeros((4, 2, height // 8, width // 8), np.float32)
        for (row, column), (share, corners) in self.cells.items():
            score[row, column] = share
            quad[:, :, row, column] = corners
        return [score, quad]


def detector_of(cells, **options):
    return OnnxPlateDetector(Cells(cells), name="cells", **options)


def box(left, top, width=60, height=20):
    return ((left, top), (left + width, top), (left + width, top + height), (left, top + height))


def plate_network(long_edges=CAMERA):
    session = open_session(white_box_detector(), name="boxes-1")
    return OnnxPlateDetector(session, name="boxes-1", long_edges=long_edges)


GREY = np.full((96, 128, 3), 90, np.uint8)


def test_a_plate_is_found_with_its_corners():
    """Corners are in pixels of the picture that was given."""
    (found,) = plate_network().detect(picture_with_plate())
    assert found.corners == ((200, 200), (295, 200), (295, 231), (200, 231))
    assert found.score == pytest.approx(1)


@pytest.mark.parametrize("long_edges", [CAMERA, STILL])
def test_corners_in_a_large_picture_are_those_of_its_own_pixels(long_edges):
    """A picture is shrunk to be looked at, and its corners are told in its own size."""
    picture = picture_with_plate(4000, 3000, (1000, 1500, 400, 120))
    (found,) = plate_network(long_edges).detect(picture)
    expected = ((1000, 1500), (1399, 1500), (1399, 1619), (1000, 1619))
    assert np.allclose(found.corners, expected, atol=5)


def test_cells_of_one_plate_make_one_detection_whose_corners_are_their_mean():
    """The mean is by score; the detection has the score of the best."""
    cells = {(2, 3): (0.9, box(20, 20)), (2, 4): (0.6, box(25, 20)), (2, 5): (0.2, box(90, 20))}
    (found,) = detector_of(cells).detect(GREY)
    assert found.score == pytest.approx(0.9)
    assert found.corners[0] == pytest.approx((22, 20))


def test_plates_beside_each_other_stay_apart_the_best_first():
    """Only finds that lie upon each other are one plate."""
    cells = {(2, 1): (0.7, box(0, 20)), (2, 9): (0.8, box(62, 20)), (5, 1): (0.95, box(0, 44))}
    found = detector_of(cells).detect(GREY)
    assert [round(each.score, 2) for each in found] == [0.95, 0.8, 0.7]


def test_a_lesser_find_within_a_plate_is_dropped():
    """One row of a plate of two is no plate of its own, and does not shift its corners."""
    whole, row = box(20, 20, 60, 40), box(22, 40, 56, 18)
    (found,) = detector_of({(4, 4): (0.9, whole), (6, 6): (0.8, row)}).detect(GREY)
    assert found.corners == whole


@pytest.mark.parametrize(
    "corners",
    [
        ((float("nan"), 20), (80, 20), (80, 40), (20, 40)),
        ((float("inf"), 20), (80, 20), (80, 40), (20, 40)),
        tuple(reversed(box(20, 20))),
        ((20, 20),) * 4,
        ((20, 20), (21, 20), (21, 21), (20, 21)),
    ],
)
def test_what_is_no_quad_is_no_plate(corners):
    """Corners that are no numbers, go round the wrong way or enclose nothing are left out."""
    assert detector_of({(4, 4): (0.9, corners)}).detect(GREY) == []


def test_cells_below_the_threshold_count_for_nothing():
    """The threshold is the detector's own."""
    cells = {(2, 3): (0.45, box(20, 20))}
    assert detector_of(cells, threshold=0.5).detect(GREY) == []
    assert len(detector_of(cells, threshold=0.4).detect(GREY)) == 1


@pytest.mark.parametrize(
    ("shape", "long_edges", "looks"),
    [
        ((1080, 1920, 3), (960,), [(192, 320), (544, 960)]),
        ((1080, 1920, 3), (960, 1920), [(192, 320), (544, 960), (1088, 1920)]),
        ((480, 640, 3), (320, 960, 1920), [(256, 320), (480, 640)]),
        ((1200, 900), (960, 1920), [(320, 256), (960, 736), (1216, 928)]),
        ((1, 1), (960, 1920), [(32, 32)]),
        ((1, 10_000, 3), (960,), [(32, 320), (32, 960)]),
        ((10_000, 10_000), (960, 1920), [(320, 320), (960, 960), (1920, 1920)]),
        ((50, 60, 4), (960,), [(64, 64)]),
    ],
)
def test_the_network_sees_few_sizes(shape, long_edges, looks):
    """Shrunk, never enlarged, and filled up to multiples of 32; a small look comes last."""
    session = Cells()
    network = OnnxPlateDetector(session, name="cells", long_edges=long_edges)
    assert network.detect(np.zeros(shape, np.uint8)) == []
    assert session.shapes[::-1] == looks  # the finest first
    assert all(side % STEP == 0 for look in looks for side in look)


@pytest.mark.parametrize(
    ("size", "plate"),
    [
        ((640, 480), (200, 200, 96, 32)),
        ((640, 480), (3, 435, 120, 40)),
        ((3000, 2000), (1700, 900, 700, 220)),
        ((120, 44), (5, 5, 90, 30)),
    ],
)
def test_a_closer_look_finds_the_corners_in_pixels_of_the_whole_picture(size, plate):
    """From near, whatever the plate's size is and wherever it lies."""
    x, y, width, height = plate
    right, bottom = x + width - 1, y + height - 1
    about = ((x + 4, y - 3), (right + 4, y + 1), (right, bottom + 3), (x, bottom))
    found = plate_network().look_closer(picture_with_plate(*size, plate), about)
    assert found is not None
    expected = ((x, y), (right, y), (right, bottom), (x, bottom))
    assert np.allclose(found.corners, expected, atol=max(1, width / 60))


def test_a_closer_look_sees_nothing_where_nothing_is():
    """Nor does it take the plate beside for the one it was asked for."""
    picture = picture_with_plate(640, 480, (200, 200, 96, 32))
    nothing = ((400, 100), (496, 100), (496, 132), (400, 132))
    beside = ((130, 200), (226, 200), (226, 232), (130, 232))
    assert plate_network().look_closer(picture, nothing) is None
    assert plate_network().look_closer(picture, beside) is None


@pytest.mark.parametrize("shape", [(0, 5, 3), (5,), (5, 5, 2), (1, 5, 5, 3)])
def test_what_is_no_picture_is_refused(shape):
    """The error says what was given."""
    with pytest.raises(PictureError, match="shape"):
        plate_network().detect(np.zeros(shape, np.uint8))


def test_another_network_is_refused():
    """A reader's file named as the detector's is told at once, not at the first picture."""
    session = open_session(reader_of("京A12345"), name="reader-1")
    with pytest.raises(UnusableModelError, match="reader-1: no plate detector"):
        OnnxPlateDetector(session, name="reader-1")


def test_many_detections_leave_the_memory_flat():
    """Pictures of changing sizes do not make the process grow, once it has seen the largest."""
    network = plate_network()
    random = np.random.default_rng(0)
    pictures = [
        random.integers(0, 255, (int(h), int(w), 3), np.uint8)
        for h, w in random.integers(20, 400, (40, 2))
    ]
    for picture in pictures:
        network.detect(picture)
    before = rss_bytes()
    for _ in range(8):
        for picture in pictures:
            network.detect(picture)
    assert rss_bytes() - before < 8 * 2**20


def rss_bytes():
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * 4096
