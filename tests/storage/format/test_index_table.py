from __future__ import annotations

import contextlib
import io
import os
import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import Damaged
from storage.format.blob import MAX_BLOB_BYTES, BlobId, BlobKind, Location, PackId
from storage.format.index_table import INDEX_SCHEMA, index_table, read_index, write_index_table
from storage.format.pack import PackEntry
from storage.format.sealing import OpenSeal, Purpose

SEAL = OpenSeal(bytes(16))
NAME = "index/00112233445566778899aabbccddeeff"
LOCATIONS = st.builds(
    Location,
    kind=st.sampled_from(BlobKind),
    pack=st.binary(min_size=16, max_size=16).map(PackId),
    offset=st.integers(0, 2**32 - 1),
    stored=st.integers(0, MAX_BLOB_BYTES),
    length=st.integers(0, MAX_BLOB_BYTES),
)
ENTRIES = st.dictionaries(st.binary(min_size=32, max_size=32).map(BlobId), LOCATIONS, max_size=8)


def entries_in(table: pa.Table) -> dict[BlobId, Location]:
    return {
        BlobId(row["id"]): Location(
            BlobKind(row["kind"]), PackId(row["pack"]), row["offset"], row["stored"], row["length"]
        )
        for row in table.to_pylist()
    }


@settings(max_examples=60, deadline=None)
@given(ENTRIES)
def test_an_index_says_again_what_was_written_in_it(entries: dict[BlobId, Location]) -> None:
    stored = write_index_table(SEAL, NAME, index_table(PackEntry(blob, place) for blob, place in entries.items()))
    assert entries_in(read_index(SEAL, NAME, stored)) == entries


def test_an_index_says_under_which_key_each_pack_is_sealed() -> None:
    rows = [
        PackEntry(BlobId(bytes((n,)) * 32), Location(BlobKind.PAGE, PackId(bytes((n,)) * 16), 32, 20, 9), generation)
        for n, generation in enumerate((0, 1, 0xFFFF))
    ]
    assert read_index(SEAL, NAME, write_index_table(SEAL, NAME, index_table(rows))).column(
        "generation"
    ).to_pylist() == [0, 1, 0xFFFF]


@settings(max_examples=60, deadline=None)
@given(ENTRIES, st.data())
def test_a_spoiled_index_is_damage(entries: dict[BlobId, Location], data: st.DataObject) -> None:
    stored = write_index_table(SEAL, NAME, index_table(PackEntry(blob, place) for blob, place in entries.items()))
    at = data.draw(st.integers(0, len(stored) - 1))
    flipped = stored[:at] + bytes((stored[at] ^ 1 << data.draw(st.integers(0, 7)),)) + stored[at + 1 :]
    for spoiled in (flipped, stored[:at], stored + b"\0"):
        with pytest.raises(Damaged, match=NAME):
            read_index(SEAL, NAME, spoiled)


def test_an_index_under_another_name_is_damage() -> None:
    with pytest.raises(Damaged):
        read_index(SEAL, NAME[:-1] + "0", write_index_table(SEAL, NAME, index_table([])))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_table_spoiled_before_it_was_sealed_never_raises_anything_but_damage(data: st.DataObject) -> None:
    entry = PackEntry(BlobId(bytes(range(32))), Location(BlobKind.PAGE, PackId(bytes(16)), 32, 5, 6))
    plain = bytearray(SEAL.unseal(Purpose.INDEX, NAME.encode(), write_index_table(SEAL, NAME, index_table([entry]))))
    for _ in range(data.draw(st.integers(1, 4))):
        plain[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Damaged):
        assert read_index(SEAL, NAME, SEAL.seal(Purpose.INDEX, NAME.encode(), bytes(plain))).num_rows >= 0


def sealed_table(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return SEAL.seal(Purpose.INDEX, NAME.encode(), sink.getvalue())


def one_row(**changed: Any) -> pa.Table:
    row = {"id": bytes(32), "kind": 1, "pack": bytes(16), "offset": 32, "stored": 20, "length": 9, "generation": 0}
    row |= changed
    return pa.Table.from_pylist([row], schema=INDEX_SCHEMA)


HOSTILE: dict[str, Callable[[], pa.Table]] = {
    "an unknown kind": lambda: one_row(kind=9),
    "a blob that is too long": lambda: one_row(length=MAX_BLOB_BYTES + 1),
    "a read that is too long": lambda: one_row(stored=2**32 - 1),
    "a column more": lambda: one_row().append_column("note", pa.array(["x"])),
    "a column less": lambda: one_row().drop_columns(["length"]),
    "another type": lambda: one_row().set_column(0, "id", pa.array(["x"])),
    "columns that may be empty": lambda: pa.table(
        {name: pa.nulls(1, INDEX_SCHEMA.field(name).type) for name in INDEX_SCHEMA.names}
    ),
}


def test_a_good_row_is_accepted() -> None:
    assert read_index(SEAL, NAME, sealed_table(one_row())).num_rows == 1


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_table_is_damage(kind: str) -> None:
    with pytest.raises(Damaged, match=NAME):
        read_index(SEAL, NAME, sealed_table(HOSTILE[kind]()))


def test_a_bomb_of_repeated_rows_is_refused_before_room_is_made_for_it() -> None:
    rows = 3_000_000
    bomb = sealed_table(
        pa.table(
            {name: pa.repeat(one_row().column(name)[0], rows) for name in INDEX_SCHEMA.names}, schema=INDEX_SCHEMA
        ),
        compression="zstd",
    )
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        with pytest.raises(Damaged):
            read_index(SEAL, NAME, bomb)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(bomb) + 1_000_000
    finally:
        tracemalloc.stop()
    assert pa.total_allocated_bytes() - before < 1_000_000


def test_many_honest_rows_are_no_bomb() -> None:
    rows = [
        PackEntry(BlobId(os.urandom(32)), Location(BlobKind.PAGE, PackId(bytes(16)), 32 + n, 1, 4096))
        for n in range(5000)
    ]
    assert read_index(SEAL, NAME, write_index_table(SEAL, NAME, index_table(rows))).num_rows == 5000


def test_a_blob_that_lies_in_many_packs_is_no_bomb_and_each_pack_is_named_once() -> None:
    luck = random.Random(3)
    packs = [PackId(luck.randbytes(16)) for _ in range(1000)]
    entries = [
        PackEntry(BlobId(bytes(32)), Location(BlobKind.PAGE, pack, luck.randrange(2**24), luck.randrange(4096), 4096))
        for pack in packs
    ]
    table = read_index(SEAL, NAME, write_index_table(SEAL, NAME, index_table([*entries, *entries])))
    assert sorted(table.column("pack").to_pylist()) == sorted(packs)
    assert table.column("id").unique().to_pylist() == [bytes(32)]
