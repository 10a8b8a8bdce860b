"""A profile's files as they lie on disk, read without disturbing them while Anki may be writing.

Every regular file of the media folder counts, also those that Anki itself refuses to export or sync (hidden, empty,
over 100 MiB, with a name in another normal form, reserved on Windows, or not UTF-8): a backup that left them out
would lose them.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from profiles.errors import SourceBusy, SourceUnreadable

STABLE_READ_LIMIT = 1 << 30

# A file written twice within one tick of its filesystem's clock shows one timestamp for both. Linux ticks every 1 to
# 10 ms; filesystems that keep whole seconds (HFS+, ext3) or even ones (FAT, exFAT) need two seconds.
_FINE_TICK_NS = 50_000_000
_COARSE_TICK_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000

# Not on every system: without following links, without waiting for the writer of a pipe, without newline translation.
_OPEN_FLAGS = (
    os.O_RDONLY | int(getattr(os, "O_CLOEXEC", 0)) | int(getattr(os, "O_NONBLOCK", 0)) | int(getattr(os, "O_BINARY", 0))
)
_BY_DESCRIPTOR = os.scandir in os.supports_fd
_NO_FOLLOW = int(getattr(os, "O_NOFOLLOW", 0))

# What opening says when something else has taken a file's place: a symbolic link under O_NOFOLLOW (ELOOP; EMLINK on
# FreeBSD), a folder, a socket or a device without a driver.
_NO_LONGER_A_FILE = frozenset({errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO, errno.EOPNOTSUPP})

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class MediaFile(NamedTuple):
    """One file as a `stat` call shows it: size in bytes, times in nanoseconds since 1970.

    A name that is not valid in the filesystem's encoding carries surrogate escapes (`os.fsdecode`). A tuple, because
    there are tens of thousands of them in each run: a frozen dataclass takes three times as long to make.
    """

    name: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class MediaFolder:
    """What lies in a media folder: its files sorted by the bytes of their names, and (name, why) of what is no file."""

    files: tuple[MediaFile, ...]
    passed_over: tuple[tuple[str, str], ...]


class FileChanged(Exception):
    """The file is not, or no longer, the one that was listed. A signal to list it again, never shown to a person."""


class FileVanished(Exception):
    """The listed file is gone. A signal to leave it out, never shown to a person."""


def list_media(folder: Path) -> MediaFolder:
    """List a media folder; one that is missing counts as empty.

    Raises `SourceUnreadable` when the folder, or the description of a file in it, can't be read, and when the folder is
    a link to a place that is not there, such as a disk that is not connected.
    """
    files: list[MediaFile] = []
    passed_over: list[tuple[str, str]] = []
    try:
        for name, status in _entries(folder):
            if stat.S_ISREG(status.st_mode):
                files.append(_describe(name, status))
            else:
                passed_over.append((name, _kind(status.st_mode)))
    except FileNotFoundError as error:
        if folder.is_symlink():
            raise _unreadable("media folder", folder, error) from error
        return MediaFolder((), ())
    except OSError as error:
        raise _unreadable("media folder", folder, error) from error
    files.sort(key=lambda file: os.fsencode(file.name))
    passed_over.sort(key=lambda entry: os.fsencode(entry[0]))
    return MediaFolder(tuple(files), tuple(passed_over))


def _entries(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """What lies in a folder, by name. Raises OSError."""
    if not _BY_DESCRIPTOR:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    # Not entry.stat(): on Windows it shows no inode, and sizes that may be stale.
                    status = os.lstat(entry.path)
                except FileNotFoundError:
                    continue
                yield entry.name, status
        return
    # By the open folder, the system finds the way there once, and not for each of thousands of files.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield entry.name, status
    finally:
        os.close(descriptor)


def read_parts(path: Path, expected: MediaFile, part_size: int) -> Iterator[bytes]:
    """Yield the file at `path` in parts of `part_size` bytes, the last one shorter; an empty file yields none.

    Only a reader that exhausts the iterator knows that it holds the file that `expected` describes: the last check is
    made after the last part. Raises `FileChanged` when the file is another one, or changed while it was read (it
    never reads beyond the expected size by more than a byte), `FileVanished` when it is gone, and `SourceUnreadable`
    when it can't be read.
    """
    if part_size < 1:
        raise ValueError(f"parts must have at least one byte, not {part_size}")
    try:
        descriptor = os.open(path, _OPEN_FLAGS | _NO_FOLLOW)
        try:
            _confirm(expected, descriptor)
            remaining = expected.size
            while remaining:
                part = _read_part(descriptor, min(part_size, remaining), last=remaining <= part_size)
                if part is None:
                    raise FileChanged(expected.name)
                remaining -= len(part)
                yield part
            _confirm(expected, descriptor)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileVanished(expected.name) from error
    except OSError as error:
        if error.errno in _NO_LONGER_A_FILE:
            raise FileChanged(expected.name) from error
        raise _unreadable("file", path, error) from error


def _read_part(descriptor: int, length: int, *, last: bool) -> bytes | None:
    """The next `length` bytes, None when there are fewer, or when there is one more after the `last`."""
    wanted = length + last
    part = os.read(descriptor, wanted)
    while len(part) < length:
        # Some network file systems give a large read in pieces.
        more = os.read(descriptor, wanted - len(part))
        if not more:
            return None
        part += more
    return part if len(part) == length else None


def read_stable(path: Path, *, attempts: int = 5, pause: Callable[[float], None] = time.sleep) -> bytes | None:
    """Return the whole of a small file that Anki may be appending to, as it was at one moment; None when absent.

    A copy counts when the file's size, times and inode are the same before and after; else it is read again after a
    short pause. Raises `SourceBusy` when it never held still, `SourceUnreadable` when it can't be read, is no regular
    file or is larger than 1 GiB.
    """
    for attempt in range(attempts):
        if attempt:
            pause(0.05 * 2**attempt)
        try:
            with _open(path) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise SourceUnreadable(
                        f"{path} is no file but {_kind(status.st_mode)}",
                        "Move it aside: Anki makes a new one when it needs it",
                    )
                found = _describe(path.name, status)
                if found.size > STABLE_READ_LIMIT:
                    raise SourceUnreadable(
                        f"The file {path} is larger than 1 GiB", "Move it aside: Anki makes a new one when it needs it"
                    )
                content = file.read(found.size + 1)
                _confirm(found, file.fileno())
                if len(content) == found.size:
                    return content
        except FileNotFoundError:
            return None
        except FileChanged:
            continue
        except OSError as error:
            raise _unreadable("file", path, error) from error
    raise SourceBusy(
        f"The file {path} was being written to each of the {attempts} times it was read",
        "Nothing to do: the next backup tries again",
    )


def surely_unchanged(before: MediaFile, now: MediaFile, remembered_at_ns: int) -> bool:
    """Tell whether a file need not be read again: it looks the same, and could not have changed without showing it.

    `remembered_at_ns` is the wall clock just before `before` was taken. A timestamp that was younger than a tick of
    the filesystem's clock at that moment proves nothing (git calls such an index entry racy), nor does one from
    the future.
    """
    return (
        before == now
        and _is_settled(before.mtime_ns, remembered_at_ns)
        and _is_settled(before.ctime_ns, remembered_at_ns)
    )


def _is_settled(timestamp_ns: int, remembered_at_ns: int) -> bool:
    age_ns = remembered_at_ns - timestamp_ns
    return age_ns >= _COARSE_TICK_NS or (age_ns >= _FINE_TICK_NS and timestamp_ns % _SECOND_NS != 0)


def _describe(name: str, status: os.stat_result) -> MediaFile:
    return MediaFile(name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def _kind(mode: int) -> str:
    return next((kind for matches, kind in _KINDS if matches(mode)), "not a file")


def _open(path: Path) -> BinaryIO:
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _confirm(expected: MediaFile, descriptor: int) -> None:
    if _describe(expected.name, os.fstat(descriptor)) != expected:
        raise FileChanged(expected.name)


def _unreadable(what: str, path: Path, error: OSError) -> SourceUnreadable:
    reason = error.strerror or type(error).__name__
    return SourceUnreadable(
        f"The {what} {path} can't be read: {reason}",
        "Check that it is there, that you may read it and that its disk answers",
    )
