"""Plates: how fast they are found and read, how well, and the same of the peer, agentclpr.

The peer runs where ``KIOSK_PEER_PYTHON`` names a Python that has it (``pip install agentclpr
onnxruntime``). What is measured on ``../shared/data`` is absent where that folder is.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean
from typing import Any

import cv2

from bench import Figures
from bench.plates import data, scores
from bench.plates.scores import Frame, Read
from vision.clip.render import FRAMES_PER_S
from vision.clip.render import frames as street_frames
from vision.models.errors import ModelError
from vision.plates.backends import open_recogniser
from vision.plates.onnx_detector import STILL
from vision.plates.recognise import Recogniser

_LONG_EDGE = 960
_MIN_CHARACTER = 0.5
_PEER = Path(__file__).with_name("peer.py")


def run() -> Figures:
    """Measure; some minutes."""
    cv2.setNumThreads(1)
    try:
        still = open_recogniser(long_edges=STILL)
    except ModelError as error:
        return {"note": f"no plate is read: {error}"}
    figures: Figures = {}
    notes = []
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg:
        figures |= _pipeline(ffmpeg)
    else:
        notes.append("ffmpeg is not installed: no H.264 clip, so no frame rate and memory")
    if data.FOLDER.is_dir():
        figures |= _speed(open_recogniser())
        figures |= _quality(still)
        figures |= _peer(figures)
    else:
        notes.append("no real pictures beside this checkout (../shared/data/plates)")
    if "peer_exact" not in figures:
        notes.append("no peer: KIOSK_PEER_PYTHON names no Python with agentclpr")
    return {**figures, "note": "; ".join(notes)} if notes else figures


def _speed(recogniser: Recogniser) -> Figures:
    """Time on the pictures at 960 pixels, one thread; the first two warm up.

    ``picture_ms`` is all of it, with the closer looks and their readings.
    """
    detect, read, whole, plates = [], [], [], 0
    for _, picture, _ in data.frames():
        small = data.shrunk(picture, _LONG_EDGE)
        start = time.perf_counter()
        found = recogniser.detector.detect(small)
        detect.append(time.perf_counter() - start)
        recogniser.reader.read(small, [each.corners for each in found])
        read.append(time.perf_counter() - start - detect[-1])
        start = time.perf_counter()
        recogniser.find(small)
        whole.append(time.perf_counter() - start)
        plates += len(found)
    return {
        "detect_ms": round(1000 * mean(detect[2:]), 2),
        "read_ms": round(1000 * sum(read) / max(plates, 1), 2),
        "picture_ms": round(1000 * mean(whole[2:]), 2),
    }


def read_frames(recogniser: Recogniser) -> list[Frame]:
    """Find and read the plates of the whole pictures, at their own size."""
    return [
        Frame(file, labels, tuple(recogniser.find(picture)))
        for file, picture, labels in data.frames()
    ]


def read_crops(recogniser: Recogniser, folder: str) -> list[Read]:
    """Read the cut-out plates of a folder; their group is the part of ``crops-train``."""
    reads = []
    for _, picture, truth in data.crops(folder):
        reading = recogniser.read_crop(picture).reading
        reads.append(Read(truth, reading.text, reading.confidence, data.part_of(picture)))
    return reads


def _quality(recogniser: Recogniser) -> Figures:
    frames = read_frames(recogniser)
    mains = scores.main_reads(frames)
    crops, train = (read_crops(recogniser, folder) for folder in ("crops", "crops-train"))
    right, sure = scores.surely_right([*mains, *crops, *train])
    figures: Figures = {
        "frames_exact": _percent(scores.exact_share(mains)),
        "frames_found": _percent(scores.found_share(frames)),
        "frames_invented": _percent(scores.invented_share(frames, _MIN_CHARACTER)),
        "frames_exact_by_colour": _table(mains, lambda read: read.group),
        "crops_exact": _percent(scores.exact_share(crops)),
        "crops_serial_exact": _percent(scores.serial_share(crops)),
        "crops_exact_by_province": _table(crops, lambda read: read.truth[0]),
    }
    for part in ("lprnet", "harder"):
        of_part = [read for read in train if read.group == part]
        figures[f"crops_train_{part}_exact"] = _percent(scores.exact_share(of_part))
    worst = scores.confusions([*mains, *crops, *train])[:15]
    return {
        **figures,
        "confusions": ", ".join(f"{a or 'nothing'} as {b or 'nothing'} {n}" for a, b, n in worst),
        "sure_right": _percent(right),
        "sure_reads": sure,
        "calibration_error": round(scores.calibration_error([*mains, *crops, *train]), 4),
    }


def _percent(share: float) -> float:
    return round(100 * share, 2)


def _table(reads: list[Read], key: Callable[[Read], str]) -> str:
    shares = scores.shares_by(reads, key)
    return ", ".join(f"{name} {100 * share:.1f} of {n}" for name, (share, n) in shares.items())


def _peer(ours: Figures) -> Figures:
    """Have the peer do the same, in the Python that has it."""
    python = os.environ.get("KIOSK_PEER_PYTHON")
    if not python:
        return {}
    whole = [(file, labels) for file, _, labels in data.frames()]
    crops = {folder: list(data.crops(folder)) for folder in ("crops", "crops-train")}
    jobs = [{"file": str(data.FOLDER / "frames" / file), "crop": False} for file, _ in whole]
    for folder, its in crops.items():
        jobs += [{"file": str(data.FOLDER / folder / file), "crop": True} for file, *_ in its]
    answers = _ask(python, jobs)
    if len(answers) < len(jobs):
        return {}
    texts = [[plate["text"] for plate in answer["plates"]] for answer in answers]
    exact = [
        label.text in texts[at]
        for at, (_, labels) in enumerate(whole)
        for label in labels
        if label.main
    ]
    figures: Figures = {"peer_exact": _percent(mean(exact))}
    at = len(whole)
    reads = []
    for folder, its in crops.items():
        for _, picture, truth in its:
            group = "crops" if folder == "crops" else f"crops_train_{data.part_of(picture)}"
            reads.append(Read(truth, texts[at][0], group=group))
            at += 1
    for group, (share, _) in scores.shares_by(reads, lambda read: read.group).items():
        figures[f"peer_{group}_exact"] = _percent(share)
    timed = answers[2 : len(whole)]
    detect_ms = mean(answer["detect_ms"] for answer in timed)
    picture_ms = detect_ms + mean(answer["read_ms"] for answer in timed)
    plates = sum(len(answer["plates"]) for answer in timed)
    return {
        **figures,
        "peer_detect_ms": round(detect_ms, 2),
        "peer_read_ms": round(sum(answer["read_ms"] for answer in timed) / max(plates, 1), 2),
        "peer_picture_ms": round(picture_ms, 2),
        "speedup": round(picture_ms / float(ours["picture_ms"]), 2),
    }


def _ask(python: str, jobs: Iterable[dict[str, object]]) -> list[dict[str, Any]]:
    asked = "".join(json.dumps(job) + "\n" for job in jobs)
    done = subprocess.run(
        [python, str(_PEER)], input=asked, capture_output=True, text=True, check=False
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _pipeline(ffmpeg: str) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "street.mp4"
        _make_clip(ffmpeg, clip)
        command = [sys.executable, "-m", "bench.plates.pipeline", str(clip)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    return {
        "fps_1080p_one_core": round(measured["fps"], 2),
        "rss_mib": round(measured["rss_mib"], 1),
        "growth_mib": round(measured["growth_mib"], 1),
        "clip_passages": measured["passages"],
    }


def _make_clip(ffmpeg: str, path: Path) -> None:
    """Encode the demo's street, where a car drives up, at 1080p and a camera's bit rate."""
    command = [ffmpeg, "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "bgr24"]
    command += ["-s", "1280x720", "-r", str(FRAMES_PER_S), "-i", "-", "-vf", "scale=1920:1080"]
    command += ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-b:v", "4M"]
    with subprocess.Popen([*command, str(path)], stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None  # noqa: S101 - asked for above
        for picture in street_frames("street"):
            encoder.stdin.write(picture.tobytes())
