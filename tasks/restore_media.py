"""The step *restore-media*: additive, so that no later media sync takes a missing file for a deleted one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from profiles.durable import told_plainly
from profiles.errors import MediaLeftOut, MediaNameTaken, SourceUnreadable
from profiles.install_media import MediaAction, MediaStep, finish_media, plan_media, write_media_file
from profiles.media import FileChanged, FileVanished, MediaFile, read_parts
from profiles.media_trash import move_to_media_trash, surplus_media
from recollect.errors import RecollectError
from recollect.progress import current_progress
from storage.errors import Damaged
from storage.format.blob import PART_BYTES
from storage.format.listing import FolderEntry
from storage.format.manifest import Manifest
from storage.listings import LostRange
from storage.repository import Repository
from storage.retrieval import folder_entries, holds_entry, retrieve_entries
from tasks.media import MEDIA_FOLDER
from tasks.media_sync import NONE_FORESEEN, ForeseenDeletions, foresee_media_sync
from tasks.sentences import first
from tasks.step import step

logger = logging.getLogger("recollect")

_SYNCING_WRITERS = 8
"""Files written side by side where each waits for the disk to say that it is safe."""


class MediaUncertain(RecollectError):
    """It can't be told for sure which media files a snapshot consists of."""

    code = "media-uncertain"


@dataclass(frozen=True, slots=True)
class MediaPlan:
    """What a restore does to a media folder: only `steps` that add or replace write anything."""

    folder: Path
    steps: tuple[MediaStep, ...]
    lacking: int = 0
    """How many files could not be read when the snapshot was taken, and are not in it."""
    unlisted: Damaged | None = None
    """Why it can't be told which files there are, in which case there are no steps."""
    lost: tuple[LostRange, ...] = ()
    """Files that a damaged part of the listing would have named; all others are in `steps`."""
    lost_files: int = 0
    """How many those are."""
    surplus: tuple[str, ...] = ()
    """Files that the snapshot does not hold, and that go to Anki's trash for media."""
    bytes_added: int = 0
    """How much more room it takes, not counting what is replaced."""
    foreseen: ForeseenDeletions = NONE_FORESEEN
    """What the next media sync of that profile deletes everywhere."""

    def count(self, action: MediaAction) -> int:
        """How many files that is done to."""
        return sum(step.action is action for step in self.steps)

    def remarks(self) -> list[str]:
        """What does not come back, and why."""
        left_out = [str(step.reason) for step in self.steps if step.action is MediaAction.LEAVE_OUT]
        lacking = f"Media files that could not be read when the snapshot was taken, and are not in it: {self.lacking}"
        unlisted = f"The media files can't be listed, so none is restored. {self.unlisted}"
        return [
            *([lacking] if self.lacking else []),
            *([unlisted] if self.unlisted else []),
            *([f"Media files that can't be listed, and are not restored: {self.lost_files}"] if self.lost else []),
            *first([f"Not listed are those {names}" for names in self.lost]),
            *([f"Media files left out: {len(left_out)}", *first(left_out)] if left_out else []),
            *self.foreseen.remarks(),
        ]


@dataclass(frozen=True, slots=True)
class RestoredMedia:
    """What became of the files that a plan writes: `files` of `bytes` were written, the rest could not be."""

    files: int
    bytes: int
    damaged: tuple[str, ...]
    """The names of those whose content the repository does not hold whole."""
    left_out: tuple[str, ...]
    """A sentence for each that could not be put at its name."""

    def remarks(self) -> list[str]:
        """What did not come back, and why."""
        return [*first([f"Damaged in the repository: {name!r}" for name in self.damaged]), *first(self.left_out)]


def plan_media_restore(
    repository: Repository,
    manifest: Manifest,
    folder: Path,
    *,
    matching: Sequence[str] = (),
    exact: bool = False,
    synced: bool = False,
) -> MediaPlan:
    """Compare the snapshot's media with those in `folder`, by content.

    With patterns (of the shell) only files whose names match one of `matching` count. `exact` means that what the
    snapshot does not hold goes; raises MediaUncertain where that can't be told for sure. A folder that is `synced` is
    that of a profile of Anki's.
    """
    # A media folder that its owner moved to another disk is a link; what lies behind it is meant.
    resolved = Path(os.path.realpath(folder))
    lacking = manifest.facts.get("media_left_out")
    lacking = lacking if type(lacking) is int and lacking > 0 else 0
    lost: list[LostRange] = []
    try:
        entries, nameless = _entries(repository, manifest, lost)
    except Damaged as trouble:
        if exact:
            raise _unsure(manifest, str(trouble.problem)) from trouble
        foreseen = foresee_media_sync(folder, {}) if synced else NONE_FORESEEN
        return MediaPlan(resolved, (), lacking, trouble, foreseen=foreseen)
    listed = len(entries) + len(nameless)
    surplus = _surplus(manifest, entries, nameless, resolved, lacking=lacking, lost=lost) if exact else ()
    if matching:
        entries = {name: entry for name, entry in entries.items() if _matches(name, matching)}
        nameless = [step for step in nameless if _matches(step.name, matching)]
    wanted = [(name, entry.size) for name, entry in entries.items()]
    steps = plan_media(wanted, resolved, lambda path, name: _same(repository, path, entries[name]))
    stored = manifest.folder(MEDIA_FOLDER)
    added = sum(entries[step.name].size for step in steps if step.action is MediaAction.ADD)
    coming = {step.name: entries[step.name].size for step in steps if step.writes}
    return MediaPlan(
        resolved,
        (*steps, *nameless),
        lacking,
        lost=tuple(lost),
        lost_files=stored.entries.count - listed if stored and lost else 0,
        surplus=surplus,
        bytes_added=added,
        foreseen=foresee_media_sync(folder, coming) if synced else NONE_FORESEEN,
    )


