"""The step *rescan-deletions*: all snapshots of a profile held against one another, for the deletion archive."""

from __future__ import annotations

from datetime import UTC, datetime

from recollect.progress import current_progress
from storage.deletion_archive import archive_notes
from storage.format.manifest import Manifest
from storage.repository import Repository
from tasks.catalog import StoredProfile, by_age
from tasks.deletion_log_archive import Archived
from tasks.media import COLLECTION
from tasks.private_folder import private_folder
from tasks.step import step
from tasks.vanished import notes_vanished


@step("rescan-deletions", retried=True)
def rescan_deletions(repository: Repository, profile: StoredProfile) -> Archived:
    """Archive the notes that went between any snapshot and the next, of all that there are. Once done, it adds nothing
    more."""
    remarks: list[str] = []
    manifests = [found for found in repository.manifests(profile.refs) if isinstance(found, Manifest)]
    collections = [file for manifest in manifests if (file := manifest.file(COLLECTION)) is not None]
    total = sum(file.size for file in collections)
    with (
        private_folder() as folder,
        current_progress().stage(f"{profile.name}: comparing its snapshots", total) as stage,
    ):
        refs = by_age(profile.refs)[::-1]
        new = archive_notes(
            repository,
            profile.key,
            notes_vanished(repository, None, refs, folder, remarks, advance=stage.advance),
            now=datetime.now(UTC),
            remarks=remarks,
        )
    return Archived(len(new), tuple(remarks))
