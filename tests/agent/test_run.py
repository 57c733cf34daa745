"""The daemon's own process."""

import subprocess
import sys

RARELY_USED = {"cv2", "dlib", "numpy", "pydantic_settings", "rich", "tarfile", "typer"}


def test_daemon_carries_no_more_than_it_needs():
    """Memory is short on a kiosk: what few of them use, and seldom, is loaded when it is used."""
    code = (
        "import sys, agent.run;"
        f"print(sorted(name for name in {RARELY_USED} if sys.modules.get(name) is not None))"
    )
    seen = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert seen.stdout.strip() == "[]"
