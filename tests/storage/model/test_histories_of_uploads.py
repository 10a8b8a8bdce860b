"""Histories of backups that take longer than the grace: nothing is sent again and again, and nothing stays for ever."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from storage.errors import StoreUnreachable
from storage.format.manifest import profile_key
from storage.format.underway import underway_name
from storage.opening import open_repository
from storage.repository import Repository, SnapshotRef
from tests.faults.faulty_store import FaultyStore
from tests.storage.model.content import Source, cut, manifest_of
from tests.storage.model.place import DAY, FIRST, SECOND, Place, a_place

HOUR = timedelta(hours=1)
LARGE = Source(FIRST.pages, frozenset(range(40)))


class LightsOut(Exception):
    """The computer is switched off."""


@pytest.fixture
def place() -> Iterator[Place]:
    # The patch ends within the place, which has small packs of its own and puts the real size back last.
    with a_place() as new, pytest.MonkeyPatch.context() as patch:
        new.back_up(SECOND)
        # So that little is lost with the pack that is being filled when a computer is switched off.
        patch.setattr("storage.writing.PACK_BYTES", 600)
        yield new


def evening(place: Place, repository: Repository, *, most: int, pause: timedelta = HOUR) -> int:
    """Go on with a backup of `LARGE` for `most` pieces, with pauses; returns how many pieces were sent."""
    sent = 0
    with repository.write(uploads=1) as session:
        for blob, (kind, plain) in cut(LARGE).blobs.items():
            if session.store(kind, blob, plain):
                sent += 1
                place.wait(pause)
            if sent >= most:
                raise LightsOut
        session.close()
    return sent


def committed(place: Place, repository: Repository) -> SnapshotRef:
    ref = replace(place.new_ref(), profile_key=profile_key("Ada", "laptop", "Ada"))
    return repository.commit(manifest_of(LARGE, ref.profile_key, ref.id, ref.taken_at))[0]


def evenings(place: Place, *, most: int, days: int) -> tuple[SnapshotRef | None, int]:
    """A backup of so many pieces an evening, with a sweep between; the snapshot, and how many evenings it took."""
    for number in range(1, days + 1):
        repository = open_repository(place.store)
        try:
            evening(place, repository, most=most)
        except LightsOut:
            place.sweep()
            continue
        return committed(place, repository), number
    return None, days


def test_a_backup_of_several_evenings_is_finished(place: Place) -> None:
    pieces = len(cut(LARGE).blobs)
    ref, took = evenings(place, most=pieces // 4, days=20)
    assert ref is not None
    assert place.is_whole(ref, LARGE)
    # What lay in the open pack when the light went out is sent again.
    assert took <= 7


def test_a_backup_of_weeks_is_finished(place: Place) -> None:
    ref, took = evenings(place, most=len(cut(LARGE).blobs) // 10, days=60)
    assert ref is not None
    assert 8 < took < 29
    assert place.is_whole(ref, LARGE)


def test_nothing_tells_of_a_backup_that_is_done(place: Place) -> None:
    repository = open_repository(place.store)
    evening(place, repository, most=1000)
    assert place.store.list("underway")
    committed(place, repository)
    assert place.store.list("underway") == []


def test_what_was_given_up_is_swept_after_a_week(place: Place) -> None:
    packs = place.store.list("packs")
    with pytest.raises(LightsOut):
        evening(place, open_repository(place.store), most=30)
    place.sweep(days=5)
    assert len(place.store.list("packs")) > len(packs)
    place.sweep(days=5)
    assert place.store.list("packs") == packs
    assert place.store.list("underway") == []


def test_what_killed_runs_told_of_goes_once_a_snapshot_needs_all_of_it(place: Place) -> None:
    with pytest.raises(LightsOut):
        evening(place, open_repository(place.store), most=30)
    left = place.store.list("underway")
    repository = open_repository(place.store)
    evening(place, repository, most=1000)
    committed(place, repository)
    assert {item.name for item in left} == {item.name for item in place.store.list("underway")}
    place.sweep()
    assert place.store.list("underway") == []


def test_a_short_backup_tells_of_nothing_unless_it_relies_on_packs_that_no_index_file_names(place: Place) -> None:
    counting = FaultyStore(place.store)
    evening(place, open_repository(counting), most=1000, pause=timedelta(0))
    assert counting.count(folder="underway") == 0
    for item in place.store.list("index"):
        place.store.remove(item.name)
    open_repository(counting).write(uploads=1).close()
    assert counting.count("write", folder="underway/") == 1


def test_what_can_not_be_read_is_passed_over_and_told(place: Place) -> None:
    with pytest.raises(LightsOut):
        evening(place, open_repository(place.store), most=30)
    (told,) = place.store.list("underway")
    place.store.write(told.name, place.store.read(told.name)[:-1] + b"?")
    foreign = underway_name(b"\7" * 16)
    place.store.write(foreign, b"nothing that was ever sealed")
    place.wait(DAY + HOUR)
    plan = place.sweeper().plan()
    assert set(plan.unread_uploads) == {told.name, foreign}
    assert f"passes     over {foreign}" in plan.as_text()
    assert plan.fates.condemn
    place.sweep(days=8)
    assert place.store.list("underway") == []


def test_a_store_that_does_not_take_the_telling_stops_no_backup(place: Place) -> None:
    faulty = FaultyStore(place.store)
    faulty.fail(every=True, folder="underway", error=StoreUnreachable)
    repository = open_repository(faulty)
    evening(place, repository, most=1000)
    assert place.is_whole(committed(place, repository), LARGE)


def test_a_plan_says_what_it_spares(place: Place) -> None:
    with pytest.raises(LightsOut):
        evening(place, open_repository(place.store), most=30)
    place.wait(DAY + HOUR)
    plan = place.sweeper().plan()
    assert plan.fates.spared
    assert plan.fates.condemn == ()
    assert "spares" in plan.as_text()
    assert plan.as_json()["spared"]
