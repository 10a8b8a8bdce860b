"""Changing one row of Anki's list of profiles: the one place that writes to prefs21.db.

Anki reads the list when it starts, keeps it open and in memory, and writes its rows back when it closes a profile: what
was changed meanwhile is lost. So nothing is changed while Anki runs, as far as that can be told. A collection that is
open shows by its lock. An Anki that has only its list of profiles on the screen shows by the file that it has open, on
Linux and macOS where it runs as the same user; on Windows, where a file that is open can't be replaced, the change
fails then. Another user's Anki without an open profile can't be seen. (Anki's socket for a single instance would not
tell: it is one per user, whatever the folder, and one may be left of an Anki that crashed.)

Nor is the list ever locked: an Anki that starts has no patience with a lock (pylib/anki/db.py, timeout=0), and deletes
a list that it can't read, taking it for a damaged one (qt/aqt/profiles.py, _loadMeta, recover). It finds a whole list
at every moment instead. What remains is an Anki that starts in the instant between the last look and the rename: it
goes on with the old list in memory.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiles.base_folder import COLLECTION_FILE, PREFERENCES_FILE, is_file
from profiles.collection_copy import SourceStamp, copy_collection
from profiles.durable import told_plainly
from profiles.errors import (
    AnkiIsOpen,
    CollectionDamaged,
    CollectionMissing,
    PreferencesUnusable,
    SourceBusy,
    TargetUnusable,
)
from profiles.lock_probe import Holder, holder_of
from profiles.open_files import writer_of
from profiles.preferences import LARGEST_LIST, opened_list, printable
from profiles.private_copy import is_disk_trouble
from profiles.replacing import Guard, anki_is_open, go_on, replace_closed
from profiles.source_stamp import real_path

if sys.platform != "win32":
    import fcntl

_THEN: Final = "try again"
_PRIVATE: Final = ".recollect-list-"
_ROWS: Final = "select rowid, name, typeof(name), typeof(data), cast(data as blob) from profiles order by rowid"

_RawRow = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A profile in Anki's list, or `_global`: its name, and the pickle of what Anki keeps of it."""

    name: str
    data: bytes


def read_rows(base: Path) -> tuple[Row, ...]:
    """Every row of Anki's list that has a name, as it lies on the disk, also while Anki runs.

    Raises PreferencesUnusable, SourceUnreadable, SourceBusy, TargetUnusable (no room for a copy).
    """
    prefs = _found(base)
    with told_plainly(f"{prefs} could not be copied to read it", then=_THEN), tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / PREFERENCES_FILE
        _copy(prefs, copy)
        with _plain_errors(prefs), opened_list(copy) as db:
            return _named(db.execute(_ROWS).fetchall())


def change_row(
    base: Path, decide: Callable[[tuple[Row, ...]], Row | None], *, before_swap: Callable[[str], None] = go_on
) -> None:
    """Put the row that `decide` answers, when it has seen all rows, in place of the one of that name, or add it.

    None changes nothing. Every other row stays bit for bit as it was, which is checked in a private copy before that
    takes the place of prefs21.db in one step: killed at any moment, or cut off from power, there is the old list or the
    new one, whole. It keeps owner and mode. `before_swap` is called with the name of each step before it is taken.

    Never call it while this process has a collection or prefs21.db open through SQLite: looking for locks drops them.

    Raises AnkiIsOpen, SourceBusy when the list changes meanwhile or another Recollect is at it, PreferencesUnusable,
    SourceUnreadable, TargetUnusable, and what `decide` raises. The old list is there then, unchanged.
    """
    prefs = _found(base)

    def refuse_while_open() -> None:
        _refuse_while_open(base, prefs)

    guard = Guard(refuse_while_open, keep_out=lambda _path, _locks: refuse_while_open(), then=_THEN)
    with told_plainly(f"{prefs} could not be changed", then=_THEN), _alone(prefs):
        refuse_while_open()
        prepared = prefs.with_name(f"{_PRIVATE}{secrets.token_hex(8)}.tmp")
        try:
            before_swap("copy")
            seen = _copy(prefs, prepared)
            before_swap("change")
            if not _changed(prepared, prefs, decide):
                return
            replace_closed(prepared, prefs, guard, seen=seen, before_swap=before_swap)
        finally:
            _remove_private(prefs.parent, prepared.name)
        # What runs left here that were killed.
        _remove_private(prefs.parent, _PRIVATE)


def _remove_private(folder: Path, beginning: str) -> None:
    for path in folder.glob(f"{beginning}*"):
        with suppress(OSError):
            path.unlink()


def _found(base: Path) -> Path:
    """The list behind all symbolic links, since it is replaced by a rename."""
    prefs = real_path(base / PREFERENCES_FILE)
    with told_plainly(f"Anki's list of profiles {prefs} can't be read", then=_THEN):
        if not is_file(prefs):
            raise PreferencesUnusable(
                f"There is no list of profiles {prefs}",
                "Start Anki once, so that it makes one, close it, then try again",
            )
        if prefs.stat().st_size > LARGEST_LIST:
            raise PreferencesUnusable(
                f"Anki's list of profiles {prefs} is larger than {LARGEST_LIST >> 20} MiB",
                "Check what lies there: Anki's own is a few kilobytes",
            )
    return prefs


