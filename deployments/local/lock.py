"""A lock of the operating system on a small file: it tells that a process lives, and ends with it, however it ends.

A process id alone does not: the system gives it to another process some day.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_REFUSED = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
_LONGEST_NOTE = 32
_PAST_THE_NOTE = 0x40000000
_BRIEFLY_S = 1.0
"""Longer than `holder` keeps a lock to see whether it is free."""


@contextmanager
def held(file: Path) -> Iterator[bool]:
    """Hold the lock on `file` within the context, with this process's id in it; yields whether it could be had."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = _opened(file, os.O_CREAT)
    try:
        until = time.monotonic() + _BRIEFLY_S
        while not (taken := _take(descriptor)) and time.monotonic() < until:
            time.sleep(0.05)
        if taken:
            # Nothing rests on the note but the end of a process that does not end by itself: a full disk costs that.
            with contextlib.suppress(OSError):
                os.write(descriptor, f"{os.getpid()}\n".encode().ljust(_LONGEST_NOTE))
        yield taken
    finally:
        os.close(descriptor)


def holder(file: Path) -> int | None:
    """The id of the process that holds the lock on `file`; None when none does, and 0 when it can't be told which."""
    try:
        descriptor = _opened(file, 0)
    except OSError:
        return None
    try:
        if _take(descriptor, shared=True):
            return None
        noted = os.read(descriptor, _LONGEST_NOTE).strip()
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return int(noted) if noted.isdigit() else 0


def _opened(file: Path, flags: int) -> int:
    # What is opened here is not inherited: a process that the holder starts does not keep its lock.
    return os.open(file, os.O_RDWR | flags | getattr(os, "O_BINARY", 0), 0o600)


def _take(descriptor: int, *, shared: bool = False) -> bool:
    try:
        _lock(descriptor, shared=shared)
    except OSError as error:
        if error.errno in _REFUSED:
            return False
        raise
    return True


if sys.platform == "win32":

    def _lock(descriptor: int, *, shared: bool) -> None:  # noqa: ARG001 - the C library has no locks that are shared
        # Past the note, for what is locked can't be read.
        os.lseek(descriptor, _PAST_THE_NOTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:

    def _lock(descriptor: int, *, shared: bool) -> None:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
