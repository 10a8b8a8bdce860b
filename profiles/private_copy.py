"""The side of a copy that is ours: private files that are written, filled and, if the work fails, removed."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from profiles.errors import TargetUnusable
from profiles.source_stamp import beside

_SIDECARS: Final = ("-wal", "-shm", "-journal")
_DISK_TROUBLE: Final = (
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)
_NO_ROOM: Final = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


@contextmanager
def fresh_database(target: Path) -> Iterator[None]:
    """Claim the new file `target`, readable by its owner only, for the work inside.

    What SQLite may leave beside it is removed before and after. If the work fails, so is `target`.
    Raises TargetUnusable.
    """
    with target_troubles(target):
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        _remove_sidecars(target)
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        _remove_sidecars(target)


def _remove_sidecars(target: Path) -> None:
    for suffix in _SIDECARS:
        beside(target, suffix).unlink(missing_ok=True)


@contextmanager
def opened_target(path: Path) -> Iterator[int]:
    """A descriptor of `path`, made or emptied, to write to. Raises TargetUnusable."""
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    with target_troubles(path):
        descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however many calls that takes. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


@contextmanager
def target_troubles(target: Path) -> Iterator[None]:
    """Turn an OSError met inside, while `target` is written, into a TargetUnusable."""
    try:
        yield
    except OSError as error:
        raise target_trouble(error, target) from error


def target_trouble(error: OSError, target: Path) -> TargetUnusable:
    """What a person should hear when writing the private copy `target` failed with `error`."""
    if error.errno in _NO_ROOM:
        return TargetUnusable(
            f"There is no room left in {target.parent} for a private copy of the collection",
            "Free as much space there as the collection takes, then try again",
        )
    if isinstance(error, FileExistsError):
        return TargetUnusable(f"{target} exists already", "Choose another place for the private copy")
    return TargetUnusable(
        f"The private copy {target} could not be written: {error.strerror or error}",
        "Check that its folder exists and may be written to",
    )


def is_disk_trouble(error: sqlite3.Error) -> bool:
    """Whether SQLite met `error` at writing a private copy, and not at what is in it."""
    # The low byte is the primary code (https://sqlite.org/rescode.html#extrc).
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in _DISK_TROUBLE
