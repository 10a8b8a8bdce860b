"""The trash: snapshots that were forgotten, and can be had back until a sweep empties it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from storage.errors import ObjectMissing, PiecesLost, SnapshotUnknown
from storage.format.manifest import (
    LARGEST_MANIFEST,
    Manifest,
    ProfileKey,
    read_manifest,
    renamed,
    snapshot_of_name,
    trash_name,
)
from storage.repository import Repository, SnapshotRef
from storage.store import StoredObject
from storage.stored_size import refuse_too_large

TRASH = "trash"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A snapshot in the trash, and since when by the store's clock."""

    ref: SnapshotRef
    forgotten_at: datetime


def forgotten_snapshots(repository: Repository, profile_key: ProfileKey | None = None) -> list[Forgotten]:
    """What lies in the trash, of one profile or of all, oldest snapshot first."""
    return forgotten_among(repository.store.list(f"{TRASH}/{profile_key}" if profile_key else TRASH))


def forgotten_among(objects: Iterable[StoredObject]) -> list[Forgotten]:
    """The snapshots in the trash that a listing shows, oldest first."""
    found = [(snapshot_of_name(item.name), item.size, item.modified) for item in objects]
    return sorted(
        (Forgotten(SnapshotRef(*pair, size), modified) for pair, size, modified in found if pair),
        key=lambda one: (one.ref.id, one.ref.profile_key),
    )


def forgotten_manifest(repository: Repository, ref: SnapshotRef) -> Manifest:
    """The manifest of a snapshot in the trash, from the store itself: it is about to be relied on.

    Raises SnapshotUnknown when it is not there.
    """
    refuse_too_large(trash_name(ref.profile_key, ref.id), ref.size, LARGEST_MANIFEST)
    try:
        stored = repository.store.read(trash_name(ref.profile_key, ref.id))
    except ObjectMissing as fault:
        raise SnapshotUnknown(
            f"The snapshot {ref.id} is not in the trash of {repository.store.url}",
            "List what is there with `recollect forget --list`",
        ) from fault
    return read_manifest(repository.seal, ref.profile_key, ref.id, stored)


def put_back(repository: Repository, ref: SnapshotRef) -> SnapshotRef:
    """Make a forgotten snapshot one that exists again; returns it under its new id, for names are never used twice.

    Raises SnapshotUnknown when it is not in the trash, PiecesLost when a part of it has been removed meanwhile.
    """
    manifest = forgotten_manifest(repository, ref)
    again = renamed(manifest)
    try:
        back, _ = repository.commit(again, known=False)
    except PiecesLost as lost:
        # Not removed: a sweep may have seen it, and would miss it.
        repository.move_to_trash(SnapshotRef(again.profile_key, again.id))
        raise PiecesLost(
            f"The snapshot {ref.id} can't be put back: a part of it has been removed since it was forgotten",
            "Restore another snapshot: list them with `recollect snapshots`",
        ) from lost
    repository.store.remove(trash_name(ref.profile_key, ref.id))
    return back
