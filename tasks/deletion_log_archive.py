"""The step *deletion-log-archive*: every note in deleted.txt, kept once, in the words of its own note type."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from profiles.deletion_log import DeletedNote, parse_deletion_log
from profiles.note_types import read_note_types
from storage.deletion_archive import archive_notes
from storage.format.deletion_table import ArchivedNote
from storage.format.manifest import SnapshotId
from tasks.job import Job
from tasks.step import step


@dataclass(frozen=True, slots=True)
class Archived:
    """How many deleted notes were new to the archive, and what could not be made out."""

    notes: int
    remarks: tuple[str, ...]


@step("deletion-log-archive", retried=True)
def deletion_log_archive(job: Job, snapshot: SnapshotId, version: str | None) -> Archived:
    """Archive what deleted.txt holds; `version` names its content, None when there is no such file."""
    if version is None:
        return Archived(0, ())
    # The memory may be older than what became of the repository.
    if version == job.archived_deletion_log() and job.repository.store.list(f"deletions/{job.profile_key}"):
        return Archived(0, ())
    log = parse_deletion_log(job.staged_deletion_log.read_bytes(), read_note_types(job.staged_collection))
    now = datetime.now(UTC)
    remarks = [f"deleted.txt, {remark}" for remark in log.unreadable]
    new = archive_notes(
        job.repository,
        job.profile_key,
        (_archived(note, snapshot, now) for note in log.notes),
        archived_at=now,
        remarks=remarks,
    )
    job.remember_deletion_log(version)
    return Archived(new, tuple(remarks))


def _archived(note: DeletedNote, snapshot: SnapshotId, now: datetime) -> ArchivedNote:
    return ArchivedNote(
        key=note.key,
        note_id=note.note_id,
        note_type_id=note.note_type_id,
        note_type=note.note_type,
        field_names=note.field_names,
        fields=note.fields,
        archived_at=now,
        snapshot=snapshot,
    )
