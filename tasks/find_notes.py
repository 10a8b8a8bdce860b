"""The step *find-notes*: which snapshots hold the notes that a person wants back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from profiles.note_history import notes_there
from profiles.recovery.choosing import choose_notes
from storage.format.manifest import Manifest, SnapshotId
from storage.repository import SnapshotRef
from tasks.catalog import LATEST, StoredProfile, choose_snapshot
from tasks.collection_over_time import CollectionOverTime, known_as, look_through
from tasks.step import step


@dataclass(frozen=True, slots=True)
class Wanted:
    """Notes that a person wants back: by id, by the full name of a deck, or by a search in Anki's own language."""

    notes: tuple[int, ...] = ()
    decks: tuple[str, ...] = ()
    search: str | None = None

    def __bool__(self) -> bool:
        return bool(self.notes or self.decks) or self.search is not None


@dataclass(frozen=True, slots=True)
class NotesOfSnapshot:
    """Notes, by id, that come out of one snapshot."""

    manifest: Manifest
    notes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FoundNotes:
    """What was found, the newest snapshot first; and what was asked for that is nowhere.

    Decks, a search, and all where a snapshot was named, were looked for `in_snapshot`; ids otherwise in as many
    snapshots as were `looked_into`. `unread` says of others why they could not be.
    """

    found: tuple[NotesOfSnapshot, ...] = ()
    missing_notes: tuple[int, ...] = ()
    missing_decks: tuple[str, ...] = ()
    in_snapshot: SnapshotId | None = None
    looked_into: int = 0
    unread: tuple[str, ...] = ()

    @property
    def notes(self) -> int:
        """How many notes were found."""
        return sum(len(one.notes) for one in self.found)


@step("find-notes", retried=True)
def find_notes(copy: CollectionOverTime, stored: StoredProfile, wanted: Wanted, snapshot: str | None) -> FoundNotes:
    """Find the notes in the snapshot that is named; where none is, each id in the newest one that still holds it.

    Decks and a search are for *latest* then. Raises what fetching, or reading a named snapshot, raises.
    """
    if snapshot is not None:
        return _in_one(copy, stored, wanted, snapshot)
    chosen = FoundNotes()
    if wanted.decks or wanted.search is not None:
        chosen = _in_one(copy, stored, Wanted((), wanted.decks, wanted.search), LATEST)
    there = {note for one in chosen.found for note in one.notes}
    by_id = _newest_that_hold(copy, stored.refs, [note for note in wanted.notes if note not in there])
    found: dict[str, NotesOfSnapshot] = {}
    for one in (*chosen.found, *by_id.found):
        other = found.get(one.manifest.id)
        notes = sorted((*one.notes, *(other.notes if other else ())))
        found[one.manifest.id] = NotesOfSnapshot(one.manifest, tuple(notes))
    return FoundNotes(
        tuple(sorted(found.values(), key=lambda one: one.manifest.id, reverse=True)),
        by_id.missing_notes,
        chosen.missing_decks,
        chosen.in_snapshot,
        by_id.looked_into,
        by_id.unread,
    )


def _in_one(copy: CollectionOverTime, stored: StoredProfile, wanted: Wanted, snapshot: str) -> FoundNotes:
    manifest = copy.repository.manifest(choose_snapshot(stored, snapshot))
    choice = choose_notes(
        copy.turn_to(manifest),
        note_ids=wanted.notes,
        decks=wanted.decks,
        search=wanted.search,
        original=known_as(manifest),
    )
    found = (NotesOfSnapshot(manifest, choice.notes),) if choice.notes else ()
    return FoundNotes(found, choice.missing_notes, choice.missing_decks, manifest.id)


def _newest_that_hold(copy: CollectionOverTime, refs: Iterable[SnapshotRef], notes: Iterable[int]) -> FoundNotes:
    left = list(dict.fromkeys(notes))
    found: list[NotesOfSnapshot] = []
    unread: list[str] = []
    looked_into = 0
    for manifest, there in _looks(copy, list(refs)[::-1], left, unread) if left else ():
        looked_into += 1
        notes_here = tuple(sorted(there.intersection(left)))
        if notes_here:
            found.append(NotesOfSnapshot(manifest, notes_here))
            left = [note for note in left if note not in there]
        if not left:
            break
    return FoundNotes(tuple(found), tuple(left), looked_into=looked_into, unread=tuple(unread))


def _looks(
    copy: CollectionOverTime, refs: Iterable[SnapshotRef], notes: list[int], unread: list[str]
) -> Iterator[tuple[Manifest, frozenset[int]]]:
    for look in look_through(copy, refs, lambda path, original: notes_there(path, notes, original=original)):
        if look.trouble is not None:
            unread.append(look.refusal)
        elif look.manifest is not None and look.found is not None:
            yield look.manifest, look.found
