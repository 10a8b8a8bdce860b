"""A repository: the place where backups live, opened."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from storage.errors import (
    Damaged,
    NotARepository,
    ObjectExists,
    ObjectMissing,
    SnapshotUnknown,
    StorageError,
    UnsupportedFormat,
)
from storage.format.blob import BlobId, PackId, pack_name, pack_of_name
from storage.format.configuration import (
    CONFIGURATION_NAME,
    Configuration,
    read_configuration,
    write_configuration,
)
from storage.format.index_table import index_table, packs_named, read_index
from storage.format.manifest import (
    Manifest,
    ProfileKey,
    SnapshotId,
    read_manifest,
    snapshot_name,
    snapshot_of_name,
    snapshot_time,
    trash_name,
    write_manifest,
)
from storage.format.pack import PackEntry
from storage.format.sealing import OpenSeal, Seal
from storage.index import Index
from storage.listings import read_folder, read_pieces
from storage.object_cache import ObjectCache
from storage.reading import read_blobs, read_pack_table
from storage.store import Store
from storage.writing import WriteSession

_READS_AT_ONCE = 8
_LISTINGS_OF_INDEX = 3
"""A collection of garbage replaces index files; it would have to do so each time between listing and reading them."""

_INDEX_NAME = re.compile(r"index/[0-9a-f]{32}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class SnapshotRef:
    """A snapshot as the listing names it."""

    profile_key: ProfileKey
    id: SnapshotId

    @property
    def taken_at(self) -> datetime:
        """When it was taken, in UTC, to the second."""
        return snapshot_time(self.id)


class Repository:
    """Snapshots and blobs of one repository. Open one with `open_repository`."""

    def __init__(self, store: Store, configuration: Configuration, cache: Path | None) -> None:
        self.store = store
        self.configuration = configuration
        self.seal: Seal = OpenSeal(bytes.fromhex(configuration.id))
        self._cache = ObjectCache(cache / configuration.id if cache else None)
        self._index: Index | None = None
        self._unindexed: list[PackEntry] = []
        self._written: dict[str, int] = {}
        self.damaged_indexes: tuple[Damaged, ...] = ()
        """What was wrong with index files when they were last read. While there is any, nothing may be collected."""

    @property
    def id(self) -> str:
        """32 hex digits that tell this repository from every other."""
        return self.configuration.id

    def snapshots(self, profile_key: ProfileKey | None = None) -> list[SnapshotRef]:
        """Every snapshot, or those of one profile, oldest first."""
        folder = f"snapshots/{profile_key}" if profile_key else "snapshots"
        found = [snapshot_of_name(item.name) for item in self.store.list(folder)]
        return sorted((SnapshotRef(*pair) for pair in found if pair), key=lambda ref: (ref.id, ref.profile_key))

    def manifest(self, ref: SnapshotRef) -> Manifest:
        """What a snapshot is."""
        name = snapshot_name(ref.profile_key, ref.id)
        try:
            return self._fetched(name, lambda content: read_manifest(self.seal, ref.profile_key, ref.id, content))
        except ObjectMissing as fault:
            raise SnapshotUnknown(
                f"The snapshot {ref.id} is not in the repository {self.store.url}",
                "List what is there with `recollect snapshots`",
            ) from fault

    def forget_manifest(self, ref: SnapshotRef) -> None:
        """Let the next use of a manifest read it from the store itself."""
        self._cache.drop(snapshot_name(ref.profile_key, ref.id))

    def manifests(self, refs: Iterable[SnapshotRef]) -> Iterator[Manifest | StorageError]:
        """The manifests of several snapshots in their order; the reason stands in the place of one that can't be read.

        That is damage, a newer version's manifest, or a snapshot that was forgotten meanwhile. A store that can't be
        reached raises.
        """

        def read(ref: SnapshotRef) -> Manifest | StorageError:
            try:
                return self.manifest(ref)
            except (Damaged, UnsupportedFormat, SnapshotUnknown) as reason:
                return reason

        with ThreadPoolExecutor(_READS_AT_ONCE, thread_name_prefix="manifests") as pool:
            yield from pool.map(read, refs)

    def index(self) -> Index:
        """Which blobs are stored and where; read once, and again after `forget_index`.

        Packs that no index file names are asked for their own tables: those of a run that was killed before it wrote
        its index, and those whose index file is damaged or lost. A pack that has no table to tell is passed over.
        """
        if self._index is None:
            read = self._index_tables()
            self.damaged_indexes = tuple(found for found in read if isinstance(found, Damaged))
            tables = [found for found in read if not isinstance(found, Damaged)]
            present = self._present_packs()
            named = packs_named(tables)
            unnamed = [(pack, size) for pack, size in present.items() if pack not in named]
            self._unindexed = self._entries_of_packs(unnamed)
            self._index = Index([*tables, index_table(self._unindexed)], present)
        return self._index

    def forget_index(self) -> None:
        """Let the next use of the index read it anew."""
        self._index = None
        self._written.clear()

    def read(
        self, blobs: Iterable[BlobId], *, damaged: Callable[[BlobId, Damaged], None] | None = None
    ) -> Iterator[tuple[BlobId, bytes]]:
        """Each of `blobs` once, with its plain bytes, in whatever order costs least; `damaged` as in `read_blobs`."""
        return read_blobs(self.store, self.seal, self.index(), blobs, damaged=damaged)

    def write(self, *, uploads: int, landed: Callable[[int], None] = lambda _: None) -> WriteSession:
        """Begin to store blobs; `landed` hears of the plain bytes of each pack that is stored.

        Its index takes in the packs that no index file names yet, so that they are asked for their tables only once.
        """
        index = self.index()
        unindexed, self._unindexed = self._unindexed, []
        return WriteSession(
            self.store,
            self.seal,
            index,
            uploads=uploads,
            unindexed=unindexed,
            landed=landed,
            wrote=self._written.__setitem__,
        )

    def commit(self, manifest: Manifest) -> tuple[SnapshotRef, int]:
        """Make a snapshot exist. All that it names must be stored; returns the manifest's stored size in bytes too."""
        self._confirm(manifest)
        ref = SnapshotRef(manifest.profile_key, manifest.id)
        name, stored = snapshot_name(ref.profile_key, ref.id), write_manifest(self.seal, manifest)
        try:
            self.store.create(name, stored)
        except ObjectExists:
            earlier = next(self.manifests([ref]))
            if isinstance(earlier, Manifest):
                # An earlier try of the same backup committed, and did not hear of it: what it said stands.
                return ref, len(write_manifest(self.seal, earlier))
            self.store.write(name, stored)
        if self.store.size(name) != len(stored):
            self.store.remove(name)
            raise Damaged(
                f"The manifest {name} did not arrive whole in {self.store.url}, so there is no such snapshot",
                "Check that disk or server, then run the backup again",
            )
        return ref, len(stored)

    def move_to_trash(self, ref: SnapshotRef) -> None:
        """Forget a snapshot: its manifest waits in the trash, its blobs stay where they are."""
        name = snapshot_name(ref.profile_key, ref.id)
        try:
            stored = self.store.read(name)
        except ObjectMissing:
            return
        self.store.write(trash_name(ref.profile_key, ref.id), stored)
        self.store.remove(name)

    def _confirm(self, manifest: Manifest) -> None:
        """Look once more, at the store itself: whether all that a manifest names is there (DESIGN.md, law 1).

        As long as every pack that the index knows is there, and as long as it has to be, so is every blob in it. When
        one has gone, or never landed, or an index file did not, the manifest's listings are walked by a new index.
        """
        self._refuse_another_repository()
        roots = [file.pieces.root for file in manifest.files] + [folder.entries.root for folder in manifest.folders]
        named = [root for root in roots if root is not None]
        if not self._all_is_there():
            self.forget_index()
            named += [piece for file in manifest.files for piece in read_pieces(self.read, file.pieces)]
            for folder in manifest.folders:
                for entry in read_folder(self.read, folder.entries):
                    named += read_pieces(self.read, entry.content)
        if self.index().missing(named):
            raise Damaged(
                f"The snapshot {manifest.id} was about to name pieces that are not stored",
                "Run the backup again; nothing that was stored before is touched",
            )

    def _all_is_there(self) -> bool:
        """Whether every pack that the index knows, and all that was written here, is there in its full length."""
        needed = {pack_name(pack): size for pack, size in self.index().packs().items()} | self._written
        present = {item.name: item.size for folder in ("packs", "index") for item in self.store.list(folder)}
        return all(present.get(name, 0) >= size for name, size in needed.items())

    def _refuse_another_repository(self) -> None:
        """The place may hold another repository by now: two that were created at once, a disk that was changed."""
        if open_repository(self.store).id != self.id:
            raise NotARepository(
                f"{self.store.url} holds another repository than the one that this backup was stored in",
                "Check which disk or folder is there, then run the backup again",
            )

    def _present_packs(self) -> dict[PackId, int]:
        found = ((pack_of_name(item.name), item.size) for item in self.store.list("packs"))
        return {pack: size for pack, size in found if pack is not None}

    def _index_tables(self) -> list[pa.Table | Damaged]:
        """The tables of all index files, damage in the place of one that can't be read."""

        def read(name: str) -> pa.Table | Damaged:
            try:
                return self._fetched(name, lambda content: read_index(self.seal, name, content))
            except Damaged as damage:
                return damage

        for listings_left in reversed(range(_LISTINGS_OF_INDEX)):
            names = [item.name for item in self.store.list("index") if _INDEX_NAME.fullmatch(item.name)]
            try:
                with ThreadPoolExecutor(_READS_AT_ONCE, thread_name_prefix="index") as pool:
                    tables = list(pool.map(read, names))
            except ObjectMissing:  # replaced by a newer one since it was listed
                if not listings_left:
                    raise
                continue
            break
        self._cache.keep_only("index", names)
        return tables

    def _entries_of_packs(self, packs: Iterable[tuple[PackId, int]]) -> list[PackEntry]:
        """What these packs say themselves that they hold; one that is torn, damaged or gone by now says nothing."""

        def read(pack: tuple[PackId, int]) -> tuple[PackEntry, ...]:
            try:
                return read_pack_table(self.store, self.seal, *pack)
            except (Damaged, ObjectMissing):
                return ()

        with ThreadPoolExecutor(_READS_AT_ONCE, thread_name_prefix="tables") as pool:
            return [entry for entries in pool.map(read, packs) for entry in entries]

    def _fetched(self, name: str, read: Callable[[bytes], T]) -> T:
        """What `read` makes of an object, from the cache if it can; a damaged copy there is thrown away."""
        cached = self._cache.get(name)
        if cached is not None:
            try:
                return read(cached)
            except Damaged:
                self._cache.drop(name)
        content = self.store.read(name)
        found = read(content)
        self._cache.put(name, content)
        return found


