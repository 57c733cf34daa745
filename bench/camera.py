"""What a capture process costs, beside bare decoding of the same frames at the same rate.

Three processes run side by side on one 1080p25 H.264 file, each decoding in one thread: ours
(motion and tamper checks, shared frames), one that only calls ``VideoCapture.read()`` (with the
conversion to BGR), and one that only calls ``grab()`` (without it).
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import psutil

from bench import Figures
from vision.clip.render import frames
from vision.order import Order
from vision.presence import WIDTH_PX, dlib_faces
from vision.process import start_capture
from vision.report import Beat, Opened, parse_report
from vision.settings import CameraSettings, PresenceSettings

_SECONDS = 20
_FPS = 25
_LOOKS = 20

_BARE = """
import sys, time
import cv2
cv2.setNumThreads(1)
source, method, fps, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
step = getattr(capture, method)
step()
count, start, spent = 0, time.monotonic(), time.process_time()
while count < fps * seconds:
    result = step()
    if not (result if method == "grab" else result[0]):
        sys.exit("the file ended early")
    count += 1
    time.sleep(max(0.0, start + count / fps - time.monotonic()))
print((time.process_time() - spent) / count)
"""


def run() -> Figures:
    """Measure; some 30 seconds."""
    figures: Figures = {"presence_ms": round(_presence_ms(), 2)}
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return {**figures, "note": "ffmpeg is not installed: no H.264 file to measure with"}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "camera.mp4"
        _make(ffmpeg, source)
        bare = {method: _start_bare(source, method) for method in ("read", "grab")}
        ours = asyncio.run(_ours(source))
        read, grab = (float(bare[method].communicate()[0]) for method in ("read", "grab"))
    per_frame = float(ours.pop("cpu_s_per_frame"))
    return {
        "ratio": round(per_frame / read, 3),
        "ratio_to_grab": round(per_frame / grab, 3),
        "bare": "VideoCapture.read(), decoding and conversion to BGR, one thread",
        "cpu_percent": round(100 * per_frame * _FPS, 2),
        "bare_cpu_percent": round(100 * read * _FPS, 2),
        "bare_grab_cpu_percent": round(100 * grab * _FPS, 2),
        **ours,
        **figures,
    }


def _make(ffmpeg: str, path: Path) -> None:
    """Encode a moving, noisy picture, longer than what is measured, at a camera's bit rate."""
    command = [ffmpeg, "-loglevel", "error", "-f", "lavfi"]
    command += ["-i", f"testsrc2=size=1920x1080:rate={_FPS},noise=alls=6:allf=t"]
    command += ["-t", str(_SECONDS + 15), "-c:v", "libx264", "-preset", "veryfast"]
    command += ["-pix_fmt", "yuv420p", "-b:v", "4M", "-g", "50", str(path)]
    subprocess.run(command, check=True)


def _start_bare(source: Path, method: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _BARE, str(source), method, str(_FPS), str(_SECONDS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def _ours(source: Path) -> Figures:
    fd = os.memfd_create("bench")
    settings = CameraSettings(
        name="bench", source=str(source), presence=PresenceSettings(enabled=False)
    )
    capture = await start_capture(Order(source=str(source), settings=settings, frames_fd=fd))
    first: tuple[float, int] | None = None
    beat, spent, started_s = None, 0.0, 0.0
    try:
        while line := await capture.read():
            report = parse_report(line)
            if isinstance(report, Opened):
                started_s = _cpu_s()
            if not isinstance(report, Beat):
                continue
            beat, spent = report, _cpu_s()
            first = first or (spent, beat.frames)
            if beat.frames - first[1] >= _FPS * (_SECONDS - 2):
                break
    finally:
        await capture.close(kill=False)
        os.close(fd)
    if first is None or beat is None:
        msg = f"the capture process gave no frames: {capture.last_words}"
        raise RuntimeError(msg)
    return {
        "cpu_s_per_frame": (spent - first[0]) / (beat.frames - first[1]),
        "start_cpu_s": round(started_s, 2),
        "rss_mib": round(beat.rss_bytes / 2**20, 1),
        "analysed_per_s": settings.frames_per_s,
        "dropped": beat.dropped,
    }


def _cpu_s() -> float:
    """CPU seconds of our capture process so far."""
    for child in psutil.Process().children():
        if "vision.capture" in child.cmdline():
            times = child.cpu_times()
            return float(times.user + times.system)
    return 0.0


def _presence_ms() -> float:
    """Time of one look for a face, on a frame of the demo clip with a person in it."""
    person = next(picture for index, picture in enumerate(frames("counter")) if index == 100)
    small = cv2.resize(person, (WIDTH_PX, WIDTH_PX * 9 // 16), interpolation=cv2.INTER_AREA)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)
    find = dlib_faces()
    start = time.process_time()
    for _ in range(_LOOKS):
        find(grey)
    return 1000 * (time.process_time() - start) / _LOOKS
