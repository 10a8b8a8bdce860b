"""The step *deletion-log-archive*: what deleted.txt tells, and what went since the snapshot before, each kept once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, takewhile

from profiles.deletion_log import parse_deletion_log
from profiles.errors import ProfileError
from profiles.note_types import read_note_types
from profiles.vanished_notes import ids_of_notes
from storage.deletion_archive import archive_notes
from storage.format.deletion_table import ArchivedNote, How
from storage.format.manifest import SnapshotId, snapshot_time
from storage.repository import SnapshotRef
from storage.retrieval import FileAtHand
from tasks.catalog import CLOCK_TOLERANCE
from tasks.checksum import Contents
from tasks.job import Job
from tasks.known_notes import KnownNotes
from tasks.media import COLLECTION, DELETION_LOG
from tasks.step import step
from tasks.vanished import Held, notes_vanished


@dataclass(frozen=True, slots=True)
class Archived:
    """How many deleted notes the archive was told something new of."""

    notes: int
    warnings: tuple[str, ...]
    """What could not be made out of snapshots or of the archive."""
    told: tuple[str, ...] = ()
    """What could not be made out of deleted.txt: Anki writes there so that not all can, and nobody can change that."""


@step("deletion-log-archive", retried=True)
def deletion_log_archive(job: Job, snapshot: SnapshotId, contents: Contents) -> Archived:
    """Archive what deleted.txt tells, and the notes that went from the snapshot before to `snapshot`."""
    remarks, told = list[str](), list[str]()
    version = _log_version(contents)
    present = _present(job, snapshot, contents, remarks)
    new = archive_notes(
        job.repository,
        job.profile_key,
        chain(_logged(job, snapshot, version, told), _vanished(job, present, remarks) if present else ()),
        now=datetime.now(UTC),
        remarks=remarks,
    )
    job.remember_archived(version, KnownNotes(snapshot, present.ids) if present else None)
    return Archived(len(new), tuple(remarks), tuple(told))


def _present(job: Job, snapshot: SnapshotId, contents: Contents, remarks: list[str]) -> Held | None:
    """What the backup holds; None where that is not to be held against anything."""
    known = job.known_notes()
    if known is not None and _is_later(known, snapshot):
        # Of two runs at once the other one was later, and is done already: what is not here yet has not gone.
        return None
    (file,) = (file for file in contents.files if file.stored.name == COLLECTION)
    try:
        ids = ids_of_notes(job.staged_collection)
    except ProfileError as trouble:
        # An Anki newer than this may keep its notes otherwise; their backup is good all the same.
        remarks.append(f"Which notes have gone since the last backup could not be told: {trouble}")
        return None
    return Held(snapshot, file.stored, FileAtHand(job.staged_collection, file.stored.piece_bytes, file.pieces), ids)


def _is_later(known: KnownNotes, snapshot: SnapshotId) -> bool:
    """Whether it was taken after the snapshot; not so one that a clock which was wrong has put into the future."""
    return known.snapshot > snapshot and snapshot_time(known.snapshot) <= datetime.now(UTC) + CLOCK_TOLERANCE


def _logged(job: Job, snapshot: SnapshotId, version: str | None, told: list[str]) -> Iterator[ArchivedNote]:
    """What deleted.txt tells, unless that version of it was archived before."""
    if version is None:
        return
    # The memory may be older than what became of the repository.
    if version == job.archived_deletion_log() and job.repository.store.list(f"deletions/{job.profile_key}"):
        return
    log = parse_deletion_log(job.staged_deletion_log.read_bytes(), read_note_types(job.staged_collection))
    told += [f"deleted.txt, {remark}" for remark in log.unreadable]
    for note in log.notes:
        yield ArchivedNote(
            key=note.key,
            note_id=note.note_id,
            note_type_id=note.note_type_id,
            note_type=note.note_type,
            field_names=note.field_names,
            fields=note.fields,
            how=How.LOG,
            gone_in=snapshot,
            seen_at=snapshot_time(snapshot),
        )


def _vanished(job: Job, present: Held, remarks: list[str]) -> Iterator[ArchivedNote]:
    """The notes that went since the last snapshot that is known, and since each that was stored by a run that died.

    Where none is known, since the one before.
    """
    known = job.known_notes()
    earlier = [ref for ref in reversed(job.snapshots()) if ref.id != present.snapshot]
    least = 1
    if known is not None:
        if known.snapshot == present.snapshot:
            return iter(())
        compared = SnapshotRef(job.profile_key, known.snapshot)  # retention may have let go of it
        since = list(takewhile(lambda ref: ref.id > known.snapshot, earlier))
        earlier = [*since, compared, *(ref for ref in earlier[len(since) :] if ref != compared)]
        least = len(since) + 1
    return notes_vanished(job.repository, present, earlier, job.staging, remarks, least=least, known=known)


def _log_version(contents: Contents) -> str | None:
    """A name for the content of deleted.txt: the root of its listing. None when there is no such file."""
    roots = [file.stored.pieces.root for file in contents.files if file.stored.name == DELETION_LOG]
    return roots[0].hex() if roots and roots[0] else None
