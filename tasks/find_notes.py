"""The step *find-notes*: which snapshots hold the notes that a person wants back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from profiles.errors import CollectionDamaged
from profiles.note_history import Held, held_in
from profiles.recovery.choosing import Choice, choose_notes
from storage.format.manifest import Manifest, SnapshotId
from storage.repository import SnapshotRef
from tasks.catalog import LATEST, StoredProfile, choose_snapshot
from tasks.chosen import chosen_snapshot
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

    Decks, a search, and all where a snapshot was named, were looked for `in_snapshot`; ids, and decks that it does not
    have, otherwise in as many as were `looked_into`. `unread` says of others why they could not be.
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
    """Find the notes in the snapshot that is named; where none is, each in the newest one that still holds it.

    A deck and a search are for *latest* then; only a deck that is gone, or holds nothing any more, comes from the
    newest snapshot in which it does. Raises what fetching, or reading a snapshot that was chosen, raises.
    """
    if snapshot is not None:
        return _in_one(copy, stored, wanted, snapshot)
    chosen = FoundNotes()
    decks = _decks_in_latest(copy, stored, wanted.decks)
    if decks or wanted.search is not None:
        chosen = _in_one(copy, stored, Wanted((), decks, wanted.search), LATEST)
    there = {note for one in chosen.found for note in one.notes}
    left = Wanted(
        tuple(dict.fromkeys(note for note in wanted.notes if note not in there)),
        tuple(dict.fromkeys(deck for deck in wanted.decks if deck not in decks)),
    )
    older = _in_newest_that_hold(copy, stored.refs, left) if left else FoundNotes()
    found: dict[str, NotesOfSnapshot] = {}
    for one in (*chosen.found, *older.found):
        other = found.get(one.manifest.id)
        notes = {*one.notes, *(other.notes if other else ())}
        found[one.manifest.id] = NotesOfSnapshot(one.manifest, tuple(sorted(notes)))
    return replace(
        older,
        found=tuple(sorted(found.values(), key=lambda one: one.manifest.id, reverse=True)),
        in_snapshot=chosen.in_snapshot,
    )


def _decks_in_latest(copy: CollectionOverTime, stored: StoredProfile, decks: tuple[str, ...]) -> tuple[str, ...]:
    if not decks:
        return ()
    manifest = copy.repository.manifest(choose_snapshot(stored, LATEST))
    held = held_in(copy.turn_to(manifest), decks=decks, original=known_as(manifest)).decks
    return tuple(deck for deck in decks if deck in held)


def _in_one(copy: CollectionOverTime, stored: StoredProfile, wanted: Wanted, snapshot: str) -> FoundNotes:
    manifest = copy.repository.manifest(chosen_snapshot(copy.repository, stored, snapshot))
    choice = _choice(copy, manifest, wanted)
    found = (NotesOfSnapshot(manifest, choice.notes),) if choice.notes else ()
    return FoundNotes(found, choice.missing_notes, choice.missing_decks, manifest.id)


def _choice(copy: CollectionOverTime, manifest: Manifest, wanted: Wanted) -> Choice:
    return choose_notes(
        copy.turn_to(manifest),
        note_ids=wanted.notes,
        decks=wanted.decks,
        search=wanted.search,
        original=known_as(manifest),
    )


def _in_newest_that_hold(copy: CollectionOverTime, refs: Sequence[SnapshotRef], wanted: Wanted) -> FoundNotes:
    def held(path: Path, original: Path) -> Held:
        return held_in(path, notes=wanted.notes, decks=wanted.decks, original=original)

    notes, decks = list(wanted.notes), list(wanted.decks)
    found: list[NotesOfSnapshot] = []
    unread: list[str] = []
    looked_into = 0
    for look in look_through(copy, refs[::-1], held):
        if look.manifest is None or look.found is None:
            unread.append(look.refusal)
            continue
        looked_into += 1
        here = Wanted(
            tuple(note for note in notes if note in look.found.notes),
            tuple(deck for deck in decks if deck in look.found.decks),
        )
        if here:
            try:
                found.append(NotesOfSnapshot(look.manifest, _choice(copy, look.manifest, here).notes))
            except CollectionDamaged as trouble:
                unread.append(trouble.problem)
                continue
            notes = [note for note in notes if note not in here.notes]
            decks = [deck for deck in decks if deck not in here.decks]
        if not notes and not decks:
            break
    return FoundNotes(
        tuple(one for one in found if one.notes),
        tuple(notes),
        tuple(decks),
        looked_into=looked_into,
        unread=tuple(unread),
    )
