"""Making a snapshot exist: a look before its manifest is written, and another one after.

`docs/architecture.md`, "Removing while others write", says why it looks twice, and in which order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from storage.errors import (
    Damaged,
    NotARepository,
    ObjectExists,
    ObjectMissing,
    PiecesLost,
    UnsupportedFormat,
    WrittenUnderNewerKey,
)
from storage.format.blob import BlobId, BlobKind, pack_name
from storage.format.manifest import Manifest, SnapshotId, renamed, snapshot_name, write_manifest
from storage.format.verdict import VERDICTS
from storage.holdings import VerdictsGone, distrusted_packs, read_verdicts, verdicts_in
from storage.object_cache import CachedStore
from storage.repository import Repository, SnapshotRef, stored_configuration
from storage.walking import Walk

_CONFIRMATIONS = 5
"""How often a commit looks again after what it looked at moved; sweeps don't come in such numbers."""


class Commits:
    """The commits of one opened repository, and what it has written that no look has seen yet."""

    def __init__(self, repository: Repository, source: CachedStore) -> None:
        self._repository = repository
        self._source = source
        self._written: dict[str, int] = {}
        self._published: dict[str, int] = {}
        self._offered: dict[str, dict[str, Manifest]] = {}
        """Of each snapshot, by the name that it began with, every manifest that the store was asked to create."""
        self._withdrawn: set[str] = set()
        """Names under which nothing is published any more: a late answer to a removal could hit it."""
        self._told: set[str] = set()
        """Snapshots that a commit came to a good end with."""

    def note_written(self, name: str, length: int) -> None:
        """Remember a pack or an index file that was stored, to look for it."""
        self._written[name] = length

    def forget_written(self) -> None:
        """Look no more for what was stored so far: the repository is looked at anew."""
        self._written.clear()

    def commit(self, manifest: Manifest, *, known: bool) -> tuple[SnapshotRef, int]:
        """Do as `Repository.commit` says."""
        self._confirm_in_our_own_place(manifest, known=known)
        ref, stored = self._publish(manifest)
        self._confirm(manifest, known=True)
        self._withdraw_earlier_tries(manifest, ref)
        return ref, stored

    def _withdraw_earlier_tries(self, manifest: Manifest, ref: SnapshotRef) -> None:
        """Remove what was published of the same backup, looked at no more, and told to nobody: `ref` stands for it."""
        told = snapshot_name(ref.profile_key, ref.id)
        for name in sorted(self._offered[_name(manifest)].keys() - self._told - {told}):
            self._withdrawn.add(name)
            self._repository.store.remove(name)
            self._source.cache.drop(name)
        self._told.add(told)

    def _publish(self, manifest: Manifest) -> tuple[SnapshotRef, int]:
        """Write a manifest that holds the same, under a name that holds nothing else; returns its stored size, too."""
        offered = self._offered.setdefault(_name(manifest), {})
        # What the store was asked to create, and gave no answer to, it may create much later still.
        open_to_us = (one for name, one in offered.items() if name not in self._withdrawn)
        same = next((one for one in open_to_us if one.holds_the_same_as(manifest)), None)
        candidate = same or (renamed(manifest) if offered else manifest)
        while True:
            name, stored = _name(candidate), write_manifest(self._repository.seal, candidate)
            ref = SnapshotRef(candidate.profile_key, candidate.id)
            offered[name] = candidate
            try:
                self._repository.store.create(name, stored)
            except ObjectExists:
                earlier = next(self._repository.manifests([ref]))
                if not isinstance(earlier, Manifest) or not earlier.holds_the_same_as(manifest):
                    candidate = renamed(manifest)
                    continue
                # An earlier try of the same backup committed, and did not hear of it: what it said stands.
                return ref, len(write_manifest(self._repository.seal, earlier))
            self._published[name] = len(stored)
            self._source.cache.put(name, stored)
            return ref, len(stored)

    def _confirm_in_our_own_place(self, manifest: Manifest, *, known: bool) -> None:
        """As `_confirm`, and look meanwhile whose place it is by now."""
        with ThreadPoolExecutor(1, thread_name_prefix="place") as pool:
            ours = pool.submit(self._refuse_another_repository)
            try:
                self._confirm(manifest, known=known)
            finally:
                # In another repository's place nothing is found, and that is not what went wrong.
                ours.result()

    def _confirm(self, manifest: Manifest, *, known: bool) -> None:
        """Look once more, at the store itself: whether all that a manifest names is there (DESIGN.md, law 1).

        As long as every pack that the index relies on is there, as long as it has to be, and not condemned, so is every
        blob in it. Otherwise the manifest's listings are walked by a new index, and what lies in packs that can't be
        relied on is packed anew.
        """
        repository = self._repository
        roots = [file.pieces.root for file in manifest.files] + [folder.entries.root for folder in manifest.folders]
        named = [root for root in roots if root is not None]
        for _ in range(_CONFIRMATIONS):
            if known and self._all_is_as_seen() and not repository.index().missing(named):
                return
            known = True
            repository.forget_index()
            try:
                named = [blob for batch in Walk(repository.read).blobs([manifest]) for blob in batch]
                self._pack_anew(repository.index().missing(named))
            except Damaged as damage:
                raise _pieces_lost(manifest.id) from damage
        raise _pieces_lost(manifest.id)

    def _all_is_as_seen(self) -> bool:
        """Whether every pack that the index relies on, and all that was written here, is there and not condemned."""
        store, holdings = self._repository.store, self._repository.holdings()
        needed = holdings.index.packs()
        lengths = {pack_name(pack): size for pack, size in needed.items()} | self._written
        folders = {"packs"} | {name.partition("/")[0] for name in self._written}
        folders |= {name.rpartition("/")[0] for name in self._published}
        # Verdicts first: a pack that is on its way out is then named by one of them, or not listed.
        seen = store.list_together((VERDICTS, *sorted(folders)))
        present = {item.name: item.size for folder in folders for item in seen[folder]}
        self._refuse_a_torn_manifest(present)
        unseen = [item for name, item in verdicts_in(seen).items() if name not in holdings.verdict_files]
        try:
            verdicts, unread = read_verdicts(self._source, self._repository.seal, unseen)
        except VerdictsGone:
            return False  # packs that they named may have gone before them, after they were listed
        for trouble in (*holdings.damaged_verdicts, *unread):
            # Whoever wrote it can carry it out: what it names must not be relied on, and that is not known here.
            if isinstance(trouble, WrittenUnderNewerKey | UnsupportedFormat):
                raise trouble
        if not distrusted_packs(verdicts).isdisjoint(needed):
            return False
        unlisted = [name for name, size in lengths.items() if present.get(name, 0) < size]
        # A listing may be late to show what was just written.
        if any((store.size(name) or 0) < lengths[name] for name in unlisted):
            return False
        # The packs among them are in the index by now; index files may be folded into others from now on.
        self._written.clear()
        return True

    def _refuse_a_torn_manifest(self, present: Mapping[str, int]) -> None:
        """A manifest that was written is there as it was written, or is taken away again. Raises Damaged."""
        store = self._repository.store
        for name, length in self._published.items():
            # A listing may be late to show what was just written.
            if present.get(name) != length and store.size(name) != length:
                self._source.cache.drop(name)
                store.remove(name)
                self._published.clear()
                raise Damaged(
                    f"The manifest {name} did not arrive whole in {store.url}, so there is no such snapshot",
                    "Check that disk or server, then run the backup again",
                )
        self._published.clear()

    def _pack_anew(self, blobs: Collection[BlobId]) -> None:
        """Store blobs again that lie only in packs which can't be relied on. Raises Damaged."""
        if not blobs:
            return
        repository = self._repository
        with repository.write(uploads=1) as session:
            for blob, content in repository.read(blobs):
                place = repository.index().find(blob)
                session.add(place.kind if place else BlobKind.DATA, blob, content)
            session.close()

    def _refuse_another_repository(self) -> None:
        """The place may hold another repository by now: two that were created at once, a disk that was changed."""
        store = self._repository.store
        try:
            found = stored_configuration(store).id
        except ObjectMissing:
            found = None
        if found != self._repository.id:
            raise NotARepository(
                f"{store.url} does not hold the repository any more that this backup was stored in",
                "Check which disk or folder is there, then run the backup again",
            )


def _name(manifest: Manifest) -> str:
    return snapshot_name(manifest.profile_key, manifest.id)


def _pieces_lost(snapshot: SnapshotId) -> PiecesLost:
    return PiecesLost(
        f"The snapshot {snapshot} was about to name pieces that are not stored",
        "Run the backup again; nothing that was stored before is touched",
    )
