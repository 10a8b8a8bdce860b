"""A note as copies of its collection hold it, one after the other, and what became of it from one to the next.

To look for one note through a year of snapshots, none of them is proven (`unproven`). Whoever takes notes out of a copy
proves it first (`recovery`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Generic, TypeVar

from profiles.decks import deck_names, with_sub_decks
from profiles.notes import can_be_an_id, read_notes
from profiles.unproven import opened_unproven

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
    with opened_unproven(collection_copy, original=original) as connection:
        there = (note for note in notes if can_be_an_id(note))
        found = (note for note in there if connection.execute("SELECT 1 FROM notes WHERE id = ?", (note,)).fetchone())
        names = deck_names(connection, original or collection_copy) if wanted else {}
        with_cards = frozenset(deck for deck in wanted if _holds_cards(connection, with_sub_decks(names, [deck])[0]))
        return Held(frozenset(found), with_cards)


def _holds_cards(connection: sqlite3.Connection, decks: Iterable[int]) -> bool:
    return any(connection.execute(_CARD, (deck, deck)).fetchone() for deck in decks)


def read_note(collection_copy: Path, note: int, *, original: Path | None = None) -> NoteState | None:
    """A note as a private copy holds it, which need not be proven; None where it does not.

    `original` is what a person knows the copy by. Raises CollectionDamaged, SourceUnreadable.
    """
    with opened_unproven(collection_copy, original=original) as connection:
        found = next(read_notes(connection, original or collection_copy, [note]), None)
    if found is None:
        return None
    names = found.field_names + tuple(f"field {at + 1}" for at in range(len(found.field_names), len(found.fields)))
    return NoteState(
        found.note_type if found.note_type is not None else f"note type {found.note_type_id}",
        found.deck or "",
        found.tags,
        tuple(zip(names, found.fields, strict=False)),
    )


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
