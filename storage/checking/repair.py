"""Repairing a repository: a plan first, then the acting. Nothing is ever deleted on the verdict of a repair.

What holds damage is quarantined: no writer relies on it from then on, so that the next backup stores anew what lies
only there. What is whole in it is packed anew. Objects that can't be read are moved to `quarantine/`, under the name
that they had; what they said is said anew first. A crash in between leaves two copies, never none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recollect.progress import current_progress
from storage.checking.damage import Damage, Kind, counted, read_or_why
from storage.checking.losses import Loss
from storage.checking.verification import Verification
from storage.errors import Damaged, ObjectMissing
from storage.format.blob import BlobId, PackId
from storage.format.index_table import (
    INDEX_SCHEMA,
    LARGEST_INDEX,
    in_files,
    index_table,
    packs_named,
    write_index_table,
)
from storage.format.manifest import LARGEST_MANIFEST, Manifest, snapshot_of_name, write_manifest
from storage.format.pack import PackEntry
from storage.format.pack_list import parts_of
from storage.format.verdict import Finding, Verdict, verdict_name, write_verdict
from storage.reading import read_pack_table
from storage.repository import Repository, SnapshotRef
from storage.trash import forgotten_snapshots
from storage.walking import Walk

QUARANTINE = "quarantine"

_MOVED = (Kind.VERDICT, Kind.CENSUS, Kind.CHECK)
_LEFT = (Kind.MANIFEST, Kind.DELETIONS, Kind.KEY_SLOT, Kind.AUDIT_ROW)
_BLOBS_AT_ONCE = 4096
_LARGEST_MOVED = LARGEST_INDEX


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """What a repair will do."""

    quarantine: tuple[PackId, ...]
    """Packs that hold damage and are not quarantined yet."""
    rescue: int
    """Whole pieces that snapshots need and that lie only in packs with damage: they are packed anew."""
    reindex: tuple[str, ...]
    """Index files that are replaced by what the packs say themselves."""
    index_anew: tuple[PackId, ...]
    """Packs that the index does not tell all of."""
    move: tuple[Damage, ...]
    """Other objects that can't be read, and that others stand in for."""
    left: tuple[Damage, ...]
    """Damage that nothing here can mend."""
    losses: tuple[Loss, ...]
    """What snapshots lack; what a profile still has of it can be stored anew."""

    @property
    def has_work(self) -> bool:
        """Whether there is anything to mend in the repository itself."""
        return bool(self.quarantine or self.rescue or self.reindex or self.index_anew or self.move)

    def as_text(self) -> str:
        """The plan as a person should read it."""
        lines = [
            *([_packs_line(self.quarantine)] if self.quarantine else []),
            *([f"{counted(self.rescue, 'whole piece')} in such packs will be packed anew"] if self.rescue else []),
            *(f"{name} will be replaced by what the packs say themselves, and moved aside" for name in self.reindex),
            *(
                [f"{counted(len(self.index_anew), 'pack')} will be taken into the index anew"]
                if self.index_anew
                else []
            ),
            *(f"{damage.name} will be moved aside: {damage.how}" for damage in self.move),
            *(f"Can't be mended: {damage.as_text()}" for damage in self.left),
        ]
        return "\n".join(["Repair:", *(f"  {line}" for line in lines)]) if lines else "There is nothing to repair"

    def as_json(self) -> dict[str, Any]:
        """The plan as values that JSON can hold."""
        return {
            "quarantine": [pack.hex() for pack in self.quarantine],
            "rescued_pieces": self.rescue,
            "reindex": list(self.reindex),
            "index_anew": [pack.hex() for pack in self.index_anew],
            "move": [damage.name for damage in self.move],
            "left": [{"kind": one.kind, "name": one.name, "how": one.how} for one in self.left],
            "losses": [loss.as_json() for loss in self.losses],
        }


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair did."""

    quarantined: int
    rescued: int
    """Pieces packed anew."""
    reindexed: int
    moved: int
    manifests: int
    """Manifests put back from this computer's own copies."""

    def summary(self) -> str:
        """What was done, in a sentence without its full stop."""
        done = [
            *([f"quarantined {counted(self.quarantined, 'pack')}"] if self.quarantined else []),
            *([f"packed {counted(self.rescued, 'piece')} anew"] if self.rescued else []),
            *([f"replaced {counted(self.reindexed, 'index file')}"] if self.reindexed else []),
            *([f"moved {counted(self.moved, 'object')} aside"] if self.moved else []),
            *([f"put {counted(self.manifests, 'manifest')} back"] if self.manifests else []),
        ]
        return ", ".join(done) or "nothing had to be mended in the repository itself"


