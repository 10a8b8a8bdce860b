"""Settings of two collections compared: note types, decks, deck options, and what else Anki keeps in a collection.

What Anki writes by itself while somebody studies is no setting: today's counts of a deck, which deck was open last.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from profiles.comparing.change import Change
from profiles.comparing.schema import FIRST_SCHEMA_WITH_OPTION_TABLES, json_column, objects_in, text_of
from profiles.decks import deck_names
from profiles.note_types import FIRST_SCHEMA_WITH_TABLES

_NOTED_BY_ANKI: Final = frozenset({"activeDecks", "curDeck", "curModel", "lastUnburied", "nextPos"})
"""Settings that change while somebody studies or adds (rslib/src/config/mod.rs and deck.rs, bool.rs beside it)."""

_COUNTS_OF_A_DAY: Final = ("newToday", "revToday", "lrnToday", "timeToday", "collapsed", "browserCollapsed")
"""Of a deck in the older schemas. Newer ones keep them in a column of their own, `common`."""

_BOOKKEEPING: Final = ("mod", "usn")
_LONGEST_ID: Final = 20


class SettingKind(StrEnum):
    """What sort of setting it is."""

    NOTE_TYPE = "note type"
    DECK = "deck"
    DECK_OPTIONS = "deck options"
    PREFERENCE = "preference"


@dataclass(frozen=True, slots=True)
class ChangedSetting:
    """A setting that is not the same in both collections; named as it is afterwards, where it still is."""

    kind: SettingKind
    name: str
    change: Change


@dataclass(frozen=True, slots=True)
class _Stored:
    """A setting under its name, and its content in whichever form this schema gives it."""

    name: str
    content: object
    form: str


@dataclass(frozen=True, slots=True)
class Side:
    """One of two collections that are compared."""

    connection: sqlite3.Connection
    schema: int
    collection: Path


def compare_settings(before: Side, after: Side) -> tuple[ChangedSetting, ...]:
    """What is set otherwise in `after`, by kind and name. Of a thing that two schemas store, only the name counts."""
    return tuple(
        changed for kind, read in _READERS.items() for changed in _compared(kind, dict(read(before)), dict(read(after)))
    )


def _compared(
    kind: SettingKind, before: Mapping[object, _Stored], after: Mapping[object, _Stored]
) -> list[ChangedSetting]:
    changes = [ChangedSetting(kind, before[key].name, Change.DELETED) for key in before.keys() - after.keys()]
    changes += [ChangedSetting(kind, after[key].name, Change.ADDED) for key in after.keys() - before.keys()]
    for key in before.keys() & after.keys():
        old, new = before[key], after[key]
        if old.name != new.name or (old.form == new.form and old.content != new.content):
            changes.append(ChangedSetting(kind, new.name, Change.CHANGED))
    return sorted(changes, key=lambda change: (change.name.casefold(), change.name, change.change))


def _note_types(side: Side) -> Iterator[tuple[object, _Stored]]:
    if side.schema < FIRST_SCHEMA_WITH_TABLES:
        yield from _objects(side, "models", _BOOKKEEPING)
        return
    parts: dict[object, list[object]] = {}
    for table in ("fields", "templates"):
        for id_, ord_, name, config in side.connection.execute(
            f"SELECT ntid, ord, name, config FROM {table} ORDER BY ntid, ord"  # noqa: S608 - our own words
        ):
            parts.setdefault(id_, []).append((table, ord_, name, config))
    for id_, name, config in side.connection.execute("SELECT id, name, config FROM notetypes NOT INDEXED"):
        yield id_, _Stored(text_of(name), (config, parts.get(id_)), "table")


def _decks(side: Side) -> Iterator[tuple[object, _Stored]]:
    if side.schema < FIRST_SCHEMA_WITH_TABLES:
        yield from _objects(side, "decks", (*_BOOKKEEPING, *_COUNTS_OF_A_DAY))
        return
    names = deck_names(side.connection, side.collection)
    for id_, kind in side.connection.execute("SELECT id, kind FROM decks NOT INDEXED"):
        yield id_, _Stored(names.get(id_, "?"), kind, "table")


def _deck_options(side: Side) -> Iterator[tuple[object, _Stored]]:
    if side.schema < FIRST_SCHEMA_WITH_OPTION_TABLES:
        yield from _objects(side, "dconf", _BOOKKEEPING)
        return
    for id_, name, config in side.connection.execute("SELECT id, name, config FROM deck_config NOT INDEXED"):
        yield id_, _Stored(text_of(name), config, "table")


def _preferences(side: Side) -> Iterator[tuple[object, _Stored]]:
    if side.schema < FIRST_SCHEMA_WITH_OPTION_TABLES:
        found: Iterable[tuple[str, Any]] = json_column(side.connection, "conf", side.collection).items()
    else:
        # Its key is ordered by bytes, and is read as it lies.
        found = (
            (text_of(key), _parsed(value)) for key, value in side.connection.execute("SELECT key, val FROM config")
        )
    for key, value in found:
        # Which note type was used last in which deck, and the like.
        if key not in _NOTED_BY_ANKI and not key.startswith("_"):
            yield key, _Stored(key, value, "json")


def _objects(side: Side, column: str, ignored: tuple[str, ...]) -> Iterator[tuple[object, _Stored]]:
    for found in objects_in(json_column(side.connection, column, side.collection)):
        content = {key: value for key, value in found.items() if key not in ignored}
        yield _as_id(found.get("id")), _Stored(text_of(found.get("name")), content, "json")


def _as_id(value: object) -> object:
    # Old add-ons wrote some ids as text; Anki accepts both (rslib/src/notetype/schema11.rs).
    if isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) <= _LONGEST_ID:
        return int(value)
    return value if isinstance(value, int | str) else repr(value)


def _parsed(value: object) -> Any:
    try:
        return json.loads(value) if isinstance(value, str | bytes) else value
    except (ValueError, RecursionError):
        return value


_READERS: Final = {
    SettingKind.NOTE_TYPE: _note_types,
    SettingKind.DECK: _decks,
    SettingKind.DECK_OPTIONS: _deck_options,
    SettingKind.PREFERENCE: _preferences,
}
