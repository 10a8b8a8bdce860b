"""Checking the objects around packs: manifests, index files, verdicts, censuses, check records, archives, key slots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from storage.checking.damage import Damage, Kind, are, counted, read_or_why
from storage.checking.packs import PackCheck
from storage.checking.usable_copies import UsableCopies
from storage.errors import Damaged, UnsupportedFormat
from storage.format.blob import BlobId, BlobKind, Location, PackId, pack_name
from storage.format.census import CENSUS, is_census_name, read_census
from storage.format.deletion_table import is_deletions_name, read_deletions
from storage.format.index_table import INDEX_SCHEMA, packs_named, read_index
from storage.format.manifest import Manifest, snapshot_name, trash_name
from storage.format.pack import PackEntry
from storage.format.verdict import read_verdict
from storage.holdings import Holdings
from storage.keys import list_slots
from storage.repository import Repository, SnapshotRef
from storage.side_by_side import side_by_side

Item = TypeVar("Item")
T = TypeVar("T")


def check_manifests(
    repository: Repository, refs: Sequence[SnapshotRef], remarks: list[str], *, trashed: bool = False
) -> tuple[list[Manifest], list[Damage]]:
    """The manifests that can be read, and the damage to others. Those of newer versions are no damage: a remark."""

    def read(ref: SnapshotRef) -> Manifest:
        return repository.manifest(ref, in_trash=trashed)

    manifests: list[Manifest] = []
    damages: list[Damage] = []
    for ref, found in _read_all(read, refs):
        if isinstance(found, Manifest):
            manifests.append(found)
        elif isinstance(found, Damaged):
            name = (trash_name if trashed else snapshot_name)(ref.profile_key, ref.id)
            how = "this snapshot can't be read any more; all others stand"
            damages.append(Damage(Kind.MANIFEST, name, how, trouble=found))
        elif isinstance(found, UnsupportedFormat):
            remarks.append(f"The snapshot {ref.id} was not looked at: {found}")
    return manifests, damages


def check_packs_found(checks: Iterable[PackCheck], usable: UsableCopies) -> list[Damage]:
    """The damage to packs that were looked into."""
    damages = []
    for check in checks:
        name = pack_name(check.pack)
        if check.is_damaged:
            damages.append(Damage(Kind.PACK, name, _how(check, usable), check.pack, check.trouble))
        elif check.lacks_index:
            damages.append(Damage(Kind.UNINDEXED, name, "the index does not tell of all that is in it", check.pack))
    return damages


def check_index_files(
    repository: Repository, holdings: Holdings, checks: Iterable[PackCheck], remarks: list[str]
) -> list[Damage]:
    """The damage to index files: unreadable, or telling of packs what these don't say themselves."""
    contradicting = {check.pack: check.entries for check in checks if check.contradicts_index}
    missing: set[PackId] = set()
    damages: list[Damage] = []
    for name in (file.name for file in holdings.index_files):
        found = read_or_why(lambda name=name: index_file(repository, name))  # type: ignore[misc]
        if isinstance(found, Damaged):
            how = "this part of the index can't be read; packs tell the same"
            damages.append(Damage(Kind.INDEX, name, how, trouble=found))
        elif isinstance(found, pa.Table):
            missing |= packs_named([found]) - holdings.packs.keys()
            if _contradicts(found, contradicting):
                damages.append(Damage(Kind.INDEX, name, "this part of the index tells what its packs do not hold"))
    if missing:
        remarks.append(
            f"The index names {counted(len(missing), 'pack')} that {are(len(missing))} not there; what snapshots lack "
            "by that, if anything, is told as lost"
        )
    return damages


def index_file(repository: Repository, name: str) -> pa.Table:
    """The table of an index file, from the store itself."""
    return read_index(repository.seal, name, repository.store.read(name))


def entries_of(table: pa.Table) -> Iterator[PackEntry]:
    """The rows of an index table."""
    for row in table.select([field.name for field in INDEX_SCHEMA]).to_pylist():
        yield PackEntry(
            BlobId(row["id"]),
            Location(BlobKind(row["kind"]), PackId(row["pack"]), row["offset"], row["stored"], row["length"]),
            row["generation"],
        )


def check_records(repository: Repository, holdings: Holdings, remarks: list[str]) -> list[Damage]:
    """The damage to verdicts and censuses, to files of deletion archives, and to key slots."""
    store, seal = repository.store, repository.seal
    read_well = {verdict.name for verdict in holdings.verdicts}
    doubtful = [name for name in holdings.verdict_files if name not in read_well]
    censuses = [item.name for item in store.list(CENSUS) if is_census_name(item.name)]
    archives = [item.name for item in store.list("deletions") if is_deletions_name(item.name)]
    groups: list[tuple[Kind, str, Sequence[str], Callable[[str], object]]] = [
        (
            Kind.VERDICT,
            "what it says of packs can't be read, so nothing is removed",
            doubtful,
            lambda name: read_verdict(seal, name, store.read(name)),
        ),
        (
            Kind.CENSUS,
            "it can't be read, so nothing is removed",
            censuses,
            lambda name: read_census(seal, name, store.read(name)),
        ),
        (
            Kind.DELETIONS,
            "these deleted notes can't be read; what still stands in deleted.txt is archived again",
            archives,
            lambda name: len(read_deletions(seal, name, store.read(name))),
        ),
    ]
    damages: list[Damage] = []
    for kind, how, names, read in groups:
        for name, found in _read_all(read, names):
            if isinstance(found, Damaged):
                damages.append(Damage(kind, name, how))
            elif isinstance(found, UnsupportedFormat):
                remarks.append(f"{name} was not looked at: {found}")
    return damages + _damaged_slots(repository)


def _damaged_slots(repository: Repository) -> list[Damage]:
    troubles = list_slots(repository.store, repository.configuration).troubles
    if troubles:
        # Once more, for a bit may have flipped on its way.
        troubles = list_slots(repository.store, repository.configuration).troubles
    return [Damage(Kind.KEY_SLOT, "keys", trouble.problem) for trouble in troubles if isinstance(trouble, Damaged)]


def _how(check: PackCheck, usable: UsableCopies) -> str:
    told = [f"it can't be taken apart ({check.trouble.problem})"] if check.trouble is not None else []
    if check.damaged:
        number, elsewhere = len(check.damaged), usable.elsewhere(check.damaged)
        also = f"; of {elsewhere} of them there is a whole copy elsewhere" if elsewhere else ""
        told.append(f"{counted(number, 'piece')} in it {are(number)} not what was stored{also}")
    return "; ".join(told)


def _contradicts(table: pa.Table, contradicting: dict[PackId, frozenset[PackEntry]]) -> bool:
    if not contradicting:
        return False
    packs = pa.array(sorted(contradicting), INDEX_SCHEMA.field("pack").type)
    rows = table.filter(pc.is_in(table.column("pack"), value_set=packs))
    return any(entry not in contradicting[entry.location.pack] for entry in entries_of(rows))


def _read_all(
    read: Callable[[Item], T], items: Sequence[Item]
) -> Iterator[tuple[Item, T | Damaged | UnsupportedFormat | None]]:
    return zip(items, side_by_side(lambda item: read_or_why(lambda: read(item)), items), strict=True)
