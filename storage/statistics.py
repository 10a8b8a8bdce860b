"""What a repository holds, and what it costs: by profile and in all.

Everything is counted from the index and the listings; no piece of any file is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from storage.errors import SnapshotUnknown, StorageError
from storage.format.blob import BlobId, PackId
from storage.format.manifest import Manifest, ProfileKey, snapshot_time
from storage.format.verdict import Finding
from storage.holdings import Holdings
from storage.index import Index
from storage.repository import Repository
from storage.trash import forgotten_snapshots
from storage.walking import Walk

_ASKED_AT_ONCE = 16384

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Amounts:
    """What some snapshots come to. Sizes in bytes."""

    snapshots: int
    first: datetime | None
    """When the oldest of them was taken (UTC)."""
    last: datetime | None
    newest_bytes: int
    """Plain bytes of the newest one, or, for several profiles, of the newest one of each."""
    all_bytes: int
    """Plain bytes of all, as if each were stored alone."""
    unique_bytes: int
    """Plain bytes of what they are made of, each piece and each node of a listing once."""
    stored_bytes: int
    """What that takes in packs."""

    @property
    def deduplication(self) -> float | None:
        """How many times the plain bytes are needed for each time they are stored; None without any."""
        return self.all_bytes / self.unique_bytes if self.unique_bytes else None

    @property
    def compression(self) -> float | None:
        """How many plain bytes a stored byte stands for; None without any."""
        return self.unique_bytes / self.stored_bytes if self.stored_bytes else None

    def as_json(self) -> dict[str, Any]:
        """The amounts as values that JSON can hold."""
        return {
            "snapshots": self.snapshots,
            "first": self.first.isoformat() if self.first else None,
            "last": self.last.isoformat() if self.last else None,
            "newest_bytes": self.newest_bytes,
            "all_bytes": self.all_bytes,
            "unique_bytes": self.unique_bytes,
            "stored_bytes": self.stored_bytes,
            "deduplication": self.deduplication,
            "compression": self.compression,
        }


@dataclass(frozen=True, slots=True)
class ProfileAmounts:
    """What the snapshots of one profile come to; `only_bytes` are stored for no other."""

    key: ProfileKey
    name: str
    host: str
    amounts: Amounts
    only_bytes: int

    def as_json(self) -> dict[str, Any]:
        """The amounts as values that JSON can hold."""
        about = {"profile": self.name, "profile_key": self.key, "host": self.host}
        return {**about, **self.amounts.as_json(), "only_bytes": self.only_bytes}


@dataclass(frozen=True, slots=True)
class Overhead:
    """What takes room beside the content of snapshots. Sizes in bytes as stored."""

    index: int
    manifests: int
    trash: int
    """Pieces that only forgotten snapshots need, and their manifests."""
    dead: int
    """Pieces in packs that nothing needs, or that lie elsewhere too."""
    frames: int
    """Heads, tables and padding of packs."""
    condemned: int
    """Packs on their way out; what they hold counts as dead or needed as well."""
    quarantined: int
    audit: int
    other: int
    """Everything else: deletion archives, verdicts, key slots, what was moved aside."""

    def as_json(self) -> dict[str, int]:
        """The overhead as values that JSON can hold."""
        return {
            "index_bytes": self.index,
            "manifest_bytes": self.manifests,
            "trash_bytes": self.trash,
            "dead_bytes": self.dead,
            "frame_bytes": self.frames,
            "condemned_bytes": self.condemned,
            "quarantined_bytes": self.quarantined,
            "audit_bytes": self.audit,
            "other_bytes": self.other,
        }


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a repository holds. Sizes in bytes."""

    profiles: tuple[ProfileAmounts, ...]
    in_all: Amounts
    packs: int
    pack_bytes: int
    bytes: int
    """Everything that is stored below the repository's address."""
    overhead: Overhead
    remarks: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The statistics as values that JSON can hold."""
        return {
            "profiles": [profile.as_json() for profile in self.profiles],
            "in_all": self.in_all.as_json(),
            "packs": self.packs,
            "pack_bytes": self.pack_bytes,
            "bytes": self.bytes,
            "overhead": self.overhead.as_json(),
            "remarks": list(self.remarks),
        }


def statistics(repository: Repository) -> Statistics:
    """Count what a repository holds. What can't be read is left out, and remarked."""
    objects = repository.store.list("")
    refs = repository.snapshots()
    holdings = repository.holdings()
    needs = _Needs(repository)
    remarks: list[str] = []
    by_profile: dict[ProfileKey, list[Manifest]] = {}
    for manifest in _readable(repository.manifests(refs), remarks):
        by_profile.setdefault(manifest.profile_key, []).append(manifest)
    masks = {key: needs.of(manifests) for key, manifests in by_profile.items()}
    times_needed = np.sum([mask.astype(np.int32) for mask in masks.values()], axis=0) if masks else needs.none()
    profiles = tuple(
        ProfileAmounts(
            key,
            manifests[-1].profile,
            manifests[-1].host,
            _amounts(manifests, manifests[-1:], masks[key], holdings.index),
            int(needs.stored[masks[key] & (times_needed == 1)].sum()),
        )
        for key, manifests in sorted(by_profile.items(), key=lambda one: (one[1][-1].profile.casefold(), one[0]))
    )
    every = sorted((one for own in by_profile.values() for one in own), key=lambda manifest: manifest.id)
    live = times_needed > 0
    lying = repository.manifests([one.ref for one in forgotten_snapshots(repository)], in_trash=True)
    in_trash = needs.of(_readable(lying, remarks)) & ~live
    if needs.lost:
        remarks.append(
            f"{len(needs.lost)} parts of listings can't be read, so that the figures are too low; `recollect verify` "
            "tells what is lost"
        )
    sizes = _sizes_by_folder((item.name, item.size) for item in objects)
    trash = int(needs.stored[in_trash].sum()) + sizes.get("trash", 0)
    return Statistics(
        profiles=profiles,
        in_all=_amounts(every, [own[-1] for own in by_profile.values()], live, holdings.index),
        packs=len(holdings.packs),
        pack_bytes=sum(found.size for found in holdings.packs.values()),
        bytes=sum(item.size for item in objects),
        overhead=_overhead(holdings, needs, live | in_trash, sizes, trash),
        remarks=tuple(remarks),
    )


