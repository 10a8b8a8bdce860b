"""The names of a collection's decks, read without Anki's library.

Schema 11 and 14 keep decks as JSON in `col.decks`, with "::" between the levels of a name; from schema 15 on there is a
table `decks`, with 0x1F between them (rslib/src/storage/upgrades/mod.rs, rslib/src/decks/name.rs).
"""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from profiles.errors import CollectionDamaged
from profiles.note_types import FIRST_SCHEMA_WITH_TABLES
from profiles.unicase import folded

_BETWEEN_LEVELS = "\x1f"


def deck_names(connection: sqlite3.Connection, named: Path) -> dict[int, str]:
    """The full name of each deck by its id, with "::" between the levels.

    `connection` reads a proven copy; `named` is what is said of damage. Raises CollectionDamaged.
    """
    version, decks = connection.execute("select ver, decks from col").fetchone()
    try:
        if version >= FIRST_SCHEMA_WITH_TABLES:
            rows = connection.execute("select id, name from decks not indexed").fetchall()
            return {id_: _text(name).replace(_BETWEEN_LEVELS, "::") for id_, name in rows}
        decoded = json.loads(_text(decks))
        return {int(deck["id"]): _text(deck["name"]) for deck in decoded.values()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CollectionDamaged(
            f"The decks of the collection {named} can't be read ({type(error).__name__})",
            "Run Tools > Check Database in Anki, or use an older snapshot",
        ) from error


def with_sub_decks(names: Mapping[int, str], wanted: Iterable[str]) -> tuple[set[int], tuple[str, ...]]:
    """The ids of the decks that `wanted` names and of all below them; and those of `wanted` that are not there.

    Names are compared as Anki does: composed, and without regard to case.
    """
    ids: set[int] = set()
    missing: list[str] = []
    compared = {id_: _compared(name) for id_, name in names.items()}
    for name in wanted:
        sought = _compared(name)
        found = {id_ for id_, deck in compared.items() if deck == sought or deck.startswith(f"{sought}::")}
        ids |= found
        if not found and name not in missing:
            missing.append(name)
    return ids, tuple(missing)


def _compared(name: str) -> str:
    return folded(unicodedata.normalize("NFC", name))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a name is not text")
    return value
