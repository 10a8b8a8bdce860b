"""The step *restore-collection*: fetched, proven, and put where it belongs."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from profiles.errors import CollectionDamaged
from profiles.install import install_collection, stamp_for_one_way_sync
from profiles.proof import prove
from recollect.progress import current_progress
from storage.format.manifest import Manifest, StoredFile
from storage.repository import Repository
from storage.retrieval import retrieve_file
from tasks.media import COLLECTION, DELETION_LOG
from tasks.step import step


@step("restore-collection", retried=True)
def restore_collection(repository: Repository, manifest: Manifest, folder: Path, *, in_place: bool) -> int:
    """Build the collection beside its place, prove it, and rename it there; returns the bytes restored.

    In place it is also marked so that the next sync asks which side to keep, instead of undoing the restore.
    """
    stored = _collection_of(manifest)
    prepared = folder / f".recollect-{secrets.token_hex(8)}.anki2"
    try:
        with current_progress().stage(f"{manifest.profile}: restoring the collection", stored.size) as stage:
            retrieve_file(repository, stored, prepared, stage.advance)
        _prove(prepared, manifest)
        if in_place:
            stamp_for_one_way_sync(prepared, time.time_ns() // 1_000_000)
        install_collection(prepared, folder / COLLECTION)
    finally:
        prepared.unlink(missing_ok=True)
    return stored.size


@step("restore-deletion-log", retried=True)
def restore_deletion_log(repository: Repository, manifest: Manifest, folder: Path) -> None:
    """Put deleted.txt into a new folder; one that is there already goes on by itself."""
    stored = manifest.file(DELETION_LOG)
    target = folder / DELETION_LOG
    if stored is not None and not target.exists():
        retrieve_file(repository, stored, target, lambda _: None)


def _collection_of(manifest: Manifest) -> StoredFile:
    stored = manifest.file(COLLECTION)
    if stored is None:
        raise CollectionDamaged(f"The snapshot {manifest.id} holds no collection", "Restore another snapshot")
    return stored


def _prove(prepared: Path, manifest: Manifest) -> None:
    facts = prove(prepared)
    counted = {"notes": facts.notes, "cards": facts.cards, "reviews": facts.reviews}
    promised = {name: manifest.facts.get(name) for name in counted}
    if counted != promised:
        raise CollectionDamaged(
            f"The collection restored from the snapshot {manifest.id} holds {counted} instead of {promised}",
            "Restore another snapshot",
        )
