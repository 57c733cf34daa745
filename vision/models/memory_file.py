"""A file in memory, without a place on disk: for libraries that read models from paths alone."""

import os
from typing import BinaryIO


def memory_file(content: bytes = b"") -> BinaryIO:
    """Make one, at its beginning; its memory goes when it is closed. Raises ``OSError``."""
    file = os.fdopen(os.memfd_create("model"), "w+b")
    file.write(content)
    file.seek(0)
    return file


def path_of(file: BinaryIO) -> str:
    """Where this process finds it as long as it is open."""
    return f"/proc/self/fd/{file.fileno()}"
