"""Anki's list of profiles, read from prefs21.db without touching that file and without unpickling anything.

prefs21.db is an ordinary SQLite database in rollback mode: one table, a row per profile and a row `_global`
(qt/aqt/profiles.py, _loadMeta). Its values are pickles, which could run anything when loaded, and Anki writes to the
file when it likes: so its bytes are copied, and only the copy is opened.
"""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from profiles.base_folder import is_file, reason
from profiles.errors import SourceBusy, SourceUnreadable

_TRIES = 8
LARGEST_LIST = 64 << 20
# SQLite looks up a copy's journal by the copy's name: each keeps its own suffix. Anki uses no WAL here, but another
# tool may have switched it on, and it costs nothing to take one along.
_SUFFIXES = ("", "-journal", "-wal")
# Steps of SQLite's virtual machine, counted in thousands: far more than any real list needs, and soon over.
_STEPS_ALLOWED = 20_000


@dataclass(frozen=True, slots=True)
class _Look:
    """Everything that one look at the database saw; None for a file that was not there."""

    contents: tuple[bytes | None, ...]
    stamps: tuple[tuple[int, int, int] | None, ...]


def profile_names(prefs: Path) -> tuple[str, ...]:
    """The names in Anki's list of profiles, in Anki's order; nothing when there is no such file.

    Names are hostile until checked: a name may hold anything. Bytes that are not UTF-8 show as backslash escapes.

    Raises SourceUnreadable when the list is damaged or can't be read, SourceBusy when it keeps changing.
    """
    try:
        if not is_file(prefs):
            if prefs.is_symlink() or prefs.exists():
                raise SourceUnreadable(
                    f"Anki's list of profiles {prefs} is not a file", "Check what lies there, and move it away"
                )
            return ()
        look = _steady_look(prefs)
    except OSError as error:
        raise SourceUnreadable(
            f"Anki's list of profiles {prefs} can't be read: {reason(error)}",
            "Check that the disk is connected, and that you may read the file",
        ) from error
    try:
        with tempfile.TemporaryDirectory(prefix="recollect-") as folder:
            copy = Path(folder) / "prefs21.db"
            for suffix, content in zip(_SUFFIXES, look.contents, strict=True):
                if content is not None:
                    copy.with_name(copy.name + suffix).write_bytes(content)
            return _names_in(copy)
    except OSError as error:
        raise SourceUnreadable(
            f"Anki's list of profiles {prefs} can't be copied to a temporary folder: {reason(error)}",
            "Free some space on the disk that holds temporary files",
        ) from error
    except sqlite3.Error as error:
        raise SourceUnreadable(
            f"Anki's list of profiles {prefs} is damaged: {printable(str(error))}",
            "Start Anki once: it makes a new list, and the profiles' folders stay as they are",
        ) from error


def _steady_look(prefs: Path) -> _Look:
    """Two looks in a row that saw the same thing.

    A writer creates the journal before it touches the main file and deletes it to commit. So when neither file
    changed between two readings of both, main and journal belong together: SQLite rolls back what was half written.
    Comparing contents needs no clock; time stamps alone can't tell two writes within one tick apart.
    """
    earlier = _look(prefs)
    for attempt in range(1, _TRIES + 1):
        later = _look(prefs)
        if later == earlier:
            return later
        earlier = later
        time.sleep(random.uniform(0.01, 0.03) * attempt)
    raise SourceBusy(
        f"Anki's list of profiles {prefs} changed each time it was read", "Try again when Anki is less busy"
    )


def _look(prefs: Path) -> _Look:
    contents: list[bytes | None] = []
    stamps: list[tuple[int, int, int] | None] = []
    for suffix in _SUFFIXES:
        path = prefs.with_name(prefs.name + suffix)
        try:
            if not is_file(path):
                raise FileNotFoundError
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                content = file.read(LARGEST_LIST + 1)
        except FileNotFoundError:
            contents.append(None)
            stamps.append(None)
            continue
        if len(content) > LARGEST_LIST:
            raise SourceUnreadable(
                f"Anki's list of profiles {prefs} is larger than {LARGEST_LIST >> 20} MiB",
                "Check what lies there: Anki's own is a few kilobytes",
            )
        contents.append(content)
        stamps.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return _Look(tuple(contents), tuple(stamps))


def _names_in(copy: Path) -> tuple[str, ...]:
    with opened_list(copy) as db:
        rows = db.execute("select name from profiles where name != '_global'").fetchall()
    return tuple(_text(name) for (name,) in rows)


@contextmanager
def opened_list(copy: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a private copy of the list that was found sound; text comes as bytes, as it may be no UTF-8.

    Raises sqlite3.Error when it is no list of Anki's, or damaged by the test that Anki itself makes.
    """
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        budget = iter(range(_STEPS_ALLOWED))
        # A made-up schema could keep a query busy for ever.
        db.set_progress_handler(lambda: next(budget, None) is None, 1000)
        # Heap memory in place of a -shm file, should another tool have left a -wal (https://sqlite.org/wal.html#noshm).
        db.execute("pragma locking_mode = exclusive")
        db.execute("pragma trusted_schema = off")
        db.text_factory = bytes
        kinds = db.execute("select type from sqlite_master where name = 'profiles'").fetchall()
        if kinds != [(b"table",)]:
            raise sqlite3.DatabaseError("it holds no table of profiles")
        findings = db.execute("pragma integrity_check").fetchall()
        if findings != [(b"ok",)]:
            raise sqlite3.DatabaseError("its structure is broken")
        yield db


def printable(text: str) -> str:
    """`text` from a hostile place as it may be shown: it can't move the cursor, break a line or run for pages."""
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text[:100])
    return f"{shown}…" if len(text) > 100 else shown


def _text(name: object) -> str:
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