def plan_repair(found: Verification) -> RepairPlan:
    """What to do about what a verification found."""
    packs = [damage.pack for damage in found.of_kind(Kind.PACK) if damage.pack is not None]
    unindexed = [damage.pack for damage in found.of_kind(Kind.UNINDEXED) if damage.pack is not None]
    return RepairPlan(
        quarantine=tuple(sorted(packs)),
        rescue=found.stranded,
        reindex=tuple(damage.name for damage in found.of_kind(Kind.INDEX)),
        index_anew=tuple(sorted(unindexed)),
        move=tuple(found.of_kind(*_MOVED)),
        left=tuple(found.of_kind(*_LEFT)),
        losses=found.losses,
    )


def repair(repository: Repository, plan: RepairPlan) -> Repaired:
    """Carry a plan out. Stopped at any point it can be planned and carried out again."""
    # First of all, so that no writer relies on them from now on.
    for part in parts_of(plan.quarantine):
        verdict = Verdict(verdict_name(os.urandom(16)), Finding.QUARANTINED, part)
        _store(repository, verdict.name, write_verdict(repository.seal, verdict))
    repository.forget_index()
    reindexed = _index_anew(repository, plan)
    repository.forget_index()
    rescued = _rescue(repository) if plan.quarantine or plan.rescue else 0
    manifests = sum(_put_back(repository, damage.name) for damage in plan.left if damage.kind is Kind.MANIFEST)
    moved = sum(_set_aside(repository, damage.name) for damage in plan.move)
    repository.forget_index()
    return Repaired(len(plan.quarantine), rescued, reindexed, moved, manifests)


def _index_anew(repository: Repository, plan: RepairPlan) -> int:
    """Store what packs say themselves as new index files, then move those aside that they replace."""
    if not plan.reindex and not plan.index_anew:
        return 0
    packs = set(plan.index_anew)
    fallen_back: list[pa.Table] = []
    for name in plan.reindex:
        # This computer may have a copy that is whole.
        old = read_or_why(lambda name=name: repository.read_index_file(name))  # type: ignore[misc]
        if isinstance(old, pa.Table):
            packs |= packs_named([old])
            fallen_back.append(_rows_of_unreadable_packs(repository, old))
    # Packs that no index file names any more, such as those of one that can't be read.
    unindexed = repository.holdings().unindexed
    told = sorted((packs - packs_named(unindexed)) & repository.holdings().packs.keys())
    anew = (index_table(_table_of(repository, pack) or ()) for pack in told)
    for table in in_files(chain(unindexed, fallen_back, anew)):
        name = f"index/{os.urandom(16).hex()}"
        _store(repository, name, write_index_table(repository.seal, name, table))
    return sum(_set_aside(repository, name) for name in plan.reindex)


def _rows_of_unreadable_packs(repository: Repository, table: pa.Table) -> pa.Table:
    """What an index file says of packs that can't say it themselves: better than nothing, and checked when read."""
    present = repository.holdings().packs
    silent = [pack for pack in packs_named([table]) & present.keys() if _table_of(repository, pack) is None]
    wanted = pa.array(sorted(silent), INDEX_SCHEMA.field("pack").type)
    return table.filter(pc.is_in(table.column("pack"), value_set=wanted))


