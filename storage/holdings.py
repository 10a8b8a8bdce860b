"""What a repository is seen to hold at one moment: its packs, the verdicts on them, and which blob lies where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from storage.errors import Damaged, ObjectMissing, StoreUnreachable, UnsupportedFormat
from storage.format.blob import PackId, pack_of_name
from storage.format.index_table import INDEX_SCHEMA, LARGEST_INDEX, index_table, packs_named, read_index
from storage.format.sealing import Seal
from storage.format.verdict import LARGEST_VERDICT, VERDICTS, Finding, Verdict, is_verdict_name, read_verdict
from storage.index import Index
from storage.object_cache import CachedStore
from storage.reading import read_pack_table
from storage.side_by_side import side_by_side
from storage.store import Listings, StoredObject

_BYTES_AT_ONCE = 8 * 1024 * 1024
_LOOKS = 4
"""A fold replaces index files, and a sweep removes verdicts: between listing and reading them, each time anew."""

_SEEN_IN_TURN = (VERDICTS, "index", "packs")
"""The order matters: see `look`."""

_INDEX_NAME = re.compile(r"index/[0-9a-f]{32}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Holdings:
    """A repository's packs, index files and verdicts, as one look found them."""

    index: Index
    packs: Mapping[PackId, StoredObject]
    index_files: tuple[StoredObject, ...]
    verdicts: tuple[Verdict, ...]
    verdict_files: Mapping[str, StoredObject]
    """Every verdict's object by its name, also of those that could not be read."""
    unindexed: tuple[pa.Table, ...]
    """What lies in packs that no index file names, a table for each: they were asked for their own.

    Tables and no objects for each blob: should all index files be lost, these are all blobs of the repository.
    """
    damaged_indexes: tuple[Damaged, ...]
    damaged_verdicts: tuple[Damaged | UnsupportedFormat, ...]

    @property
    def bytes_in_packs(self) -> int:
        """What the packs take where they lie."""
        return sum(pack.size for pack in self.packs.values())

    def trusted_packs(self) -> dict[PackId, StoredObject]:
        """The packs that writers rely on."""
        distrusted = distrusted_packs(self.verdicts)
        return {pack: found for pack, found in self.packs.items() if pack not in distrusted}


def distrusted_packs(verdicts: Iterable[Verdict]) -> frozenset[PackId]:
    """The packs that no writer may rely on. A pardon changes nothing about that: its time comes with its removal."""
    return frozenset(pack for verdict in verdicts if verdict.finding is not Finding.PARDONED for pack in verdict.packs)


def look(source: CachedStore, seal: Seal) -> Holdings:
    """See what a repository holds.

    The order matters, unless the store shows all at one moment. Verdicts are listed first: whoever carries one out
    removes packs first and the verdict last, so that a pack that is on its way out is either named by a verdict or not
    listed. Index files are listed before packs, which are written first. Packs that no index file names are asked for
    their own tables: those of a run that was killed before it wrote its index, and those whose index file is damaged or
    lost.

    What is listed and gone by the time it is read makes the look begin anew. Index files that are gone have others in
    their place. Of verdicts that are gone one may have pardoned what another condemns that was read before it went.
    What a listing shows that was made after they were found gone, it shows late: the packs that they condemned went a
    day before them, and condemnations went before the pardons that answer them. Raises StoreUnreachable when verdicts
    go on vanishing.
    """
    gone: set[str] = set()
    for looks_left in reversed(range(_LOOKS)):
        try:
            # A late listing goes on showing what is gone: the packs in it are asked themselves.
            return _look_once(source, seal, gone, pass_over_missing=not looks_left)
        except _IndexReplaced:
            pass
        except VerdictsGone as found:
            gone |= found.names
        # Whatever is read anew is read from where it may be gone.
        source.cache.keep_only(VERDICTS, ())
    raise StoreUnreachable(
        f"Verdicts on packs in {source.store.url} vanish as fast as they are read", "Try again in a minute"
    )


