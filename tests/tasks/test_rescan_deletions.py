"""Which snapshots are held against one another when some were added between the others."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from storage.format.manifest import ProfileKey, new_snapshot_id
from storage.repository import SnapshotRef
from tasks.rescan_deletions import all_of, next_to

KEY = ProfileKey("Ada-0123456789abcdef")
REFS = tuple(
    SnapshotRef(KEY, new_snapshot_id(datetime(2026, 3, day, 12, tzinfo=UTC), bytes(4))) for day in range(1, 10)
)


@pytest.mark.parametrize(
    ("added", "runs"),
    [
        ([], []),
        ([1], [[2, 1]]),
        ([9], [[9, 8]]),
        ([4], [[5, 4, 3]]),
        ([4, 5], [[6, 5, 4, 3]]),
        ([3, 5], [[6, 5, 4, 3, 2]]),
        ([2, 5], [[6, 5, 4], [3, 2, 1]]),
        ([2, 7], [[8, 7, 6], [3, 2, 1]]),
        (range(1, 10), [[9, 8, 7, 6, 5, 4, 3, 2, 1]]),
    ],
)
def test_each_added_snapshot_is_held_against_the_one_before_and_the_one_after_it(
    added: list[int], runs: list[list[int]]
) -> None:
    found = next_to(REFS, {REFS[day - 1].id for day in added})
    assert [[REFS.index(ref) + 1 for ref in run] for run in found] == runs


def test_the_only_snapshot_is_held_against_none() -> None:
    assert next_to(REFS[:1], {REFS[0].id}) == []


def test_all_are_one_run_newest_first() -> None:
    assert all_of(REFS) == [list(REFS[::-1])]
