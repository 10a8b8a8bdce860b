"""One row of the audit table, and the Parquet file that holds it.

A row is stored as one object, `audit/year=YYYY/month=MM/<UTC stamp>-<row id>.parquet`, so that writers never meet.
`AuditRow` is the only definition: the columns, their types and their descriptions are derived from it. Columns may be
added (able to be empty), never taken away or changed, so rows of older and newer versions read alike.

Rows are read from a place where anyone may have written, so a file is decoded with every size and type checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import isfinite
from types import UnionType
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import Damaged

AUDIT_FOLDER: Final = "audit"

LONGEST_TEXT: Final = 2000
"""Characters in any text of a row; what is longer is cut."""

LARGEST_FILE: Final = 512 * 1024
"""Bytes of one row's file, stored and unpacked: a row of nothing but the longest texts stays below."""

MOST_COLUMNS: Final = 1000
"""Columns in one row's file: far more than a newer version will ever have."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ROW_ID: Final = re.compile(r"[0-9a-f]{32}")
_LARGEST_INTEGER: Final = 2**63 - 1
_LONGEST_TIME: Final = 40


class Outcome(StrEnum):
    """How an action ended."""

    COMPLETED = "completed"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """Something that was done, or was not done, and how it went.

    Times are aware and kept in UTC. Counts and bytes are whole numbers from 0 up, durations are seconds. A text longer
    than LONGEST_TEXT is cut, and what is not valid Unicode in it is written as an escape: a row is never lost over its
    wording. No field may hold a secret. Raises ValueError for a value of the wrong kind.
    """

    row_id: Annotated[str, "Id of the row: 32 lower-case hexadecimal digits"] = field(
        default_factory=lambda: uuid4().hex
    )
    action: Annotated[str, "What was to be done, such as backup, restore, prune or sweep"]
    profile: Annotated[str, "Name of the profile; empty for an action on the whole repository"]
    profile_key: Annotated[str, "The profile's folder below snapshots/; empty for an action on the whole repository"]
    started_at: Annotated[datetime, "When the action began, in UTC"]
    started_local: Annotated[str, "When the action began by the clock on that wall, ISO 8601 with its offset from UTC"]
    finished_at: Annotated[datetime, "When the action ended, in UTC"]
    flow_run: Annotated[str | None, "Id of Prefect's flow run; empty when the action ran without Prefect"] = None
    host: Annotated[str, "Name of the computer that did it"]
    repository_id: Annotated[str, "Id of the repository"]
    snapshot: Annotated[str | None, "The snapshot that was made, restored or worked on"] = None
    outcome: Annotated[Outcome, "completed, unchanged (nothing new to store), skipped (not now) or failed"]
    reason: Annotated[
        str | None, "Code that says why the action was skipped or failed, or that what it made is suspect"
    ] = None
    message: Annotated[str | None, "The same for a person: a sentence or two"] = None
    notes: Annotated[int | None, "Notes in the collection"] = None
    cards: Annotated[int | None, "Cards in the collection"] = None
    reviews: Annotated[int | None, "Reviews in the collection"] = None
    media_files: Annotated[int | None, "Files in the media folder"] = None
    media_bytes: Annotated[int | None, "Bytes of all files in the media folder"] = None
    bytes_read: Annotated[
        int | None, "Bytes read from the profile, or from the repository by a restore or an export"
    ] = None
    bytes_new: Annotated[int | None, "Plain bytes that the repository did not hold yet"] = None
    bytes_stored: Annotated[
        int | None, "Bytes written to the repository after compression, with index and manifest"
    ] = None
    snapshots_pruned: Annotated[int | None, "Snapshots moved to the trash by the retention limits"] = None
    snapshots_expired: Annotated[int | None, "Snapshots in the trash that can't be had back any more"] = None
    packs_condemned: Annotated[int | None, "Packs that nothing needs, to be removed when their grace is over"] = None
    packs_anew: Annotated[int | None, "Packs of which what is needed was packed anew"] = None
    packs_pardoned: Annotated[int | None, "Packs that had been condemned, and are needed all the same"] = None
    packs_removed: Annotated[int | None, "Packs removed"] = None
    bytes_removed: Annotated[int | None, "Bytes of the packs removed"] = None
    deletions_archived: Annotated[int | None, "Deleted notes added to the deletion archive"] = None
    seconds_snapshot: Annotated[float | None, "Seconds spent on taking the copy"] = None
    seconds_checksum: Annotated[float | None, "Seconds spent on finding what is new, until the copy was proven"] = None
    seconds_upload: Annotated[float | None, "Seconds spent on storing it"] = None
    seconds_retention_prune: Annotated[float | None, "Seconds spent on removing old snapshots"] = None
    seconds_deletion_log_archive: Annotated[float | None, "Seconds spent on archiving deleted notes"] = None
    seconds_restore: Annotated[float | None, "Seconds spent on restoring"] = None
    seconds_total: Annotated[float | None, "Seconds from beginning to end"] = None
    recollect_version: Annotated[str, "Version of Recollect"]
    anki_version: Annotated[str | None, "Version of the anki package"] = None
    prefect_version: Annotated[str | None, "Version of Prefect"] = None
    python_version: Annotated[str, "Version of Python"]
    platform: Annotated[str, "Operating system, its release and the kind of processor"]
    error: Annotated[str | None, "Class name of the error that ended the action"] = None

    def __post_init__(self) -> None:
        for column in AUDIT_COLUMNS:
            value = _checked(column, getattr(self, column.name))
            object.__setattr__(self, column.name, value)
        if not _ROW_ID.fullmatch(self.row_id):
            raise ValueError("The row_id of an audit row is not 32 hexadecimal digits")
        if datetime.fromisoformat(self.started_local[:_LONGEST_TIME]).utcoffset() is None:
            raise ValueError("The started_local of an audit row lacks its offset from UTC")


@dataclass(frozen=True, slots=True)
class AuditColumn:
    """One column of the audit table, as derived from AuditRow."""

    name: str
    kind: type
    nullable: bool
    description: str

    @property
    def arrow_type(self) -> pa.DataType:
        """The column's type in Arrow and Parquet."""
        return _ARROW_TYPES[self.kind]


