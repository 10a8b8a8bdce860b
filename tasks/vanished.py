"""The notes that went between one snapshot and the next, for the deletion archive.

A walk goes back in time, from a collection that is here already: of each earlier one only the pages that differ from
the one after it have to be fetched, and no more than two more lie here at once.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from profiles.errors import ProfileError
from profiles.vanished_notes import VanishedNote, gone, ids_of_notes, vanished_notes
from storage.errors import Damaged, SnapshotUnknown, UnsupportedFormat
from storage.format.deletion_table import ArchivedNote, How
from storage.format.manifest import Manifest, SnapshotId, StoredFile, snapshot_time
from storage.repository import Repository, SnapshotRef
from storage.retrieval import FileAtHand
from tasks.cache_trouble import cache_trouble
from tasks.collection_copies import collection_of, stored_collection
from tasks.known_notes import KnownNotes

_UNUSABLE = (Damaged, UnsupportedFormat, SnapshotUnknown, ProfileError)
"""What makes a snapshot one that can't be compared; the others still can."""


@dataclass(frozen=True, slots=True)
class Held:
    """A snapshot's collection, in a private copy, and the ids of its notes."""

    snapshot: SnapshotId
    stored: StoredFile
    copy: FileAtHand
    ids: array[int]


def notes_vanished(
    repository: Repository,
    newest: Held | None,
    earlier: Sequence[SnapshotRef],
    folder: Path,
    remarks: list[str],
    *,
    least: int | None = None,
    known: KnownNotes | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[ArchivedNote]:
    """The notes that went between each two of the snapshots `earlier`, which come newest first, and from them to
    `newest`, if that is given.

    With `least` it ends once it has come to the one in that place, or to one before it where that can't be used: such
    ones are passed over, with a word among the `remarks`. What is `known` of the one in that place spares fetching it
    when none of its notes is gone. Copies are made in the private `folder`. `advance` hears of the bytes of each
    collection that was looked into.
    """
    last = len(earlier) if least is None else least
    newer = newest
    for place, ref in enumerate(earlier, start=1):
        if place == last and newer and known and known.snapshot == ref.id and not gone(known.ids, newer.ids):
            return
        try:
            with cache_trouble(folder):
                older = _held_by(repository, ref, folder, newer)
                if newer is not None:
                    yield from _between(older, newer)
        except _UNUSABLE as trouble:
            if not isinstance(trouble, SnapshotUnknown):  # which a person, or the limits, let go
                remarks.append(f"The snapshot {ref.id} could not be compared with those around it: {trouble}")
            _copy_of(ref, folder).unlink(missing_ok=True)
            continue
        if newer is not None and newer is not newest and newer.copy.path != older.copy.path:
            newer.copy.path.unlink()
        newer = older
        advance(older.stored.size)
        if place >= last:
            return


def _held_by(repository: Repository, ref: SnapshotRef, folder: Path, newer: Held | None) -> Held:
    """What a snapshot holds: what `newer` has of it is not fetched."""
    manifest = _manifest(repository, ref)
    stored = collection_of(manifest)
    if newer is not None and stored == newer.stored:
        return replace(newer, snapshot=ref.id)
    # A step that is tried again finds what it left.
    _copy_of(ref, folder).unlink(missing_ok=True)
    copy = stored_collection(repository, manifest, _copy_of(ref, folder), newer.copy if newer is not None else None)
    return Held(ref.id, stored, copy, ids_of_notes(copy.path))


def _copy_of(ref: SnapshotRef, folder: Path) -> Path:
    return folder / f"{ref.id}.anki2"


def _manifest(repository: Repository, ref: SnapshotRef) -> Manifest:
    """A snapshot's manifest, also one that retention has let go of a moment ago."""
    try:
        return repository.manifest(ref)
    except SnapshotUnknown:
        return repository.manifest(ref, in_trash=True)


def _between(older: Held, newer: Held) -> Iterator[ArchivedNote]:
    ids = gone(older.ids, newer.ids)
    if ids:
        for one in vanished_notes(older.copy.path, newer.copy.path, ids):
            yield _archived(one, older.snapshot, newer.snapshot)


def _archived(vanished: VanishedNote, last_snapshot: SnapshotId, gone_in: SnapshotId) -> ArchivedNote:
    note = vanished.note
    sighting = f"{note.note_id}\n{last_snapshot}\n{gone_in}"
    return ArchivedNote(
        key=hashlib.blake2b(sighting.encode(), digest_size=16).digest(),
        note_id=note.note_id,
        guid=note.guid,
        note_type_id=note.note_type_id,
        note_type=note.note_type,
        field_names=note.field_names,
        fields=note.fields,
        tags=note.tags,
        deck=note.deck,
        modified_s=note.modified_s,
        how=How.DELETED if vanished.deleted else How.REPLACED,
        last_snapshot=last_snapshot,
        gone_in=gone_in,
        seen_at=snapshot_time(gone_in),
    )
