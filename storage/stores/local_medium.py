"""Objects as files of a local or mounted folder.

fsspec's own local filesystem writes in place (a crash leaves a torn file), never calls fsync, and leaves out of a
listing what it can't read; so this medium speaks to the operating system directly.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from storage.store import TEMPORARY_NAME, StoredObject
from storage.stores.medium import temporary_beside

_WITHOUT_LINKS: Final = frozenset(
    {errno.EPERM, errno.ENOSYS, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV, errno.EACCES}
)
"""What os.link answers on filesystems that know no hard links (FAT, exFAT, many network mounts)."""

_WINDOWS_FORBIDS: Final = frozenset('<>:"|?*')
_NO_FSYNC_OF_FOLDERS: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EACCES})


class LocalMedium:
    """Files below `root`. `create` is exclusive by a hard link (on Windows by rename).

    Once the root has been seen, it is never made anew and its absence is an error: a folder on a disk that was
    unplugged must not look like an empty repository, nor be rebuilt on the bare mount point.
    """

    def __init__(self, root: Path, *, must_exist: bool = False) -> None:
        self._root = root
        self._root_seen = must_exist or root.is_dir()

    def read(self, name: str) -> bytes:
        path = self._path(name)
        with _folders_are_not_objects(path):
            return path.read_bytes()

    def read_range(self, name: str, start: int, length: int) -> bytes:
        path = self._path(name)
        with _folders_are_not_objects(path), path.open("rb") as file:
            file.seek(start)
            return file.read(length)

    def write(self, name: str, data: bytes) -> None:
        path = self._path(name)
        self._make_folder(path.parent)
        temporary = self._path(temporary_beside(name))
        try:
            _write_durably(temporary, data)
            _replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _fsync_folder(path.parent)

    def create(self, name: str, data: bytes) -> None:
        path = self._path(name)
        self._make_folder(path.parent)
        if os.path.lexists(path):  # spares the write; what decides is the link below
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        temporary = self._path(temporary_beside(name))
        try:
            _write_durably(temporary, data)
            _move_to_new(temporary, path)
        finally:
            with suppress(OSError):
                temporary.unlink()
        _fsync_folder(path.parent)

    def begin(self, name: str, *, replace: bool) -> LocalUpload:
        path = self._path(name)
        self._make_folder(path.parent)
        return LocalUpload(path, self._path(temporary_beside(name)), replace=replace)

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        if not self._root_is_there():
            return
        top = self._path(prefix) if prefix else self._root
        try:
            is_folder = stat.S_ISDIR(top.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            is_folder = False
        if is_folder:
            yield from _files_below(top, f"{prefix}/" if prefix else "")

    def remove(self, name: str) -> None:
        path = self._path(name)
        with _folders_are_not_objects(path):
            path.unlink()
        _fsync_folder(path.parent)

    def size(self, name: str) -> int:
        path = self._path(name)
        try:
            status = path.stat()
        except NotADirectoryError:
            raise _missing(path) from None
        if not stat.S_ISREG(status.st_mode):
            raise _missing(path)
        return status.st_size

    def exists(self) -> bool:
        return self._root.is_dir()

    def sweep(self, older_than: timedelta) -> int:
        if not self._root_is_there():
            return 0
        left = [found for found in _files_below(self._root, "") if _is_temporary(found.name)]
        if not left:
            return 0
        now = self._now()
        swept = 0
        for leftover in left:
            if now - leftover.modified > older_than:
                # Its writer may have come back to life, or another sweep may have been here.
                with suppress(FileNotFoundError):
                    (self._root / leftover.name).unlink()
                    swept += 1
        return swept

    def _now(self) -> datetime:
        """Return the time by the clock of the filesystem, which on a network mount is not this machine's."""
        probe = self._root / temporary_beside("clock")
        try:
            _write_durably(probe, b"")
            return datetime.fromtimestamp(probe.stat().st_mtime, UTC)
        finally:
            with suppress(OSError):
                probe.unlink()

    def _path(self, name: str) -> Path:
        if sys.platform == "win32":
            _check_windows_name(name)
        return self._root.joinpath(*name.split("/"))

    def _root_is_there(self) -> bool:
        try:
            there = stat.S_ISDIR(self._root.stat().st_mode)
        except FileNotFoundError:
            if self._root_seen:
                raise _root_gone(self._root) from None
            return False
        if not there:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self._root))
        self._root_seen = True
        return True

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and those above it, each flushed: a file is only as safe as the folders that lead to it."""
        if folder.is_dir():
            self._root_seen = True
            return
        missing = [folder]
        while not missing[-1].parent.is_dir() and missing[-1].parent != missing[-1]:
            missing.append(missing[-1].parent)
        if self._root_seen and self._root in missing:
            raise _root_gone(self._root)
        for new in reversed(missing):
            with suppress(
                FileExistsError
            ):  # another thread or process was faster; a file in the way fails at the next step
                new.mkdir()
            _fsync_folder(new.parent)
        self._root_seen = True


class LocalUpload:
    """A file that grows beside its place, readable by its owner alone."""

    def __init__(self, path: Path, temporary: Path, *, replace: bool) -> None:
        self._path = path
        self._temporary = temporary
        self._move = _replace if replace else _move_to_new
        self._moved = False
        self._sent = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self._file = os.fdopen(os.open(temporary, flags, 0o600), "wb", buffering=0)

    def send(self, part: bytes) -> None:
        self._write(part)
        self._sent += len(part)

    def finish(self, last: bytes) -> None:
        if not self._file.closed:
            self._write(last)
            _fsync(self._file.fileno())
            written = os.fstat(self._file.fileno()).st_size
            if written != self._sent + len(last):
                raise OSError(errno.EIO, f"{written} of {self._sent + len(last)} bytes arrived", str(self._path))
            self._file.close()  # Windows renames no open file
        if not self._moved:
            self._move(self._temporary, self._path)
            self._moved = True
        with suppress(OSError):  # the other name of the file, where it got its own by a link
            self._temporary.unlink()
        _fsync_folder(self._path.parent)

    def abandon(self) -> None:
        with suppress(OSError):
            self._file.close()
        self._temporary.unlink(missing_ok=True)

    def _write(self, part: bytes) -> None:
        self._file.seek(self._sent)
        rest = memoryview(part)
        while rest:
            rest = rest[self._file.write(rest) :]


class _folders_are_not_objects:  # noqa: N801 -- reads as a phrase where it is used, like contextlib.suppress
    """Turns the answers for a name that is a folder, or lies below a file, into FileNotFoundError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, (IsADirectoryError, NotADirectoryError)):
            raise _missing(self._path) from error
        # Windows answers "permission denied" for a folder, and so does unlink on macOS.
        if isinstance(error, PermissionError) and self._path.is_dir():
            raise _missing(self._path) from error