def _copy(prefs: Path, target: Path) -> SourceStamp:
    try:
        return copy_collection(prefs, target).stamp
    except (CollectionMissing, CollectionDamaged) as error:
        raise _damaged(prefs, "it is no database, or what lies beside it does not belong to it") from error
    except SourceBusy as error:
        raise SourceBusy(
            f"Anki's list of profiles {prefs} changed each time it was read", "Close Anki, then try again"
        ) from error


def _changed(prepared: Path, prefs: Path, decide: Callable[[tuple[Row, ...]], Row | None]) -> bool:
    """Change the private copy, and see that it holds just that change; False when there is none to make."""
    with _plain_errors(prefs):
        with opened_list(prepared) as db:
            schema = _plain_schema(db)
            before = db.execute(_ROWS).fetchall()
            row = decide(_named(before))
            if row is None or row in _named(before):
                return False
            _put(db, before, row)
            # A checkpoint that fails at closing is silent, and would leave the change in a -wal.
            db.execute("pragma wal_checkpoint(truncate)").fetchone()
        with opened_list(prepared) as db:
            if _plain_schema(db) != schema or not _is_that_change(before, db.execute(_ROWS).fetchall(), row):
                raise sqlite3.DatabaseError("another row than the one meant would change")
    return True


def _put(db: sqlite3.Connection, before: list[_RawRow], row: Row) -> None:
    db.execute("begin immediate")
    for rowid, name, *_ in before:
        if name == row.name.encode():
            db.execute("update profiles set data = ? where rowid = ?", (row.data, rowid))
            break
    else:
        db.execute("insert into profiles (name, data) values (?, ?)", (row.name, row.data))
    db.execute("commit")


def _is_that_change(before: list[_RawRow], after: list[_RawRow], row: Row) -> bool:
    name = row.name.encode()
    wanted = (name, b"text", b"blob", row.data)
    old, new = {raw[0]: raw[1:] for raw in before}, {raw[0]: raw[1:] for raw in after}
    differing = [rowid for rowid in new if old.get(rowid) != new[rowid]]
    return (
        old.keys() <= new.keys()
        and len(differing) == 1
        and new[differing[0]] == wanted
        and old.get(differing[0], wanted)[:2] == wanted[:2]
    )


def _plain_schema(db: sqlite3.Connection) -> list[_RawRow]:
    schema = db.execute("select type, name, tbl_name, sql from sqlite_master order by rowid").fetchall()
    if any(kind not in (b"table", b"index") for kind, *_ in schema):
        raise sqlite3.DatabaseError("it holds more than tables")
    return schema


def _named(rows: list[_RawRow]) -> tuple[Row, ...]:
    """The rows whose name is one; those that no Anki wrote are left alone."""
    named = []
    for _, name, kind, _, data in rows:
        with suppress(UnicodeDecodeError):
            if isinstance(name, bytes) and isinstance(data, bytes) and kind == b"text":
                named.append(Row(name.decode(), data))
    return tuple(named)


@contextmanager
def _plain_errors(prefs: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if is_disk_trouble(error):
            raise TargetUnusable(
                f"A private copy of {prefs} could not be written: {error}",
                "Check that its disk has space and its folder can be written to, then try again",
            ) from error
        raise _damaged(prefs, str(error)) from error


def _damaged(prefs: Path, finding: str) -> PreferencesUnusable:
    return PreferencesUnusable(
        f"Anki's list of profiles {prefs} is damaged: {printable(finding)}",
        "Start Anki once: it makes a new list, and the profiles' folders stay as they are",
    )


def _refuse_while_open(base: Path, prefs: Path) -> None:
    for collection in sorted(child / COLLECTION_FILE for child in base.iterdir()):
        if is_file(collection) and (holder := holder_of(collection)) is not None:
            who = _who(holder)
            raise AnkiIsOpen(
                f"Anki has the profile {printable(collection.parent.name)} open{who}, and with it the list of profiles",
                "Close Anki, then try again; nothing was changed",
            )
    holder = writer_of(prefs)
    # On Windows the question is asked by a lock, for an instant, and that could make a starting Anki delete the list.
    if holder is None and sys.platform != "win32":
        holder = holder_of(prefs)
    if holder is not None:
        raise anki_is_open(prefs, _THEN, pid=holder.pid, command=holder.command)


def _who(holder: Holder) -> str:
    if holder.pid is None:
        return ""
    return f" (process {holder.pid}{f', {holder.command}' if holder.command else ''})"


@contextmanager
def _alone(prefs: Path) -> Iterator[None]:
    """Keep other runs of Recollect away by a lock on the folder, which nobody else heeds and no file is left of."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(prefs.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SourceBusy(
                f"Another run of Recollect is changing {prefs}", "Wait until it has ended, then try again"
            ) from error
        except OSError:
            pass  # Network drives may not know such locks; what another run changes is still noticed by its traces.
        yield
    finally:
        os.close(descriptor)
