from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage.format.blob import BlobId, BlobKind, Location, PackId
from storage.format.index_table import INDEX_SCHEMA
from storage.format.pack import PackEntry
from storage.index import Index

# Few different ids, many of which begin alike: what eight bytes can't tell apart must still be told apart.
PREFIXES = st.sampled_from([bytes(8), b"\0" * 7 + b"\1", b"\xff" * 8, b"\x80" + bytes(7)])
IDS = st.builds(lambda prefix, rest: BlobId(prefix + bytes(23) + bytes((rest,))), PREFIXES, st.integers(0, 3))
PACKS = [PackId(bytes((n,)) * 16) for n in range(3)]
LOCATIONS = st.builds(
    Location,
    st.sampled_from(BlobKind),
    st.sampled_from(PACKS),
    st.integers(0, 100),
    st.integers(0, 100),
    st.integers(0, 9),
)
ENTRIES = st.lists(st.builds(PackEntry, IDS, LOCATIONS), max_size=12)


def table_of(entries: list[PackEntry]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "id": one.id,
                "kind": int(one.location.kind),
                "pack": one.location.pack,
                "offset": one.location.offset,
                "stored": one.location.stored,
                "length": one.location.length,
                "generation": one.generation,
            }
            for one in entries
        ],
        schema=INDEX_SCHEMA,
    )


@settings(deadline=None)
@given(st.lists(ENTRIES, max_size=3), ENTRIES, st.lists(IDS, max_size=20))
def test_an_index_answers_as_a_dictionary_would(
    tables: list[list[PackEntry]], added: list[PackEntry], asked: list[BlobId]
) -> None:
    index = Index(table_of(table) for table in tables)
    index.add(added)
    model: dict[BlobId, set[Location]] = {}
    for entry in (entry for entries in tables for entry in entries):
        model.setdefault(entry.id, set()).add(entry.location)
    for entry in added:
        model[entry.id] = {entry.location}
    for blob in asked:
        found = index.find(blob)
        assert found in model[blob] if blob in model else found is None
        assert (blob in index) == (blob in model)
    assert index.missing(asked) == set(asked) - model.keys()


@settings(deadline=None)
@example([PackEntry(BlobId(bytes(32)), Location(BlobKind.PAGE, PACKS[0], 0, 0, 0))], [], {}, [BlobId(bytes(32))])
@given(ENTRIES, ENTRIES, st.dictionaries(st.sampled_from(PACKS), st.integers(0, 200)), st.lists(IDS, max_size=20))
def test_blobs_in_missing_or_shortened_packs_count_as_not_stored(
    one: list[PackEntry], other: list[PackEntry], present: dict[PackId, int], asked: list[BlobId]
) -> None:
    index = Index([table_of(one), table_of(other)], present)
    whole = {
        entry.id
        for entry in one + other
        if entry.location.pack in present
        and entry.location.offset + entry.location.stored <= present[entry.location.pack]
    }
    assert index.missing(asked) == set(asked) - whole
    for blob in asked:
        found = index.find(blob)
        assert (found is not None) == (blob in whole)
        assert found is None or present[found.pack] >= found.offset + found.stored


@settings(deadline=None)
@given(ENTRIES, ENTRIES, ENTRIES, st.sets(st.sampled_from(PACKS)), st.lists(IDS, max_size=20))
def test_what_lies_only_in_distrusted_packs_is_found_but_counts_as_not_stored(
    one: list[PackEntry], other: list[PackEntry], added: list[PackEntry], distrusted: set[PackId], asked: list[BlobId]
) -> None:
    index = Index([table_of(one), table_of(other)], None, distrusted)
    index.add(added)
    added = [entry for entry in added if entry.location.pack not in distrusted]  # of the others loading has told
    trusted = {entry.id for entry in (*one, *other, *added) if entry.location.pack not in distrusted}
    places: dict[BlobId, set[Location]] = {}
    for entry in one + other:
        places.setdefault(entry.id, set()).add(entry.location)
    assert index.missing(asked) == set(asked) - trusted
    latest = {entry.id: entry.location for entry in added}
    for blob in asked:
        assert (blob in index) == (blob in trusted)
        copies = index.copies(blob)
        assert set(copies) == places.get(blob, set()) | ({latest[blob]} if blob in latest else set())
        assert len(copies) == len(set(copies))
        doubts = [place.pack in distrusted for place in copies if place != latest.get(blob)]
        assert doubts == sorted(doubts)
        assert index.find(blob) == (copies[0] if copies else None)
    assert distrusted.isdisjoint(index.packs())


