"""``python -m bench.plates.pipeline CLIP``: the whole camera pipeline on one core, and its memory.

Prints one JSON object: ``rss_mib`` after the models are loaded and one frame was looked at,
``fps``: every frame of the clip decoded, its plates found, read and followed, and ``growth_mib``:
what 10,000 detections in small pictures of changing sizes add to the memory.
"""

import json
import os
import sys
import time

import cv2
import numpy as np

from vision.plates.backends import open_recogniser
from vision.plates.passage import Passages
from vision.plates.recognise import Recogniser
from vision.plates.video import video_passages

_WARM_UP, _DETECTIONS = 200, 10_000


def main() -> None:
    """Measure."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    source = sys.argv[1]
    recogniser = open_recogniser()
    _, frame = cv2.VideoCapture(source, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1]).read()
    recogniser.find(np.asarray(frame, np.uint8))
    del frame
    rss_mib = _rss_mib()
    frames = int(cv2.VideoCapture(source).get(cv2.CAP_PROP_FRAME_COUNT))
    start = time.perf_counter()
    passages = list(video_passages(source, recogniser, Passages(), per_s=1000))
    seconds = time.perf_counter() - start
    figures = {"rss_mib": rss_mib, "fps": frames / seconds, "passages": len(passages)}
    print(json.dumps({**figures, "growth_mib": _growth_mib(recogniser)}))


def _growth_mib(recogniser: Recogniser) -> float:
    random = np.random.default_rng(0)
    noise = random.integers(0, 255, (320, 320, 3), np.uint8)
    before = 0.0
    for number in range(_WARM_UP + _DETECTIONS):
        if number == _WARM_UP:
            before = _rss_mib()
        height, width = random.integers(16, 320, 2)
        recogniser.detector.detect(noise[:height, :width])
    return _rss_mib() - before


def _rss_mib() -> float:
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - of the kernel
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
