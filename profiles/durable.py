"""Making what was written outlast a power cut, and saying it plainly when a disk will not take it."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from profiles.errors import TargetUnusable

if sys.platform != "win32":
    import fcntl

_SYNCS_AT_ONCE = 8
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def sync_descriptor(descriptor: int) -> None:
    """Return once everything written through `descriptor` is on the disk itself."""
    if sys.platform == "darwin":
        # fsync(2) on macOS leaves the data in the drive's own cache; not every file system knows F_FULLFSYNC.
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def sync_file(path: Path) -> None:
    """Return once the bytes, owner and mode of the file are on the disk."""
    # Windows flushes only through a handle that may write (FlushFileBuffers).
    mode = os.O_RDWR | getattr(os, "O_BINARY", 0) if sys.platform == "win32" else os.O_RDONLY
    descriptor = os.open(path, mode)
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Return once names added to, removed from or changed in the folder are on the disk.

    Windows can't open a folder for this, and NTFS logs such changes in order.
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def sync_files_below(folder: Path) -> None:
    """Return once the files in the folder, and their names, are on the disk: cheaper than one after the other.

    sync(2) on Linux waits for all that was written, as POSIX does not ask it to.
    """
    if sys.platform == "linux":
        os.sync()
        return
    with os.scandir(folder) as entries:
        files = [Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False)]
    with ThreadPoolExecutor(_SYNCS_AT_ONCE, thread_name_prefix="sync") as pool:
        for _ in pool.map(sync_file, files):
            pass
    sync_folder(folder)


def take_over_owner_and_mode(path: Path, model: Path) -> None:
    """Give a file that its owner alone may read to the owner of `model`, with its mode; as far as the system lets us.

    The mode stays where the owner and group can't be given: it may tell of another group than the file then has.
    """
    if sys.platform == "win32":
        return  # The folder's access list is inherited.
    given, own = model.stat(), path.stat()
    with suppress(PermissionError):
        if (own.st_uid, own.st_gid) != (given.st_uid, given.st_gid):
            os.chown(path, given.st_uid, given.st_gid)
        path.chmod(stat.S_IMODE(given.st_mode) & 0o666 | 0o600)


@contextmanager
def told_plainly(what: str, *, then: str = "restore again") -> Iterator[None]:
    """Turn an OSError inside into TargetUnusable, whose problem begins with `what` ("/a/b could not be written").

    `then` is what to do once that has been seen to.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise TargetUnusable(
                f"{what}: there is no space left", f"Free some space on that disk, then {then}"
            ) from error
        raise TargetUnusable(
            f"{what}: {error.strerror or error}",
            f"Check that the place is there, belongs to you and can be written to, then {then}",
        ) from error
