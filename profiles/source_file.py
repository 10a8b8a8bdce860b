"""Opening the files of a live profile: only ever to read them, and never in Anki's way."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from profiles.errors import CollectionMissing, ProfileError, SourceUnreadable

if sys.platform == "win32":
    import _winapi
    import msvcrt

    _FILE_SHARE_ALL = 0x7  # FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE
    _FILE_ATTRIBUTE_NORMAL = 0x80

    def _open_shared(path: Path) -> int:
        # os.open does not share the right to delete, so Anki could not remove its -wal on closing while we read it.
        handle = _winapi.CreateFile(
            str(path), _winapi.GENERIC_READ, _FILE_SHARE_ALL, 0, _winapi.OPEN_EXISTING, _FILE_ATTRIBUTE_NORMAL, 0
        )
        return msvcrt.open_osfhandle(handle, os.O_RDONLY | os.O_BINARY)

else:

    def _open_shared(path: Path) -> int:
        # O_NONBLOCK: a named pipe in the place of the file must not make us wait for a writer (open(2)).
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)


@contextmanager
def opened_source(path: Path) -> Iterator[int]:
    """A descriptor to read the regular file `path` from. Raises OSError, or SourceUnreadable if it is no file."""
    descriptor = _open_shared(path)
    try:
        check_regular(os.fstat(descriptor), path)
        yield descriptor
    finally:
        os.close(descriptor)


def check_regular(found: os.stat_result, path: Path) -> None:
    """Raise SourceUnreadable unless `found`, the state of `path`, is that of an ordinary file."""
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "not an ordinary file"
        raise SourceUnreadable(
            f"{path} can't be read as a file of the profile: it is {what}",
            "Check that this is the profile's folder, and move away what does not belong there",
        )


def source_trouble(error: OSError, collection: Path) -> ProfileError:
    """What a person should hear when reading `collection` or a file beside it failed with `error`."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return CollectionMissing(
            f"There is no collection at {collection}",
            "Check that this is the profile's folder, and that the disk it lies on is connected",
        )
    if isinstance(error, PermissionError):
        return SourceUnreadable(
            f"{error.filename or collection} may not be read: permission denied",
            "Give the account that Recollect runs under the right to read the profile's folder",
        )
    return SourceUnreadable(
        f"{error.filename or collection} could not be read: {error.strerror or error}",
        "Check the disk or network drive that the profile lies on, then try again",
    )