@step("restore-media", retried=True)
def restore_media(
    repository: Repository, manifest: Manifest, plan: MediaPlan, *, to_new_folder: bool = False
) -> RestoredMedia:
    """Write the files that the plan adds or replaces, as many of them as can be had.

    In a new folder, where nobody lives yet, they are put on the disk together at the end, which takes half the time.
    """
    synced = not to_new_folder
    writing = {step.name: step for step in plan.steps if step.writes}
    entries = _entries(repository, manifest, [])[0] if writing else {}
    # What the plan met can have become unreadable since; what it did not meet is not written.
    damaged = [name for name in writing if name not in entries]
    writing = {name: planned for name, planned in writing.items() if name in entries}
    names = {entries[name].name: name for name in writing}
    total = sum(entries[name].size for name in writing)
    left_out: dict[str, str] = {}
    with told_plainly(f"The media folder {plan.folder} could not be made"):
        plan.folder.mkdir(exist_ok=True)
    with current_progress().stage(f"{manifest.profile}: restoring media", total, len(writing)) as stage:

        def write(entry: FolderEntry, parts: Iterable[bytes]) -> None:
            name = names[entry.name]
            try:
                replacing = writing[name].action is MediaAction.REPLACE
                write_media_file(plan.folder, name, parts, replacing=replacing, synced=synced)
            except MediaLeftOut as trouble:
                if not (isinstance(trouble, MediaNameTaken) and _came_itself(repository, plan.folder / name, entry)):
                    left_out[name] = trouble.problem
            stage.advance(entry.size, files=1)

        wanted, writers = [entries[name] for name in writing], _SYNCING_WRITERS if synced else 1
        not_whole = retrieve_entries(repository, wanted, write, writers=writers)
    # A run that was killed after the last file has left nothing to write, but may have left something to remove.
    if writing or not to_new_folder:
        finish_media(plan.folder, synced=synced)
    lost = {*damaged, *(names[entry.name] for entry in not_whole)}
    written = [entries[name].size for name in writing if name not in lost and name not in left_out]
    return RestoredMedia(
        len(written), sum(written), tuple(sorted(lost)), tuple(left_out[name] for name in sorted(left_out))
    )


@step("remove-surplus-media", retried=True)
def remove_surplus_media(plan: MediaPlan, trash: Path) -> int:
    """Move what the snapshot does not hold to Anki's trash for media; returns how many files that were."""
    moved = move_to_media_trash(plan.surplus, plan.folder, trash)
    if moved:
        finish_media(plan.folder)
    return moved


def tell_all(plan: MediaPlan, restored: RestoredMedia) -> None:
    """Name in the log every file that did not come back."""
    for media_step in plan.steps:
        if media_step.reason is not None:
            logger.warning("%s", media_step.reason)
    for names in plan.lost:
        logger.warning("A part of the listing of media files is damaged: those %s are not restored", names)
    for name in restored.damaged:
        logger.warning("The media file %r is damaged in the repository and was not restored", name)
    for sentence in restored.left_out:
        logger.warning("%s", sentence)


def _surplus(
    manifest: Manifest,
    entries: Iterable[str],
    nameless: Sequence[MediaStep],
    folder: Path,
    *,
    lacking: int,
    lost: Sequence[LostRange],
) -> tuple[str, ...]:
    """What goes for the sake of exactness: only where the snapshot is known to hold all that there was."""
    if manifest.folder(MEDIA_FOLDER) is None:
        raise _unsure(manifest, "it holds no media at all")
    if lost or nameless:
        raise _unsure(manifest, "not all of its media files can be listed")
    if lacking:
        raise _unsure(manifest, f"{lacking} media files could not be read when it was taken")
    return surplus_media(entries, folder)


def _unsure(manifest: Manifest, why: str) -> MediaUncertain:
    return MediaUncertain(
        f"It can't be told which media files the snapshot {manifest.id} should not have: {why}",
        "Restore without --media exact, which removes nothing; or name another snapshot",
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _entries(
    repository: Repository, manifest: Manifest, lost: list[LostRange]
) -> tuple[dict[str, FolderEntry], list[MediaStep]]:
    """The snapshot's media files by name, and those whose bytes are no name here: Windows knows only Unicode.

    `lost` gets those that can't be listed.
    """
    stored = manifest.folder(MEDIA_FOLDER)
    entries: dict[str, FolderEntry] = {}
    nameless: list[MediaStep] = []
    for entry in folder_entries(repository, stored, lost=lambda names, _: lost.append(names)) if stored else ():
        try:
            entries[os.fsdecode(entry.name)] = entry
        except UnicodeDecodeError:
            reason = f"The media file {entry.name!r} can't be restored: its name is no Unicode"
            nameless.append(MediaStep(entry.name.decode(errors="backslashreplace"), MediaAction.LEAVE_OUT, reason))
    return entries, nameless


def _came_itself(repository: Repository, path: Path, entry: FolderEntry) -> bool:
    """Whether what took a file's place is that file: from an earlier attempt at this step, or by a media sync."""
    try:
        return _same(repository, path, entry)
    except SourceUnreadable:
        return False


def _same(repository: Repository, path: Path, entry: FolderEntry) -> bool:
    try:
        found = path.lstat()
        there = MediaFile(path.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        return holds_entry(repository.seal, entry, read_parts(path, there, PART_BYTES))
    except (FileChanged, FileVanished, FileNotFoundError):
        return False
