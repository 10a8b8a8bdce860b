"""Forgetting, having back, and sweeping, through the chains as a command or a flow runs them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from flows.chains.forget import LastGoodSnapshot, forget, in_trash, unforget
from flows.chains.restore import restore
from flows.chains.sweep import planned_sweep, sweep
from storage.errors import SnapshotUnknown, StoreReadOnly, SweepRefused
from storage.format.audit_row import Outcome
from storage.stores.address import open_store
from tests.faults.faulty_store import WRITING
from tests.flows.chains.house import House, add_note, back_up_well, through_faults

DAY_S = 24 * 3600


def age(house: House, folder: str, days: float) -> None:
    """Let everything below a folder of the repository be older by so many days, by its disk's clock."""
    for path in Path(house.repo, folder).rglob("*"):
        if path.is_file():
            moment = path.stat().st_mtime - days * DAY_S
            os.utime(path, (moment, moment))


def two_snapshots(house: House) -> tuple[str, str]:
    first = back_up_well()
    add_note(house.collection(), "one more")
    return first, back_up_well()


def test_a_forgotten_snapshot_is_gone_from_the_list_and_comes_back(house: House, tmp_path: Path) -> None:
    first, second = two_snapshots(house)
    report = forget("Ada", [first[-8:]])
    assert report.outcome is Outcome.COMPLETED
    assert "7 days" in report.message
    assert [ref.id for ref in house.snapshots()] == [second]
    (lying,) = in_trash(house.repository)
    assert (lying.ref.id, lying.manifest.profile) == (first, "Ada")
    assert (lying.until - lying.forgotten_at).days == 7

    report = unforget("Ada", [first])
    assert report.outcome is Outcome.COMPLETED
    back = report.row.snapshot
    assert [ref.id for ref in house.snapshots()] == [back, second]
    assert back is not None
    assert (back[:16], back != first) == (first[:16], True)
    assert in_trash(house.repository) == []
    house.restored(tmp_path / "out", "Ada", back)
    assert [row.action for row in house.rows()][-3:-1] == ["forget", "unforget"]


def test_the_last_good_snapshot_can_not_be_forgotten(house: House) -> None:
    first, second = two_snapshots(house)
    with pytest.raises(LastGoodSnapshot, match="no good snapshot left"):
        forget("Ada", [first, second])
    assert len(house.snapshots()) == 2
    forget("Ada", [first])
    with pytest.raises(LastGoodSnapshot):
        forget("Ada", [second])


def test_what_a_sweep_advises_to_forget_can_be_forgotten_though_nothing_of_the_profile_can_be_read(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two_snapshots(house)
    monkeypatch.setattr("storage.object_cache.ObjectCache.get", lambda *_: None)
    (key,) = {ref.profile_key for ref in house.snapshots()}
    for snapshot in (first, second):
        (manifest,) = Path(house.repo, "snapshots").rglob(snapshot)
        manifest.write_bytes(b"spoiled")
    report = sweep()
    assert report.outcome is Outcome.FAILED
    assert f"recollect forget {key} {first}" in report.message
    with pytest.raises(SnapshotUnknown):
        forget(key, ["nothing"])
    with pytest.raises(SnapshotUnknown):
        forget(key, [first, "nothing"])
    forget(key, [first])
    assert [ref.id for ref in house.snapshots()] == [second]
    forget(key, [second])
    assert house.snapshots() == []


def test_where_none_is_good_the_last_that_can_be_read_can_not_be_forgotten(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two_snapshots(house)
    monkeypatch.setattr("flows.chains.forget.is_good", lambda _: False)
    with pytest.raises(LastGoodSnapshot, match="no snapshot left"):
        forget("Ada", [first, second])
    forget("Ada", [first])
    assert [ref.id for ref in house.snapshots()] == [second]


@pytest.mark.parametrize("wanted", ["nothing", "2026"])
def test_what_is_not_in_the_trash_can_not_be_had_back(house: House, wanted: str) -> None:
    two_snapshots(house)
    with pytest.raises(SnapshotUnknown, match="forget --list"):
        unforget("Ada", [wanted])


def test_what_was_forgotten_is_swept_in_two_steps_and_what_is_left_restores(house: House, tmp_path: Path) -> None:
    picture = house.media() / "large.jpg"
    picture.write_bytes(os.urandom(1_000_000))
    first = back_up_well()
    picture.unlink()
    second = back_up_well()
    forget("Ada", [first])
    assert sweep().outcome is Outcome.UNCHANGED

    age(house, "trash", 8)
    age(house, "packs", 8)
    condemned = sweep()
    assert condemned.outcome is Outcome.COMPLETED
    assert (condemned.row.snapshots_expired, condemned.row.packs_anew, condemned.row.packs_removed) == (1, 1, 0)
    assert "removed when they have been so for a day" in condemned.message
    age(house, "verdicts", 2)
    swept = sweep()
    assert swept.row.packs_removed == 1
    assert (swept.row.bytes_removed or 0) > 1_000_000
    assert sum(path.stat().st_size for path in Path(house.repo, "packs").rglob("*.pack")) < 500_000
    house.restored(tmp_path / "out", "Ada", second)
    assert [row.action for row in house.rows("sweep")] == ["sweep"] * 3


def test_a_dry_run_writes_nothing(house: House) -> None:
    first, _ = two_snapshots(house)
    forget("Ada", [first])
    age(house, "trash", 8)
    before = {path: path.stat().st_mtime_ns for path in Path(house.repo).rglob("*") if path.is_file()}
    assert planned_sweep(house.repository).expired
    assert {path: path.stat().st_mtime_ns for path in Path(house.repo).rglob("*") if path.is_file()} == before


def test_a_sweep_that_is_refused_is_told_and_stands_in_the_audit_table(house: House) -> None:
    first, _ = two_snapshots(house)
    sweep()
    (manifest,) = Path(house.repo, "snapshots").rglob(first)
    manifest.unlink()
    report = sweep()
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, SweepRefused.code)
    assert first in report.message
    assert "--accept-missing" in report.message
    assert sweep(accept=True).outcome is Outcome.FAILED
    assert sweep(accept_missing=True).outcome is not Outcome.FAILED
    again = sweep()
    assert again.outcome is not Outcome.FAILED, again.message


def test_a_sweep_of_a_place_that_can_not_be_written_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    two_snapshots(house)
    store = through_faults(monkeypatch)
    store.fail(WRITING, every=True, error=StoreReadOnly)
    report = sweep()
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, StoreReadOnly.code)


def test_a_sweep_takes_away_what_killed_writers_left(house: House) -> None:
    two_snapshots(house)
    leftover = Path(house.repo, "packs", ".x.pack.0123456789abcdef.tmp")
    leftover.write_bytes(b"half")
    moment = time.time() - 2 * DAY_S
    os.utime(leftover, (moment, moment))
    sweep()
    assert not leftover.exists()


def test_a_backup_while_a_sweep_waits_for_its_second_step_restores(house: House, tmp_path: Path) -> None:
    first, second = two_snapshots(house)
    forget("Ada", [first])
    age(house, "trash", 8)
    age(house, "packs", 8)
    sweep()
    add_note(house.collection(), "and another")
    third = back_up_well()
    age(house, "verdicts", 2)
    sweep()
    for number, snapshot in enumerate((second, third)):
        assert restore("Ada", snapshot, to=tmp_path / str(number)).outcome is Outcome.COMPLETED
    assert open_store(house.repo).list("verdicts") == [] or sweep().outcome is not Outcome.FAILED
