"""What was promised, and whether it is still so: told at every change of the store, and by restoring for real."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from storage.errors import StorageError
from storage.format.blob import BlobId, pack_of_name
from storage.format.manifest import SnapshotId, earlier_ids, read_manifest, snapshot_of_name
from storage.format.pack import read_pack
from storage.format.sealing import OpenSeal, Seal
from storage.repository import Repository, SnapshotRef
from tests.storage.model.content import REPOSITORY_ID, Source, cut, is_restored_by
from tests.storage.model.simulated_store import GRACE, Watcher
from tests.storage.model.world import World

_SLACK = timedelta(hours=1)
"""Listings may be this late, and clocks this wrong, altogether."""


@dataclass(frozen=True, slots=True)
class _Try:
    """What a writer is about to publish, and since when it has known that all of it is stored."""

    source: Source
    confirming_since: datetime


@dataclass(frozen=True, slots=True)
class _InTrash:
    """A snapshot in the trash, and since when."""

    source: Source
    since: datetime


@dataclass
class Ledger(Watcher):
    """Watches over one store.

    A snapshot is promised once its commit, or its way back out of the trash, came to a good end. It is due until it was
    forgotten and its time in the trash was over. One that is put back gets a new name, and what was promised of the old
    one is due under the new one from the moment when the old one leaves the trash.
    """

    world: World
    undo: timedelta
    seal: Seal = field(default_factory=lambda: OpenSeal(bytes.fromhex(REPOSITORY_ID)))
    """Reads whatever anybody wrote."""
    lost: list[str] = field(default_factory=list)
    """What must never happen and did, in words."""
    seen: Counter[str] = field(default_factory=Counter)
    promised: dict[SnapshotRef, Source] = field(default_factory=dict)
    broken: set[SnapshotRef] = field(default_factory=set)
    """Snapshots that nobody was told were good, and that are not."""

    def __post_init__(self) -> None:
        self._sources: dict[tuple[BlobId | None, ...], Source] = {}
        self._published: dict[SnapshotRef, Source] = {}
        self._published_at: dict[SnapshotRef, datetime] = {}
        self._tries: dict[SnapshotRef, list[_Try]] = defaultdict(list)
        self._replaces: dict[SnapshotRef, SnapshotRef] = {}
        self._trash: dict[SnapshotRef, _InTrash] = {}
        self._expired: set[SnapshotRef] = set()
        self._packs: dict[str, frozenset[BlobId]] = {}
        self._copies: Counter[BlobId] = Counter()
        self._owners: dict[BlobId, set[SnapshotRef]] = defaultdict(set)
        self._owned: dict[SnapshotRef, tuple[BlobId, ...]] = {}

    # What actors tell.

    def tries(self, ref: SnapshotRef, source: Source) -> None:
        """A writer begins to commit."""
        found = cut(source)
        self._sources[found.pages.root, found.folder.root] = source
        self._tries[ref].append(_Try(source, self.world.now))

    def tries_to_put_back(self, ref: SnapshotRef) -> None:
        """Someone begins to take a snapshot out of the trash."""
        if ref in self._trash:
            self._tries[ref].append(_Try(self._trash[ref].source, self.world.now))

    def promise(self, ref: SnapshotRef, source: Source | None = None) -> None:
        """A commit, or a way back out of the trash, came to a good end."""
        content = self._content(ref)
        if content is None and ref in self._expired:
            self.seen["forgotten before anybody was told of it"] += 1
        elif content is None or (source is not None and content != source):
            self._lose(f"{ref.id} is said to be there, and is not")
        else:
            self._promise(ref, content)

    def due(self) -> list[SnapshotRef]:
        """The snapshots that must be there to restore, in place or in the trash."""
        return sorted(ref for ref in self.promised if self._is_due(ref))

    def in_place(self) -> list[SnapshotRef]:
        """The snapshots that exist, promised or not."""
        return sorted(self._published)

    def needed(self) -> set[BlobId]:
        """Every blob of every snapshot that exists."""
        return {blob for source in self._published.values() for blob in cut(source).blobs}

    def packs(self) -> dict[str, frozenset[BlobId]]:
        """The packs that are there, and the blobs in each."""
        return dict(self._packs)

    def restore(self, repository: Repository, refs: list[SnapshotRef]) -> None:
        """Restore snapshots that are in place, and compare them with what was promised."""
        for ref in refs:
            if ref not in self._published:
                continue
            self.seen["restored"] += 1
            try:
                whole = is_restored_by(repository, ref, self.promised[ref])
            except StorageError as failure:
                self._lose(f"{ref.id} can't be restored: {failure}")
            else:
                if not whole:
                    self._lose(f"{ref.id} is restored to something else")

    # What the store tells.

    def stored(self, name: str, sent: bytes, kept: bytes) -> None:
        pack, snapshot = pack_of_name(name), snapshot_of_name(name)
        if pack is not None:
            self._forget_pack(name)
            entries = read_pack(self.seal, pack, sent)
            whole = [entry.id for entry in entries if entry.location.offset + entry.location.stored <= len(kept)]
            self._packs[name] = frozenset(whole)
            self._copies.update(self._packs[name])
            self.seen["packs written"] += 1
        elif snapshot is not None and name.startswith("snapshots/"):
            self._publish(SnapshotRef(*snapshot), sent)
        elif snapshot is not None and name.startswith("trash/"):
            self._throw_away(SnapshotRef(*snapshot), sent)

    def removed(self, name: str) -> None:
        snapshot = snapshot_of_name(name)
        if name in self._packs:
            self.seen["packs removed"] += 1
            self._remove_pack(name)
        elif snapshot is not None and name.startswith("snapshots/"):
            self._withdraw(SnapshotRef(*snapshot))
        elif snapshot is not None and name.startswith("trash/"):
            self._leave_trash(SnapshotRef(*snapshot))

    def _publish(self, ref: SnapshotRef, sent: bytes) -> None:
        source = self._read(ref, sent)
        if ref in self.promised and self.promised[ref] != source:
            self._lose(f"{ref.id} became another snapshot after it was promised")
        self._published[ref] = source
        self._published_at[ref] = self.world.now
        self._own(ref)
        self.seen["published"] += 1
        if ref not in self.promised and self._lacking(source):
            self._break(ref, "when it was published")

    def _withdraw(self, ref: SnapshotRef) -> None:
        content = self._published.pop(ref)
        if ref not in self._trash and ref in self.promised:
            self._inherit(ref, content, f"{ref.id} is gone, and not in the trash either")
        self._own(ref)

    def _throw_away(self, ref: SnapshotRef, sent: bytes) -> None:
        source = self._read(ref, sent)
        if ref in self.promised and self.promised[ref] != source:
            self._lose(f"{ref.id} is another snapshot in the trash than it was in place")
        self._trash[ref] = _InTrash(source, self.world.now)
        self._own(ref)

    def _leave_trash(self, ref: SnapshotRef) -> None:
        left = self._trash.pop(ref)
        if ref not in self._published:
            self._expired.add(ref)
            if self.world.now - left.since >= self.undo:
                self.promised.pop(ref, None)
            elif ref in self.promised:
                self._inherit(ref, left.source, f"{ref.id} was thrown out of the trash too early")
        self._own(ref)

    def _inherit(self, ref: SnapshotRef, content: Source, if_nobody: str) -> None:
        """A promised snapshot is gone; what was promised is due under the name that it was put back under."""
        del self.promised[ref]
        heirs = [heir for heir, origin in self._replaces.items() if origin == ref and self._content(heir) == content]
        if not heirs:
            self._lose(if_nobody)
        for heir in heirs:
            self._promise(heir, content)

    def _promise(self, ref: SnapshotRef, content: Source) -> None:
        self.promised[ref] = content
        self.broken.discard(ref)
        self._own(ref)
        lacking = self._lacking(content) if self._is_due(ref) else 0
        if lacking:
            self._lose(f"{ref.id} is said to be stored, and {lacking} of its pieces are not")

    def _read(self, ref: SnapshotRef, sent: bytes) -> Source:
        manifest = read_manifest(self.seal, ref.profile_key, ref.id, sent)
        if earlier := earlier_ids(manifest):
            origin = SnapshotRef(ref.profile_key, SnapshotId(earlier[-1]))
            self._replaces[ref] = origin
            self._tries[ref] = self._tries[origin]
        return self._sources[manifest.files[0].pieces.root, manifest.folders[0].entries.root]

    def _remove_pack(self, name: str) -> None:
        gone = self._packs[name]
        self._forget_pack(name)
        owners = {ref for blob in gone if not self._copies[blob] for ref in self._owners[blob]}
        for ref in sorted(owners):
            if ref not in self.promised:
                self._break(ref, f"by the removal of {name}")
            elif self._is_due(ref):
                self._lose(f"{ref.id} lost pieces with {name}")

    def _forget_pack(self, name: str) -> None:
        self._copies.subtract(self._packs.pop(name, frozenset()))

    def _break(self, ref: SnapshotRef, how: str) -> None:
        """A snapshot that nobody was told is good is not: allowed where its writer took longer than the grace."""
        if ref in self.broken:
            return
        self.broken.add(ref)
        source, published_at = self._published[ref], self._published_at[ref]
        since = min((one.confirming_since for one in self._tries[ref] if one.source == source), default=published_at)
        if published_at - since > GRACE - _SLACK:
            self.seen["broken before anybody was told it was good"] += 1
        else:
            self._lose(f"{ref.id}, published and not yet confirmed, was broken {how} though its writer was quick")

    def _is_due(self, ref: SnapshotRef) -> bool:
        if ref in self._published:
            return True
        return ref in self._trash and self.world.now - self._trash[ref].since < self.undo

    def _content(self, ref: SnapshotRef) -> Source | None:
        if ref in self._published:
            return self._published[ref]
        return self._trash[ref].source if ref in self._trash else None

    def _lacking(self, source: Source) -> int:
        return sum(not self._copies[blob] for blob in cut(source).blobs)

    def _own(self, ref: SnapshotRef) -> None:
        """Note what a snapshot consists of, or that it is not there any more."""
        for blob in self._owned.pop(ref, ()):
            self._owners[blob].discard(ref)
        content = self._content(ref)
        if content is not None and (ref in self._published or ref in self.promised):
            self._owned[ref] = tuple(cut(content).blobs)
            for blob in self._owned[ref]:
                self._owners[blob].add(ref)

    def _lose(self, what: str) -> None:
        self.lost.append(f"{self.world.now:%d %H:%M:%S} {what}")
