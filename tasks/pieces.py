"""What every snapshot comes to exist by: its pieces are stored, then its manifest; and facts that each one tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from recollect.progress import current_progress
from storage.errors import PiecesLost, StorageError
from storage.format.manifest import Fact, Manifest
from storage.intake import IdentifiedFile, IdentifiedFolder, Read, TakenFolder, store_file, store_folder
from storage.repository import Repository, SnapshotRef
from storage.writing import Written
from tasks.snapshot import Proven

_TRIES = 3

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Committed(Generic[T]):
    """A snapshot that exists, and what storing its pieces gave."""

    ref: SnapshotRef
    manifest: Manifest
    manifest_bytes: int
    stored: T


def commit_stored(repository: Repository, store: Callable[[], T], manifest_of: Callable[[T], Manifest]) -> Committed[T]:
    """Store the pieces, then the manifest; once more from the beginning when a sweep removed what was counted on."""
    for tries_left in reversed(range(_TRIES)):
        try:
            stored = store()
            manifest = manifest_of(stored)
            ref, manifest_bytes = repository.commit(manifest)
            return Committed(ref, manifest, manifest_bytes, stored)
        except PiecesLost:
            # Removed by a sweep while this computer slept: what is lost is here, and can be stored anew.
            repository.forget_index()
            if not tries_left:
                raise
        except StorageError:
            # The next try must see what this one stored.
            repository.forget_index()
            raise
    raise AssertionError("the last try ends in one way or the other")


def store_pieces(
    repository: Repository,
    files: Sequence[IdentifiedFile],
    folders: Sequence[IdentifiedFolder],
    read: Read,
    *,
    named: str,
    new_bytes: int,
    uploads: int,
) -> tuple[list[TakenFolder], Written]:
    """Store what is new of files and folders, whose files `read` reads.

    `named` is what progress calls it, `new_bytes` what it will come to.
    """
    new_files = sum(folder.new_files for folder in folders)
    with (
        current_progress().stage(f"{named}: storing what is new", new_bytes, new_files) as stage,
        repository.write(uploads=uploads, landed=stage.advance) as session,
    ):
        for file in files:
            store_file(session, repository.index(), file)
        taken = [
            store_folder(
                session, repository.seal, repository.index(), folder, read, taken=lambda: stage.advance(0, files=1)
            )
            for folder in folders
        ]
        return taken, session.close()


def collection_facts(proven: Proven) -> dict[str, Fact]:
    """What a person asks of the collection in a snapshot; `docs/format.md` §7 says what each key means."""
    facts, preferences = proven.facts, proven.preferences
    last_review = facts.last_review_ms
    return {
        "notes": facts.notes,
        "cards": facts.cards,
        "reviews": facts.reviews,
        "last_review_at": _utc(last_review) if last_review is not None else None,
        "schema_version": facts.schema_version,
        "modified_ms": facts.modified_ms,
        "schema_modified_ms": facts.schema_modified_ms,
        "last_sync_ms": facts.last_sync_ms,
        "proven": True,
        "limit_daily": preferences.daily,
        "limit_weekly": preferences.weekly,
        "limit_monthly": preferences.monthly,
    }


def _utc(milliseconds: int) -> str | None:
    """The moment in words; None for one that no calendar holds (a hostile or broken review log)."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return None
