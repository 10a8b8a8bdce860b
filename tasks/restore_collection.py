"""The step *restore-collection*: fetched, proven, and put where it belongs."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from profiles.collection_copy import SourceStamp, stamp
from profiles.durable import take_over_owner_and_mode, told_plainly
from profiles.errors import SourceBusy
from profiles.install import install_collection, stamp_for_one_way_sync
from recollect.progress import current_progress
from storage.format.manifest import Manifest, SnapshotId
from storage.repository import Repository
from storage.retrieval import FileAtHand, retrieve_file
from tasks.collection_copies import at_hand, collection_of, prove_stored
from tasks.media import COLLECTION, DELETION_LOG
from tasks.step import step


@dataclass(frozen=True, slots=True)
class Kept:
    """The state of a present collection that was kept before it is replaced; as it lay, where it is `damaged`."""

    stamp: SourceStamp
    damaged: bool = False
    snapshot: SnapshotId | None = None
    """The safety snapshot that holds it; None where it is set aside."""


@step("restore-collection", retried=True)
def restore_collection(
    repository: Repository,
    manifest: Manifest,
    folder: Path,
    *,
    in_place: bool,
    kept: Kept | None = None,
    before_change: Callable[[int], None] = lambda _: None,
) -> int:
    """Build the collection beside its place, prove it, and rename it there; returns the bytes restored.

    In place it is also marked so that the next sync asks which side to keep, instead of undoing the restore. `kept`
    is None where there was no collection; nothing is replaced that came, or changed, since. `before_change` hears,
    just before anything of a profile changes, which `mod` its new collection has.
    """
    stored = collection_of(manifest)
    prepared = folder / f".recollect-{secrets.token_hex(8)}.anki2"
    try:
        with (
            current_progress().stage(f"{manifest.profile}: restoring the collection", stored.size) as stage,
            told_plainly(f"The collection could not be written to {folder}"),
        ):
            near = _present(repository, folder / COLLECTION, stored.piece_bytes) if in_place else None
            retrieve_file(repository, stored, prepared, stage.advance, at_hand=near)
        prove_stored(prepared, manifest)
        if in_place:
            before_change(stamp_for_one_way_sync(prepared, time.time_ns() // 1_000_000))

        def before(step_name: str) -> None:
            # From the fold on the installation itself sees to this; before it, Anki may have come and gone.
            if step_name == "fold" and in_place:
                _refuse_if_changed(folder / COLLECTION, kept)

        kept_elsewhere = kept.stamp if kept is not None and kept.damaged else None
        install_collection(prepared, folder / COLLECTION, kept_elsewhere=kept_elsewhere, before_swap=before)
    finally:
        prepared.unlink(missing_ok=True)
    return stored.size


@step("restore-deletion-log", retried=True)
def restore_deletion_log(repository: Repository, manifest: Manifest, folder: Path) -> None:
    """Put deleted.txt where there is none; one that is there already goes on by itself.

    It holds what notes held, so whoever may read the collection beside it may read it, and nobody else.
    """
    stored = manifest.file(DELETION_LOG)
    target = folder / DELETION_LOG
    if stored is None or target.exists():
        return
    prepared = folder / f".recollect-{secrets.token_hex(8)}.tmp"
    with told_plainly(f"{target} could not be written"):
        try:
            retrieve_file(repository, stored, prepared, lambda _: None)
            take_over_owner_and_mode(prepared, folder / COLLECTION)
            prepared.replace(target)
        finally:
            prepared.unlink(missing_ok=True)


def _present(repository: Repository, collection: Path, piece_bytes: int) -> FileAtHand | None:
    """The file that is to be replaced: it shares most of its pages with what takes its place.

    Each page is taken only for what it is, so it may be damaged, or have a log beside it that knows better.
    """
    try:
        return at_hand(repository, collection, piece_bytes)
    except OSError:
        return None


def _refuse_if_changed(collection: Path, kept: Kept | None) -> None:
    there = collection.exists()
    if there != (kept is not None) or (kept is not None and stamp(collection) != kept.stamp):
        raise SourceBusy(
            f"{collection} has changed since its present state was kept, so nothing was restored",
            "Close Anki, then restore again",
        )
