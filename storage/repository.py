"""A repository: the place where backups live, opened.

The index, and all that works with it, is loaded by the first method that needs it, with Arrow and NumPy below it: a run
that finds nothing new, and whoever only reads manifests, is done sooner than those are loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import Damaged, ObjectMissing, SnapshotUnknown, StorageError, UnsupportedFormat
from storage.format.blob import BlobId
from storage.format.configuration import CONFIGURATION_NAME, Configuration, read_configuration
from storage.format.manifest import (
    LARGEST_MANIFEST,
    Manifest,
    ProfileKey,
    SnapshotId,
    read_manifest,
    snapshot_name,
    snapshot_of_name,
    snapshot_time,
    trash_name,
)
from storage.format.sealing import Seal
from storage.object_cache import CachedStore, ObjectCache
from storage.side_by_side import side_by_side
from storage.store import Store, StoredObject
from storage.stored_size import refuse_too_large

if TYPE_CHECKING:
    import pyarrow as pa

    from storage.commit import Commits
    from storage.holdings import Holdings
    from storage.index import Index
    from storage.underway import UploadUnderWay
    from storage.writing import WriteSession

_NODE_BYTES_KEPT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, order=True)
class SnapshotRef:
    """A snapshot as the listing names it; `size` is what that said its manifest takes, None for what none showed."""

    profile_key: ProfileKey
    id: SnapshotId
    size: int | None = field(default=None, compare=False)

    @property
    def taken_at(self) -> datetime:
        """When it was taken, in UTC, to the second."""
        return snapshot_time(self.id)


class Repository:
    """Snapshots and blobs of one repository. `storage.opening` opens them."""

    def __init__(self, store: Store, configuration: Configuration, seal: Seal, cache: Path | None) -> None:
        self.store = store
        self.configuration = configuration
        self.seal = seal
        self._source = CachedStore(store, ObjectCache(cache / configuration.id if cache else None))
        self._holdings: Holdings | None = None
        self._looking: Future[Holdings] | None = None
        self._unindexed: list[pa.Table] = []
        self._nodes: dict[BlobId, bytes] = {}
        self._node_bytes = 0
        self._committing: Commits | None = None
        self._underway: UploadUnderWay | None = None

    @property
    def id(self) -> str:
        """32 hex digits that tell this repository from every other."""
        return self.configuration.id

    @property
    def cache(self) -> ObjectCache:
        """What this computer keeps copies of. Losing it costs time, never data."""
        return self._source.cache

    def snapshots(self, profile_key: ProfileKey | None = None) -> list[SnapshotRef]:
        """Every snapshot, or those of one profile, oldest first."""
        folder = f"snapshots/{profile_key}" if profile_key else "snapshots"
        return snapshots_among(self.store.list(folder))

    def manifest(self, ref: SnapshotRef, *, in_trash: bool = False) -> Manifest:
        """What a snapshot is, or one `in_trash` was."""
        try:
            return self._source.fetched(
                snapshot_name(ref.profile_key, ref.id),
                lambda content: read_manifest(self.seal, ref.profile_key, ref.id, content),
                size=ref.size,
                largest=LARGEST_MANIFEST,
                lies_at=trash_name(ref.profile_key, ref.id) if in_trash else None,
            )
        except ObjectMissing as fault:
            raise SnapshotUnknown(
                f"The snapshot {ref.id} is not in the repository {self.store.url}",
                "List what is there with `recollect snapshots`",
            ) from fault

    def forget_manifest(self, ref: SnapshotRef) -> None:
        """Let the next use of a manifest read it from the store itself."""
        self._source.cache.drop(snapshot_name(ref.profile_key, ref.id))

    def keep_cached_manifests(self, refs: Iterable[SnapshotRef]) -> None:
        """Let go of the copies on this computer of all manifests but these, which are those of every snapshot."""
        self._source.cache.keep_only("snapshots", [snapshot_name(ref.profile_key, ref.id) for ref in refs])

    def manifests(self, refs: Iterable[SnapshotRef], *, in_trash: bool = False) -> Iterator[Manifest | StorageError]:
        """The manifests of several snapshots in their order; the reason stands in the place of one that can't be read.

        That is damage, a newer version's manifest, or a snapshot that was forgotten meanwhile. A store that can't be
        reached raises.
        """

        def read(ref: SnapshotRef) -> Manifest | StorageError:
            try:
                return self.manifest(ref, in_trash=in_trash)
            except (Damaged, UnsupportedFormat, SnapshotUnknown) as reason:
                return reason

        yield from side_by_side(read, refs)

    def look_ahead(self) -> None:
        """Begin to look at what the repository holds, for `holdings` to tell: while something else is done."""
        if self._holdings is None and self._looking is None:
            pool = ThreadPoolExecutor(1, thread_name_prefix="look ahead")
            self._looking = pool.submit(self._look)
            pool.shutdown(wait=False)

    def holdings(self) -> Holdings:
        """What the repository was seen to hold; looked at once, and again after `forget_index`."""
        if self._holdings is None:
            looking, self._looking = self._looking, None
            self._holdings = looking.result() if looking is not None else self._look()
            self._unindexed = list(self._holdings.unindexed)
        return self._holdings

    def _look(self) -> Holdings:
        from storage.holdings import look

        return look(self._source, self.seal)

    def index(self) -> Index:
        """Which blobs are stored and where, as `holdings` found it."""
        return self.holdings().index

    def read_index_file(self, name: str) -> pa.Table:
        """The table of one index file. Raises Damaged, and ObjectMissing when it was replaced meanwhile."""
        from storage.holdings import read_index_file

        sizes = {file.name: file.size for file in self.holdings().index_files}
        return read_index_file(self._source, self.seal, name, sizes.get(name))

    def forget_verdicts(self) -> None:
        """Let the next look read verdicts from the store itself: who acts on one must have read what others can."""
        from storage.format.verdict import VERDICTS

        self._source.cache.keep_only(VERDICTS, ())

    def forget_index(self) -> None:
        """Let the next use of the index look anew."""
        self._holdings = self._looking = None
        if self._committing is not None:
            self._committing.forget_written()

    def read(
        self, blobs: Iterable[BlobId], *, damaged: Callable[[BlobId, Damaged], None] | None = None
    ) -> Iterator[tuple[BlobId, bytes]]:
        """Each of `blobs` once, with its plain bytes, in whatever order costs least; `damaged` as in `read_blobs`."""
        from storage.reading import read_blobs

        return read_blobs(
            self.store,
            self.seal,
            self.index(),
            blobs,
            damaged=damaged,
            reloaded=lambda: self._look().index,
        )

    def read_nodes(
        self, blobs: Iterable[BlobId], *, damaged: Callable[[BlobId, Damaged], None] | None = None
    ) -> Iterator[tuple[BlobId, bytes]]:
        """As `read`, for nodes of listings. Those that were read are kept: an action walks a listing more than once."""
        wanted = dict.fromkeys(blobs)
        kept = {blob: self._nodes[blob] for blob in wanted if blob in self._nodes}
        yield from kept.items()
        unread = wanted.keys() - kept.keys()
        for blob, content in self.read(unread, damaged=damaged) if unread else ():
            if self._node_bytes + len(content) <= _NODE_BYTES_KEPT:
                self._nodes[blob] = content
                self._node_bytes += len(content)
            yield blob, content

    def write(self, *, uploads: int, landed: Callable[[int], None] = lambda _: None) -> WriteSession:
        """Begin to store blobs; `landed` hears of the plain bytes of each pack that is stored.

        Its index file takes in the packs that no other one names yet, so that they are asked for their tables only
        once, and what they hold is found when those are damaged. So it names packs that verdicts name, too: an index
        file says where something lies, and never that it can be relied on.
        """
        from storage.format.index_table import packs_named
        from storage.underway import UploadUnderWay
        from storage.writing import WriteSession

        index, commits = self.index(), self._commits()
        unindexed, self._unindexed = self._unindexed, []
        underway = self._underway = self._underway or UploadUnderWay(self.store, self.seal)
        underway.begin(self.holdings().trusted_packs(), packs_named(unindexed))

        def wrote(name: str, content: bytes) -> None:
            commits.note_written(name, len(content))
            underway.wrote(name)
            if name.startswith("index/"):
                self._source.cache.put(name, content)

        return WriteSession(
            self.store,
            self.seal,
            index,
            uploads=uploads,
            unindexed=unindexed,
            landed=landed,
            wrote=wrote,
        )

    def commit(self, manifest: Manifest, *, known: bool = True) -> tuple[SnapshotRef, int]:
        """Make a snapshot exist; returns the manifest's stored size in bytes too.

        `known` says that every piece of it was stored by this repository object, or found in its index; else all of it
        is walked first. The snapshot gets another id when the manifest's own is taken: names are never used twice.

        All that it names must be stored. That is looked at once more before, and again after: a sweep may have
        condemned a pack before this snapshot was there to be seen, and removed it while this computer was asleep. What
        lies in packs on their way out is packed anew. Raises PiecesLost when there is nothing to do that from: the
        pieces must be stored anew, and the same manifest committed once more. Raises WrittenUnderNewerKey when a
        verdict can't be read, for the keys were rotated since this repository was opened, and UnsupportedFormat when it
        was written by a newer version.
        """
        committed = self._commits().commit(manifest, known=known)
        if self._underway is not None:
            self._underway.end()
            self._underway = None
        return committed

    def _commits(self) -> Commits:
        from storage.commit import Commits

        if self._committing is None:
            self._committing = Commits(self, self._source)
        return self._committing

    def move_to_trash(self, *refs: SnapshotRef) -> None:
        """Forget snapshots: their manifests wait in the trash, their blobs stay where they are."""

        def copied(ref: SnapshotRef) -> str | None:
            name = snapshot_name(ref.profile_key, ref.id)
            try:
                stored = self._stored_manifest(ref)
            except ObjectMissing:
                return None
            self.store.write(trash_name(ref.profile_key, ref.id), stored)
            return name

        self.store.remove_all([name for name in side_by_side(copied, refs) if name is not None])

    def _stored_manifest(self, ref: SnapshotRef) -> bytes:
        """A manifest's bytes, from the cache if they are there and whole; from the store, whatever they are."""

        def whole(content: bytes) -> bytes:
            read_manifest(self.seal, ref.profile_key, ref.id, content)
            return content

        name = snapshot_name(ref.profile_key, ref.id)
        try:
            return self._source.fetched(name, whole, size=ref.size, largest=LARGEST_MANIFEST)
        except (Damaged, UnsupportedFormat):
            refuse_too_large(name, ref.size, LARGEST_MANIFEST)
            # What can't be read can be forgotten, too.
            return self.store.read(name)


def snapshots_among(objects: Iterable[StoredObject]) -> list[SnapshotRef]:
    """The snapshots that a listing shows, oldest first."""
    found = [(snapshot_of_name(item.name), item.size) for item in objects]
    refs = (SnapshotRef(*pair, size) for pair, size in found if pair)
    return sorted(refs, key=lambda ref: (ref.id, ref.profile_key))


def stored_configuration(store: Store) -> Configuration:
    """What `recollect.json` says. Raises ObjectMissing where there is none, and NotARepository for one that is none."""
    return read_configuration(store.url, store.read(CONFIGURATION_NAME))
