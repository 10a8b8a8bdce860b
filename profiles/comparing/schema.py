"""What can be compared of a collection, whichever way the Anki that wrote it stored it.

Schema 11 and 14 keep note types and decks as JSON in the single row of `col`; from schema 15 on there are tables
(rslib/src/storage/upgrades/mod.rs).
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any, Final

from profiles.errors import CollectionDamaged
from profiles.note_types import FIRST_SCHEMA_WITH_TABLES

FIRST_SCHEMA_WITH_OPTION_TABLES: Final = 14
"""Deck options and settings got tables of their own a little earlier (schema14.sql)."""

OF_A_CARD: Final = (
    *("nid", "did", "ord", "type", "queue", "due", "ivl", "factor"),
    *("reps", "lapses", "left", "odue", "odid", "flags", "data"),
)
"""Columns of rslib/src/storage/schema11.sql, but for `mod` and `usn`, which tell of no change that a person made."""

_COLUMNS: Final = {
    0: {"notes": "id, guid, mid, tags, flds", "cards": ", ".join(("id", *OF_A_CARD)), "revlog": "id"},
    FIRST_SCHEMA_WITH_OPTION_TABLES: {"deck_config": "id, name, config", "config": "key, val"},
    FIRST_SCHEMA_WITH_TABLES: {
        "decks": "id, name, kind",
        "notetypes": "id, name, config",
        "fields": "ntid, ord, name, config",
        "templates": "ntid, ord, name, config",
    },
}
"""What is read, by the schema that it came with."""


def schema_of(connection: sqlite3.Connection, collection: Path) -> int:
    """The schema version of an opened copy that has all tables and columns which are compared, each a true table.

    Raises CollectionDamaged: a view of such a name, which Anki never makes, could run for ever.
    """
    found = connection.execute("SELECT name FROM sqlite_schema WHERE type='table' AND rootpage>0")
    tables = {name for (name,) in found}
    row = connection.execute("SELECT ver FROM col").fetchone() if "col" in tables else None
    if row is None or type(row[0]) is not int:
        raise unlike_anki(collection, "the table col is missing or empty")
    for first_schema, needed in _COLUMNS.items():
        for table, columns in needed.items() if row[0] >= first_schema else ():
            if table not in tables:
                raise unlike_anki(collection, f"there is no table {table}")
            try:
                connection.execute(f"SELECT {columns} FROM {table} LIMIT 0")  # noqa: S608 - our own words
            except sqlite3.OperationalError as error:
                raise unlike_anki(collection, str(error)) from error
    return row[0]


def json_column(connection: sqlite3.Connection, column: str, collection: Path) -> dict[str, Any]:
    """The object that a column of `col` holds as JSON, as all older schemas have it."""
    (stored,) = connection.execute(f"SELECT {column} FROM col").fetchone()  # noqa: S608 - our own word
    try:
        found = json.loads(stored or "{}")
    except (TypeError, ValueError, RecursionError) as error:
        raise unlike_anki(collection, f"col.{column} is not JSON") from error
    if not isinstance(found, dict):
        raise unlike_anki(collection, f"col.{column} is not a JSON object")
    return found


def objects_in(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Those values of a JSON object that are objects themselves."""
    return [value for value in found.values() if isinstance(value, dict)]


def text_of(value: object) -> str:
    """A name as text, whatever lies in its place."""
    return value if isinstance(value, str) else "?"


def unlike_anki(collection: Path, finding: str) -> CollectionDamaged:
    """What is said of a database that holds something else than Anki writes."""
    return CollectionDamaged(
        f"The collection {collection} can't be looked into: {finding}",
        "Run Tools > Check Database in Anki, or use another snapshot",
    )