def _missing(path: Path) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _root_gone(root: Path) -> OSError:
    return OSError(errno.ENODEV, "The folder of the repository has gone", str(root))


def _is_temporary(name: str) -> bool:
    return TEMPORARY_NAME.fullmatch(name.rpartition("/")[2]) is not None


def _files_below(folder: Path, prefix: str) -> Iterator[StoredObject]:
    """Go through all files below a folder; a folder that can't be read raises, unless it was removed meanwhile."""
    pending = [(folder, prefix)]
    while pending:
        here, before = pending.pop()
        try:
            entries = list(os.scandir(here))
        except FileNotFoundError:
            if here == folder:
                raise
            continue
        for entry in entries:
            try:
                status = Path(entry.path).stat()
            except FileNotFoundError:
                if entry.is_symlink():
                    raise  # its target is on a disk that isn't there: not the same as an object that was removed
                continue
            if stat.S_ISDIR(status.st_mode):
                pending.append((Path(entry.path), f"{before}{entry.name}/"))
            elif stat.S_ISREG(status.st_mode):
                modified = datetime.fromtimestamp(status.st_mtime, UTC)
                yield StoredObject(f"{before}{entry.name}", status.st_size, modified)


def _write_durably(path: Path, data: bytes) -> None:
    """Write a new file and wait until the disk has it."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        _fsync(file.fileno())
        written = os.fstat(file.fileno()).st_size
    if written != len(data):
        raise OSError(errno.EIO, f"{written} of {len(data)} bytes arrived", str(path))


def _fsync(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl  # noqa: PLC0415 -- exists on Unix only

        # On macOS fsync leaves the data in the drive's own cache (fsync(2)); some network mounts know only fsync.
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def _fsync_folder(folder: Path) -> None:
    """Make new names in a folder durable. Windows can't open folders, and writes their entries through by itself."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return  # a folder that one may pass through, but not read
    try:
        _fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FSYNC_OF_FOLDERS:  # some network and FUSE mounts don't know it
            raise
    finally:
        os.close(descriptor)


def _replace(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except PermissionError as error:
        # Windows refuses while somebody reads the old object, which passes; the retry rule takes it from here.
        if sys.platform == "win32" and path.is_file():
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path)) from error
        raise


def _move_to_new(temporary: Path, path: Path) -> None:
    """Give a finished file its name unless the name is taken. Raises FileExistsError."""
    if sys.platform == "win32":
        temporary.rename(path)  # refuses a name that is taken, unlike rename on Unix
        return
    try:
        os.link(temporary, path)
    except OSError as error:
        if isinstance(error, FileExistsError) or error.errno not in _WITHOUT_LINKS:
            raise
        # No hard links here, so two writers at the same instant can't be told apart: the name is looked for first.
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.rename(path)


def _check_windows_name(name: str) -> None:
    for part in name.split("/"):
        reserved = part.partition(".")[0].rstrip(" ").upper()
        device = reserved in {"CON", "PRN", "AUX", "NUL"} or (
            len(reserved) == 4 and reserved[:3] in {"COM", "LPT"} and reserved[3] in "123456789¹²³"
        )
        if device or part[-1] in ". " or not _WINDOWS_FORBIDS.isdisjoint(part):
            raise OSError(errno.EINVAL, "Windows does not allow this file name", name)
