"""Locks between the processes and threads of this computer, which the system gives back when their holder is killed."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LONGEST_NOTE = 256
"""Bytes that fit into a lock's note."""

_LOCK_START = 0x40000000
_LOCK_LENGTH = 0x20000000
_REFUSED = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}


class MachineLock:
    """A lock on a small file, in which its holder leaves a note. It is held until the context ends.

    Each one that is open stands against each other one, in whichever thread or process; a process that this one starts
    does not inherit it. The file is never removed: two runs would hold locks on different files of one name.

    Everything raises OSError where nothing can be locked, as in a folder that can't be written to.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        self._given_back: Callable[[], None] | None = None
        self._note = b""

    def __enter__(self) -> MachineLock:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            # Another one that shares the lock may have noted something down since.
            if self._note and self.note() == self._note:
                self._write(b"")
        with contextlib.suppress(OSError):
            if self._given_back is not None:
                self._given_back()
        os.close(self._descriptor)

    def take(self, note: bytes, *, alone: bool) -> bool:
        """Try to take the lock, alone or beside others that share it; whether it could be had.

        An empty note leaves the one that is there.
        """
        try:
            self._given_back = _locked(self._descriptor, alone=alone)
        except OSError as error:
            if error.errno in _REFUSED:
                return False
            raise
        self._note = note[:LONGEST_NOTE]
        # A full disk costs the note alone.
        with contextlib.suppress(OSError):
            if self._note:
                self._write(self._note)
        return True

    def note(self) -> bytes:
        """What the holder noted down; empty, or of one who was killed, in the moment before it does so."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, LONGEST_NOTE).rstrip(b" ")

    def _write(self, note: bytes) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, note.ljust(LONGEST_NOTE))


if sys.platform == "win32":

    def _locked(descriptor: int, *, alone: bool) -> Callable[[], None]:
        # Locks of the C library can't be shared. As SQLite did on Windows 95 (src/os_win.c, winGetReadLock): whoever
        # shares takes one byte of many, whoever wants to be alone takes all. They lie past the end of the file, for
        # what is locked can't be read.
        first = _LOCK_START if alone else _LOCK_START + random.randrange(_LOCK_LENGTH)
        length = _LOCK_LENGTH if alone else 1
        os.lseek(descriptor, first, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, length)

        def give_back() -> None:
            os.lseek(descriptor, first, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, length)

        return give_back

else:

    def _locked(descriptor: int, *, alone: bool) -> Callable[[], None]:
        # Not lockf: those belong to a process, so that its threads would not stand against each other. What flock gives
        # belongs to the open file: a forked process has it too, and giving back takes it from both (flock(2)).
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        return lambda: fcntl.flock(descriptor, fcntl.LOCK_UN)
