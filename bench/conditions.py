"""Letting every command meet the same computer: one that has run for a while, and has nothing left to do.

Two things would otherwise cost whoever comes second more than what is measured. ext4 gives no inode again that was
freed in the last five minutes, and looks through all of them for each new file (`recently_deleted` in Linux's
fs/ext4/ialloc.c); and memory that nobody used lately is the host's on most virtual machines, which takes seconds for
each GiB to give it back (free page reporting).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

_CHUNK_BYTES = 1 << 20
_LEFT_FREE_BYTES = 512 << 20


def free_memory() -> int:
    """Bytes of memory that nothing uses, not even the page cache; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 0


class Conditions:
    """Keeps its own files below `folder`, which must exist; they are gone with it."""

    def __init__(self, folder: Path, free: Callable[[], int] = free_memory) -> None:
        self._folder = folder
        self._free = free
        self._discarded = 0
        self._filled = 0

    def settle(self) -> None:
        """Wait until the disk has all that was written, and let the page cache fill the memory."""
        # What one tool has written must not be the next one's burden.
        os.sync()
        self._fill_memory()

    def discard(self, folder: Path) -> None:
        """Take a folder out of the way, if it is there: its space is free then, and its inodes are not."""
        if not folder.exists():
            return
        for path in folder.rglob("*"):
            # Of a file with several names the others keep the content.
            if path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1:
                os.truncate(path, 0)
        aside = self._folder / "discarded"
        aside.mkdir(exist_ok=True)
        shutil.move(folder, aside / str(self._discarded))
        self._discarded += 1

    def _fill_memory(self) -> None:
        """Read a file of holes until little memory is free. What it takes in the page cache is the first to go."""
        free = self._free()
        if free <= _LEFT_FREE_BYTES:
            return
        chunk = bytearray(_CHUNK_BYTES)
        with (self._folder / "filler").open("a+b") as filler:
            # Longer each time, so that what is read is never in the cache already.
            filler.truncate(self._filled + free)
            for _ in range(free // _CHUNK_BYTES):
                if self._free() <= _LEFT_FREE_BYTES:
                    break
                os.preadv(filler.fileno(), [chunk], self._filled)
                self._filled += _CHUNK_BYTES
