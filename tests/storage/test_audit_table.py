"""The audit table: what is written comes back, any Parquet tool can read it, and damage in it stops nothing."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.audit_table import append_row, read_rows
from storage.errors import Damaged, ObjectMissing, StoreUnreachable
from storage.format.audit_row import (
    AUDIT_COLUMNS,
    AUDIT_SCHEMA,
    LARGEST_FILE,
    LONGEST_TEXT,
    AuditRow,
    Outcome,
    decode_row,
    encode_row,
    object_name,
    row_values,
)
from storage.store import Listings, StoredObject
from storage.stores.address import open_store

STARTED = datetime(2026, 9, 22, 8, 15, 0, 123456, tzinfo=UTC)


def row_of(started: datetime = STARTED, **changes: Any) -> AuditRow:
    given_values: dict[str, Any] = {
        "action": "backup",
        "profile": "User 1",
        "profile_key": "user-1",
        "started_at": started,
        "started_local": started.astimezone(timezone(timedelta(hours=2))).isoformat(),
        "finished_at": started + timedelta(seconds=9),
        "host": "laptop",
        "repository_id": "a" * 32,
        "outcome": Outcome.COMPLETED,
        "recollect_version": "0.1.0",
        "python_version": "3.11.9",
        "platform": "Linux 6.1 x86_64",
    }
    return AuditRow(**{**given_values, **changes})


def as_table(rows: Iterable[AuditRow]) -> pa.Table:
    return pa.Table.from_pylist([row_values(row) for row in rows], schema=AUDIT_SCHEMA)


def full_row() -> AuditRow:
    """A row as a busy backup leaves it: no column empty."""
    values: dict[str, Any] = {}
    for column in AUDIT_COLUMNS:
        if column.nullable:
            values[column.name] = {str: f"some {column.name} or other", int: 123_456_789, float: 12.345678}[column.kind]
    return row_of(**values)


class Shelf:
    """A store in memory that remembers what was asked of it."""

    url = "memory://shelf"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.was_read: list[str] = []
        self.was_listed: list[str] = []

    def read(self, name: str) -> bytes:
        self.was_read.append(name)
        if name not in self.objects:
            raise ObjectMissing(f"{name} is not there", "Look again")
        return self.objects[name]

    def read_range(self, name: str, start: int, length: int) -> bytes:
        return self.read(name)[start : start + length]

    def write(self, name: str, data: bytes) -> None:
        self.objects[name] = data

    def create(self, name: str, data: bytes) -> None:
        self.objects.setdefault(name, data)

    def list(self, prefix: str) -> list[StoredObject]:
        self.was_listed.append(prefix)
        return [
            StoredObject(name, len(data), STARTED)
            for name, data in sorted(self.objects.items())
            if name.startswith(f"{prefix}/")
        ]

    removals_at_once = 1

    def list_together(self, folders: Sequence[str]) -> Listings:
        return {folder: self.list(folder) for folder in folders}

    def remove(self, name: str) -> None:
        self.objects.pop(name, None)

    def remove_all(self, names: Iterable[str]) -> None:
        for name in names:
            self.remove(name)

    def size(self, name: str) -> int | None:
        return len(self.objects[name]) if name in self.objects else None


def parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


texts = st.text(st.characters(exclude_categories=()), max_size=60)  # lone surrogates and NUL included
moments = st.datetimes(
    min_value=datetime(1, 1, 3),  # noqa: DTZ001
    max_value=datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
KINDS: dict[type, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(0, 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    datetime: moments,
    Outcome: st.sampled_from(Outcome),
}
SPECIAL = {"row_id": st.uuids().map(lambda made: made.hex), "started_local": moments.map(datetime.isoformat)}


def any_value(name: str, kind: type, *, nullable: bool) -> st.SearchStrategy[Any]:
    values = SPECIAL.get(name, KINDS[kind])
    return st.none() | values if nullable else values


any_row = st.builds(AuditRow, **{c.name: any_value(c.name, c.kind, nullable=c.nullable) for c in AUDIT_COLUMNS})


@given(any_row)
def test_any_row_comes_back_as_it_was_written(row: AuditRow) -> None:
    name = object_name(row)
    assert decode_row(encode_row(row), name) == row


@given(any_row)
def test_any_row_fits_its_table_and_is_named_by_its_time_in_utc(row: AuditRow) -> None:
    assert as_table([row]).schema == AUDIT_SCHEMA
    folder, year, month, file = object_name(row).split("/")
    assert (folder, year, month) == ("audit", f"year={row.started_at.year:04}", f"month={row.started_at.month:02}")
    assert file.startswith(f"{row.started_at.year:04}{row.started_at.month:02}{row.started_at.day:02}T")
    assert file.endswith(f"Z-{row.row_id}.parquet")


@given(st.lists(moments, max_size=20))
def test_names_sort_as_times_do(times: list[datetime]) -> None:
    rows = [row_of(moment) for moment in times]
    by_name = sorted(rows, key=object_name)
    assert [row.started_at for row in by_name] == sorted(row.started_at for row in rows)


def test_the_schema_is_the_row_and_describes_every_column() -> None:
    assert AUDIT_SCHEMA.names == [field.name for field in fields(AuditRow)]
    assert AUDIT_SCHEMA.field("started_at").type == pa.timestamp("us", tz="UTC")
    assert AUDIT_SCHEMA.field("media_bytes").type == pa.int64()
    assert AUDIT_SCHEMA.field("seconds_total").type == pa.float64()
    assert AUDIT_SCHEMA.field("outcome").type == pa.string()
    assert not AUDIT_SCHEMA.field("action").nullable
    assert AUDIT_SCHEMA.field("snapshot").nullable
    for column in AUDIT_COLUMNS:
        described = AUDIT_SCHEMA.field(column.name).metadata[b"description"].decode()
        assert described == column.description
        assert described[0].isalnum()
        assert not described.endswith(".")


def test_a_full_row_takes_less_than_six_kibibytes() -> None:
    assert len(encode_row(full_row())) < 6 * 1024


def test_a_row_of_nothing_but_the_longest_texts_still_reads() -> None:
    longest: dict[str, Any] = {
        column.name: "\U0001f4a5" * 3000
        for column in AUDIT_COLUMNS
        if column.kind is str and column.name not in {"row_id", "started_local"}
    }
    row = row_of(**longest)
    assert decode_row(encode_row(row), object_name(row)) == row


def test_a_long_text_is_cut_rather_than_the_row_lost() -> None:
    row = row_of(message="x" * (LONGEST_TEXT + 1))
    assert row.message == "x" * (LONGEST_TEXT - 1) + "…"
    assert row_of(message="x" * LONGEST_TEXT).message == "x" * LONGEST_TEXT


def test_a_file_name_that_is_no_unicode_is_escaped_rather_than_the_row_lost() -> None:
    assert row_of(message="cannot read caf\udce9.jpg").message == "cannot read caf\\udce9.jpg"


@pytest.mark.parametrize(
    "changes",
    [
        {"row_id": "../../../etc/passwd"},
        {"row_id": "A" * 32},
        {"row_id": "a" * 32 + "\n"},
        {"action": None},
        {"profile": 7},
        {"started_at": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"started_at": "2026-01-01T00:00:00Z"},
        {"finished_at": None},
        {"started_local": "2026-01-01T00:00:00"},
        {"started_local": "yesterday"},
        {"outcome": "splendid"},
        {"notes": -1},
        {"notes": 2**63},
        {"notes": 1.0},
        {"notes": True},
        {"seconds_total": float("nan")},
        {"seconds_total": float("inf")},
        {"seconds_total": "3"},
    ],
    ids=str,
)
def test_a_value_of_the_wrong_kind_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"audit row|isoformat|Outcome"):
        row_of(**changes)


def test_times_are_kept_in_utc() -> None:
    row = row_of(datetime(2027, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=2))))
    assert row.started_at.utcoffset() == timedelta(0)
    assert object_name(row).startswith("audit/year=2026/month=12/20261231T223000.000000Z-")


@pytest.mark.parametrize("place", ["memory", "local"])
def test_rows_come_back_newest_first_from_a_real_store(place: str, tmp_path: Path) -> None:
    store = open_store(str(tmp_path) if place == "local" else f"memory://audit-{tmp_path.name}")
    days = [3, 400, 0, 31, 3]
    rows = [row_of(STARTED - timedelta(days=day)) for day in days]
    names = [append_row(store, row) for row in rows]
    read = read_rows(store)
    assert list(read.rows) == sorted(rows, key=object_name, reverse=True)
    assert read.damaged == ()
    assert sorted(names) == [stored.name for stored in store.list("audit")]


def test_an_empty_table_has_no_rows() -> None:
    assert read_rows(Shelf()).rows == ()
    assert read_rows(Shelf(), newest=5).rows == ()


def test_rows_can_be_asked_for_by_profile_and_action() -> None:
    shelf = Shelf()
    for number, (profile, action) in enumerate([("a", "backup"), ("b", "backup"), ("a", "restore"), ("a", "backup")]):
        append_row(shelf, row_of(STARTED + timedelta(hours=number), profile=profile, action=action, notes=number))

    def notes(**wanted: Any) -> list[int | None]:
        return [row.notes for row in read_rows(shelf, now=STARTED, **wanted).rows]

    assert notes() == [3, 2, 1, 0]
    assert notes(profile="a") == [3, 2, 0]
    assert notes(action="backup") == [3, 1, 0]
    assert notes(profile="a", action="backup") == [3, 0]
    assert notes(profile="a", action="backup", newest=1) == [3]
    assert notes(profile="nobody") == []
    assert notes(newest=0) == []


def test_a_negative_number_of_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="can't be negative"):
        read_rows(Shelf(), newest=-1)


def test_the_newest_rows_are_found_without_listing_or_reading_the_whole_table() -> None:
    shelf = Shelf()
    for day in range(400):
        append_row(shelf, row_of(STARTED - timedelta(days=day), notes=day))
    assert [row.notes for row in read_rows(shelf, newest=5, now=STARTED).rows] == [0, 1, 2, 3, 4]
    assert len(shelf.was_read) <= 16
    assert shelf.was_listed == ["audit/year=2026/month=10", "audit/year=2026/month=09"]


def test_the_newest_rows_are_found_however_old_they_are_and_each_is_read_once() -> None:
    shelf = Shelf()
    for day in (1, 30, 300, 3000):
        append_row(shelf, row_of(STARTED - timedelta(days=day), notes=day))
    assert [row.notes for row in read_rows(shelf, newest=3, now=STARTED).rows] == [1, 30, 300]
    assert len(shelf.was_read) == len(set(shelf.was_read))


@pytest.mark.parametrize("now", [datetime(2026, 1, 5, tzinfo=UTC), datetime(2025, 12, 5, tzinfo=UTC)])
def test_the_months_around_a_new_year_are_looked_at_first(now: datetime) -> None:
    shelf = Shelf()
    read_rows(shelf, newest=1, now=now)
    assert shelf.was_listed[-1] == "audit"
    assert {"audit/year=2025/month=12", "audit/year=2026/month=01"} <= set(shelf.was_listed[:3])
    assert shelf.was_listed[:3] == sorted(shelf.was_listed[:3], reverse=True)


def test_a_damaged_file_is_reported_and_the_other_rows_come_back() -> None:
    shelf = Shelf()
    good = row_of(notes=1)
    append_row(shelf, good)
    torn = append_row(shelf, row_of(STARTED + timedelta(hours=1)))
    shelf.objects[torn] = shelf.objects[torn][:-100]
    empty = append_row(shelf, row_of(STARTED + timedelta(hours=2)))
    shelf.objects[empty] = b""
    huge = append_row(shelf, row_of(STARTED + timedelta(hours=3)))
    shelf.objects[huge] = b"PAR1" + bytes(LARGEST_FILE)
    foreign = "audit/year=2026/month=09/desktop.ini"
    shelf.objects[foreign] = b"[ViewState]"
    read = read_rows(shelf)
    assert read.rows == (good,)
    assert read.damaged == tuple(sorted([torn, empty, huge, foreign]))
    assert huge not in shelf.was_read


def test_a_row_that_vanishes_between_listing_and_reading_is_reported() -> None:
    class Forgetful(Shelf):
        def read(self, name: str) -> bytes:
            self.objects.pop(name)
            return super().read(name)

    shelf = Forgetful()
    name = append_row(shelf, row_of())
    assert read_rows(shelf).damaged == (name,)


def test_a_store_that_can_not_be_reached_is_no_empty_table() -> None:
    class Cut(Shelf):
        def read(self, name: str) -> bytes:
            raise StoreUnreachable(f"No answer about {name}", "Try again")

    shelf = Cut()
    append_row(shelf, row_of())
    with pytest.raises(StoreUnreachable):
        read_rows(shelf)


def test_hidden_files_are_passed_over_as_parquet_tools_do() -> None:
    shelf = Shelf()
    shelf.objects["audit/year=2026/month=09/.x.parquet.0123456789abcdef.tmp"] = b"half"
    shelf.objects["audit/_SUCCESS"] = b""
    assert read_rows(shelf) == read_rows(Shelf())


def test_a_row_put_under_another_rows_name_is_reported() -> None:
    shelf = Shelf()
    name = append_row(shelf, row_of())
    shelf.objects[name] = encode_row(row_of(STARTED - timedelta(days=9)))
    read = read_rows(shelf)
    assert (read.rows, read.damaged) == ((), (name,))


def test_a_row_of_a_newer_version_with_more_columns_is_read() -> None:
    row = full_row()
    newer = pa.Table.from_pylist([row_values(row)], schema=AUDIT_SCHEMA)
    newer = newer.append_column("moon_phase", pa.array(["waxing"])).append_column("tags", pa.array([["a", "b"]]))
    assert decode_row(parquet(newer), object_name(row)) == row


def test_a_row_of_an_older_version_with_fewer_columns_is_read() -> None:
    row = row_of()
    older = as_table([row]).select([column.name for column in AUDIT_COLUMNS if not column.nullable])
    assert decode_row(parquet(older), object_name(row)) == row


def test_a_row_rewritten_by_another_tool_is_read() -> None:
    row = full_row()
    table = as_table([row])
    for name, kind in {
        "notes": pa.int32(),
        "profile": pa.large_string(),
        "host": pa.dictionary(pa.int32(), pa.string()),
    }.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(name).cast(kind))
    assert decode_row(parquet(table, compression="gzip"), object_name(row)) == row


def without(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.drop_columns([name])


def with_column(name: str, values: pa.Array) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.schema.get_field_index(name), pa.field(name, values.type), values)


@pytest.mark.parametrize(
    "change",
    [
        without("row_id"),
        without("started_at"),
        with_column("row_id", pa.array(["x"])),
        with_column("row_id", pa.array([None], pa.string())),
        with_column("started_at", pa.array([2**62], pa.int64()).cast(pa.timestamp("us", tz="UTC"))),
        with_column("started_at", pa.array(["soon"])),
        with_column("notes", pa.array(["many"])),
        with_column("notes", pa.array([-5], pa.int64())),
        with_column("notes", pa.array([[1, 2]])),
        with_column("message", pa.array([b"\xff\xfe"], pa.binary())),
        with_column("message", pa.array(["x" * (LARGEST_FILE + 1)])),
        with_column("outcome", pa.array(["splendid"])),
        with_column("seconds_total", pa.array([float("nan")])),
        lambda table: table.append_column("notes", pa.array([1])),
        lambda table: pa.concat_tables([table, table]),
        lambda table: table.slice(0, 0),
    ],
)
def test_a_file_that_holds_something_else_than_a_row_is_damaged(change: Callable[[pa.Table], pa.Table]) -> None:
    row = full_row()
    plain = pa.Table.from_pylist([row_values(row)], schema=pa.schema([(c.name, c.arrow_type) for c in AUDIT_COLUMNS]))
    assert decode_row(parquet(plain), object_name(row)) == row
    with pytest.raises(Damaged) as caught:
        decode_row(parquet(change(plain)), object_name(row))
    assert object_name(row) in caught.value.problem


def test_a_file_with_very_many_columns_is_damaged() -> None:
    table = as_table([row_of()])
    for number in range(1000):
        table = table.append_column(f"more_{number}", pa.array([1]))
    with pytest.raises(Damaged):
        decode_row(parquet(table), "audit/x.parquet")


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_change_of_bytes_does_worse_than_damage(data: st.DataObject) -> None:
    row = replace(full_row(), row_id="5" * 32)
    content = bytearray(encode_row(row))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(len(content) - 40, len(content))) :]
    try:
        decoded = decode_row(bytes(content), object_name(row))
    except Damaged:
        return
    assert decoded.row_id == row.row_id
    assert decoded.started_at == row.started_at


def test_no_damaged_byte_aborts_the_process(tmp_path: Path) -> None:
    # pyarrow ends the process, with no error to catch, when it is asked the wrong thing about a damaged file; 16 is the
    # value that did so. In a process of its own, because there would be nobody left to report it.
    row = full_row()
    (tmp_path / "row").write_bytes(encode_row(row))
    script = """
