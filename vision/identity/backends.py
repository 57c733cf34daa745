"""The face detector and recogniser that a list of models asks for, loaded and ready."""

from dataclasses import dataclass
from pathlib import Path

import cv2

from vision.identity.base import FaceDetector, FaceRecogniser
from vision.identity.dlib_backend import DlibDetector, DlibRecogniser
from vision.identity.network_cache import cache_folder, converted
from vision.identity.opencv_backend import (
    LIVE_EDGES_PX,
    STILL_EDGES_PX,
    SFaceRecogniser,
    YuNetDetector,
)
from vision.models.errors import ManifestError
from vision.models.manifest import SHIPPED, Calibration, Manifest, Model, Role, load_manifest
from vision.models.session import open_session


@dataclass(frozen=True, slots=True)
class Backend:
    """What faces are found and compared with."""

    detector: FaceDetector
    recogniser: FaceRecogniser
    calibration: Calibration
    """What the recogniser's similarities mean."""
    attack: Model | None
    """Tells pictures of faces from faces; the user's own."""


def open_backend(
    manifest: Path | None = None, *, threads: int = 1, thorough: bool = False
) -> Backend:
    """Load the models of faces: YuNet and SFace where they are ONNX files, else dlib's.

    Args:
        manifest: a list of models; the shipped one stands in where it has no ``face-recogniser``.
        threads: of dlib's recogniser. OpenCV's are set for the whole process.
        thorough: for stills: takes longer and finds more. Else for live video.

    Raises:
        ModelError: a model is missing, has another hash or does not fit its task, or the
            recogniser has no calibration.
    """
    cv2.ipp.setUseIPP(False)  # its 6 MB of code make nothing here faster
    listed = load_manifest(manifest or SHIPPED)
    faces = listed if _lists(listed, "face-recogniser") else load_manifest()
    model = faces.pick("face-recogniser")
    if model.calibration is None:
        msg = f"model {model.name}: the list of models has no calibration of it"
        raise ManifestError(msg)
    detector: FaceDetector
    recogniser: FaceRecogniser
    if model.file.suffix == ".onnx":
        edges = STILL_EDGES_PX if thorough else LIVE_EDGES_PX
        detector = YuNetDetector(faces.pick("face-detector"), edges=edges)
        recogniser = SFaceRecogniser(model)
    else:
        second = faces.pick("face-detector") if thorough else None
        detector = DlibDetector(faces.pick("face-landmarks"), second)
        session = open_session(converted(model, cache_folder()), name=model.name, threads=threads)
        recogniser = DlibRecogniser(session, name=model.name)
    attack = listed.pick("presentation-attack") if _lists(listed, "presentation-attack") else None
    return Backend(detector, recogniser, model.calibration, attack)


def _lists(manifest: Manifest, role: Role) -> bool:
    return any(model.role == role for model in manifest.model)
