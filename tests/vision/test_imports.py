"""What each process pays for: memory is short on a kiosk."""

import subprocess
import sys

import pytest

HEAVY = ("numpy", "cv2", "dlib", "onnxruntime", "torch", "ultralytics")


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("agent.daemon", HEAVY),
        ("vision.plates.watcher", HEAVY),
        ("vision.identity.watcher", HEAVY),
        ("vision.capture", ("contract", "structlog", "asyncio", "onnxruntime")),
        ("vision.plates.watch", ("contract", "structlog", "asyncio", "dlib", "torch")),
        ("vision.identity.watch", ("contract", "structlog", "asyncio", "torch")),
    ],
)
def test_who_imports_what(modules, absent):
    """The agent carries no networks, and the processes of cameras nothing of the agent."""
    program = f"import sys, {modules}\nprint(*(m for m in {absent} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []
