"""Backing up: *snapshot, checksum, upload, retention-prune, deletion-log-archive*, and the audit row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

from profiles.discovery import choose
from storage.format.audit_row import Outcome
from storage.format.listing import Tree
from storage.format.manifest import SnapshotId
from storage.repository import Repository
from tasks.audit import Audit, Report, audited
from tasks.checksum import Contents, checksum
from tasks.deletion_log_archive import deletion_log_archive
from tasks.job import Job, job
from tasks.media import DELETION_LOG
from tasks.place import active_settings, found_profiles, open_named
from tasks.retention_prune import retention_prune
from tasks.snapshot import Busy, Source, Unchanged, deletion_log_state, snapshot
from tasks.upload import upload


def back_up(profile_name: str, repository_name: str = "default", *, force: bool = False) -> Report:
    """Back up one profile; `force` makes a snapshot even when nothing changed."""
    repository = open_named(repository_name, create=True)
    with audited("backup", profile_name, repository) as audit:
        (profile,) = choose(found_profiles(), [profile_name])
        with job(profile, repository) as work:
            audit.profile_key = work.profile_key
            _protect(work, audit, force=force)
    return audit.report()


def _protect(work: Job, audit: Audit, *, force: bool) -> None:
    log_state = deletion_log_state(work)
    with audit.timed("snapshot"):
        source = snapshot(work, force=force)
    if isinstance(source, Busy):
        audit.skipped(source.trouble)
        return
    if isinstance(source, Unchanged):
        audit.note(snapshot=source.snapshot)
        audit.unchanged(f"Nothing has changed since the snapshot {source.snapshot}")
        return
    _tell_source(audit, source)
    with audit.timed("checksum"):
        contents = checksum(work, source)
    if contents.unchanged and not force:
        stored = work.snapshots()[-1].id
        work.remember_files(contents.media.versions)
        audit.note(snapshot=stored, media_files=len(contents.media.entries), media_bytes=contents.media.stored.size)
        audit.unchanged(f"The content is the same as in the snapshot {stored}")
    else:
        stored = _store(work, audit, source, contents)
    with audit.timed("retention_prune"):
        pruned = retention_prune(work, source)
    with audit.timed("deletion_log_archive"):
        archived = deletion_log_archive(work, stored, _deletion_log_version(contents))
    audit.note(snapshots_pruned=len(pruned.plan.goes), deletions_archived=archived.notes)
    audit.remarks += [*pruned.remarks, *archived.remarks]
    work.remember_run(
        {
            "snapshot": stored,
            "stamp": source.evidence.stamp.to_json(),
            "taken_at_ns": source.evidence.taken_at_ns,
            "deletion_log": log_state,
        }
    )


def _store(work: Job, audit: Audit, source: Source, contents: Contents) -> SnapshotId:
    with audit.timed("upload"):
        stored = upload(work, source, contents)
    audit.note(
        snapshot=stored.snapshot,
        media_files=stored.media_files,
        media_bytes=stored.media_bytes,
        bytes_read=stored.bytes_read,
        bytes_new=stored.bytes_new,
        bytes_stored=stored.bytes_stored,
    )
    audit.remarks += stored.remarks
    audit.completed(f"The snapshot {stored.snapshot} is stored")
    return stored.snapshot


def _tell_source(audit: Audit, source: Source) -> None:
    facts = source.facts
    audit.note(notes=facts.notes, cards=facts.cards, reviews=facts.reviews, bytes_read=source.evidence.size)
    audit.remarks += source.remarks


def _deletion_log_version(contents: Contents) -> str | None:
    """A name for the content of deleted.txt: the root of its listing."""
    trees: list[Tree] = [file.stored.pieces for file in contents.files if file.stored.name == DELETION_LOG]
    return trees[0].root.hex() if trees and trees[0].root else None


@dataclass(frozen=True, slots=True)
class BackupOfAll:
    """How the backups of several profiles ended. `remarks` tell of profiles that could not even be tried."""

    reports: tuple[Report, ...]
    remarks: tuple[str, ...]

    def having(self, outcome: Outcome) -> list[Report]:
        """Those that ended so."""
        return [report for report in self.reports if report.outcome is outcome]

    def summary(self) -> str:
        """One sentence about all of them."""
        counts = [f"{len(found)} {outcome}" for outcome in Outcome if (found := self.having(outcome))]
        failed = "; ".join(f"{report.profile}: {report.message}" for report in self.having(Outcome.FAILED))
        return ", ".join(counts) + (f". {failed}" if failed else "")


def back_up_several(
    names: Sequence[str], repository_name: str, back_up_one: Callable[[str], Report], *, at_once: int | None = None
) -> BackupOfAll:
    """Back up the profiles named, or all when none is, some side by side; the failure of one never stops another.

    `back_up_one` backs up one profile and reports.
    """
    found = found_profiles()
    chosen = [profile.name for profile in choose(found, names)]
    # An unreachable or unusable repository is one trouble, not one for each profile.
    _prepare(open_named(repository_name, create=True))
    with ThreadPoolExecutor(at_once or active_settings().at_once, thread_name_prefix="profile") as pool:
        # Each thread needs the settings, the listener and the flow run that this one has.
        reports = [pool.submit(copy_context().run, back_up_one, name) for name in chosen]
        return BackupOfAll(tuple(report.result() for report in reports), found.remarks)


def _prepare(repository: Repository) -> None:
    repository.snapshots()
