"""A backup that found something new: *checksum, upload, retention-prune, deletion-log-archive*."""

from __future__ import annotations

from flows.chains.suspect import end_suspect, end_unchanged
from storage.format.manifest import SnapshotId
from tasks.audit import Audit
from tasks.catalog import ROUTINE
from tasks.checksum import Contents, checksum
from tasks.deletion_log_archive import deletion_log_archive
from tasks.job import Job
from tasks.retention_prune import retention_prune
from tasks.snapshot import Source
from tasks.upload import upload


def store_changes(work: Job, audit: Audit, source: Source, *, force: bool, purpose: str, accept: bool) -> SnapshotId:
    """Store what a profile was at one moment; returns the snapshot that holds it, an earlier one if that is the same.

    `force` stores a snapshot of its own in any case.
    """
    with audit.timed("checksum"):
        contents = checksum(work, source)
    _tell_source(audit, source)
    last, force = work.last_snapshot(), force or work.last_is_outdated()
    if contents.unchanged and not force and last is not None:
        stored = last.id
        work.remember_files(contents.media.versions)
        audit.note(
            snapshot=stored,
            media_files=len(contents.media.entries),
            media_bytes=sum(entry.size for entry in contents.media.entries.values()),
            bytes_read=source.evidence.size + contents.media.bytes_read,
        )
        audit.warnings += contents.reader.remarks()
        end_unchanged(audit, f"The content is the same as in the snapshot {stored}", work.last_manifest())
    else:
        stored = _store(work, audit, source, contents, purpose=purpose, accept=accept)
    if purpose == ROUTINE:
        with audit.timed("retention_prune"):
            pruned = retention_prune(work, source, stored)
        audit.note(snapshots_pruned=pruned.let_go)
        audit.snapshots = pruned.kept
        audit.warnings += pruned.remarks
    with audit.timed("deletion_log_archive"):
        archived = deletion_log_archive(work, stored, contents)
    audit.note(deletions_archived=archived.notes)
    audit.warnings += archived.warnings
    audit.told += archived.told
    return stored


def _store(work: Job, audit: Audit, source: Source, contents: Contents, *, purpose: str, accept: bool) -> SnapshotId:
    with audit.timed("upload"):
        stored = upload(work, source, contents, purpose, accept=accept)
    audit.note(
        snapshot=stored.snapshot,
        media_files=stored.media_files,
        media_bytes=stored.media_bytes,
        bytes_read=stored.bytes_read,
        bytes_new=stored.bytes_new,
        bytes_stored=stored.bytes_stored,
    )
    audit.warnings += stored.remarks
    if stored.suspect:
        end_suspect(audit, stored.snapshot, stored.suspect)
    else:
        audit.completed(f"The snapshot {stored.snapshot} is stored")
    return stored.snapshot


def _tell_source(audit: Audit, source: Source) -> None:
    facts = source.proven().facts
    audit.note(notes=facts.notes, cards=facts.cards, reviews=facts.reviews, bytes_read=source.evidence.size)
    audit.warnings += source.remarks
