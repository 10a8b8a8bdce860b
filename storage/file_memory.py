"""What this machine remembers of the files it stored: so that a file that did not change is not read again.

A small SQLite database in the cache folder, one for each profile and repository. Losing it, or finding it damaged,
costs a run that reads everything; it is never believed about what a repository holds.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from storage.format.blob import BLOB_ID_BYTES, PART_BYTES

_SCHEMA = """
create table if not exists file(
    name blob primary key, size integer not null, mtime_ns integer not null, ctime_ns integer not null,
    inode integer not null, remembered_at_ns integer not null, content blob not null
) without rowid;
create table if not exists note(key text primary key, value text not null) without rowid;
pragma user_version = 1;
"""
_VERSION = 1
_COLUMNS = "name, size, mtime_ns, ctime_ns, inode, remembered_at_ns, content"
_TYPES = (bytes, int, int, int, int, int, bytes)
_FAULTS = (sqlite3.Error, OSError, ValueError, OverflowError)
"""Of the database, of the folder, of text that is not Unicode, of numbers that SQLite can't hold."""


class RememberedFile(NamedTuple):
    """A file as it was when it was read: what `stat` said, when (ns since the epoch), and the ids of its pieces.

    A tuple, because there are tens of thousands of them in each run: a frozen dataclass takes three times as long to
    make.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    remembered_at_ns: int
    pieces: bytes


class FileMemory:
    """Remembers files by name, and a few notes by key."""

    def __init__(self, path: Path | None) -> None:
        """Use the database at `path`; None remembers nothing."""
        self._path = path

    def files(self) -> dict[bytes, RememberedFile]:
        """Everything remembered, by the name's bytes."""
        with contextlib.suppress(*_FAULTS), self._connected() as database:
            rows = database.execute(f"select {_COLUMNS} from file")  # noqa: S608 -- our own constant
            return {row[0]: _remembered(row) for row in rows if _is_possible(row)}
        return {}

    def note(self, key: str) -> str | None:
        """The note kept under `key`."""
        with contextlib.suppress(*_FAULTS), self._connected() as database:
            row = database.execute("select value from note where key = ?", (key,)).fetchone()
            return str(row[0]) if row else None
        return None

    def keep(
        self, known: Mapping[bytes, RememberedFile], files: Mapping[bytes, RememberedFile], notes: Mapping[str, str]
    ) -> None:
        """Make the memory hold exactly `files`, and take in `notes`; `known` is what `files()` said."""
        changed = [(name, file) for name, file in files.items() if known.get(name) != file]
        gone = (known.keys() - files.keys()) | {name for name, _ in changed}
        try:
            self._rewrite(gone, (_row(name, file) for name, file in changed if _fits(file)), notes)
        except _FAULTS:
            self.forget()

    def forget(self) -> None:
        """Drop everything, as after damage."""
        if self._path is not None:
            for path in (self._path, self._path.with_name(self._path.name + "-journal")):
                with contextlib.suppress(OSError):
                    path.unlink()

    def _rewrite(
        self,
        gone: Iterable[bytes],
        changed: Iterable[tuple[bytes, int, int, int, int, int, bytes]],
        notes: Mapping[str, str],
    ) -> None:
        with self._connected() as database, database:
            database.executemany("delete from file where name = ?", ((name,) for name in gone))
            database.executemany("insert or replace into file values (?, ?, ?, ?, ?, ?, ?)", changed)
            database.executemany("insert or replace into note values (?, ?)", notes.items())

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        if self._path is None:
            raise OSError("no cache")
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.closing(sqlite3.connect(self._path, timeout=5)) as database:
            (version,) = database.execute("pragma user_version").fetchone()
            if version == 0:
                database.executescript(_SCHEMA)
            elif version != _VERSION:
                raise sqlite3.DatabaseError("made by another version")
            yield database


def _is_possible(row: tuple[Any, ...]) -> bool:
    """Whether a row can be what was kept. SQLite keeps no checksums: what is not even of its type is damage.

    So are more or fewer pieces than a file of that size has: what they name instead might well be stored.
    """
    if tuple(map(type, row)) != _TYPES:
        return False
    size, pieces = row[1], row[-1]
    return bool(size >= 0 and len(pieces) == -(-size // PART_BYTES) * BLOB_ID_BYTES)


def _fits(file: RememberedFile) -> bool:
    """Some filesystems have times, or inode numbers, beyond 64 bits: such a file is read again each time."""
    times = (file.size, file.mtime_ns, file.ctime_ns, file.remembered_at_ns)
    return all(-(2**63) <= number < 2**63 for number in times) and 0 <= file.inode < 2**64


def _row(name: bytes, file: RememberedFile) -> tuple[bytes, int, int, int, int, int, bytes]:
    # Inode numbers are unsigned, SQLite's integers are not.
    inode = file.inode - 2**64 if file.inode >= 2**63 else file.inode
    return name, file.size, file.mtime_ns, file.ctime_ns, inode, file.remembered_at_ns, file.pieces


def _remembered(row: tuple[Any, ...]) -> RememberedFile:
    _, size, mtime_ns, ctime_ns, inode, remembered_at_ns, pieces = row
    return RememberedFile(size, mtime_ns, ctime_ns, inode % 2**64, remembered_at_ns, pieces)
