"""The step *restore-media*: additive, so that no later media sync takes a missing file for a deleted one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from profiles.durable import told_plainly
from profiles.install_media import MediaAction, MediaStep, finish_media, plan_media, write_media_file
from profiles.media import FileChanged, FileVanished, MediaFile, read_parts
from recollect.progress import current_progress
from storage.format.blob import PART_BYTES
from storage.format.listing import FolderEntry
from storage.format.manifest import Manifest
from storage.repository import Repository
from storage.retrieval import folder_entries, holds_entry, retrieve_entries
from tasks.media import MEDIA_FOLDER
from tasks.step import step


@dataclass(frozen=True, slots=True)
class MediaPlan:
    """What a restore does to a media folder: only `steps` that add or replace write anything."""

    folder: Path
    steps: tuple[MediaStep, ...]

    def count(self, action: MediaAction) -> int:
        """How many files that is done to."""
        return sum(step.action is action for step in self.steps)


def plan_media_restore(repository: Repository, manifest: Manifest, folder: Path) -> MediaPlan:
    """Compare the snapshot's media with those in `folder`, by content."""
    entries = _entries(repository, manifest)
    wanted = [(name, entry.size) for name, entry in entries.items()]
    # A media folder that its owner moved to another disk is a link; what lies behind it is meant.
    resolved = Path(os.path.realpath(folder))
    steps = plan_media(wanted, resolved, lambda path, name: _same(repository, path, entries[name]))
    return MediaPlan(resolved, steps)


@step("restore-media", retried=True)
def restore_media(repository: Repository, manifest: Manifest, plan: MediaPlan) -> int:
    """Write the files that the plan adds or replaces; returns their bytes."""
    entries = _entries(repository, manifest)
    wanted = [entries[step.name] for step in plan.steps if step.action is not MediaAction.KEEP]
    total = sum(entry.size for entry in wanted)
    with told_plainly(f"The media folder {plan.folder} could not be made"):
        plan.folder.mkdir(exist_ok=True)
    with current_progress().stage(f"{manifest.profile}: restoring media", total) as stage:

        def write(entry: FolderEntry, parts: Iterable[bytes]) -> None:
            write_media_file(plan.folder, os.fsdecode(entry.name), parts)
            stage.advance(entry.size)

        retrieve_entries(repository, wanted, write)
    if wanted:
        finish_media(plan.folder)
    return total


def _entries(repository: Repository, manifest: Manifest) -> dict[str, FolderEntry]:
    stored = manifest.folder(MEDIA_FOLDER)
    if stored is None:
        return {}
    return {os.fsdecode(entry.name): entry for entry in folder_entries(repository, stored)}


def _same(repository: Repository, path: Path, entry: FolderEntry) -> bool:
    try:
        found = path.lstat()
        there = MediaFile(path.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        return holds_entry(repository.seal, entry, read_parts(path, there, PART_BYTES))
    except (FileChanged, FileVanished, FileNotFoundError):
        return False
