"""Comparing states of a profile: as it is now, or as it was in a snapshot.

Both collections come into a private folder. What the second shares with the first is not fetched: two states of one
collection share most of their pages.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from profiles.comparing.change import Change
from profiles.comparing.collections import CollectionDifference, compare_collections
from profiles.discovery import Profile
from profiles.media import list_media
from recollect.progress import current_progress
from storage.format.listing import Tree
from storage.format.manifest import Manifest
from storage.intake import identify_folder
from storage.repository import Repository
from storage.retrieval import FileAtHand, folder_entries
from tasks.collection_copies import present_collection, stored_collection
from tasks.job import Job
from tasks.media import MEDIA_FOLDER, reliable
from tasks.media_reading import MediaReader, version_of
from tasks.private_folder import private_folder


@dataclass(frozen=True, slots=True)
class FilesDifference:
    """Names of the files that came, changed and went, each in their order."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.deleted)

    def of(self, change: Change) -> tuple[str, ...]:
        """Those that came, changed or went."""
        return {Change.ADDED: self.added, Change.CHANGED: self.changed, Change.DELETED: self.deleted}[change]


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of a profile from one state to another."""

    before: str
    """The earlier state in a few words, or whichever was named first."""
    after: str
    collection: CollectionDifference
    media: FilesDifference


def compare_with_present(repository: Repository, manifest: Manifest, profile: Profile) -> CollectionDifference:
    """What becomes of the profile's collection when the snapshot takes its place. Anki may have it open.

    Raises what copying the present one, or fetching the other one, raises.
    """
    with private_folder() as folder:
        present = present_collection(repository, profile, folder / "present.anki2")
        stored = stored_collection(repository, manifest, folder / "stored.anki2", present)
        return compare_collections(present.path, stored.path)


State = Manifest | Job
"""A profile as it was in a snapshot, or as it is now."""


def compare_states(repository: Repository, before: State, after: State) -> Difference:
    """What became of a profile between two states; or of what both hold, if they are not of the same one.

    Nothing is stored. Raises what copying a collection, or fetching one, raises.
    """
    with private_folder() as folder:
        copies: dict[str, FileAtHand] = {}
        at_hand = None
        # What is here already comes first, for the other one shares most of its pages.
        for name, state in sorted((("before", before), ("after", after)), key=lambda one: isinstance(one[1], Manifest)):
            target = folder / f"{name}.anki2"
            if isinstance(state, Manifest):
                copies[name] = stored_collection(repository, state, target, at_hand)
            else:
                copies[name] = present_collection(repository, state.profile, target)
            at_hand = copies[name]
        collection = compare_collections(copies["before"].path, copies["after"].path)
    return Difference(_described(before), _described(after), collection, _media(repository, before, after))


def _media(repository: Repository, before: State, after: State) -> FilesDifference:
    if _holds_no_media(before) or _holds_no_media(after):
        return FilesDifference()
    if (
        isinstance(before, Manifest)
        and isinstance(after, Manifest)
        and before.folder(MEDIA_FOLDER) == after.folder(MEDIA_FOLDER)
    ):
        return FilesDifference()
    return _files(_media_of(repository, before), _media_of(repository, after))


def _holds_no_media(state: State) -> bool:
    """Whether nothing is known of a state's media: a package of Anki's became a snapshot, and mostly holds none."""
    return isinstance(state, Manifest) and state.folder(MEDIA_FOLDER) is None


def _media_of(repository: Repository, state: State) -> Mapping[bytes, Tree | None]:
    """The media files of a state; None stands for a content that no stored file can have."""
    if isinstance(state, Job):
        return _media_now(state)
    folder = state.folder(MEDIA_FOLDER)
    return {entry.name: entry.content for entry in folder_entries(repository, folder)} if folder else {}


def _media_now(work: Job) -> Mapping[bytes, Tree | None]:
    listed_at_ns = time.time_ns()
    files = list_media(work.profile.media_folder).files
    total = sum(file.size for file in files)
    with current_progress().stage(f"{work.profile.name}: looking through the media", total, len(files)) as stage:
        found = identify_folder(
            work.repository.seal,
            work.repository.index(),
            MEDIA_FOLDER,
            files=[version_of(file) for file in files],
            known=reliable(files, work.known_files()),
            listed_at_ns=listed_at_ns,
            read=MediaReader(work.profile.media_folder),
            advance=stage.advance,
        )
    return {**{file.name: None for file in found.unread}, **{name: e.content for name, e in found.entries.items()}}


def _files(before: Mapping[bytes, Tree | None], after: Mapping[bytes, Tree | None]) -> FilesDifference:
    def named(names: Iterator[bytes]) -> tuple[str, ...]:
        return tuple(os.fsdecode(name) for name in sorted(names))

    return FilesDifference(
        named(name for name in after if name not in before),
        named(name for name, content in after.items() if name in before and before[name] != content),
        named(name for name in before if name not in after),
    )


def _described(state: State) -> str:
    if isinstance(state, Job):
        return f"{state.profile.name} as it is now"
    without = ", which holds no media" if _holds_no_media(state) else ""
    return f"the snapshot {state.id} of {state.profile}, taken {state.taken_at:%Y-%m-%d %H:%M}{without}"
