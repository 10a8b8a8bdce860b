from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from storage.errors import ClockUntrusted, StoreUnreachable
from storage.store import StoredObject
from storage.sweeping.store_clock import MOST_SKEW, Stopwatch, SystemClock, store_time
from tests.faults.clocked_store import ClockedStore, FakeClock
from tests.faults.faulty_store import FaultyStore


def test_the_time_is_the_stores_own() -> None:
    clock, own = FakeClock(), FakeClock()
    clock.pass_by(minutes=4)
    store = ClockedStore(clock)
    assert store_time(store, own)[0] == clock.now()
    assert store.objects == {}


def test_folders_are_listed_with_the_time_or_after_it() -> None:
    clock = FakeClock()
    store = FaultyStore(ClockedStore(clock))
    store.write("snapshots/a", b"1")
    store.requests.clear()
    now, listed = store_time(store, clock, ("snapshots", "trash"))
    assert now == clock.now()
    assert [item.name for item in listed["snapshots"]] == ["snapshots/a"]
    assert listed["trash"] == []
    assert [one.name for one in store.requests if one.verb == "list"] == ["probe", "snapshots", "trash"]


@pytest.mark.parametrize("seconds", [-301, 301])
def test_clocks_further_apart_than_allowed_are_told_with_both_times(seconds: int) -> None:
    clock, own = FakeClock(), FakeClock()
    own.pass_by(seconds=seconds)
    with pytest.raises(ClockUntrusted, match=r"12:00:00 UTC.*this computer's"):
        store_time(ClockedStore(clock), own)
    assert timedelta(seconds=300) == MOST_SKEW


def test_a_store_that_does_not_list_what_was_just_written_is_not_relied_on(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ClockedStore(FakeClock())

    def nothing(_: str) -> list[StoredObject]:
        return []

    monkeypatch.setattr(store, "list", nothing)
    with pytest.raises(ClockUntrusted, match="does not list"):
        store_time(store, FakeClock())
    assert store.objects == {}


def test_a_probe_that_stayed_behind_is_swept_a_day_later() -> None:
    clock = FakeClock()
    inner = ClockedStore(clock)
    store = FaultyStore(inner)
    store.fail(frozenset({"remove"}))
    store_time(store, clock)
    assert len(inner.objects) == 1
    store_time(store, clock)
    assert len(inner.objects) == 1
    clock.pass_by(days=1, minutes=1)
    store_time(store, clock)
    assert inner.objects == {}


def test_a_store_that_can_not_be_reached_is_told_as_such() -> None:
    store = FaultyStore(ClockedStore(FakeClock()))
    store.fail(frozenset({"write"}))
    with pytest.raises(StoreUnreachable):
        store_time(store, FakeClock())


def test_a_stopwatch_goes_on_while_the_computer_sleeps_and_when_its_time_is_set_back() -> None:
    clock = FakeClock()
    watch = Stopwatch(clock)
    clock.time += timedelta(hours=3)  # asleep: the other clock stands still
    assert watch.elapsed() == timedelta(hours=3)
    clock.time -= timedelta(days=1)
    clock.seconds += 5
    assert watch.elapsed() == timedelta(seconds=5)


def test_the_systems_clocks_tell_utc() -> None:
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    assert clock.monotonic() <= clock.monotonic()
