"""What the C library would hold back of memory that is free again."""

import ctypes

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 128 * 1024
_LIBC = ctypes.CDLL(None)
_trim = getattr(_LIBC, "malloc_trim", None)  # glibc's


def give_large_blocks_back() -> None:
    """Have what is large go back to the system once it is free.

    Else malloc would raise its limit to the largest picture, and keep as much.
    """
    _LIBC.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def give_all_back() -> None:
    """Return what is free now: tens of megabytes after loading a model. Some milliseconds."""
    if _trim is not None:
        _trim(0)