import sys
from storage.errors import Damaged
from storage.format.audit_row import decode_row
content, name, refused = open(sys.argv[1], "rb").read(), sys.argv[2], 0
for at in range(len(content)):
    try:
        decode_row(content[:at] + bytes([16]) + content[at + 1:], name)
    except Damaged:
        refused += 1
print(refused)
"""
    ended = in_a_process_of_its_own(script, str(tmp_path / "row"), object_name(row))
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > len(encode_row(row)) / 2


def in_a_process_of_its_own(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )


@given(st.binary(max_size=300))
def test_no_bytes_at_all_do_worse_than_damage(content: bytes) -> None:
    for guess in (content, b"PAR1" + content + b"PAR1"):
        with pytest.raises(Damaged):
            decode_row(guess, "audit/x.parquet")


def test_a_flipped_bit_in_a_value_is_noticed() -> None:
    row = row_of(host="a-host-that-can-be-found")
    content = encode_row(row)
    at = content.index(b"a-host-that")
    flipped = content[:at] + b"b" + content[at + 1 :]
    with pytest.raises(Damaged):
        decode_row(flipped, object_name(row))


def test_one_call_opens_the_whole_table_with_year_and_month(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    rows = [row_of(STARTED - timedelta(days=day), notes=day) for day in (0, 40, 400)]
    for row in rows:
        append_row(store, row)
    whole = pyarrow.dataset.dataset(f"{tmp_path}/audit", partitioning="hive", format="parquet")
    table = whole.to_table(use_threads=False).sort_by([("started_at", "descending")])
    assert table.column("year").to_pylist() == [2026, 2026, 2025]
    assert table.column("month").to_pylist() == [9, 8, 8]
    assert table.column("notes").to_pylist() == [0, 40, 400]
    assert table.select(AUDIT_SCHEMA.names).cast(as_table(rows).schema).equals(as_table(rows))
    august = whole.to_table(filter=pyarrow.dataset.field("month") == 8, columns=["notes"], use_threads=False)
    assert sorted(august.column("notes").to_pylist()) == [40, 400]


def test_one_call_opens_the_whole_table_on_an_fsspec_filesystem(tmp_path: Path) -> None:
    store = open_store(f"memory://audit-{tmp_path.name}")
    for day in (0, 40):
        append_row(store, row_of(STARTED - timedelta(days=day), notes=day))
    filesystem, path = fsspec.core.url_to_fs(f"memory://audit-{tmp_path.name}")
    whole = pyarrow.dataset.dataset(f"{path}/audit", filesystem=filesystem, partitioning="hive", format="parquet")
    assert sorted(whole.to_table(use_threads=False).column("notes").to_pylist()) == [0, 40]


def test_one_call_opens_a_table_of_several_versions(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    append_row(store, row_of(notes=1))
    newer = row_of(STARTED + timedelta(hours=1), notes=2)
    store.write(object_name(newer), parquet(as_table([newer]).append_column("moon_phase", pa.array(["waxing"]))))
    older = row_of(STARTED + timedelta(hours=2))
    store.write(object_name(older), parquet(as_table([older]).drop_columns(["notes"])))
    whole = pyarrow.dataset.dataset(f"{tmp_path}/audit", partitioning="hive", format="parquet")
    table = whole.to_table(use_threads=False).sort_by("started_at")
    assert table.column("notes").to_pylist() == [1, 2, None]
    assert len(read_rows(store).rows) == 3


def test_reading_rows_leaves_no_thread_that_could_abort_the_process_at_its_end(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    for hour in range(5):
        append_row(store, row_of(STARTED + timedelta(hours=hour)))
    script = (
        "import sys; from storage.stores.address import open_store; from storage.audit_table import read_rows; "
        "print(len(read_rows(open_store(sys.argv[1])).rows))"
    )
    for _ in range(3):
        ended = in_a_process_of_its_own(script, str(tmp_path))
        assert (ended.returncode, ended.stdout.strip()) == (0, "5"), ended.stderr


def test_rows_are_values() -> None:
    row = full_row()
    assert replace(row, notes=1) != row
    assert hash(replace(row)) == hash(row)
