"""The deletion archive's files: deleted notes as sealed Parquet tables. `docs/format.md` §8."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.errors import Damaged
from storage.format.manifest import ProfileKey, SnapshotId
from storage.format.sealing import Purpose, Seal

DELETIONS_SCHEMA = pa.schema(
    [
        pa.field("key", pa.binary(), nullable=False),
        pa.field("note_id", pa.int64(), nullable=False),
        pa.field("note_type_id", pa.int64(), nullable=False),
        pa.field("note_type", pa.string()),
        pa.field("field_names", pa.list_(pa.string()), nullable=False),
        pa.field("fields", pa.list_(pa.string()), nullable=False),
        pa.field("archived_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("snapshot", pa.string(), nullable=False),
    ]
)

MAX_TABLE_BYTES = 256 * 1024 * 1024
"""What the values of a table may take when they are unpacked. Writers begin another file long before that."""

LARGEST_DELETIONS = MAX_TABLE_BYTES
"""Bytes of a file as it is stored."""

_ARCHIVED_BETWEEN = (0, int(datetime(9000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000)
"""Microseconds since 1970. A time zone must not push a moment beyond what Python can count."""

_NAME = re.compile(r"deletions/[^/]+/[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class ArchivedNote:
    """A deleted note as the archive keeps it; `key` tells one deletion from another."""

    key: bytes
    note_id: int
    note_type_id: int
    note_type: str | None
    field_names: tuple[str, ...]
    fields: tuple[str, ...]
    archived_at: datetime
    snapshot: SnapshotId


def deletions_name(key: ProfileKey, archived_at: datetime, random_bytes: bytes) -> str:
    """The name of a new file of a profile's deletion archive."""
    return f"deletions/{key}/{archived_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{random_bytes[:4].hex()}"


def renewed_name(name: str, random_bytes: bytes) -> str:
    """A new name for the content of an archive's file."""
    return f"{name.rpartition('-')[0]}-{random_bytes[:4].hex()}"


def is_deletions_name(name: str) -> bool:
    """Whether a stored object is a file of a deletion archive."""
    return _NAME.fullmatch(name) is not None


def write_deletions(seal: Seal, name: str, notes: Iterable[ArchivedNote]) -> bytes:
    """The bytes of an archive file stored as `name`."""
    rows = [
        {
            "key": note.key,
            "note_id": note.note_id,
            "note_type_id": note.note_type_id,
            "note_type": _storable(note.note_type) if note.note_type is not None else None,
            "field_names": [_storable(field) for field in note.field_names],
            "fields": [_storable(field) for field in note.fields],
            "archived_at": note.archived_at,
            "snapshot": note.snapshot,
        }
        for note in notes
    ]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=DELETIONS_SCHEMA), sink, compression="zstd")
    return seal.seal(Purpose.DELETIONS, name.encode(), sink.getvalue())


def read_deletions(seal: Seal, name: str, stored: bytes) -> list[ArchivedNote]:
    """The notes in the archive file stored as `name`; `Damaged` when it is none, or would take too much room."""
    plain = seal.unseal(Purpose.DELETIONS, name.encode(), stored)
    with _damage_told(name):
        rows = _read_table(plain).to_pylist()
        if any(None in row["field_names"] or None in row["fields"] for row in rows):
            raise ValueError("a field that is missing")
    return [
        ArchivedNote(
            key=row["key"],
            note_id=row["note_id"],
            note_type_id=row["note_type_id"],
            note_type=row["note_type"],
            field_names=tuple(row["field_names"]),
            fields=tuple(row["fields"]),
            archived_at=row["archived_at"],
            snapshot=SnapshotId(row["snapshot"]),
        )
        for row in rows
    ]


def read_keys(seal: Seal, name: str, stored: bytes) -> set[bytes]:
    """The keys in the archive file stored as `name`, without its notes; `Damaged` as with `read_deletions`."""
    plain = seal.unseal(Purpose.DELETIONS, name.encode(), stored)
    with _damage_told(name):
        return set(_read_columns(plain, ["key"]).column("key").unique().to_pylist())


@contextlib.contextmanager
def _damage_told(name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as fault:
        raise Damaged(
            f"Damage in the repository: {name} is no table of deleted notes",
            "Move this file away: what still stands in the profile's deleted.txt is archived again by the next backup",
        ) from fault


def _read_table(plain: bytes) -> pa.Table:
    """The table, its sizes and times checked."""
    table = _read_columns(plain, None)
    moments = pc.min_max(table.column("archived_at").cast(pa.int64())).as_py()
    if table.num_rows and not _ARCHIVED_BETWEEN[0] <= moments["min"] <= moments["max"] < _ARCHIVED_BETWEEN[1]:
        raise ValueError("a time that can't be")
    return table


def _read_columns(plain: bytes, names: list[str] | None) -> pa.Table:
    """These columns, or all: their sizes checked, and texts told by number, so that repetition takes no room."""
    with pq.ParquetFile(pa.BufferReader(plain)) as file:
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        columns = [group.column(number) for group in groups for number in range(group.num_columns)]
        if not file.schema_arrow.equals(DELETIONS_SCHEMA, check_metadata=False):
            raise ValueError("columns")
        # No two rows have the same key, so there can't be more of them than bytes.
        if (
            file.metadata.num_rows > len(plain)
            or sum(group.total_byte_size for group in groups) > MAX_TABLE_BYTES
            or sum(column.num_values for column in columns) * 8 > MAX_TABLE_BYTES
        ):
            raise ValueError("too large")
    texts = sorted({column.path_in_schema for column in columns if column.physical_type == "BYTE_ARRAY"})
    with pq.ParquetFile(pa.BufferReader(plain), read_dictionary=texts) as file:
        # Not read_table: with its threads, reading from memory now and then aborts the process as it ends (pyarrow 26).
        table = file.read(names, use_threads=False)
    if sum(_bytes_of_texts(column) for column in table.columns) > MAX_TABLE_BYTES:
        raise ValueError("too large")
    return table


def _bytes_of_texts(column: pa.ChunkedArray) -> int:
    """How many bytes the texts of a column take once each stands for itself."""
    values = pc.list_flatten(column) if pa.types.is_list(column.type) else column
    if not pa.types.is_dictionary(values.type):
        return 0
    lengths = (pc.take(pc.binary_length(chunk.dictionary), chunk.indices) for chunk in values.chunks)
    return sum(pc.sum(each.cast(pa.int64())).as_py() or 0 for each in lengths)


def _storable(text: str) -> str:
    """Parquet's strings are valid UTF-8; what can't be said in it (a lone surrogate) becomes a question mark."""
    return text.encode("utf-8", "replace").decode()