def _look_once(source: CachedStore, seal: Seal, gone: Set[str], *, pass_over_missing: bool) -> Holdings:
    seen = source.store.list_together(_SEEN_IN_TURN)
    verdict_files = verdicts_in(seen)
    unread = [item for name, item in verdict_files.items() if name not in gone]
    verdicts, damaged_verdicts = read_verdicts(source, seal, unread)
    source.cache.keep_only(VERDICTS, verdict_files)
    index_files = tuple(item for item in seen["index"] if _INDEX_NAME.fullmatch(item.name))
    source.cache.keep_only("index", [item.name for item in index_files])
    packs = {pack: item for item in seen["packs"] if (pack := pack_of_name(item.name)) is not None}
    damaged_indexes: list[Damaged] = []
    unindexed: list[pa.Table] = []

    def tables() -> Iterator[pa.Table]:
        # One after the other, for together they are as large as the index itself.
        named: set[PackId] = set()
        for table in _index_tables(source, seal, index_files, pass_over_missing=pass_over_missing):
            if isinstance(table, Damaged):
                damaged_indexes.append(table)
                continue
            named |= packs_named([table])
            yield table
            del table
        for table in _tables_of(source, seal, [found for pack, found in packs.items() if pack not in named]):
            unindexed.append(table)
            yield table

    index = Index(tables(), {pack: found.size for pack, found in packs.items()}, distrusted_packs(verdicts))
    return Holdings(
        index=index,
        packs=packs,
        index_files=index_files,
        verdicts=verdicts,
        verdict_files=verdict_files,
        unindexed=tuple(unindexed),
        damaged_indexes=tuple(damaged_indexes),
        damaged_verdicts=damaged_verdicts,
    )


def verdicts_in(seen: Listings) -> dict[str, StoredObject]:
    """The verdicts among what was seen, unread."""
    return {item.name: item for item in seen[VERDICTS] if is_verdict_name(item.name)}


def read_verdicts(
    source: CachedStore, seal: Seal, files: Iterable[StoredObject]
) -> tuple[tuple[Verdict, ...], tuple[Damaged | UnsupportedFormat, ...]]:
    """The verdicts in these objects, and why others can't be read. Raises VerdictsGone.

    What a damaged verdict names stays where it is, for sweeps act on nothing but what the store itself gives them
    (`Repository.forget_verdicts`). So what comes damaged is read a second time: a bit may have flipped on its way.
    """

    def fetched(item: StoredObject) -> Verdict:
        return source.fetched(
            item.name,
            lambda content: read_verdict(seal, item.name, content),
            size=item.size,
            largest=LARGEST_VERDICT,
        )

    def read(item: StoredObject) -> Verdict | Damaged | UnsupportedFormat | None:
        try:
            try:
                return fetched(item)
            except Damaged:
                return fetched(item)
        except (Damaged, UnsupportedFormat) as trouble:
            return trouble
        except ObjectMissing:
            return None

    files = list(files)
    found = list(side_by_side(read, files))
    gone = frozenset(item.name for item, one in zip(files, found, strict=True) if one is None)
    if gone:
        raise VerdictsGone(gone)
    return (
        tuple(verdict for verdict in found if isinstance(verdict, Verdict)),
        tuple(trouble for trouble in found if isinstance(trouble, Damaged | UnsupportedFormat)),
    )


def read_index_file(source: CachedStore, seal: Seal, name: str, size: int | None) -> pa.Table:
    """The table of one index file, `size` being what a listing said it takes.

    Raises Damaged, and ObjectMissing when it was replaced meanwhile.
    """
    return source.fetched(name, lambda content: read_index(seal, name, content), size=size, largest=LARGEST_INDEX)


class VerdictsGone(Exception):
    """Verdicts are gone since they were listed: what was seen by then is not what is so at any one moment."""

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__(sorted(names))
        self.names = names


class _IndexReplaced(Exception):
    """An index file is gone since it was listed: a newer one has taken its place."""


def _index_tables(
    source: CachedStore, seal: Seal, files: Sequence[StoredObject], *, pass_over_missing: bool
) -> Iterator[pa.Table | Damaged]:
    """The tables of all index files, damage in the place of one that can't be read."""

    def read(item: StoredObject) -> pa.Table | Damaged:
        try:
            return read_index_file(source, seal, item.name, item.size)
        except Damaged as damage:
            return damage
        except ObjectMissing as missing:
            if pass_over_missing:
                return INDEX_SCHEMA.empty_table()
            raise _IndexReplaced from missing

    group: list[StoredObject] = []
    for item in files:
        # Small files side by side, large ones one after the other.
        if group and sum(one.size for one in (*group, item)) > _BYTES_AT_ONCE:
            yield from side_by_side(read, group)
            group = []
        group.append(item)
    yield from side_by_side(read, group)


def _tables_of(source: CachedStore, seal: Seal, packs: Iterable[StoredObject]) -> Iterator[pa.Table]:
    """What each of these packs says itself that it holds; one that is torn, damaged or gone by now says nothing."""

    def read(item: StoredObject) -> pa.Table | None:
        pack = pack_of_name(item.name)
        assert pack is not None
        try:
            return index_table(read_pack_table(source.store, seal, pack, item.size))
        except (Damaged, ObjectMissing):
            return None

    yield from (table for table in side_by_side(read, packs) if table is not None and table.num_rows)