def _table_of(repository: Repository, pack: PackId) -> tuple[PackEntry, ...] | None:
    """What a pack says itself that it holds, None when it can't."""
    size = repository.holdings().packs[pack].size
    found = read_or_why(lambda: read_pack_table(repository.store, repository.seal, pack, size))
    return found if isinstance(found, tuple) else None


def _put_back(repository: Repository, name: str) -> bool:
    """Put a damaged manifest back from the copy that this computer keeps, if it keeps a whole one."""
    named = snapshot_of_name(name)
    if named is None:
        return False
    manifest = read_or_why(lambda: repository.manifest(SnapshotRef(*named)))
    if not isinstance(manifest, Manifest):
        return False
    if (repository.store.size(name) or 0) > LARGEST_MANIFEST:
        return False
    try:
        _store(repository, f"{QUARANTINE}/{name}", repository.store.read(name))
    except ObjectMissing:
        # Forgotten meanwhile: a snapshot that somebody let go must not come back.
        return False
    _store(repository, name, write_manifest(repository.seal, manifest))
    return True


def _rescue(repository: Repository) -> int:
    """Pack anew what snapshots need and what lies only in packs that can't be relied on, as far as it is whole."""
    index, rescued = repository.index(), 0
    tolerant = _Tolerant(repository)
    with (
        current_progress().stage("packing anew what is whole", None) as stage,
        repository.write(uploads=2) as session,
    ):
        for blobs in _batches(Walk(tolerant.read, damaged=lambda *_: None).blobs(_manifests(repository))):
            lacking = index.missing(blobs)
            kinds = {blob: place.kind for blob in lacking if (place := index.find(blob)) is not None}
            for blob, content in tolerant.read(kinds):
                rescued += session.add(kinds[blob], blob, content)
                stage.advance(len(content))
        session.close()
    return rescued


class _Tolerant:
    """Reads what can be had, and passes over the rest."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def read(self, blobs: Iterable[BlobId]) -> Iterator[tuple[BlobId, bytes]]:
        """Those of `blobs` that can be had."""
        return self._repository.read(blobs, damaged=lambda *_: None)


def _manifests(repository: Repository) -> list[Manifest]:
    """Every manifest that can be read; those of forgotten snapshots count, for they can be had back."""
    found = [
        *repository.manifests(repository.snapshots()),
        *repository.manifests([one.ref for one in forgotten_snapshots(repository)], in_trash=True),
    ]
    return [one for one in found if isinstance(one, Manifest)]


def _batches(groups: Iterable[list[BlobId]]) -> Iterator[list[BlobId]]:
    """The same blobs, in groups that are worth a question."""
    batch: list[BlobId] = []
    for group in groups:
        batch += group
        if len(batch) >= _BLOBS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _store(repository: Repository, name: str, content: bytes) -> None:
    """Store an object on which something will rely that is about to be moved aside."""
    repository.store.write(name, content)
    if repository.store.size(name) != len(content):
        raise Damaged(
            f"{name} did not arrive whole in {repository.store.url}; nothing was moved or removed",
            "Check that disk or server, then try again",
        )


def _set_aside(repository: Repository, name: str) -> bool:
    """Move an object to `quarantine/`, whatever is in it; False when it is not there any more.

    One that is larger than any of ours stays, for it would have to pass through memory: a person removes it.
    """
    if (repository.store.size(name) or 0) > _LARGEST_MOVED:
        return False
    try:
        content = repository.store.read(name)
    except ObjectMissing:
        return False
    _store(repository, f"{QUARANTINE}/{name}", content)
    repository.store.remove(name)
    return True


def _packs_line(packs: tuple[PackId, ...]) -> str:
    return f"{counted(len(packs), 'pack')} with damage will be quarantined: nothing new will rely on what lies there"
