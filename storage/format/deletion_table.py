"""The deletion archive's files: sealed Parquet tables of notes that were seen to be gone. `docs/format.md` §8."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple, overload

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.errors import Damaged
from storage.format.manifest import ProfileKey, SnapshotId, is_snapshot_id
from storage.format.sealing import Purpose, Seal

DELETIONS_SCHEMA = pa.schema(
    [
        pa.field("key", pa.binary(), nullable=False),
        pa.field("note_id", pa.int64(), nullable=False),
        pa.field("guid", pa.string()),
        pa.field("note_type_id", pa.int64(), nullable=False),
        pa.field("note_type", pa.string()),
        pa.field("field_names", pa.list_(pa.string()), nullable=False),
        pa.field("fields", pa.list_(pa.string()), nullable=False),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("deck", pa.string()),
        pa.field("modified_s", pa.int64()),
        pa.field("how", pa.string(), nullable=False),
        pa.field("last_snapshot", pa.string()),
        pa.field("gone_in", pa.string(), nullable=False),
        pa.field("seen_at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)

MAX_TABLE_BYTES = 256 * 1024 * 1024
"""What the values of a table may take when they are unpacked. Writers begin another file long before that."""

LARGEST_DELETIONS = MAX_TABLE_BYTES
"""Bytes of a file as it is stored."""

_SEEN_BETWEEN = (0, int(datetime(9000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000)
"""Microseconds since 1970. A time zone must not push a moment beyond what Python can count."""

_NAME = re.compile(r"deletions/[^/]+/[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")


class How(StrEnum):
    """How a note was seen to go."""

    LOG = "log"
    """`deleted.txt` tells: deleted in the browser or while reviewing, on the computer of the profile."""
    DELETED = "deleted"
    """Gone since the snapshot before, and the collection knows that it was deleted: here or by a sync, in any way."""
    REPLACED = "replaced"
    """Gone since the snapshot before without a trace: the collection was replaced, by a restore or a one-way sync."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedNote:
    """A note as it was last known when it was seen to be gone. `key` tells one such sighting from another.

    `deleted.txt` knows neither guid, tags, deck nor time: they are None for a note that no snapshot held. `deck` is
    also None for a note without cards.
    """

    key: bytes
    note_id: int
    guid: str | None = None
    note_type_id: int
    note_type: str | None
    field_names: tuple[str, ...]
    fields: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    deck: str | None = None
    modified_s: int | None = None
    """When its text or tags were changed last, in seconds since 1970."""
    how: How
    last_snapshot: SnapshotId | None = None
    """The last one that held it."""
    gone_in: SnapshotId
    """The first one by which it was seen to be gone."""
    seen_at: datetime
    """When that one was taken."""


class Sighting(NamedTuple):
    """What tells whether a note that is gone was archived before."""

    key: bytes
    note_id: int
    guid: str | None
    last_snapshot: str | None
    gone_in: str


def deletions_name(key: ProfileKey, written_at: datetime, random_bytes: bytes) -> str:
    """The name of a new file of a profile's deletion archive."""
    return f"deletions/{key}/{written_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{random_bytes[:4].hex()}"


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
            "guid": _storable(note.guid),
            "note_type_id": note.note_type_id,
            "note_type": _storable(note.note_type),
            "field_names": [_storable(name) for name in note.field_names],
            "fields": [_storable(field) for field in note.fields],
            "tags": None if note.tags is None else [_storable(tag) for tag in note.tags],
            "deck": _storable(note.deck),
            "modified_s": note.modified_s,
            "how": note.how.value,
            "last_snapshot": note.last_snapshot,
            "gone_in": note.gone_in,
            "seen_at": note.seen_at,
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
        return [_note_of(row) for row in _read_table(plain).to_pylist()]


def read_sightings(seal: Seal, name: str, stored: bytes) -> list[Sighting]:
    """What the archive file stored as `name` tells of, without the notes; `Damaged` as with `read_deletions`."""
    plain = seal.unseal(Purpose.DELETIONS, name.encode(), stored)
    with _damage_told(name):
        columns = _read_columns(plain, list(Sighting._fields)).select(list(Sighting._fields))
        return [Sighting(*row) for row in zip(*(column.to_pylist() for column in columns.columns), strict=True)]


def _note_of(row: dict[str, Any]) -> ArchivedNote:
    if any(None in row[texts] for texts in ("field_names", "fields")) or None in (row["tags"] or ()):
        raise ValueError("a text that is missing")
    how, last_snapshot = How(row["how"]), row["last_snapshot"]
    if (last_snapshot is None) != (how is How.LOG):
        raise ValueError("held by a snapshot, and by none")
    if not all(is_snapshot_id(one) for one in (row["gone_in"], last_snapshot) if one is not None):
        raise ValueError("an id that no snapshot has")
    return ArchivedNote(
        **row
        | {
            "field_names": tuple(row["field_names"]),
            "fields": tuple(row["fields"]),
            "tags": None if row["tags"] is None else tuple(row["tags"]),
            "how": how,
        }
    )


@contextlib.contextmanager
def _damage_told(name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as fault:
        raise Damaged(
            f"Damage in the repository: {name} is no table of deleted notes",
            "Move this file away: what still stands in the profile's deleted.txt is archived again by the next backup, "
            "and what snapshots still hold by `recollect deleted PROFILE --rescan`",
        ) from fault


def _read_table(plain: bytes) -> pa.Table:
    """The table, its sizes and times checked."""
    table = _read_columns(plain, None)
    moments = pc.min_max(table.column("seen_at").cast(pa.int64())).as_py()
    if table.num_rows and not _SEEN_BETWEEN[0] <= moments["min"] <= moments["max"] < _SEEN_BETWEEN[1]:
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


@overload
def _storable(text: str) -> str: ...
@overload
def _storable(text: None) -> None: ...
def _storable(text: str | None) -> str | None:
    """Parquet's strings are valid UTF-8; what can't be said in it (a lone surrogate) becomes a question mark."""
    return None if text is None else text.encode("utf-8", "replace").decode()
