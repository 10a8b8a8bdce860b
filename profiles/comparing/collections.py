"""Two collections compared: what came, changed and went from one to the other.

Both are private copies with no log beside them. SQLite finds the rows that differ, and only those reach Python: two
states of 100 000 notes take a second.
"""

from __future__ import annotations

import html
import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiles.comparing.change import Change
from profiles.comparing.schema import OF_A_CARD, schema_of, text_of, unlike_anki
from profiles.comparing.settings import ChangedSetting, Side, compare_settings
from profiles.decks import deck_names
from profiles.note_types import NoteType, read_note_types
from profiles.proof import opened_copy

_BETWEEN_FIELDS: Final = "\x1f"
_EXCERPT: Final = 80
_LONGEST_LOOKED_AT: Final = 4096
_TAG: Final = re.compile(r"<[^>]*>")

# A card in a filtered deck is at home in the deck it came from. Most notes have one card; of several the first counts.
_DECK_OF: Final = (
    "(SELECT CASE WHEN odid THEN odid ELSE did END FROM {side}.cards WHERE nid = {note}.id ORDER BY ord LIMIT 1)"
)


@dataclass(frozen=True, slots=True)
class ChangedNote:
    """A note that is not the same in both collections, as it is afterwards; one that went, as it was.

    `begins` is how its first field begins, as text; `fields` names those that differ in a note that `CHANGED`.
    """

    id: int
    change: Change
    note_type: str
    deck: str
    begins: str
    fields: tuple[str, ...] = ()
    tags: bool = False
    """Whether its tags differ."""
    type_changed: bool = False
    """Whether it is of another note type now: then all its fields count as changed."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many came, changed and went."""

    added: int = 0
    changed: int = 0
    deleted: int = 0

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.deleted)


@dataclass(frozen=True, slots=True)
class CollectionDifference:
    """What became of a collection between two states of it."""

    notes: tuple[ChangedNote, ...]
    """By deck, note type and id."""
    cards: Counts
    reviews: Counts
    settings: tuple[ChangedSetting, ...]

    def __bool__(self) -> bool:
        return bool(self.notes or self.cards or self.reviews or self.settings)

    def count(self, change: Change) -> int:
        """How many notes came, changed or went."""
        return sum(note.change is change for note in self.notes)

    def by_deck_and_note_type(self) -> dict[tuple[str, str], Counts]:
        """How many notes of each deck and note type came, changed and went."""
        tally: dict[tuple[str, str], dict[Change, int]] = {}
        for note in self.notes:
            of_both = tally.setdefault((note.deck, note.note_type), dict.fromkeys(Change, 0))
            of_both[note.change] += 1
        return {both: Counts(*(found[change] for change in Change)) for both, found in tally.items()}


def compare_collections(before: Path, after: Path) -> CollectionDifference:
    """What became of the collection `before` until it was `after`.

    Raises CollectionDamaged when one of them is not what Anki writes, SourceUnreadable when it can't be read.
    """
    with ExitStack() as stack:
        sides = []
        for copy in (before, after):
            connection = stack.enter_context(opened_copy(copy))
            sides.append(_Named(Side(connection, schema_of(connection, copy), copy)))
        old, new = sides
        both = old.side.connection
        both.execute("ATTACH ? AS later", (f"{after.absolute().as_uri()}?mode=ro&immutable=1",))
        try:
            notes = sorted(_notes(both, old, new), key=lambda note: (note.deck, note.note_type, note.id))
            return CollectionDifference(
                tuple(notes), _cards(both), _reviews(both), compare_settings(old.side, new.side)
            )
        except (TypeError, ValueError) as error:
            raise unlike_anki(after, "it holds something else where a number belongs") from error


class _Named:
    """One side, and what its decks and note types are called."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self._decks = deck_names(side.connection, side.collection)
        self._note_types = read_note_types(side.collection)

    def note_type(self, id_: int) -> NoteType:
        """A note type, also one that is gone."""
        return self._note_types.get(id_) or NoteType(id_, f"note type {id_}", ())

    def deck(self, id_: int | None) -> str:
        """A deck's full name; a note without cards is in none."""
        return "" if id_ is None else self._decks.get(id_) or f"deck {id_}"


def _notes(both: sqlite3.Connection, old: _Named, new: _Named) -> Iterator[ChangedNote]:
    for change, here, there, side in ((Change.DELETED, "main", "later", old), (Change.ADDED, "later", "main", new)):
        rows = both.execute(
            f"SELECT id, mid, flds, {_DECK_OF.format(side=here, note='note')} FROM {here}.notes AS note"  # noqa: S608
            f" WHERE NOT EXISTS (SELECT 1 FROM {there}.notes WHERE id = note.id)"
        )
        for id_, note_type, fields, deck in rows:
            begins = _beginning(_split(fields))
            yield ChangedNote(int(id_), change, side.note_type(note_type).name, side.deck(deck), begins)
    rows = both.execute(
        "SELECT was.id, was.mid, note.mid, was.flds, note.flds, was.tags IS NOT note.tags,"  # noqa: S608
        f" {_DECK_OF.format(side='later', note='note')}"
        " FROM main.notes AS was CROSS JOIN later.notes AS note ON note.id = was.id"
        " WHERE was.flds IS NOT note.flds OR was.tags IS NOT note.tags OR was.mid IS NOT note.mid"
        " OR was.guid IS NOT note.guid"
    )
    for id_, old_type, new_type, old_fields, new_fields, tags, deck in rows:
        names = new.note_type(new_type)
        fields = _split(new_fields)
        yield ChangedNote(
            int(id_),
            Change.CHANGED,
            names.name,
            new.deck(deck),
            _beginning(fields),
            fields=_differing(names, _split(old_fields), fields, anyway=old_type != new_type),
            tags=bool(tags),
            type_changed=old_type != new_type,
        )


def _differing(names: NoteType, old: list[str], new: list[str], *, anyway: bool) -> tuple[str, ...]:
    longest = max(len(old), len(new))
    called = [names.fields[at] if at < len(names.fields) else f"field {at + 1}" for at in range(longest)]
    return tuple(called[at] for at in range(longest) if anyway or old[at : at + 1] != new[at : at + 1])


def _cards(both: sqlite3.Connection) -> Counts:
    differs = " OR ".join(f"was.{column} IS NOT card.{column}" for column in OF_A_CARD)
    common, changed = both.execute(
        f"SELECT count(*), coalesce(sum({differs}), 0)"  # noqa: S608 - our own words
        " FROM main.cards AS was CROSS JOIN later.cards AS card ON card.id = was.id"
    ).fetchone()
    return _counts(both, "cards", common, changed)


def _reviews(both: sqlite3.Connection) -> Counts:
    (common,) = both.execute(
        "SELECT count(*) FROM main.revlog AS was CROSS JOIN later.revlog AS review ON review.id = was.id"
    ).fetchone()
    return _counts(both, "revlog", common, 0)


def _counts(both: sqlite3.Connection, table: str, common: int, changed: int) -> Counts:
    before, after = (
        both.execute(f"SELECT count(*) FROM {side}.{table}").fetchone()[0]  # noqa: S608 - our own words
        for side in ("main", "later")
    )
    return Counts(after - common, changed, before - common)


def _split(fields: object) -> list[str]:
    return text_of(fields).split(_BETWEEN_FIELDS)


def _beginning(fields: list[str]) -> str:
    """How a note begins, as a person knows it: without tags, entities and line breaks."""
    text = html.unescape(_TAG.sub(" ", fields[0][:_LONGEST_LOOKED_AT]))
    return " ".join(text.split())[:_EXCERPT]
