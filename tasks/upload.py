"""The step *upload*: new pieces into packs, then the index, then the manifest, which makes the snapshot exist."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from profiles.suspicion import suspicion
from storage.format.manifest import Fact, Manifest, SnapshotId
from storage.intake import TakenFolder
from storage.writing import Written
from tasks.catalog import UNFINISHED_RESTORE
from tasks.checksum import Contents
from tasks.job import Job
from tasks.last_restore import left_by_a_restore
from tasks.limits import facts_about
from tasks.pieces import collection_facts, commit_stored, store_pieces
from tasks.profiles_here import source_of
from tasks.snapshot import Source
from tasks.step import step
from tasks.this_computer import this_host
from tasks.versions import software_versions


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored."""

    snapshot: SnapshotId
    media_files: int
    media_bytes: int
    bytes_read: int
    bytes_new: int
    bytes_stored: int
    suspect: str | None
    """Why the snapshot is marked, if it is."""
    remarks: tuple[str, ...]


@step("upload", retried=True)
def upload(job: Job, source: Source, contents: Contents, purpose: str, *, accept: bool = False) -> Stored:
    """Store what is new, then the manifest.

    `purpose` is why the snapshot was taken; `accept` takes a profile as it is, however much it lost.
    """
    committed = commit_stored(
        job.repository,
        lambda: _store_pieces(job, contents),
        lambda stored: _manifest(job, source, contents, *stored, purpose=purpose, accept=accept),
    )
    media, written = committed.stored
    job.remember_files(media.versions)
    marked = committed.manifest.facts["suspect"]
    suspect = str(marked) if marked else None
    return Stored(
        snapshot=committed.ref.id,
        media_files=len(media.entries),
        media_bytes=media.listing.stored.size,
        bytes_read=source.evidence.size + media.bytes_read,
        bytes_new=written.bytes_new,
        bytes_stored=written.bytes_stored + committed.manifest_bytes,
        suspect=suspect,
        remarks=(*_about_a_restore(committed.manifest), *contents.reader.remarks()),
    )


def _about_a_restore(manifest: Manifest) -> list[str]:
    restored = manifest.facts[UNFINISHED_RESTORE]
    if not restored:
        return []
    name = manifest.profile
    what = (
        f"A restore of {name} was broken off, and what it had left is what the snapshot {manifest.id} holds: it is "
        "marked so, and is not what *latest* means"
    )
    advice = f"Restore {restored} again, or run `recollect undo {name!r}`; if all is well as it is, run"
    return [f"{what}. {advice} `recollect backup {name!r} --accept`"]


def _store_pieces(job: Job, contents: Contents) -> tuple[TakenFolder, Written]:
    (media,), written = store_pieces(
        job.repository,
        contents.files,
        [contents.media],
        contents.reader,
        named=job.profile.name,
        new_bytes=contents.new_bytes,
        uploads=job.settings.uploads,
    )
    return media, written


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
    baseline, modified_ms = job.last_unsuspected(), source.proven().facts.modified_ms
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
            UNFINISHED_RESTORE: None if accept else left_by_a_restore(job.profile_key, modified_ms),
            "media_left_out": len(contents.reader.unreadable),
            "bytes_read": source.evidence.size + media.bytes_read,
            "bytes_new": written.bytes_new,
            "bytes_stored": written.bytes_stored,
            "repository_bytes": job.repository.holdings().bytes_in_packs + written.bytes_stored,
            "seconds": round((datetime.now(UTC) - source.taken_at).total_seconds(), 3),
            **facts_about(job.limits),
            **counts,
            **software_versions(),
        },
    )


def _facts(source: Source) -> dict[str, Fact]:
    """What is known of the collection, and how the copy of it was taken."""
    evidence = source.evidence
    return {
        **collection_facts(source.proven()),
        "copied": evidence.how,
        "copy_attempts": evidence.attempts,
        "wal_frames": evidence.frames,
        "wal_salts": evidence.salts,
        "wal_commit_pages": evidence.commit_pages,
    }
