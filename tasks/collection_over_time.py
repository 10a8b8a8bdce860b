"""One private copy that becomes the collection of one snapshot after the other: from each to the next only what differs
is fetched and written, so that looking through a year of snapshots costs what changed in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from profiles.discovery import Profile
from profiles.errors import CollectionDamaged
from recollect.errors import RecollectError
from recollect.progress import current_progress
from storage.errors import Damaged
from storage.format.blob import BlobId
from storage.format.manifest import Manifest, StoredFile
from storage.repository import Repository, SnapshotRef
from storage.retrieval import update_file
from tasks.cache_trouble import cache_trouble
from tasks.collection_copies import collection_of, present_collection
from tasks.media import COLLECTION

T = TypeVar("T")


class CollectionOverTime:
    """The private copy, at `path`, which must not be there yet. What it was turned to last is what it holds."""

    def __init__(self, repository: Repository, path: Path) -> None:
        self.repository = repository
        self.path = path
        self._piece_bytes = 0
        self._there: list[BlobId | None] = []

    def begin_with_present(self, profile: Profile) -> None:
        """Begin with the profile's collection as it is now, if it can be had: snapshots share most of its pages."""
        with suppress(RecollectError):
            present = present_collection(self.repository, profile, self.path)
            self._piece_bytes, self._there = present.piece_bytes, list(present.pieces)

    def turn_to(self, manifest: Manifest) -> Path:
        """Make the copy the collection of a snapshot; returns where it lies.

        Raises what fetching raises, after which it holds no snapshot's collection until it is turned to one again.
        """
        stored = collection_of(manifest)
        if stored.piece_bytes != self._piece_bytes:
            self._piece_bytes, self._there = stored.piece_bytes, []
        what = f"{manifest.profile}: fetching the collection of {manifest.id}"
        with current_progress().stage(what, stored.size) as stage, cache_trouble(self.path.parent):
            if not self._there:
                self.path.touch(mode=0o600)
            update_file(self.repository, stored, self.path, self._there, stage.advance)
        return self.path


def known_as(manifest: Manifest) -> Path:
    """What a person knows the collection of a snapshot by, for what is said of a copy of it."""
    return Path(f"{COLLECTION} of the snapshot {manifest.id}")


@dataclass(frozen=True, slots=True)
class Look(Generic[T]):
    """What one snapshot holds of what was looked for, or why it could not be looked into."""

    ref: SnapshotRef
    manifest: Manifest | None
    found: T | None
    trouble: RecollectError | None = None

    @property
    def refusal(self) -> str:
        """Why it could not be looked into, in a sentence that names it; empty where it could."""
        return f"The snapshot {self.ref.id} could not be looked into: {self.trouble.problem}" if self.trouble else ""


def look_through(
    copy: CollectionOverTime, refs: Iterable[SnapshotRef], read: Callable[[Path, Path], T]
) -> Iterator[Look[T]]:
    """Look into one snapshot after the other; what is damaged is named and passed over.

    `read` gets the copy, and what a person knows it by. Where the collection is the one of the snapshot before, so is
    what it holds. A store that can't be reached raises.
    """
    last: tuple[StoredFile, T] | None = None
    for ref, manifest in _with_manifests(copy.repository, refs):
        if not isinstance(manifest, Manifest):
            yield Look(ref, None, None, manifest)
            continue
        try:
            stored = collection_of(manifest)
            if last is None or last[0] != stored:
                last = stored, read(copy.turn_to(manifest), known_as(manifest))
        except (Damaged, CollectionDamaged) as trouble:
            yield Look(ref, manifest, None, trouble)
            continue
        yield Look(ref, manifest, last[1])


def _with_manifests(
    repository: Repository, refs: Iterable[SnapshotRef]
) -> Iterator[tuple[SnapshotRef, Manifest | RecollectError]]:
    wanted = list(refs)
    return zip(wanted, repository.manifests(wanted), strict=True)
