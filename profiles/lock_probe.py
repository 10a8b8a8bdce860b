"""Who has a collection open, found out without opening it through SQLite.

Anki keeps the collection locked from opening to closing (`locking_mode exclusive`, rslib/src/storage/sqlite.rs), so
the lock is the one true sign: a `-wal` beside the file may as well be left over from a crash. SQLite locks the 512
bytes from PENDING_BYTE on, in a page that never holds data (src/os.h, "The following values may be overridden").
"""

from __future__ import annotations

import os
import stat
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from profiles.errors import SourceUnreadable

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_START = 0x40000000
LOCK_LENGTH = 512

# struct flock. Linux (bits/fcntl.h): type, whence, start, length, pid. macOS and the BSDs (sys/fcntl.h): start,
# length, pid, type, whence, and on FreeBSD a system id. Native alignment puts the gaps where C puts them; the zero
# bytes at the end cover the padding of the struct's own size.
_FLOCK_LINUX = "hhqqi8x"
_FLOCK_BSD = "qqihhi8x"


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that has the collection open; what the platform does not tell is None."""

    pid: int | None
    command: str | None


def holder_of(collection: Path) -> Holder | None:
    """Tell which process has `collection` open through SQLite, or None when nobody has or there is no such file.

    On Linux and macOS this asks with F_GETLK and takes no lock itself. It closes a descriptor of the file, which drops
    every POSIX lock this process holds on it: never call it while an own SQLite connection or lock to it is open, and
    it does not report this process itself. Windows has no such question, so there the lock is tried for an instant
    and given back; locks are mandatory there and belong to a handle, so a holder always makes the try fail.

    Raises SourceUnreadable when the file can't be opened or its locks can't be asked for.
    """
    # Without O_NONBLOCK a named pipe in the file's place would make open() wait for ever (open(2)).
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(collection, flags)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _cannot_tell(collection, error.strerror) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _cannot_tell(collection, "it is not a file")
        return _holder_of_descriptor(descriptor)
    except OSError as error:
        raise _cannot_tell(collection, error.strerror) from error
    finally:
        os.close(descriptor)


def printable_command(name: str) -> str | None:
    """The name of a process, which chose it itself, without control characters for a person's terminal."""
    return "".join(character for character in name if character.isprintable()) or None


def _cannot_tell(collection: Path, reason: str | None) -> SourceUnreadable:
    return SourceUnreadable(
        f"Whether Anki has {collection} open can't be told: {reason}",
        "Check that the file and its folder belong to you and can be read, then try again",
    )


if sys.platform == "win32":

    def _holder_of_descriptor(descriptor: int) -> Holder | None:
        # _locking works from the file position on, and positions past the end are allowed (LockFile).
        os.lseek(descriptor, LOCK_START, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, LOCK_LENGTH)
        except PermissionError:
            return Holder(pid=None, command=None)
        os.lseek(descriptor, LOCK_START, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, LOCK_LENGTH)
        return None

else:

    def _holder_of_descriptor(descriptor: int) -> Holder | None:
        # F_GETLK turns the question "would this lock be granted?" into the lock that stands in its way (fcntl(2)). The
        # descriptor may be read-only: only taking a write lock needs a writable one.
        kind, pid = _unpack_flock(fcntl.fcntl(descriptor, fcntl.F_GETLK, _pack_flock(fcntl.F_WRLCK)))
        if kind == fcntl.F_UNLCK:
            return None
        # A holder in another pid namespace shows as 0, one with an open-file-description lock as -1.
        return Holder(pid=pid, command=_command_of(pid)) if pid > 0 else Holder(pid=None, command=None)

    def _pack_flock(kind: int) -> bytes:
        if sys.platform.startswith("linux"):
            return struct.pack(_FLOCK_LINUX, kind, os.SEEK_SET, LOCK_START, LOCK_LENGTH, 0)
        return struct.pack(_FLOCK_BSD, LOCK_START, LOCK_LENGTH, 0, kind, os.SEEK_SET, 0)

    def _unpack_flock(answer: bytes) -> tuple[int, int]:
        if sys.platform.startswith("linux"):
            kind, _, _, _, pid = struct.unpack(_FLOCK_LINUX, answer)
        else:
            _, _, pid, kind, _, _ = struct.unpack(_FLOCK_BSD, answer)
        return int(kind), int(pid)

    def _command_of(pid: int) -> str | None:
        try:
            if sys.platform.startswith("linux"):
                name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
            else:
                shown = subprocess.run(  # noqa: S603
                    ["/bin/ps", "-o", "comm=", "-p", str(pid)], capture_output=True, check=False, timeout=5
                )
                name = Path(shown.stdout.decode(errors="replace").strip()).name
        except (OSError, subprocess.SubprocessError):
            return None
        return printable_command(name)
