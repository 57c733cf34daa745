"""Identity: how fast a face is found, embedded, verified and looked for, and how well.

What is measured on ``../shared/data`` is absent where that folder is. One thread does everything.
Liveness is measured by itself, as it takes long: ``python -m bench.identity.attacks``.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from bench import Figures
from bench.identity import data
from vision.identity.backends import open_backend
from vision.identity.base import Picture
from vision.identity.chain import Chain
from vision.identity.dlib_backend import DlibRecogniser
from vision.identity.gallery_record import Stored
from vision.identity.rates import NEVER, interval, rates_at
from vision.identity.search import Index
from vision.models.errors import ModelError
from vision.models.manifest import load_manifest
from vision.video import frames_of

ENROLLED = 10_000
_QUALITY_PER_S = 3.0


def run() -> Figures:
    """Measure; half a minute."""
    cv2.setNumThreads(1)
    try:
        chain = Chain(open_backend())
        still = Chain(open_backend(thorough=True))
    except ModelError as error:
        return {"note": f"no face is compared: {error}"}
    figures = _speed(chain) | _process()
    if data.PICTURES.is_dir():
        figures |= _pairs(still)
    if data.VIDEO.is_file():
        figures |= _quality(chain)
    if not data.FOLDER.is_dir():
        figures["note"] = "no real faces beside this checkout (../shared/data): a drawn one"
    return figures


def index_of(count: int, dimension: int) -> Index:
    """Make a gallery of random templates."""
    random = np.random.default_rng(0)

    def stored() -> Iterator[Stored]:
        for number in range(count):
            row = random.normal(size=dimension)
            row /= np.linalg.norm(row)
            yield Stored(enrolment=f"{number:016x}", template=row.astype("<f4").tobytes())

    return Index(stored(), dimension)


def verify(chain: Chain, frame: Picture, document: NDArray[np.float32]) -> str:
    """Decide on one frame: find, judge, align, embed, compare."""
    look = chain.look(frame)
    if look.main is None:
        return "refer"
    return chain.outcome(chain.similarity(chain.template(frame, look.main), document))


def _speed(chain: Chain) -> Figures:
    frame, source = data.frame(chain)
    recogniser = chain.backend.recogniser
    face = chain.find(frame)[0]
    chip = recogniser.align(frame, face)
    document = chain.template(frame, face)
    network = _plain_dlib()
    assert isinstance(recogniser, DlibRecogniser)  # noqa: S101 - what is shipped
    (ours,) = recogniser.describe(chip[None])
    plain = _plain_descriptor(network, chip)
    # By turns, so that what else the machine does hits both alike.
    embed_ms, plain_ms = times_ms(
        lambda: recogniser.embed([chip]), lambda: _plain_descriptor(network, chip)
    )
    detect_ms, judge_ms, verify_ms = times_ms(
        lambda: chain.find(frame),
        lambda: chain.judge(frame, face),
        lambda: verify(chain, frame, document),
    )
    return {
        "frame": source,
        "detect_ms": detect_ms,
        "judge_ms": judge_ms,
        "embed_ms": embed_ms,
        "plain_dlib_embed_ms": plain_ms,
        "embed_speedup": round(plain_ms / embed_ms, 2),
        "embed_error": float(np.abs(ours - plain).max()),
        "verify_ms": verify_ms,
    }


def times_ms(*works: Callable[[], object], rounds: int = 30) -> tuple[float, ...]:
    """Time works by turns; the median of each."""
    times: list[list[float]] = [[] for _ in works]
    for number in range(rounds + 2):
        for work, taken in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            if number >= 2:
                taken.append(1000 * (time.perf_counter() - start))
    return tuple(round(median(taken), 2) for taken in times)


def _plain_dlib() -> "dlib.face_recognition_model_v1":
    """Load dlib's network from the package that brings it, unimported."""
    return dlib.face_recognition_model_v1(str(load_manifest().pick("face-recogniser").file))


def _plain_descriptor(
    network: "dlib.face_recognition_model_v1", chip: Picture
) -> NDArray[np.float64]:
    return np.array(network.compute_face_descriptor(np.ascontiguousarray(chip[:, :, ::-1])))


def _process() -> Figures:
    """Measure a process like that of a camera: it is given its frame, and has one thread."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "frame.png"
        cv2.imwrite(str(file), data.drawn_frame())
        command = [sys.executable, "-m", "bench.identity.process", str(file)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, **limits}
        )
    measured: Figures = json.loads(done.stdout)
    return measured


def _pairs(chain: Chain) -> Figures:
    """Compare all labelled pictures with one another."""
    seen = []
    for person, picture in data.portraits():
        main = chain.look(picture).main
        seen.append((person, chain.template(picture, main) if main else None))
    pairs = list(itertools.combinations(seen, 2))
    same = [one == other for (one, _), (other, _) in pairs]
    similarities = [
        NEVER if a is None or b is None else chain.similarity(a, b) for (_, a), (_, b) in pairs
    ]
    rates = rates_at(chain.backend.calibration.match_at, similarities, same)
    return {
        "pairs": len(pairs),
        "pairs_accuracy_percent": round(100 * (rates.accuracy or 0), 2),
        "pairs_fmr_percent": round(100 * (rates.fmr or 0), 2),
        "pairs_fmr_below_percent": round(100 * interval(rates.false, rates.impostor)[1], 2),
        "pairs_fnmr_percent": round(100 * (rates.fnmr or 0), 2),
        "pairs_fnmr_below_percent": round(100 * interval(rates.missed, rates.genuine)[1], 2),
        "pairs_threshold": rates.threshold,
    }


def _quality(chain: Chain) -> Figures:
    """Judge the faces of the video: people before a camera who do not pose for it."""
    faces = good = 0
    for _, picture in frames_of(str(data.VIDEO), per_s=_QUALITY_PER_S):
        look = chain.look(picture)
        faces += look.main is not None
        good += look.quality.is_good
    return {"video_faces": faces, "video_good_percent": round(100 * good / max(faces, 1), 1)}
