"""What a command brings back on ``up/media``: checked against its receipt, written whole."""

import hashlib
from pathlib import Path

from console import files
from console.errors import ReceivedError
from console.outcome import Ending


def checked_media(ending: Ending) -> bytes:
    """Return what arrived for a command that succeeded.

    Raises:
        ReceivedError: nothing arrived, or something else than the receipt says.
    """
    kiosk, content = ending.kiosk, ending.media
    if content is None:
        msg = f"{kiosk} did it, but what it brings did not arrive in time; ask again"
        raise ReceivedError(msg)
    result = (ending.last.result if ending.last else None) or {}
    promised = result.get("sha256")
    if promised is None:
        msg = f"{kiosk} did not say the hash of what it sends; nothing was written"
        raise ReceivedError(msg)
    if hashlib.sha256(content).hexdigest() != promised:
        msg = (
            f"what arrived from {kiosk} ({len(content)} bytes) is not what it says it sent; "
            "nothing was written"
        )
        raise ReceivedError(msg)
    return content


def keep(ending: Ending, path: Path) -> int:
    """Write what arrived into a file; returns how many bytes.

    Raises:
        ConsoleError: nothing arrived, something else arrived, or it cannot be written.
    """
    content = checked_media(ending)
    files.save(path, content)
    return len(content)
