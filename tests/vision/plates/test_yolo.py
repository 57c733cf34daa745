import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.plate_networks import reader_of, yolo_of
from vision.models.errors import MissingModelError, UnusableModelError
from vision.models.session import open_session
from vision.plates.yolo import UltralyticsDetector, YoloOnnxDetector, upright

PICTURE = np.full((300, 600, 3), 90, np.uint8)
"""In an input of 320 by 320: half as large, 5 px of border on the left, 85 above."""
SCALE, LEFT, TOP = 320 / 600, 0, 80


def metadata(task="detect", names=None, **others):
    names = names or {0: "plate"}
    form = {"task": task, "names": str(names), "imgsz": "[320, 320]", "end2end": "False"}
    return {**form, "args": "{'nms': False}", **others}


def detector_of(answer, form, threshold=0.4):
    network = yolo_of(np.array(answer, np.float32), form)
    session = open_session(network, name="yolo-1")
    return YoloOnnxDetector(session, name="yolo-1", threshold=threshold)


def seen(x, y):
    """Where the network sees a point of the picture (in the coordinates of pixels' corners)."""
    return x * SCALE + LEFT, y * SCALE + TOP


def raw(rows, columns=50):
    """A raw output: the given finds, the rest empty; (1, values, n)."""
    answer = np.zeros((1, len(rows[0]), columns), np.float32)
    answer[0, :, : len(rows)] = np.array(rows).T
    return answer


def kept(rows):
    """The output of a network that keeps the best itself; (1, n, values)."""
    answer = np.zeros((1, 300, len(rows[0])), np.float32)
    answer[0, : len(rows)] = rows
    return answer


def box(x, y, width, height):
    """A box in the picture as the network tells it: centre and size."""
    return [*seen(x, y), width * SCALE, height * SCALE]


BOX = ((150, 130), (250, 130), (250, 170), (150, 170))


def assert_corners(detection, expected, atol=0.01):
    assert np.allclose(np.array(detection.corners) + 0.5, expected, atol=atol)


def test_a_detection_model_gives_upright_boxes():
    """Of boxes told twice the best is the plate; of two classes only the plate's counts."""
    names = {0: "car", 1: "license plate"}
    rows = [
        [*box(200, 150, 100, 40), 0.1, 0.9],
        [*box(210, 150, 100, 40), 0.1, 0.6],
        [*box(300, 150, 300, 200), 0.95, 0.2],
    ]
    (found,) = detector_of(raw(rows), metadata(names=names)).detect(PICTURE)
    assert found.score == pytest.approx(0.9)
    assert_corners(found, BOX)


@pytest.mark.parametrize("degrees", [-40, -10, 0, 25])
def test_an_oriented_box_gives_its_corners(degrees):
    """From the top left, round; whichever side the network calls the width."""
    turn = math.radians(degrees)
    cos, sin = math.cos(turn), math.sin(turn)
    expected = [
        (200 + x * cos - y * sin, 150 + x * sin + y * cos)
        for x, y in ((-50, -20), (50, -20), (50, 20), (-50, 20))
    ]
    x, y, width, height = box(200, 150, 100, 40)
    for row in (
        [x, y, width, height, 0.9, turn],
        [x, y, height, width, 0.9, turn + math.pi / 2],
    ):
        (found,) = detector_of(raw([row]), metadata("obb")).detect(PICTURE)
        assert_corners(found, expected)


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("values", [2, 3])
def test_a_pose_model_gives_its_four_points(first, values):
    """Whichever corner it begins with; a third value a point says whether it is seen."""
    points = [(150, 120), (250, 140), (248, 180), (148, 160)]
    told = points[first:] + points[:first]
    numbers = [n for point in told for n in (*seen(*point), 0.9)[:values]]
    form = metadata("pose", kpt_shape=f"[4, {values}]")
    (found,) = detector_of(raw([[*box(200, 150, 100, 60), 0.8, *numbers]]), form).detect(PICTURE)
    assert_corners(found, points)


@pytest.mark.parametrize("how", [{"end2end": "True"}, {"args": "{'nms': True}"}])
def test_a_network_that_keeps_the_best_itself_is_read_too(how):
    """Its boxes have corners, score and class; oriented ones a centre and an angle besides."""
    left_top, right_bottom = seen(150, 130), seen(250, 170)
    names = {0: "car", 1: "plate"}
    rows = [[*left_top, *right_bottom, 0.9, 1], [*left_top, *right_bottom, 0.95, 0]]
    (found,) = detector_of(kept(rows), metadata(names=names, **how)).detect(PICTURE)
    assert found.score == pytest.approx(0.9)
    assert_corners(found, BOX)
    row = [*box(200, 150, 100, 40), 0.9, 0, 0.0]
    (found,) = detector_of(kept([row]), metadata("obb", **how)).detect(PICTURE)
    assert_corners(found, BOX)
    points = [n for point in BOX for n in (*seen(*point), 1.0)]
    form = metadata("pose", kpt_shape="[4, 3]", **how)
    (found,) = detector_of(kept([[*left_top, *right_bottom, 0.9, 0, *points]]), form).detect(
        PICTURE
    )
    assert_corners(found, BOX)