@settings(deadline=None)
@given(ENTRIES, ENTRIES, st.lists(IDS, max_size=20))
def test_rows_of_one_blob_form_a_group_and_of_two_blobs_never(
    one: list[PackEntry], other: list[PackEntry], asked: list[BlobId]
) -> None:
    index = Index([table_of(one), table_of(other)])
    groups = index.groups()
    ids = index.ids(np.arange(len(groups)))
    assert sorted(ids) == sorted(entry.id for entry in one + other)
    for row, group in enumerate(groups):
        assert ids[row] == ids[group]
    assert len({ids[group] for group in groups}) == len(set(groups))
    for blob, row in zip(asked, index.rows(asked), strict=True):
        assert row == (ids.index(blob) if blob in ids else -1)
    stored = {(entry.id, entry.location.pack): entry.location.stored for entry in one + other}
    assert all(number >= 0 for number in index.stored_bytes())
    for pack in PACKS:
        found = index.entries_in(pack)
        assert {(entry.id, entry.location.pack) for entry in found} == {key for key in stored if key[1] == pack}


@settings(deadline=None)
@given(ENTRIES, ENTRIES)
def test_the_packs_of_an_index_are_told_with_the_length_that_they_need(
    loaded: list[PackEntry], added: list[PackEntry]
) -> None:
    index = Index([table_of(loaded)])
    index.add(added)
    needed: dict[PackId, int] = {}
    for entry in [*loaded, *{entry.id: entry for entry in added}.values()]:
        end = entry.location.offset + entry.location.stored
        needed[entry.location.pack] = max(needed.get(entry.location.pack, 0), end)
    assert index.packs() == needed


@pytest.mark.parametrize("present", [None, {}, {PACKS[0]: 10}])
def test_an_empty_index_holds_nothing(present: dict[PackId, int] | None) -> None:
    blob = BlobId(bytes(32))
    for tables in ([], [table_of([])], [table_of([]), table_of([])]):
        index = Index(tables, present)
        assert (len(index), index.find(blob), index.missing([blob]), index.missing([])) == (0, None, {blob}, set())
        assert index.packs() == {}


def test_an_index_of_many_blobs_finds_each_of_them() -> None:
    source = random.Random(5)
    entries = [
        PackEntry(BlobId(source.randbytes(32)), Location(BlobKind.PAGE, PACKS[n % 3], n, 60, 4096))
        for n in range(20_000)
    ]
    index = Index([table_of(entries[:7000]), table_of(entries[7000:])])
    assert len(index) == 20_000
    assert index.missing([entry.id for entry in entries]) == set()
    assert all(index.find(entry.id) == entry.location for entry in entries[::97])
    assert len(index.missing([BlobId(source.randbytes(32)) for _ in range(1000)])) == 1000


class _CountedId(bytes):
    """A blob id that counts how often it is looked at."""

    looks = 0

    def __hash__(self) -> int:
        type(self).looks += 1
        return super().__hash__()


def test_a_question_does_not_walk_through_all_that_was_added() -> None:
    entries = [
        PackEntry(BlobId(_CountedId(n.to_bytes(32, "big"))), Location(BlobKind.PAGE, PACKS[0], n, 60, 4096))
        for n in range(5000)
    ]
    index = Index()
    index.add(entries)
    absent = BlobId(b"\xff" * 32)
    _CountedId.looks = 0
    assert index.missing([entries[7].id, absent]) == {absent}
    assert _CountedId.looks <= 10


@settings(deadline=None)
@given(st.lists(ENTRIES, max_size=3), ENTRIES, st.sets(st.integers(0, 12)))
def test_an_index_knows_of_which_lengths_it_holds_pieces(
    tables: list[list[PackEntry]], added: list[PackEntry], asked: set[int]
) -> None:
    index = Index(table_of(table) for table in tables)
    index.add(added)
    # What is added last is what an id stands for.
    latest = {entry.id: entry for entry in added}
    held = {entry.location.length for entries in (*tables, latest.values()) for entry in entries}
    assert index.lengths_among(asked) == asked & held
