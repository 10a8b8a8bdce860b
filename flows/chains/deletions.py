"""The deletion archive of a profile: what is in it, and what all snapshots together tell it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from storage.format.manifest import ProfileKey, SnapshotId
from storage.repository import Repository
from tasks.audit import Report, audited
from tasks.catalog import StoredProfile, read_catalog
from tasks.chosen import chosen_profile
from tasks.deleted_notes import DeletedNotes
from tasks.deleted_notes import deleted_notes as notes_of
from tasks.repositories import open_named
from tasks.rescan_deletions import Runs, all_of, next_to
from tasks.rescan_deletions import rescan_deletions as rescan


def deleted_notes(
    profile: str | None = None,
    *,
    since: datetime | None = None,
    deck: str | None = None,
    text: str | None = None,
    repository_name: str = "default",
) -> DeletedNotes:
    """The notes that were seen to go, as `tasks.deleted_notes` tells; `profile` may be left out if there is only one.

    Nothing is changed anywhere, so there is no audit row.
    """
    repository = open_named(repository_name)
    whose = chosen_profile(read_catalog(repository), profile)
    return notes_of(repository, whose, since=since, deck=deck, text=text)


def rescan_deletions(profile: str | None = None, repository_name: str = "default") -> Report:
    """Hold every snapshot of a profile against the next, and archive what went in between, as far as that is new.

    Backups do so with the snapshot that they make. This is for those that they had no part in, or for an archive that
    was damaged.
    """
    repository = open_named(repository_name)
    whose = chosen_profile(read_catalog(repository), profile)
    return _rescan(repository, whose, all_of(whose.refs))


def archive_deletions_around(
    profile: ProfileKey, snapshots: Collection[SnapshotId], repository_name: str = "default"
) -> Report | None:
    """As `rescan_deletions`, with those snapshots and their neighbours alone; None where they have no neighbours."""
    repository = open_named(repository_name)
    whose = chosen_profile(read_catalog(repository), profile)
    runs = next_to(whose.refs, snapshots)
    return _rescan(repository, whose, runs) if runs else None


def _rescan(repository: Repository, whose: StoredProfile, runs: Runs) -> Report:
    with audited("deletion-log-archive", whose.name, repository) as audit:
        audit.profile_key = whose.key
        with audit.timed("deletion_log_archive"):
            archived = rescan(repository, whose, runs)
        audit.note(deletions_archived=archived.notes)
        audit.warnings += archived.warnings
        audit.told += archived.told
        looked = f"{sum(map(len, runs))} snapshots were compared"
        if archived.notes:
            new = "1 deleted note is" if archived.notes == 1 else f"{archived.notes} deleted notes are"
            audit.completed(f"{looked}: {new} new to the archive")
        else:
            audit.unchanged(f"{looked}: the archive knows of all deleted notes already")
    return audit.report()
