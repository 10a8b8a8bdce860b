from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.errors import CollectionMissing
from profiles.source_stamp import FileStamp, SourceStamp, stamp, surely_unchanged

SECOND = 1_000_000_000
OLD = 1_700_000_000 * SECOND + 123_456_789

numbers = st.integers(0, (1 << 64) - 1)
files = st.builds(FileStamp, numbers, numbers, numbers, numbers)
stamps = st.builds(SourceStamp, files, st.none() | files, st.none() | files, st.binary(max_size=32))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["main", "wal", "inode"]), inner),
    max_leaves=12,
)


def stamp_of(time_ns: int) -> SourceStamp:
    file = FileStamp(inode=5, size=4096, mtime_ns=time_ns, ctime_ns=OLD)
    return SourceStamp(main=replace(file, mtime_ns=OLD), wal=file, journal=None, wal_header=b"head")


@given(stamps)
def test_a_stamp_comes_back_from_json_as_it_was(before: SourceStamp) -> None:
    assert SourceStamp.from_json(json.loads(json.dumps(before.to_json()))) == before


@given(json_values)
def test_anything_else_that_was_remembered_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="not a remembered state"):
        SourceStamp.from_json(data)


@pytest.mark.parametrize(
    "change",
    [
        {"main": None},
        {"main": {"inode": 1, "size": 2, "mtime_ns": 3}},
        {"main": {"inode": 1, "size": 2, "mtime_ns": 3, "ctime_ns": True}},
        {"main": {"inode": 1, "size": 2, "mtime_ns": 3, "ctime_ns": 4.0}},
        {"main": {"inode": 1, "size": 2, "mtime_ns": 3, "ctime_ns": 10**40}},
        {"wal": []},
        {"wal_header": "00" * 33},
        {"wal_header": "xyz"},
        {"wal_header": None},
        {"more": 1},
    ],
)
def test_a_stamp_with_one_odd_part_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"not a remembered state|non-hexadecimal"):
        SourceStamp.from_json({**stamp_of(OLD).to_json(), **change})


def test_an_equal_stamp_with_old_times_means_unchanged() -> None:
    assert surely_unchanged(stamp_of(OLD), stamp_of(OLD), OLD + 10 * SECOND)


@pytest.mark.parametrize(
    "now",
    [
        replace(stamp_of(OLD), main=FileStamp(9, 9, OLD, OLD)),
        replace(stamp_of(OLD), wal=None),
        replace(stamp_of(OLD), journal=FileStamp(9, 9, OLD, OLD)),
        replace(stamp_of(OLD), wal_header=b"tail"),
    ],
)
def test_a_difference_in_any_part_means_changed(now: SourceStamp) -> None:
    assert not surely_unchanged(stamp_of(OLD), now, OLD + 10 * SECOND)


@pytest.mark.parametrize(
    ("time_ns", "taken_at_ns", "sure"),
    [
        (OLD, OLD + 49_999_999, False),  # another write within the same tick would show the same time
        (OLD, OLD + 50_000_000, True),
        (OLD, OLD - 1, False),  # the clock was set back since: such a time may come again
        (1_700_000_000 * SECOND, 1_700_000_001 * SECOND, False),  # whole seconds: perhaps FAT, in steps of two
        (1_700_000_000 * SECOND, 1_700_000_002 * SECOND, True),
    ],
)
def test_a_time_too_young_to_tell_two_writes_apart_means_perhaps_changed(
    time_ns: int, taken_at_ns: int, sure: bool
) -> None:
    before = SourceStamp(FileStamp(1, 2, time_ns, time_ns), None, None, b"")
    assert surely_unchanged(before, before, taken_at_ns) is sure


def test_the_log_and_the_journal_belong_to_the_stamp(tmp_path: Path) -> None:
    collection = tmp_path / "collection.anki2"
    collection.write_bytes(b"database")
    alone = stamp(collection)
    (tmp_path / "collection.anki2-wal").write_bytes(bytes(range(40)))
    (tmp_path / "collection.anki2-journal").write_bytes(b"journal")
    together = stamp(collection)

    assert (alone.wal, alone.journal, alone.wal_header) == (None, None, b"")
    assert together.main == alone.main
    assert together.wal is not None
    assert together.journal is not None
    assert (together.wal.size, together.journal.size, together.wal_header) == (40, 7, bytes(range(32)))


def test_a_stamp_of_no_collection_says_that_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(CollectionMissing):
        stamp(tmp_path / "collection.anki2")
