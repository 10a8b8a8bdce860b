"""The step *rescan-deletions*: snapshots of a profile held against one another, for the deletion archive."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from recollect.progress import current_progress
from storage.deletion_archive import archive_notes
from storage.format.deletion_table import ArchivedNote
from storage.format.manifest import Manifest, SnapshotId
from storage.repository import Repository, SnapshotRef
from tasks.cache_trouble import cache_trouble
from tasks.catalog import StoredProfile, by_age
from tasks.deletion_log_archive import Archived
from tasks.media import COLLECTION
from tasks.private_folder import private_folder
from tasks.step import step
from tasks.vanished import notes_vanished

Runs = Sequence[Sequence[SnapshotRef]]
"""Snapshots of one profile that follow one another, newest first."""


def all_of(refs: Iterable[SnapshotRef]) -> Runs:
    """All of them, one after the other."""
    return [by_age(refs)[::-1]]


def next_to(refs: Iterable[SnapshotRef], snapshots: Collection[SnapshotId]) -> Runs:
    """Some of them, with the one before and the one after each; none where there are no two."""
    runs: list[list[SnapshotRef]] = []
    for newer, older in pairwise(by_age(refs)[::-1]):
        if newer.id in snapshots or older.id in snapshots:
            if runs and runs[-1][-1] == newer:
                runs[-1].append(older)
            else:
                runs.append([newer, older])
    return runs


@step("rescan-deletions", retried=True)
def rescan_deletions(repository: Repository, profile: StoredProfile, runs: Runs) -> Archived:
    """Archive the notes that went between any snapshot and the next of a run. Once done, it adds nothing more."""
    remarks: list[str] = []
    refs = [ref for run in runs for ref in run]
    manifests = [found for found in repository.manifests(refs) if isinstance(found, Manifest)]
    collections = [file for manifest in manifests if (file := manifest.file(COLLECTION)) is not None]
    total = sum(file.size for file in collections)
    with (
        private_folder() as folder,
        current_progress().stage(f"{profile.name}: comparing its snapshots", total) as stage,
    ):
        new = archive_notes(
            repository,
            profile.key,
            _vanished(repository, runs, folder, remarks, stage.advance),
            now=datetime.now(UTC),
            remarks=remarks,
        )
    return Archived(len(new), tuple(remarks))


def _vanished(
    repository: Repository, runs: Runs, folder: Path, remarks: list[str], advance: Callable[[int], None]
) -> Iterator[ArchivedNote]:
    for number, run in enumerate(runs):
        place = folder / str(number)
        with cache_trouble(folder):
            place.mkdir()
        yield from notes_vanished(repository, None, run, place, remarks, advance=advance)
        shutil.rmtree(place, ignore_errors=True)
