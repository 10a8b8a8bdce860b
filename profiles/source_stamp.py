"""What a few stat calls tell about a collection: enough to know, often, that nothing was written to it since."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiles.source_file import check_regular, opened_source, source_trouble
from profiles.wal import HEADER_SIZE

_TICK_NS: Final = 50_000_000
"""Longer than any kernel's clock tick: a file written twice within one tick shows the same time both times."""
_COARSE_TICK_NS: Final = 2_000_000_000
"""FAT keeps times in steps of two seconds, HFS+ of one."""
_SECOND_NS: Final = 1_000_000_000

_FIELDS: Final = ("inode", "size", "mtime_ns", "ctime_ns")
_LARGEST: Final = 1 << 128


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What stat tells about one file; sizes in bytes, times in nanoseconds since 1970."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileStamp:
        """The stamp of a file that `found` describes."""
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@dataclass(frozen=True, slots=True)
class SourceStamp:
    """The state of a collection's files: the database, its write-ahead log and its rollback journal (None: absent).

    `wal_header` holds the first 32 bytes of the log, or as many as there are.
    """

    main: FileStamp
    wal: FileStamp | None
    journal: FileStamp | None
    wal_header: bytes

    def to_json(self) -> dict[str, object]:
        """A plain dictionary that `from_json` reads again."""
        return {
            "main": _file_to_json(self.main),
            "wal": _file_to_json(self.wal),
            "journal": _file_to_json(self.journal),
            "wal_header": self.wal_header.hex(),
        }

    @classmethod
    def from_json(cls, data: object) -> SourceStamp:
        """The stamp that `to_json` made `data` of. Raises ValueError for anything else."""
        if not isinstance(data, Mapping) or set(data) != {"main", "wal", "journal", "wal_header"}:
            raise ValueError("not a remembered state of a collection")
        main = _file_from_json(data["main"])
        header = data["wal_header"]
        if main is None or not isinstance(header, str) or len(header) > 2 * HEADER_SIZE:
            raise ValueError("not a remembered state of a collection")
        return cls(main, _file_from_json(data["wal"]), _file_from_json(data["journal"]), bytes.fromhex(header))

    def times_ns(self) -> Iterator[int]:
        """Every time in the stamp, in nanoseconds since 1970."""
        for file in (self.main, self.wal, self.journal):
            if file is not None:
                yield file.mtime_ns
                yield file.ctime_ns


def _file_to_json(file: FileStamp | None) -> dict[str, int] | None:
    return None if file is None else {name: getattr(file, name) for name in _FIELDS}


def _file_from_json(data: object) -> FileStamp | None:
    if data is None:
        return None
    if not isinstance(data, Mapping) or set(data) != set(_FIELDS):
        raise ValueError("not a remembered state of a file")
    values = [data[name] for name in _FIELDS]
    # bool is an int to Python; a time before 1970 is odd but real.
    if any(type(value) is not int or abs(value) >= _LARGEST for value in values):
        raise ValueError("not a remembered state of a file")
    return FileStamp(*values)


def beside(collection: Path, suffix: str) -> Path:
    """The file that SQLite keeps beside `collection` under the name with `suffix` (`-wal`, `-journal`, `-shm`)."""
    return collection.with_name(collection.name + suffix)


def real_path(collection: Path) -> Path:
    """`collection` behind all symbolic links, where SQLite keeps the log (src/os_unix.c, unixFullPathname).

    Raises CollectionMissing for a path that no file can have.
    """
    try:
        return Path(os.path.realpath(collection))
    except ValueError as error:
        raise source_trouble(FileNotFoundError(), collection) from error


def stamp(collection: Path) -> SourceStamp:
    """The present state of `collection`. Raises CollectionMissing or SourceUnreadable."""
    try:
        return read_stamp(real_path(collection))
    except OSError as error:
        raise source_trouble(error, collection) from error


def read_stamp(source: Path) -> SourceStamp:
    """As `stamp`, for a path without symbolic links. Raises OSError, or SourceUnreadable for what is no file."""
    main = FileStamp.of(_regular(source))
    wal = _file_stamp(beside(source, "-wal"))
    wal_header = first_bytes(beside(source, "-wal")) if wal and wal.size else b""
    return SourceStamp(main, wal, _file_stamp(beside(source, "-journal")), wal_header)


def first_bytes(path: Path) -> bytes:
    """The first 32 bytes of the file `path`, fewer if it is shorter, none if it is gone. Raises OSError."""
    try:
        with opened_source(path) as descriptor:
            return os.read(descriptor, HEADER_SIZE)
    except FileNotFoundError:
        return b""


def _file_stamp(path: Path) -> FileStamp | None:
    try:
        return FileStamp.of(_regular(path))
    except FileNotFoundError:
        return None


def _regular(path: Path) -> os.stat_result:
    found = path.stat()
    check_regular(found, path)
    return found


def clock_step_ns(time_ns: int) -> int:
    """How long two writes may lie apart and still show the same time `time_ns`, by the look of that time."""
    return _COARSE_TICK_NS if time_ns % _SECOND_NS == 0 else _TICK_NS


def surely_unchanged(before: SourceStamp, now: SourceStamp, taken_at_ns: int) -> bool:
    """True if the collection holds what it held when `before` was taken, at `taken_at_ns` by the wall clock.

    Equal stamps are not enough: a write right after `before` may have left the same times. So a file that had been
    written just before `taken_at_ns`, or by its times after it, counts as changed.
    """
    return before == now and all(taken_at_ns - time_ns >= clock_step_ns(time_ns) for time_ns in before.times_ns())
