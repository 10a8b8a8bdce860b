"""Checking the objects around packs: manifests, index files, verdicts, censuses, check records, archives, key slots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from storage.checking.damage import Damage, Kind, are, counted, read_or_why
from storage.checking.packs import PackCheck
from storage.checking.usable_copies import UsableCopies
from storage.errors import Damaged, UnsupportedFormat
from storage.format.blob import BlobId, BlobKind, Location, PackId, pack_name
from storage.format.census import CENSUS, LARGEST_CENSUS, is_census_name, read_census
from storage.format.deletion_table import LARGEST_DELETIONS, is_deletions_name, read_deletions
from storage.format.index_table import INDEX_SCHEMA, LARGEST_INDEX, packs_named, read_index
from storage.format.manifest import Manifest, snapshot_name, trash_name
from storage.format.pack import PackEntry
from storage.format.verdict import LARGEST_VERDICT, read_verdict
from storage.holdings import Holdings
from storage.keys import list_slots
from storage.repository import Repository, SnapshotRef
from storage.side_by_side import side_by_side
from storage.store import StoredObject
from storage.stored_size import read_listed

Item = TypeVar("Item")
T = TypeVar("T")


def check_manifests(
    repository: Repository, refs: Sequence[SnapshotRef], remarks: list[str], *, trashed: bool = False
) -> tuple[list[Manifest], list[Damage], list[SnapshotRef]]:
    """The manifests that can be read, the damage to others, and those that are gone since they were listed.

    Those of newer versions are no damage: a remark.
    """

    def read(ref: SnapshotRef) -> Manifest:
        return repository.manifest(ref, in_trash=trashed)

    manifests: list[Manifest] = []
    damages: list[Damage] = []
    gone: list[SnapshotRef] = []
    for ref, found in _read_all(read, refs):
        if isinstance(found, Manifest):
            manifests.append(found)
        elif isinstance(found, Damaged):
            name = (trash_name if trashed else snapshot_name)(ref.profile_key, ref.id)
            how = "this snapshot can't be read any more; all others stand"
            damages.append(Damage(Kind.MANIFEST, name, how, trouble=found))
        elif isinstance(found, UnsupportedFormat):
            remarks.append(f"The snapshot {ref.id} was not looked at: {found}")
        else:
            gone.append(ref)
    return manifests, damages, gone


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
    for item in holdings.index_files:
        name, found = item.name, read_or_why(partial(_index_file, repository, item))
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


def _index_file(repository: Repository, item: StoredObject) -> pa.Table:
    """The table of an index file, from the store itself."""
    return read_index(repository.seal, item.name, read_listed(repository.store, item, LARGEST_INDEX))


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
    doubtful = [item for name, item in holdings.verdict_files.items() if name not in read_well]
    censuses = [item for item in store.list(CENSUS) if is_census_name(item.name)]
    archives = [item for item in store.list("deletions") if is_deletions_name(item.name)]
    groups: list[tuple[Kind, str, Sequence[StoredObject], Callable[[StoredObject], object]]] = [
        (
            Kind.VERDICT,
            "what it says of packs can't be read, so nothing is removed",
            doubtful,
            lambda item: read_verdict(seal, item.name, read_listed(store, item, LARGEST_VERDICT)),
        ),
        (
            Kind.CENSUS,
            "it can't be read, so nothing is removed",
            censuses,
            lambda item: read_census(seal, item.name, read_listed(store, item, LARGEST_CENSUS)),
        ),
        (
            Kind.DELETIONS,
            "these deleted notes can't be read; deleted.txt, or `recollect deleted --rescan`, may tell of them again",
            archives,
            lambda item: len(read_deletions(seal, item.name, read_listed(store, item, LARGEST_DELETIONS))),
        ),
    ]
    damages: list[Damage] = []
    for kind, how, items, read in groups:
        for item, found in _read_all(read, items):
            if isinstance(found, Damaged):
                damages.append(Damage(kind, item.name, how, trouble=found))
            elif isinstance(found, UnsupportedFormat):
                remarks.append(f"{item.name} was not looked at: {found}")
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