@pytest.mark.parametrize("shape", [(1, 1), (1, 10_000, 3), (10_000, 3), (40, 30, 4)])
def test_pictures_of_any_shape_fit_the_input(shape):
    """What is not found is no error."""
    assert detector_of(raw([[0, 0, 0, 0, 0.0]]), metadata()).detect(np.zeros(shape, np.uint8)) == []


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({}, "no YOLO"),
        (metadata(names={0: "car", 1: "bus"}), "car, bus"),
        (metadata("segment"), "segment"),
        (metadata("pose", kpt_shape="[17, 3]"), "17 keypoints"),
        (metadata(imgsz="__import__('os')"), "no YOLO"),
        (metadata(names={}) | {"names": "[1"}, "no YOLO"),
    ],
)
def test_what_finds_no_plates_is_refused(form, reason):
    """At once, with the reason; metadata are data and nothing else."""
    with pytest.raises(UnusableModelError, match=reason):
        detector_of(raw([[0, 0, 0, 0, 0.0]]), form)


def test_a_network_that_is_no_yolo_is_refused():
    """A plate reader, for one."""
    session = open_session(reader_of("京A12345"), name="reader-1")
    with pytest.raises(UnusableModelError, match="reader-1: no YOLO"):
        YoloOnnxDetector(session, name="reader-1")


@given(
    degrees=st.floats(-44, 44),
    aspect=st.floats(0.4, 5),
    order=st.permutations(range(4)),
    x=st.floats(-1000, 1000),
)
def test_corners_in_any_order_are_put_upright(degrees, aspect, order, x):
    """For every plate tilted by less than 45 degrees."""
    turn = np.radians(degrees)
    rotate = np.array(((np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))))
    corners = np.array(((-aspect, -1), (aspect, -1), (aspect, 1), (-aspect, 1))) @ rotate * 20 + x
    corners = corners.astype(np.float32)
    assert np.array_equal(upright(corners[None, list(order)])[0], corners)


def test_a_file_that_is_not_there_is_not_looked_for_elsewhere(tmp_path, monkeypatch):
    """Not even by its name, which ultralytics would fetch from the network."""
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(MissingModelError, match=r"yolo11n\.pt.*no such file"):
        UltralyticsDetector(tmp_path / "yolo11n.pt")


def test_without_ultralytics_its_models_are_refused_with_advice(tmp_path, monkeypatch):
    """The agent does not need it; who wants it is told how to get it."""
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    file = tmp_path / "yolo.pt"
    file.touch()
    with pytest.raises(UnusableModelError, match="not installed"):
        UltralyticsDetector(file)


@pytest.fixture
def ultralytics(tmp_path, monkeypatch):
    """The extra ``ultralytics``, kept to itself; it works in the current directory."""
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    monkeypatch.setenv("YOLO_AUTOINSTALL", "false")
    monkeypatch.chdir(tmp_path)
    return pytest.importorskip("ultralytics", reason="the extra ultralytics is not installed")


def model_of(ultralytics, config, *, trained, exported):
    """An untrained network for plates that says it was trained at a size: its file, its export."""
    model = ultralytics.YOLO(config)
    model.model.names = {number: f"plate {number}" for number in model.model.names}
    model.ckpt = {"train_args": {"imgsz": trained}}
    model.save("yolo.pt")
    onnx = ultralytics.YOLO("yolo.pt").export(format="onnx", imgsz=exported, verbose=False)
    return Path("yolo.pt"), Path(onnx)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("config", ["yolo11n.yaml", "yolo11n-obb.yaml", "yolo26n.yaml"])
def test_a_model_runs_alike_in_its_own_format_and_exported(config, ultralytics):
    """Both detectors give what the network gives, at 960 px, whatever it was trained at."""
    own, exported = model_of(ultralytics, config, trained=320, exported=960)
    session = open_session(exported.read_bytes(), name="yolo")
    picture = np.random.default_rng(0).integers(0, 255, (320, 320, 3), np.uint8)
    ours = YoloOnnxDetector(session, name="yolo", threshold=1e-7).detect(picture)
    just_below = 0.9 * ours[0].score  # an untrained network finds thousands of plates
    its = UltralyticsDetector(own, threshold=just_below).detect(picture)
    assert ours[0].score == pytest.approx(its[0].score, rel=0.01)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_points_that_are_no_corners_are_refused_in_every_format(ultralytics):
    """A person's 17 joints, say; and what cannot be run at all is refused at once, too."""
    broken = Path("broken.pt")
    broken.write_bytes(b"no model")
    with pytest.raises(UnusableModelError, match="cannot run it"):
        UltralyticsDetector(broken)
    for file in model_of(ultralytics, "yolo11n-pose.yaml", trained=320, exported=320):
        with pytest.raises(UnusableModelError, match="17 keypoints"):
            UltralyticsDetector(file)