_ARROW_TYPES: Final[Mapping[type, pa.DataType]] = {
    str: pa.string(),
    Outcome: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    datetime: pa.timestamp("us", tz="UTC"),
}


def _columns_of_a_row() -> tuple[AuditColumn, ...]:
    hints = get_type_hints(AuditRow, include_extras=True)
    columns = []
    for row_field in fields(AuditRow):
        annotated, description = get_args(hints[row_field.name])
        nullable = get_origin(annotated) is UnionType
        kind = get_args(annotated)[0] if nullable else annotated
        columns.append(AuditColumn(row_field.name, kind, nullable, description))
    return tuple(columns)


AUDIT_COLUMNS: Final = _columns_of_a_row()
"""Every column in its order, with its description: what the reference page is made from."""

AUDIT_SCHEMA: Final = pa.schema(
    [
        pa.field(column.name, column.arrow_type, column.nullable, {"description": column.description})
        for column in AUDIT_COLUMNS
    ]
)
"""The columns as Arrow knows them. Each field's metadata holds its `description`."""


def object_name(row: AuditRow) -> str:
    """The name under which a row is stored. Within the table, names sort as the rows' times do."""
    started = row.started_at
    folder = month_folder(started.year, started.month)
    # The year apart, because strftime does not pad it everywhere.
    return f"{folder}/{started.year:04}{started:%m%dT%H%M%S.%f}Z-{row.row_id}.parquet"


def month_folder(year: int, month: int) -> str:
    """The folder of the rows that began in a month of UTC, named so that Parquet tools take year and month from it."""
    return f"{AUDIT_FOLDER}/year={year:04}/month={month:02}"


def encode_row(row: AuditRow) -> bytes:
    """A Parquet file of one row, about 5 KiB: most of that is the list of columns that every Parquet file ends with.

    Statistics, dictionaries and a second copy of the schema would more than double it. Only the message is compressed,
    because zstd's frame is larger than what it saves on a short value.
    """
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_pylist([row_values(row)], schema=AUDIT_SCHEMA),
        sink,
        compression={"message": "zstd"},
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
        write_page_checksum=True,
    )
    return bytes(sink.getvalue())


def decode_row(content: bytes, name: str) -> AuditRow:
    """The row in the Parquet file `content`, which was found under `name`.

    Columns that this version does not know are left out, and those that the file lacks are empty. Raises Damaged when
    the content is not a row, or not the row that the name speaks of.
    """
    try:
        row = AuditRow(**_read_values(content))
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError) as trouble:
        raise _damaged(name) from trouble
    if object_name(row) != name:
        raise _damaged(name)
    return row


def row_values(row: AuditRow) -> dict[str, object]:
    """The row's values by column, in the order of AUDIT_SCHEMA."""
    return {column.name: getattr(row, column.name) for column in AUDIT_COLUMNS}


def _read_values(content: bytes) -> dict[str, Any]:
    if len(content) > LARGEST_FILE:
        raise ValueError("too large for one row")
    # Not pyarrow.parquet.read_table: reading from memory with it leaves threads behind that now and then abort the
    # whole process as it ends (Arrow issues 33975 and 50482; seen with pyarrow 26).
    file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
    about = file.metadata
    if about.num_rows != 1 or about.num_row_groups != 1 or about.num_columns > MOST_COLUMNS:
        raise ValueError("not a table of one row")
    # Not the sizes of single columns: pyarrow 26 aborts the process when it is asked about a column whose metadata is
    # damaged ("Definition level histogram size mismatch"), while reading it raises an error as it should.
    if about.row_group(0).total_byte_size > LARGEST_FILE:
        raise ValueError("unpacks to more than one row can need")
    present = set(file.schema_arrow.names)
    known = [column for column in AUDIT_COLUMNS if column.name in present]
    table = file.read(columns=[column.name for column in known], use_threads=False)
    values: dict[str, Any] = {}
    for column in known:
        stored = table.column(column.name).cast(column.arrow_type)
        if column.kind is datetime:
            # As a number: turning it into a time here would need a zone database, which Windows lacks.
            (microseconds,) = stored.cast(pa.int64()).to_pylist()
            values[column.name] = None if microseconds is None else _EPOCH + microseconds * _MICROSECOND
        else:
            (values[column.name],) = stored.to_pylist()
    return values


def _checked(column: AuditColumn, value: object) -> object:
    """The value as the row keeps it; ValueError when it is not of the column's kind."""
    if value is None and column.nullable:
        return None
    if column.kind is Outcome:
        return Outcome(str(value))
    if column.kind is float and isinstance(value, int | float) and isfinite(value):
        return float(value)
    if column.kind is int and type(value) is int and 0 <= value <= _LARGEST_INTEGER:
        return value
    if column.kind is datetime and isinstance(value, datetime) and value.utcoffset() is not None:
        return value.astimezone(UTC)
    if column.kind is str and isinstance(value, str):
        return _storable(value)
    raise ValueError(f"The {column.name} of an audit row can't be {value!r}")


def _storable(text: str) -> str:
    # File names and messages about them may hold lone surrogates, which no Parquet file can.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _damaged(name: str) -> Damaged:
    return Damaged(
        f"The audit row {name} is not what was written there",
        "No backup is touched by this; keep the file if you want to find out who changed it, and remove it otherwise",
    )
