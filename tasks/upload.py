"""The step *upload*: new pieces into packs, then the index, then the manifest, which makes the snapshot exist."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from profiles.suspicion import suspicion
from recollect.progress import current_progress
from storage.errors import PiecesLost, StorageError
from storage.format.manifest import Fact, Manifest, SnapshotId
from storage.intake import TakenFolder, store_file, store_folder
from storage.writing import Written
from tasks.checksum import Contents
from tasks.job import Job
from tasks.place import source_of
from tasks.snapshot import Source
from tasks.step import step
from tasks.this_computer import this_host
from tasks.versions import software_versions

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored."""

    snapshot: SnapshotId
    media_files: int
    media_bytes: int
    bytes_read: int
    bytes_new: int
    bytes_stored: int
    suspect: bool
    remarks: tuple[str, ...]


@step("upload", retried=True)
def upload(job: Job, source: Source, contents: Contents, purpose: str, *, accept: bool = False) -> Stored:
    """Store what is new, then the manifest.

    `purpose` is why the snapshot was taken; `accept` takes a profile as it is, however much it lost.
    """
    repository = job.repository
    for tries_left in reversed(range(_TRIES)):
        try:
            media, written = _store_pieces(job, contents)
            manifest = _manifest(job, source, contents, media, written, purpose=purpose, accept=accept)
            ref, manifest_bytes = repository.commit(manifest)
            break
        except PiecesLost:
            # Removed by a sweep while this computer slept: what is lost is here, and can be stored anew.
            repository.forget_index()
            if not tries_left:
                raise
        except StorageError:
            # The next try must see what this one stored.
            repository.forget_index()
            raise
    job.remember_files(media.versions)
    suspect = manifest.facts["suspect"]
    return Stored(
        snapshot=ref.id,
        media_files=len(media.entries),
        media_bytes=media.listing.stored.size,
        bytes_read=source.evidence.size + media.bytes_read,
        bytes_new=written.bytes_new,
        bytes_stored=written.bytes_stored + manifest_bytes,
        suspect=suspect is not None,
        remarks=(
            *((f"Suspect: {suspect}. The snapshot is kept and marked",) if suspect else ()),
            *contents.reader.remarks(),
        ),
    )


def _store_pieces(job: Job, contents: Contents) -> tuple[TakenFolder, Written]:
    repository = job.repository
    with (
        current_progress().stage(
            f"{job.profile.name}: storing what is new", contents.new_bytes, contents.media.new_files
        ) as stage,
        repository.write(uploads=job.settings.uploads, landed=stage.advance) as session,
    ):
        for file in contents.files:
            store_file(session, repository.index(), file)
        media = store_folder(
            session,
            repository.seal,
            repository.index(),
            contents.media,
            contents.reader,
            taken=lambda: stage.advance(0, files=1),
        )
        return media, session.close()


def _manifest(
    job: Job,
    source: Source,
    contents: Contents,
    media: TakenFolder,
    written: Written,
    *,
    purpose: str,
    accept: bool,
) -> Manifest:
    counts = {"media_files": len(media.entries), "media_bytes": media.listing.stored.size, **_facts(source)}
    baseline = job.last_unsuspected()
    return Manifest(
        id=source.snapshot,
        profile=job.profile.name,
        profile_key=job.profile_key,
        host=this_host(job.settings),
        source=source_of(job.profile),
        taken_at=source.taken_at,
        parent=job.snapshots()[-1].id if job.snapshots() else None,
        files=tuple(file.stored for file in contents.files),
        folders=(media.listing.stored,),
        facts={
            "purpose": purpose,
            "suspect": suspicion(baseline.facts, counts) if baseline and not accept else None,
            "accepted": accept,
            "media_left_out": len(contents.reader.unreadable),
            "bytes_read": source.evidence.size + media.bytes_read,
            "bytes_new": written.bytes_new,
            "bytes_stored": written.bytes_stored,
            "seconds": round((datetime.now(UTC) - source.taken_at).total_seconds(), 3),
            **counts,
            **software_versions(),
        },
    )


def _facts(source: Source) -> dict[str, Fact]:
    """What a person asks of the collection in a backup; `docs/format.md` §7 says what each key means."""
    proven, evidence = source.proven(), source.evidence
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
        "copied": evidence.how,
        "copy_attempts": evidence.attempts,
        "wal_frames": evidence.frames,
        "wal_salts": evidence.salts,
        "wal_commit_pages": evidence.commit_pages,
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
