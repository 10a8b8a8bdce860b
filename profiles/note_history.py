"""A note as copies of its collection hold it, one after the other, and what became of it from one to the next.

To look for one note through a year of snapshots, none of them is proven: that would cost minutes, and only rows are
read here. Reading them is safe all the same. SQLite checks each page before it follows it, so a damaged copy ends in an
error; and what a hostile one could draw out or blow up (a tree that leads into itself, a column that is computed) ends
at the bounds set here. Whoever takes notes out of a copy proves it first (`recovery`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Generic, TypeVar

from profiles.comparing.schema import schema_of, unlike_anki
from profiles.decks import deck_names, with_sub_decks
from profiles.note_types import note_types_in
from profiles.proof import opened_copy

_LONGEST_VALUE: Final = 100 * 1024 * 1024
"""Bytes of a row: Anki syncs none that is longer."""
_MOST_STEPS: Final = 100_000_000
"""Of SQLite's machine, a few seconds: a thousand times what reading a note takes where a copy lacks every index."""
_STEPS_AT_ONCE: Final = 100_000
_BETWEEN_FIELDS: Final = "\x1f"

# A card in a filtered deck is at home in the deck it came from; of several cards the first counts.
_DECK: Final = "SELECT CASE WHEN odid THEN odid ELSE did END FROM cards WHERE nid = ? ORDER BY ord LIMIT 1"

_CARD: Final = "SELECT 1 FROM cards WHERE did = ? OR odid = ? LIMIT 1"

Moment = TypeVar("Moment")


@dataclass(frozen=True, slots=True)
class Held:
    """What a copy holds of what was asked for."""

    notes: frozenset[int]
    decks: frozenset[str]


@dataclass(frozen=True, slots=True)
class NoteState:
    """What a person sees of a note: its fields by name in their order, its tags, and the deck of its first card."""

    note_type: str
    deck: str
    tags: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class NoteVersion(Generic[Moment]):
    """A note as it was from one moment to another; without a `state` it was not there, after it had been."""

    state: NoteState | None
    first: Moment
    last: Moment


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field that is not as it was; None where the note had, or has, no field of that name."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class NoteChange:
    """What became of a note from one version to the next: whether its type, deck and tags did, and which fields."""

    note_type: bool
    deck: bool
    tags: bool
    fields: tuple[FieldChange, ...]


def held_in(
    collection_copy: Path, *, notes: Iterable[int] = (), decks: Iterable[str] = (), original: Path | None = None
) -> Held:
    """Those of `notes` and `decks` that a private copy holds, which need not be proven; decks with any card, that is.

    `original` is what a person knows the copy by. Raises CollectionDamaged, SourceUnreadable.
    """
    wanted = list(decks)
    with _bounded(collection_copy, original) as connection:
        there = (note for note in notes if _can_be(note))
        found = (note for note in there if connection.execute("SELECT 1 FROM notes WHERE id = ?", (note,)).fetchone())
        names = deck_names(connection, original or collection_copy) if wanted else {}
        with_cards = frozenset(deck for deck in wanted if _holds_cards(connection, with_sub_decks(names, [deck])[0]))
        return Held(frozenset(found), with_cards)


def _holds_cards(connection: sqlite3.Connection, decks: Iterable[int]) -> bool:
    return any(connection.execute(_CARD, (deck, deck)).fetchone() for deck in decks)


def _can_be(note: int) -> bool:
    """Whether SQLite knows the number at all."""
    return -(2**63) <= note < 2**63


def read_note(collection_copy: Path, note: int, *, original: Path | None = None) -> NoteState | None:
    """A note as a private copy holds it, which need not be proven; None where it does not.

    `original` is what a person knows the copy by. Raises CollectionDamaged, SourceUnreadable.
    """
    named = original or collection_copy
    with _bounded(collection_copy, original) as connection:
        row = None
        if _can_be(note):
            row = connection.execute("SELECT mid, flds, tags FROM notes WHERE id = ?", (note,)).fetchone()
        if row is None:
            return None
        type_id, fields, tags = row
        if type(type_id) is not int or not isinstance(fields, str) or not isinstance(tags, str):
            raise unlike_anki(named, f"the note {note} makes no sense")
        deck = connection.execute(_DECK, (note,)).fetchone()
        # Names come last: most copies do not hold the note, or hold it as the one before did.
        found = note_types_in(connection, named).get(type_id)
        texts = fields.split(_BETWEEN_FIELDS)
        known = found.fields if found else ()
        names = [*known, *(f"field {at + 1}" for at in range(len(known), len(texts)))]
        return NoteState(
            found.name if found else f"note type {type_id}",
            deck_names(connection, named).get(deck[0], "") if deck else "",
            tuple(tags.split()),
            tuple(zip(names, texts, strict=False)),
        )


@contextmanager
def _bounded(collection_copy: Path, original: Path | None) -> Iterator[sqlite3.Connection]:
    with opened_copy(collection_copy, original=original) as connection:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        left = _MOST_STEPS // _STEPS_AT_ONCE

        def is_enough() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        connection.set_progress_handler(is_enough, _STEPS_AT_ONCE)
        schema_of(connection, original or collection_copy)
        yield connection


def versions(seen: Iterable[tuple[Moment, NoteState | None]]) -> tuple[NoteVersion[Moment], ...]:
    """What a note was from when to when, told by how it was `seen` from the oldest moment to the newest.

    Before it came to be there is none; a note that came back is a version of its own.
    """
    found: list[NoteVersion[Moment]] = []
    for moment, state in seen:
        if found and found[-1].state == state:
            found[-1] = replace(found[-1], last=moment)
        elif found or state is not None:
            found.append(NoteVersion(state, moment, moment))
    return tuple(found)


def note_change(before: NoteState, after: NoteState) -> NoteChange:
    """What became of a note. Fields go by their names."""
    was, is_now = dict(before.fields), dict(after.fields)
    names = dict.fromkeys([*is_now, *was])
    return NoteChange(
        before.note_type != after.note_type,
        before.deck != after.deck,
        before.tags != after.tags,
        tuple(
            FieldChange(name, was.get(name), is_now.get(name)) for name in names if was.get(name) != is_now.get(name)
        ),
    )
