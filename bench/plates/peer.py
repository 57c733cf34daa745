"""Runs agentclpr (PyPI, Apache-2.0) on pictures: a program for another Python, which has it.

Standard input gives one job a line, ``{"file": ..., "crop": bool}``; the answers, one a line, are
``{"plates": [{"text", "corners"}], "detect_ms", "read_ms"}``. Whole pictures are shrunk to 960
pixels; plates are straightened by the corners found and then read. One thread.
"""

import json
import os
import sys
import time
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import cv2
import numpy as np
import onnxruntime

cv2.setNumThreads(1)
_Session = onnxruntime.InferenceSession
_LONG_EDGE = 960
_WIDTH_PX, _HEIGHT_PX = 256, 72
_ASIDE, _ABOVE = 0.04, -0.22
"""What is taken beside the corners it finds and cut off above and below them, in shares of the
plate: of 70 choices the one that reads most of ``frames`` (75%; 33% without)."""
_CROP_PX = (230, 48)
"""Cut-out plates are made so large: of 20 choices the one that reads most of them."""


def _one_thread(model: Any, sess_options: Any = None, **others: Any) -> Any:
    options = sess_options or onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    others["providers"] = ["CPUExecutionProvider"]
    return _Session(model, options, **others)


onnxruntime.InferenceSession = _one_thread


def main() -> None:
    """Answer all jobs."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    from agentclpr import (  # type: ignore[import-not-found]  # noqa: PLC0415 - sessions first
        CLPSystem,
    )

    system = CLPSystem()
    for line in sys.stdin:
        job = json.loads(line)
        picture = cv2.imread(job["file"])
        answer = _read_crop(system, picture) if job["crop"] else _read_whole(system, picture)
        print(json.dumps(answer, ensure_ascii=False), file=out, flush=True)


def _read_crop(system: Any, picture: Any) -> dict[str, Any]:
    start = time.perf_counter()
    text = _text(system, cv2.resize(picture, _CROP_PX))
    read_ms = 1000 * (time.perf_counter() - start)
    return {"plates": [{"text": text, "corners": None}], "detect_ms": 0.0, "read_ms": read_ms}


def _read_whole(system: Any, picture: Any) -> dict[str, Any]:
    scale = min(1.0, _LONG_EDGE / max(picture.shape[:2]))
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    start = time.perf_counter()
    found = system.det(picture)
    detect_ms = 1000 * (time.perf_counter() - start)
    plates = []
    start = time.perf_counter()
    for each in found:
        corners = each[5:13].reshape(4, 2).astype(np.float32)
        text = _text(system, _straight(picture, corners))
        plates.append({"text": text, "corners": (corners / scale).tolist()})
    read_ms = 1000 * (time.perf_counter() - start)
    return {"plates": plates, "detect_ms": detect_ms, "read_ms": read_ms}


def _straight(picture: Any, corners: Any) -> Any:
    round_ = np.argsort(np.arctan2(*(corners - corners.mean(0)).T[::-1]))
    turns = [np.roll(corners[round_], turn, 0) for turn in range(4)]
    corners = max(turns, key=lambda c: c[1, 0] + c[2, 0] - c[0, 0] - c[3, 0])  # from the top left
    x, y = _ASIDE * _WIDTH_PX, _ABOVE * _HEIGHT_PX
    right, bottom = _WIDTH_PX - x, _HEIGHT_PX - y
    target = np.array(((x, y), (right, y), (right, bottom), (x, bottom)), np.float32)
    turn = cv2.getPerspectiveTransform(corners, target)
    return cv2.warpPerspective(
        picture, turn, (_WIDTH_PX, _HEIGHT_PX), borderMode=cv2.BORDER_REPLICATE
    )


def _text(system: Any, plate: Any) -> str:
    read = system.ocr(plate, det=False, cls=False)
    return "".join(char for char in (read[0][0] if read else "") if char.isalnum()).upper()


if __name__ == "__main__":
    main()
