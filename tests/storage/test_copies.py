from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.copies import Copies
from storage.format.blob import BlobId, BlobKind, Location, PackId
from storage.format.index_table import index_table
from storage.format.pack import PackEntry
from storage.index import Index, Rows

BLOBS = [BlobId(bytes((n,)) * 32) for n in range(6)]
PACKS = [PackId(bytes((n,)) * 16) for n in range(4)]
ENTRIES = st.lists(
    st.builds(
        lambda blob, pack, offset: PackEntry(blob, Location(BlobKind.PAGE, pack, offset, 10, 10)),
        st.sampled_from(BLOBS),
        st.sampled_from(PACKS),
        st.integers(32, 200),
    ),
    max_size=15,
    unique_by=lambda entry: (entry.id, entry.location.pack),
)
SOME_PACKS = st.frozensets(st.sampled_from(PACKS))


def entries_at(index: Index, rows: Rows) -> list[tuple[BlobId, PackId]]:
    return [(blob, index.pack_ids[index.pack_of_row[row]]) for blob, row in zip(index.ids(rows), rows, strict=True)]


@settings(deadline=None)
@given(ENTRIES, SOME_PACKS, SOME_PACKS, st.lists(st.sampled_from(BLOBS), max_size=4))
def test_copies_are_told_apart_as_by_a_list_of_pairs(
    entries: list[PackEntry], packs: frozenset[PackId], distrusted: frozenset[PackId], needed: list[BlobId]
) -> None:
    index = Index([index_table(entries)], distrusted=distrusted)
    copies = Copies(index)
    pairs = [(entry.id, entry.location.pack) for entry in entries]
    known = {blob for blob, _ in pairs}
    there = {blob for blob, pack in pairs if pack in packs}

    assert [row >= 0 for row in copies.need(needed)] == [blob in known for blob in needed]
    lying = copies.in_packs(packs)
    shown = [
        sorted(entries_at(index, np.flatnonzero(mask)))
        for mask in (
            copies.needed(),
            lying,
            copies.in_numbered(index.distrusts),
            copies.also_among(lying),
        )
    ]
    assert shown == [
        sorted((blob, pack) for blob, pack in pairs if blob in needed),
        sorted((blob, pack) for blob, pack in pairs if pack in packs),
        sorted((blob, pack) for blob, pack in pairs if pack in distrusted),
        sorted((blob, pack) for blob, pack in pairs if blob in there),
    ]
    assert copies.count(lying) == len(there)


@settings(deadline=None)
@given(ENTRIES.flatmap(lambda entries: st.tuples(st.just(entries), st.permutations(range(len(entries))))))
def test_of_the_copies_of_a_blob_the_one_that_is_named_first_is_chosen(
    case: tuple[list[PackEntry], list[int]],
) -> None:
    entries, order = case
    index = Index([index_table(entries)])
    rows = np.array(order, dtype=np.intp)
    named = entries_at(index, rows)
    first = {blob: number for number, (blob, _) in reversed(list(enumerate(named)))}
    assert sorted(Copies(index).one_each(rows).tolist()) == sorted(int(rows[number]) for number in first.values())
