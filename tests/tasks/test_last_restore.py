from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from storage.format.manifest import ProfileKey, SnapshotId
from tasks.last_restore import LastRestore, forget_restore, last_restore, left_by_a_restore, remember_restore
from tests.flows.chains.house import House, back_up_well

KEY = ProfileKey("Ada-01234567")
LAST = LastRestore(
    restored=SnapshotId("20261122T120000Z-00000001"),
    before=SnapshotId("20261122T120000Z-00000002"),
    newest_safety=SnapshotId("20261122T120000Z-00000003"),
    leaves_ms=1_763_812_800_000,
    undoing=False,
)


@pytest.fixture
def kept(house: House) -> Path:
    """Where it is remembered."""
    back_up_well()
    remember_restore(house.repository, KEY, LAST)
    (path,) = (house.state / "restores").rglob("*.json")
    return path


def test_a_restore_is_remembered_for_one_profile_until_the_next_one(house: House, kept: Path) -> None:
    repository = house.repository
    assert last_restore(repository, KEY) == LAST
    assert last_restore(repository, ProfileKey("Ada-76543210")) is None
    remember_restore(repository, KEY, replace(LAST, finished=True))
    assert last_restore(repository, KEY) == replace(LAST, finished=True)
    forget_restore(repository, KEY)
    assert last_restore(repository, KEY) is None
    assert not kept.exists()


def test_what_a_restore_left_is_known_until_it_ends_well_or_somebody_works_with_it(house: House, kept: Path) -> None:
    left_ms = LAST.leaves_ms
    elsewhere = house.state / "restores" / "another repository" / kept.name
    elsewhere.parent.mkdir()
    assert left_by_a_restore(KEY, left_ms) == LAST.restored
    assert left_by_a_restore(KEY, left_ms + 1) is None
    assert left_by_a_restore(ProfileKey("Ada-76543210"), left_ms) is None
    kept.rename(elsewhere)
    assert left_by_a_restore(KEY, left_ms) == LAST.restored, "a backup may go to another repository"
    elsewhere.write_text("no JSON")
    assert left_by_a_restore(KEY, left_ms) is None
    remember_restore(house.repository, KEY, replace(LAST, finished=True))
    assert left_by_a_restore(KEY, left_ms) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"before": "../../../etc/passwd"},
        {"newest_safety": 3},
        {"restored": None},
        {"leaves_ms": "1"},
        {"leaves_ms": True},
        {"undoing": 0},
        {"finished": "no"},
        {"another": 1},
    ],
    ids=str,
)
def test_what_makes_no_sense_counts_as_nothing(house: House, kept: Path, changed: dict[str, Any]) -> None:
    kept.write_text(json.dumps(asdict(LAST) | changed), encoding="utf-8")
    assert last_restore(house.repository, KEY) is None


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[1, 2]", b"null", b'"text"', b"{}", b"[" * 100_000])
def test_what_is_no_memory_at_all_counts_as_nothing(house: House, kept: Path, content: bytes) -> None:
    kept.write_bytes(content)
    assert last_restore(house.repository, KEY) is None