def create_repository(store: Store, cache: Path | None = None) -> Repository:
    """Make an empty place a repository. A place that is one already, also by another's hand just now, is opened."""
    configuration = Configuration(id=os.urandom(16).hex(), created_at=datetime.now(UTC).isoformat(timespec="seconds"))
    _refuse_foreign_content(store)
    with contextlib.suppress(ObjectExists):
        store.create(CONFIGURATION_NAME, write_configuration(configuration))
    # Not every store can decide between two who create at once: what is there now is what counts for both.
    return open_repository(store, cache)


def open_repository(store: Store, cache: Path | None = None) -> Repository:
    """Open the repository in `store`. `cache` is a folder for what makes the next run cheap, None for no cache."""
    try:
        stored = store.read(CONFIGURATION_NAME)
    except ObjectMissing as fault:
        _refuse_foreign_content(store)
        raise NotARepository(
            f"{store.url} holds no repository yet",
            "Check the address, or make the first backup there with `recollect backup`",
        ) from fault
    return Repository(store, read_configuration(store.url, stored), cache)


def open_or_create_repository(store: Store, cache: Path | None = None) -> Repository:
    """Open the repository in `store`, or make one where the place is empty."""
    try:
        return open_repository(store, cache)
    except NotARepository:
        if store.size(CONFIGURATION_NAME) is not None:
            # Made by another hand just now, or there and no good: a second look tells.
            return open_repository(store, cache)
    return create_repository(store, cache)


def _refuse_foreign_content(store: Store) -> None:
    """A repository is only made in an empty place: a mistyped address must not fill a folder of something else."""
    found = [item.name for item in store.list("")]
    if any(name.startswith("snapshots/") for name in found) and CONFIGURATION_NAME not in found:
        raise NotARepository(
            f"The repository at {store.url} has lost its {CONFIGURATION_NAME}",
            "Put that file back from a copy of the repository; everything else is still there",
        )
    if found and CONFIGURATION_NAME not in found:
        raise NotARepository(
            f"{store.url} is no repository, but is not empty either (it holds {found[0]!r})",
            "Name an empty place for the repository, or the place where it is",
        )
