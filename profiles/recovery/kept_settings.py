"""What a collection keeps when notes come back to it: the settings of decks that are there, and those of the import;
and what it does not get: note types and options that none of what came uses.

Anki's import gives a deck that is already there the description, limits and options of the deck of that name in the
package (rslib/src/import_export/package/apkg/import/decks.rs, update_deck), and keeps how it was called for the next
time (import/mod.rs, import_apkg). Someone who gets a note back did not ask for either. The rows go back to what they
were, in a private copy in which nothing was synced since, so no trace of the change is left to sync.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from profiles.errors import CollectionDamaged, TargetUnusable
from profiles.proof import opened_copy
from profiles.unicase import register

_DECKS = "select mtime_secs, usn, common, kind, id from decks not indexed"
# ConfigKey and BoolKey in rslib/src/config, as they stand in the table.
_IMPORT_CHOICES = ("mergeNotetypes", "withScheduling", "withDeckConfigs", "updateNotes", "updateNotetypes")
_CONFIG = "select key, usn, mtime_secs, val from config where key in (?, ?, ?, ?, ?)"
_DISK_TROUBLE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


@dataclass(frozen=True, slots=True)
class Unused:
    """What an import brought and nothing uses, by id: note types, and presets of deck options."""

    note_types: AbstractSet[int]
    presets: AbstractSet[int]


def keep_settings(before: Path, after: Path, unused: Unused) -> None:
    """Undo in the private copy `after` what an import did to the settings that stand in `before`, and take out what is
    `unused`.

    Both are single files of the newest schema; `after` is one again on return. Raises CollectionDamaged and
    TargetUnusable.
    """
    with opened_copy(before) as connection:
        decks = set(connection.execute(_DECKS).fetchall())
        choices = connection.execute(_CONFIG, _IMPORT_CHOICES).fetchall()
    try:
        with closing(sqlite3.connect(after, isolation_level=None)) as connection:
            register(connection)
            # Heap memory in place of a -shm file (https://sqlite.org/wal.html#noshm); the copy is nobody else's.
            connection.execute("pragma locking_mode = exclusive")
            connection.execute("pragma trusted_schema = off")
            connection.execute("begin immediate")
            changed = decks - set(connection.execute(_DECKS).fetchall())
            connection.executemany(
                "update decks set mtime_secs = ?, usn = ?, common = ?, kind = ? where id = ?", changed
            )
            connection.executemany("delete from deck_config where id = ?", [(id_,) for id_ in unused.presets])
            for table, column in (("templates", "ntid"), ("fields", "ntid"), ("notetypes", "id")):
                connection.executemany(
                    f"delete from {table} where {column} = ?",  # noqa: S608 - the names are ours
                    [(id_,) for id_ in unused.note_types],
                )
            connection.executemany("delete from config where key = ?", [(key,) for key in _IMPORT_CHOICES])
            connection.executemany("insert into config (key, usn, mtime_secs, val) values (?, ?, ?, ?)", choices)
            connection.execute("commit")
            connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    except sqlite3.Error as error:
        # The low byte is the primary code (https://sqlite.org/rescode.html#extrc).
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in _DISK_TROUBLE:
            raise TargetUnusable(
                f"The private copy {after} could not be written: {error}", "Check that its disk has space"
            ) from error
        raise CollectionDamaged(
            f"The settings of decks in {after} can't be put back as they were: {error}",
            "Open the collection in Anki and run Tools > Check Database, then try again",
        ) from error
