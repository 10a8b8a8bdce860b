"""What a process that lives for seconds need not do."""

from __future__ import annotations

import atexit
import gc
import os

_OBJECTS_BETWEEN_SEARCHES = 50_000
"""Python's own is 700: it looks for rings of garbage a hundred times while it loads modules, and finds none."""


def live_shortly() -> None:
    """Let Python look for garbage that refers to itself seldom, and not at all as the process ends.

    And let NumPy do without the threads of its linear algebra, which nothing here uses.

    What makes up a command's start and its end is the loading of modules, and the search through them. Measured with
    the packages that S3 needs: 0.75 s of 1.0 s computed at the start are left, and 0.05 s of 0.35 s at the end.
    """
    # Read once, when NumPy is loaded; starting those threads takes nearly half of that.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(_OBJECTS_BETWEEN_SEARCHES, 20, 100)
    atexit.register(gc.freeze)
