"""A lock that tells that a process lives, and which one it is; it ends with that process, however it ends.

A process id alone does not: the system gives it to another process some day.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.machine_lock import MachineLock

_BRIEFLY_S = 1.0
"""Longer than `holder` keeps a lock to see whether it is free."""


@contextmanager
def held(file: Path) -> Iterator[bool]:
    """Hold the lock on `file` within the context, with this process's id in it; yields whether it could be had."""
    with MachineLock(file) as lock:
        until = time.monotonic() + _BRIEFLY_S
        while not (taken := lock.take(str(os.getpid()).encode(), alone=True)) and time.monotonic() < until:
            time.sleep(0.05)
        yield taken


def holder(file: Path) -> int | None:
    """The id of the process that holds the lock on `file`; None when none does, and 0 when it can't be told which."""
    if not file.exists():
        return None
    try:
        with MachineLock(file) as lock:
            if lock.take(b"", alone=False):
                return None
            noted = lock.note()
    except OSError:
        return None
    return int(noted) if noted.isdigit() else 0
