"""The note types of a collection: which fields a note of each type has, and in which order.

Read from a private copy of a collection, never from the live file. Schema 11 and 14 keep note types as JSON in
`col.models`; from schema 15 on they live in the tables `notetypes` and `fields`
(rslib/src/storage/upgrades/mod.rs: `upgrade_notetypes_to_schema15`).
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from profiles.errors import CollectionDamaged, CollectionMissing

FIRST_SCHEMA_WITH_TABLES = 15


@dataclass(frozen=True, slots=True)
class NoteType:
    """One note type: `fields` are the names of its fields in their order."""

    id: int
    name: str
    fields: tuple[str, ...]


def read_note_types(collection_copy: Path) -> dict[int, NoteType]:
    """Return every note type of a private copy of a collection, by id.

    The copy must be one file with its WAL folded in; it is opened read-only and nothing is left beside it.
    Raises `CollectionMissing` when there is no such file, `CollectionDamaged` when its note types can't be read.
    """
    if not collection_copy.is_file():
        raise CollectionMissing(
            f"There is no collection at {collection_copy}", "Check that the copy was made and was not removed since"
        )
    # immutable: without it SQLite would leave a -shm file beside a copy that is in WAL mode.
    url = f"{collection_copy.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(url, uri=True)) as connection:
            return note_types_in(connection, collection_copy)
    except sqlite3.Error as error:
        raise _unreadable(collection_copy, error) from error


def note_types_in(connection: sqlite3.Connection, named: Path) -> dict[int, NoteType]:
    """Every note type of an opened copy, by id; `named` is what is said of damage.

    Raises CollectionDamaged when its note types are not what Anki writes, and what SQLite raises.
    """
    try:
        return _read(connection)
    except (_Unsound, RecursionError, UnicodeError) as error:
        raise _unreadable(named, error) from error


def _unreadable(named: Path, why: Exception) -> CollectionDamaged:
    return CollectionDamaged(
        f"The note types of the collection {named} can't be read: {why}",
        "Run Tools > Check Database in Anki, or use an older snapshot",
    )


class _Unsound(ValueError):
    """What was read is not what Anki writes."""


def _read(connection: sqlite3.Connection) -> dict[int, NoteType]:
    connection.execute("pragma trusted_schema = off")
    # Only tables: a view of one of these names, which Anki never makes, could run for ever.
    tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
    row = connection.execute("select ver, models from col").fetchone() if "col" in tables else None
    if row is None or not isinstance(row[0], int):
        raise _Unsound("the table col is missing or empty")
    schema_version, models = row
    if schema_version < FIRST_SCHEMA_WITH_TABLES:
        return _from_json(models)
    if not {"notetypes", "fields"} <= tables:
        raise _Unsound("the tables of note types are missing")
    return _from_tables(connection)


def _from_tables(connection: sqlite3.Connection) -> dict[int, NoteType]:
    # The name columns carry Anki's own collation `unicase`. Walking both tables in the order of their primary keys
    # never compares names, so the collation need not be known here.
    names: dict[int, str] = {}
    for id_, name in connection.execute("select id, name from notetypes not indexed"):
        names[_integer(id_)] = _text(name)
    fields: dict[int, list[str]] = {id_: [] for id_ in names}
    for note_type_id, name in connection.execute("select ntid, name from fields order by ntid, ord"):
        if note_type_id in fields:
            fields[note_type_id].append(_text(name))
    return {id_: NoteType(id_, name, tuple(fields[id_])) for id_, name in names.items()}


def _from_json(models: object) -> dict[int, NoteType]:
    try:
        decoded = json.loads(_text(models))
    except ValueError as error:
        raise _Unsound("col.models is not JSON") from error
    if not isinstance(decoded, dict):
        raise _Unsound("col.models is not a JSON object")
    found: dict[int, NoteType] = {}
    for model in decoded.values():
        if not isinstance(model, dict):
            raise _Unsound("a note type in col.models is not a JSON object")
        # Old add-ons wrote some ids as text; Anki accepts both (rslib/src/notetype/schema11.rs).
        id_ = _integer(model.get("id"))
        found[id_] = NoteType(id_, _text(model.get("name")), _json_fields(model.get("flds")))
    return found


def _json_fields(fields: object) -> tuple[str, ...]:
    if not isinstance(fields, list) or not all(isinstance(field, dict) for field in fields):
        raise _Unsound("the fields of a note type in col.models are not a list of JSON objects")
    # In the order of the list, as Anki takes them when it upgrades; `ord` is only a copy of the position.
    return tuple(_text(field.get("name")) for field in fields)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Unsound("a name is not text")
    return value


def _integer(value: object) -> int:
    if isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) <= 20:
        value = int(value)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise _Unsound("an id is not a number")
    return value
