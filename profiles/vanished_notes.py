"""Which notes are gone from a collection, and what they were: told by an older copy of it.

This sees what never reaches `deleted.txt`: decks that were deleted, Empty Cards, deletions on a phone or by a sync, a
collection that was replaced. Anki keeps the id of each note that it deletes, in the table `graves`, until a full upload
(rslib/src/storage/graves; a sync adds those of the other devices): a note that is gone and not among them went with the
whole collection, by a restore or a one-way sync.
"""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiles.notes import CopiedNote, note_ids, read_notes
from profiles.unproven import opened_unproven

_A_NOTE: Final = 1
"""What a grave is of (rslib/src/storage/graves/mod.rs): a card, a note or a deck."""


@dataclass(frozen=True, slots=True)
class VanishedNote:
    """A note that is gone, as it was; `deleted` says that the newer collection knows of its deletion."""

    note: CopiedNote
    deleted: bool


def ids_of_notes(copy: Path) -> array[int]:
    """The ids of a private copy's notes, in ascending order. Raises CollectionDamaged and SourceUnreadable."""
    with opened_unproven(copy) as connection:
        return note_ids(connection, copy)


def gone(before: array[int], after: array[int]) -> array[int]:
    """Those of the ids `before` that are not there `after`; all are in ascending order."""
    if after[: len(before)] == before:
        return array("q")  # as nearly always: none is gone, and new ones come last
    missing = array("q")
    place = 0
    for id_ in before:
        place = bisect_left(after, id_, place)
        if place == len(after) or after[place] != id_:
            missing.append(id_)
    return missing


def vanished_notes(before: Path, after: Path, ids: Sequence[int]) -> Iterator[VanishedNote]:
    """Those of the notes `ids` that the private copy `before` holds, one by one; none of them is in the copy `after`.

    Raises CollectionDamaged when a copy is not what Anki writes, SourceUnreadable when it can't be read.
    """
    with opened_unproven(after) as newer:
        buried = _buried(newer, frozenset(ids))
    with opened_unproven(before) as older:
        for note in read_notes(older, before, ids):
            yield VanishedNote(note, deleted=note.note_id in buried)


def _buried(connection: sqlite3.Connection, ids: Collection[int]) -> set[int]:
    """Those of `ids` whose deletion a collection knows of."""
    graves = "SELECT 1 FROM sqlite_schema WHERE name='graves' AND type='table' AND rootpage>0"
    if connection.execute(graves).fetchone() is None:
        return set()
    rows = connection.execute("SELECT oid FROM graves WHERE type = ?", (_A_NOTE,))
    return {id_ for (id_,) in rows if id_ in ids}
