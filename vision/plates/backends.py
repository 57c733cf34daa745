"""The detector and the reader that the settings ask for, loaded and ready."""

from collections.abc import Sequence
from pathlib import Path

from vision.models.errors import MissingModelError
from vision.models.manifest import SHIPPED, load_manifest
from vision.models.session import load_session, open_session
from vision.plates.base import PlateDetector
from vision.plates.onnx_detector import CAMERA, OnnxPlateDetector
from vision.plates.onnx_reader import OnnxPlateReader
from vision.plates.recognise import Recogniser
from vision.plates.settings import DetectorKind
from vision.plates.yolo import UltralyticsDetector, YoloOnnxDetector


def open_recogniser(
    *,
    detector: DetectorKind = "builtin",
    detector_file: Path | None = None,
    manifest: Path = SHIPPED,
    threads: int = 1,
    long_edges: Sequence[int] = CAMERA,
) -> Recogniser:
    """Load what finds and what reads plates.

    The models are those that ``manifest`` lists first for their tasks; ``detector_file`` is that of
    a YOLO detector, loaded as it is: who names it answers for it.

    Raises:
        ModelError: a model is missing, has another hash or does not fit its task.
    """
    models = load_manifest(manifest)
    found: PlateDetector
    if detector == "builtin":
        model = models.pick("plate-detector")
        session = load_session(model, threads=threads)
        found = OnnxPlateDetector(session, name=model.name, long_edges=long_edges)
    elif detector_file is None:
        msg = f"the detector {detector} needs a model file"
        raise MissingModelError(msg)
    elif detector == "yolo-onnx":
        try:
            content = detector_file.read_bytes()
        except OSError as error:
            msg = f"model {detector_file} cannot be read: {error.strerror}"
            raise MissingModelError(msg) from error
        name = detector_file.stem
        found = YoloOnnxDetector(open_session(content, name=name, threads=threads), name=name)
    else:
        found = UltralyticsDetector(detector_file)
    model = models.pick("plate-reader")
    reader = OnnxPlateReader(load_session(model, threads=threads), name=model.name)
    return Recogniser(found, reader)
