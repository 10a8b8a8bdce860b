"""The deletion archive of a profile: what is in it, and what all snapshots together tell it."""

from __future__ import annotations

from datetime import datetime

from tasks.audit import Report, audited
from tasks.catalog import read_catalog
from tasks.chosen import chosen_profile
from tasks.deleted_notes import DeletedNotes
from tasks.deleted_notes import deleted_notes as notes_of
from tasks.place import open_named
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
    with audited("deletion-log-archive", whose.name, repository) as audit:
        audit.profile_key = whose.key
        with audit.timed("deletion_log_archive"):
            archived = rescan(repository, whose)
        audit.note(deletions_archived=archived.notes)
        audit.remarks += archived.remarks
        looked = f"{len(whose.refs)} snapshots were compared"
        if archived.notes:
            new = "1 deleted note is" if archived.notes == 1 else f"{archived.notes} deleted notes are"
            audit.completed(f"{looked}: {new} new to the archive")
        else:
            audit.unchanged(f"{looked}: the archive knows of all deleted notes already")
    return audit.report()
