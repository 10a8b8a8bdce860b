"""Which snapshot a moment means."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from storage.errors import SnapshotUnknown
from storage.format.listing import NOTHING
from storage.format.manifest import Manifest, SnapshotId, StoredFolder, new_snapshot_id, profile_key
from storage.opening import create_repository
from storage.repository import Repository
from storage.stores.address import open_store
from tasks.catalog import ADOPTED, SAFETY, StoredProfile, read_catalog
from tasks.chosen import chosen_manifest, chosen_snapshot
from tasks.offered import offered_snapshots

DAY = datetime(2026, 3, 1).astimezone()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return create_repository(open_store(str(tmp_path / "repository")))


def commit(repository: Repository, hour: float, **facts: object) -> SnapshotId:
    taken_at = DAY + timedelta(hours=hour)
    snapshot = new_snapshot_id(taken_at, round(hour * 100).to_bytes(4))
    repository.commit(
        Manifest(
            id=snapshot,
            profile="Ada",
            profile_key=profile_key("Ada", "desk", "/home/ada/Anki2/Ada"),
            host="desk",
            source="/home/ada/Anki2/Ada",
            taken_at=taken_at,
            parent=None,
            files=(),
            folders=(StoredFolder("collection.media", 0, NOTHING),),
            facts={"notes": 7, **facts},
        )
    )
    return snapshot


def ada(repository: Repository) -> StoredProfile:
    (profile,) = read_catalog(repository).profiles
    return profile


def test_a_moment_is_the_newest_snapshot_by_then(repository: Repository) -> None:
    first, second = commit(repository, 8.5), commit(repository, 12.25)

    def at(wanted: str) -> SnapshotId:
        return chosen_snapshot(repository, ada(repository), wanted).id

    assert at("2026-03-01 08:30") == at("2026-03-01 12:14") == first
    assert at("2026-03-01 12:15") == at("2026-03-01") == at("2030-01-01 10:00") == second
    assert chosen_manifest(repository, "2026-03-01 09:00").id == first
    assert chosen_manifest(repository, "2026-03-01 09:00", "Ada").id == first


def test_a_list_shows_minutes_so_a_snapshot_of_any_second_of_the_minute_is_meant(repository: Repository) -> None:
    snapshot = commit(repository, 8.5 + 59 / 3600)
    assert chosen_snapshot(repository, ada(repository), "2026-03-01 08:30").id == snapshot


def test_a_moment_before_all_snapshots_is_refused_and_the_oldest_told(repository: Repository) -> None:
    commit(repository, 8.5)
    with pytest.raises(SnapshotUnknown, match=r"no snapshot of 2026-03-01 08:29 or before\. .* 2026-03-01 08:30"):
        chosen_snapshot(repository, ada(repository), "2026-03-01 08:29")


def test_what_a_restore_replaced_is_not_what_was_there_at_a_moment_after_it(repository: Repository) -> None:
    good = commit(repository, 8)
    commit(repository, 9, suspect="notes are gone")
    commit(repository, 10, purpose=SAFETY)
    commit(repository, 10.5, purpose=ADOPTED)
    assert chosen_snapshot(repository, ada(repository), "2026-03-01 11:00").id == good


def test_where_there_is_nothing_else_a_moment_is_what_there_is(repository: Repository) -> None:
    commit(repository, 8, purpose=SAFETY)
    adopted = commit(repository, 8.5, purpose=ADOPTED)
    safety = commit(repository, 9, purpose=SAFETY)
    assert chosen_snapshot(repository, ada(repository), "2026-03-01 09:30").id == adopted
    assert chosen_snapshot(repository, ada(repository), "2026-03-01 08:15").id != safety


def test_snapshots_are_offered_newest_first_by_what_tells_them_apart(repository: Repository) -> None:
    first = commit(repository, 8)
    second = commit(repository, 9, purpose=SAFETY)
    third = commit(repository, 10, suspect="notes are gone")
    assert offered_snapshots(repository, ada(repository)) == {
        f"2026-03-01 10:00, 7 notes, suspect, {third}": third,
        f"2026-03-01 09:00, 7 notes, taken before a restore, {second}": second,
        f"2026-03-01 08:00, 7 notes, {first}": first,
    }


def test_of_very_many_snapshots_the_newest_are_offered(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [commit(repository, hour) for hour in range(1, 6)]
    monkeypatch.setattr("tasks.offered.MOST", 2)
    assert list(offered_snapshots(repository, ada(repository)).values()) == made[:-3:-1]