class _Needs:
    """Which copies of blobs snapshots need, by rows of the index."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._index = repository.index()
        self.stored = self._index.stored_bytes().astype(np.int64)
        self.lost: set[BlobId] = set()

    def none(self) -> npt.NDArray[np.int32]:
        """No row needed at all."""
        return np.zeros(len(self.stored), dtype=np.int32)

    def of(self, manifests: Sequence[Manifest]) -> _Mask:
        """The rows that these snapshots need: of each blob the copy that is read first."""
        needed = np.zeros(len(self.stored), dtype=bool)
        # A walk of its own for each profile: what another one has walked through already counts for this one too.
        walk = Walk(self._read, damaged=lambda blob, _: self.lost.add(blob))
        asked: list[BlobId] = []
        for blobs in walk.blobs(manifests):
            asked += blobs
            if len(asked) >= _ASKED_AT_ONCE:
                self._mark(needed, asked)
                asked = []
        self._mark(needed, asked)
        return needed

    def _read(self, blobs: Iterable[BlobId]) -> Any:
        return self._repository.read(blobs, damaged=lambda blob, _: self.lost.add(blob))

    def _mark(self, needed: _Mask, blobs: list[BlobId]) -> None:
        rows = self._index.rows(blobs)
        needed[rows[rows >= 0]] = True


def _amounts(manifests: Sequence[Manifest], newest: Iterable[Manifest], needed: _Mask, index: Index) -> Amounts:
    moments = [snapshot_time(manifest.id) for manifest in manifests]
    return Amounts(
        snapshots=len(manifests),
        first=min(moments, default=None),
        last=max(moments, default=None),
        newest_bytes=sum(map(_plain_bytes, newest)),
        all_bytes=sum(map(_plain_bytes, manifests)),
        unique_bytes=int(index.plain_bytes()[needed].sum(dtype=np.int64)),
        stored_bytes=int(index.stored_bytes()[needed].sum(dtype=np.int64)),
    )


def _plain_bytes(manifest: Manifest) -> int:
    return sum(file.size for file in manifest.files) + sum(folder.size for folder in manifest.folders)


def _overhead(holdings: Holdings, needs: _Needs, needed: _Mask, sizes: dict[str, int], trash: int) -> Overhead:
    index = holdings.index
    # Two index files may tell of the same place, while they are folded and after a repair.
    _, once = np.unique(np.stack([index.groups(), index.pack_of_row.astype(np.intp)]), axis=1, return_index=True)
    in_packs = int(needs.stored[once].sum())
    pack_bytes = sum(found.size for found in holdings.packs.values())
    named = {"packs", "index", "snapshots", "trash", "audit"}
    return Overhead(
        index=sizes.get("index", 0),
        manifests=sizes.get("snapshots", 0),
        trash=trash,
        dead=in_packs - int(needs.stored[needed].sum()),
        frames=pack_bytes - in_packs,
        condemned=_packs_found(holdings, Finding.CONDEMNED),
        quarantined=_packs_found(holdings, Finding.QUARANTINED),
        audit=sizes.get("audit", 0),
        other=sum(size for folder, size in sizes.items() if folder not in named),
    )


def _packs_found(holdings: Holdings, finding: Finding) -> int:
    """Bytes of the packs that a verdict of this kind names."""
    named: set[PackId] = {pack for verdict in holdings.verdicts if verdict.finding is finding for pack in verdict.packs}
    return sum(holdings.packs[pack].size for pack in named & holdings.packs.keys())


def _readable(found: Iterable[Manifest | StorageError], remarks: list[str]) -> list[Manifest]:
    """The manifests among what was found. One that is gone by now, thrown away or put back, says nothing."""
    manifests = []
    for one in found:
        if isinstance(one, Manifest):
            manifests.append(one)
        elif not isinstance(one, SnapshotUnknown):
            remarks.append(str(one))
    return manifests


def _sizes_by_folder(objects: Iterable[tuple[str, int]]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, size in objects:
        folder = name.partition("/")[0]
        sizes[folder] = sizes.get(folder, 0) + size
    return sizes
