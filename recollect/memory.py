"""Keeping the memory of this process as small as what is in it."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 1024 * 1024


@cache
def give_large_buffers_back() -> None:
    """Let buffers of a MiB and more go back to the system as soon as nobody needs them.

    The C library of most Linux systems stops doing so once a few were freed (mallopt(3), "dynamic mmap threshold"),
    and then keeps holes of that size in a heap for each thread: a backup of many videos took 490 MB instead of 290.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl has none, and needs none
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def give_free_memory_back() -> None:
    """Give the system back what lies free between smaller things: SQLite's cache of the pages it has checked."""
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
