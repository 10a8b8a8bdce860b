"""The notes of a private copy: which there are, and each with all that a person made of it.

A note has one deck here: that of its first card. A card in a filtered deck is at home in the deck that it came from,
where Anki's text import can put it, too.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiles.decks import deck_names
from profiles.errors import CollectionDamaged
from profiles.note_types import NoteType, note_types_in

_BETWEEN_FIELDS: Final = "\x1f"
_NOTE: Final = "SELECT mid, flds, guid, tags, mod FROM notes WHERE id = ?"
_HOME_DECK: Final = "SELECT CASE odid WHEN 0 THEN did ELSE odid END FROM cards WHERE nid = ? ORDER BY ord LIMIT 1"


@dataclass(frozen=True, slots=True)
class CopiedNote:
    """A note as a copy holds it; `note_type` is None and `field_names` empty when the copy lacks its type."""

    note_id: int
    guid: str
    note_type_id: int
    note_type: str | None
    field_names: tuple[str, ...]
    fields: tuple[str, ...]
    tags: tuple[str, ...]
    deck: str | None
    """The full name; None for a note without cards, or whose deck is not there."""
    modified_s: int
    """When its text or tags were changed last, in seconds since 1970."""


def note_ids(connection: sqlite3.Connection, named: Path) -> array[int]:
    """The id of every note, in ascending order. `named` is what a person knows the copy by. Raises CollectionDamaged.

    In no order that SQLite is asked for: so it walks a small index instead of every note.
    """
    ids = [id_ for (id_,) in connection.execute("SELECT id FROM notes")]
    try:
        return array("q", sorted(ids))
    except (TypeError, OverflowError) as error:
        raise _senseless(named, "a note") from error


def can_be_an_id(number: int) -> bool:
    """Whether SQLite has room for the number: a person may ask for any."""
    return -(2**63) <= number < 2**63


def read_notes(connection: sqlite3.Connection, named: Path, wanted: Iterable[int]) -> Iterator[CopiedNote]:
    """Those of the `wanted` notes that an opened copy holds, in the order asked for.

    The copy may be of any schema from 11 on. `named` is what a person knows it by. Raises CollectionDamaged, and what
    SQLite raises.
    """
    # Names are read once a note is there: most copies that are searched for one do not hold it.
    decks: dict[int, str] | None = None
    note_types: dict[int, NoteType] = {}
    for id_ in wanted:
        row = connection.execute(_NOTE, (id_,)).fetchone() if can_be_an_id(id_) else None
        if row is None:
            continue
        if decks is None:
            decks, note_types = deck_names(connection, named), note_types_in(connection, named)
        note_type_id, fields, guid, tags, modified_s = row
        if not (
            all(isinstance(text, str) for text in (fields, guid, tags))
            and type(note_type_id) is type(modified_s) is int
        ):
            raise _senseless(named, f"the note {id_}")
        note_type = note_types.get(note_type_id)
        deck = connection.execute(_HOME_DECK, (id_,)).fetchone()
        yield CopiedNote(
            note_id=id_,
            guid=guid,
            note_type_id=note_type_id,
            note_type=note_type.name if note_type else None,
            field_names=note_type.fields if note_type else (),
            fields=tuple(fields.split(_BETWEEN_FIELDS)),
            tags=tuple(tags.split()),
            deck=decks.get(deck[0]) if deck else None,
            modified_s=modified_s,
        )


def _senseless(named: Path, what: str) -> CollectionDamaged:
    return CollectionDamaged(
        f"The collection {named} is damaged: {what} makes no sense",
        "Run Tools > Check Database in Anki, or use an older snapshot",
    )
