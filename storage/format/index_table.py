"""Index files: which blob lies where, as a sealed Parquet table. `docs/format.md` §5."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.errors import Damaged
from storage.format.blob import BLOB_ID_BYTES, MAX_BLOB_BYTES, PACK_ID_BYTES, BlobKind, PackId
from storage.format.pack import MAX_STORED_BYTES, PackEntry
from storage.format.sealing import Purpose, Seal

LARGEST_INDEX = 256 * 1024 * 1024
"""Bytes of an index file as it is stored: some five million rows, where a fold puts in half a million."""

ROWS_PER_FILE = 500_000
"""A writer begins another index file then: one has some 30 MB, and a reader holds a few of them in memory at a time."""

_LEAST_ROW_BYTES = 4
"""A row of a blob that lies in thousands of packs takes more; one of a blob in a single pack some 38 bytes."""

INDEX_SCHEMA = pa.schema(
    [
        pa.field("id", pa.binary(BLOB_ID_BYTES), nullable=False),
        pa.field("kind", pa.uint8(), nullable=False),
        pa.field("pack", pa.binary(PACK_ID_BYTES), nullable=False),
        pa.field("offset", pa.uint32(), nullable=False),
        pa.field("stored", pa.uint32(), nullable=False),
        pa.field("length", pa.uint32(), nullable=False),
        pa.field("generation", pa.uint16(), nullable=False),
    ]
)


def index_table(entries: Iterable[PackEntry]) -> pa.Table:
    """The entries of packs as an index's table. A blob that lies in a pack twice counts once."""
    rows = list({(entry.id, entry.location.pack): entry for entry in entries}.values())
    return pa.table(
        {
            "id": [row.id for row in rows],
            "kind": [row.location.kind for row in rows],
            "pack": [row.location.pack for row in rows],
            "offset": [row.location.offset for row in rows],
            "stored": [row.location.stored for row in rows],
            "length": [row.location.length for row in rows],
            "generation": [row.generation for row in rows],
        },
        schema=INDEX_SCHEMA,
    )


def in_files(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of these tables, each of which tells of whole packs, in one table for each index file to write.

    No pack is told of by two files: one that any of them names is not asked for its own table when another is lost.
    """
    group: list[pa.Table] = []
    rows = 0
    for table in tables:
        if group and rows + table.num_rows > ROWS_PER_FILE:
            yield pa.concat_tables(group)
            group, rows = [], 0
        group.append(table)
        rows += table.num_rows
    if rows:
        yield pa.concat_tables(group)


def write_index_table(seal: Seal, name: str, table: pa.Table) -> bytes:
    """The bytes of an index file stored as `name`, which holds a table of INDEX_SCHEMA."""
    sink = io.BytesIO()
    # Ids are random bytes: neither dictionaries nor statistics can help with them.
    pq.write_table(
        table, sink, compression="zstd", use_dictionary=["pack", "kind", "generation"], write_statistics=False
    )
    return seal.seal(Purpose.INDEX, name.encode(), sink.getvalue())


def read_index(seal: Seal, name: str, stored: bytes) -> pa.Table:
    """The table of the index file stored as `name`, its columns and ranges checked."""
    plain = seal.unseal(Purpose.INDEX, name.encode(), stored)
    try:
        with pq.ParquetFile(pa.BufferReader(plain)) as file:
            # Places don't compress, so more rows than could tell theirs are a bomb: repetition that takes no room.
            if file.metadata.num_rows * _LEAST_ROW_BYTES > len(plain):
                raise _damaged(name)
            table = file.read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as fault:
        raise _damaged(name) from fault
    if not table.schema.equals(INDEX_SCHEMA, check_metadata=False):
        raise _damaged(name)
    if not set(table.column("kind").unique().to_pylist()) <= set(BlobKind):
        raise _damaged(name)
    if table.num_rows and (
        pc.max(table.column("length")).as_py() > MAX_BLOB_BYTES
        or pc.max(table.column("stored")).as_py() > MAX_STORED_BYTES
    ):
        raise _damaged(name)
    return table


def packs_named(tables: Iterable[pa.Table]) -> set[PackId]:
    """Every pack that these tables name."""
    return {PackId(pack) for table in tables for pack in table.column("pack").unique().to_pylist()}


def _damaged(name: str) -> Damaged:
    return Damaged(
        f"Damage in the repository: {name} is no index table",
        "Nothing is lost by that, for packs tell the same: mend it with `recollect repair`",
    )
