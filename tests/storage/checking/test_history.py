from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.checking.history import (
    CheckHistory,
    coverage,
    first_of,
    keep_history,
    least_recently_read,
    read_history,
)
from storage.errors import StoreUnreachable
from storage.format import check_record
from storage.format.blob import PackId
from storage.format.check_record import CHECKS, Checked
from storage.format.sealing import OpenSeal
from storage.store import StoredObject
from tests.faults.faulty_store import WRITING, FaultyStore
from tests.storage.damage_house import in_memory, objects

SEAL = OpenSeal(bytes(16))
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def pack(number: int) -> PackId:
    return PackId(number.to_bytes(16, "big"))


def listed(*sizes: int) -> dict[PackId, StoredObject]:
    return {pack(number): StoredObject(f"packs/{number}", size, NOW) for number, size in enumerate(sizes)}


def readings(**ago: float) -> dict[PackId, Checked]:
    """Readings by pack (`p0`, `p1`…), so many days ago."""
    return {pack(int(name[1:])): Checked(NOW - days * DAY, whole=True) for name, days in ago.items()}


def test_what_was_never_read_comes_first_then_what_was_not_read_for_the_longest() -> None:
    history = CheckHistory(readings(p0=1, p2=9, p3=4))
    assert least_recently_read(listed(1, 1, 1, 1), history) == [pack(1), pack(2), pack(3), pack(0)]


@pytest.mark.parametrize(
    ("share", "most", "chosen"),
    [(None, None, 4), (None, 3, 3), (0.01, None, 1), (0.25, None, 1), (0.26, None, 2), (1.0, None, 4), (0.5, 1, 1)],
)
def test_a_share_is_of_bytes_and_at_least_one_pack(share: float | None, most: int | None, chosen: int) -> None:
    packs = listed(10, 10, 10, 10)
    assert first_of(packs, packs, share=share, most=most) == list(packs)[:chosen]


def test_nothing_can_be_chosen_of_nothing() -> None:
    assert first_of([], {}, share=0.5) == []


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30), st.floats(0.01, 1))
def test_taking_a_share_each_time_reads_everything_in_time(sizes: list[int], share: float) -> None:
    packs, read = listed(*sizes), {}
    for run in range(int(1 / share) + 2):
        history = CheckHistory(read)
        for chosen in first_of(least_recently_read(packs, history), packs, share=share):
            read[chosen] = Checked(NOW + run * DAY, whole=True)
    assert read.keys() == packs.keys()


def test_coverage_tells_when_everything_was_read_and_at_what_rate() -> None:
    packs = listed(*[10] * 4)
    assert coverage(packs, {}).as_text().startswith("No pack was ever read back")
    part = coverage(packs, readings(p0=2, p1=1))
    assert (part.unread_packs, part.unread_bytes, part.days) == (2, 20, pytest.approx(4))
    assert "2 of 4 packs; the others never were" in part.as_text()
    assert "every 4 days" in part.as_text()
    whole = coverage(packs, readings(p0=3, p1=2, p2=1, p3=0))
    assert (whole.oldest, whole.newest, whole.unread_packs) == (NOW - 3 * DAY, NOW, 0)
    assert whole.days == pytest.approx(4)
    at_once = coverage(packs, readings(p0=0, p1=0, p2=0, p3=0))
    assert at_once.days is None
    assert "Every byte was last read on" in at_once.as_text()


def test_readings_of_packs_that_are_gone_count_for_nothing() -> None:
    assert coverage(listed(10), readings(p0=1, p7=400)).oldest == NOW - DAY


def test_the_later_of_two_readings_counts_and_of_two_at_once_the_worse() -> None:
    store = in_memory()
    for checked in (Checked(NOW - DAY, whole=False), Checked(NOW, whole=True), Checked(NOW - 2 * DAY, whole=False)):
        keep_history(store, SEAL, CheckHistory({}), {pack(0): checked}, [pack(0)])
    assert read_history(store, SEAL, NOW).found_damaged() == frozenset()
    keep_history(store, SEAL, CheckHistory({}), {pack(0): Checked(NOW, whole=False)}, [pack(0)])
    assert read_history(store, SEAL, NOW).found_damaged() == {pack(0)}


def test_a_record_takes_the_place_of_those_before_it_and_forgets_packs_that_are_gone() -> None:
    store = in_memory()
    keep_history(store, SEAL, CheckHistory({}), readings(p0=3, p1=3), [pack(0), pack(1)])
    keep_history(store, SEAL, read_history(store, SEAL, NOW), readings(p2=1), [pack(1), pack(2)])
    assert read_history(store, SEAL, NOW).packs == readings(p1=3, p2=1)
    assert len(objects(store, CHECKS)) == 1


def test_many_packs_take_several_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.checking.history.MAX_CHECKED", 2)
    monkeypatch.setattr(check_record, "MAX_CHECKED", 2)
    store = in_memory()
    packs = readings(p0=1, p1=1, p2=1, p3=1, p4=1)
    keep_history(store, SEAL, CheckHistory({}), packs, packs)
    assert len(objects(store, CHECKS)) == 3
    assert read_history(store, SEAL, NOW).packs == packs


def test_whichever_request_fails_nothing_that_was_known_is_forgotten() -> None:
    for nth in range(1, 4):
        store = FaultyStore(in_memory())
        keep_history(store, SEAL, CheckHistory({}), readings(p0=3), [pack(0)])
        keep_history(store, SEAL, CheckHistory({}), readings(p1=2), [pack(1)])
        known = read_history(store, SEAL, NOW)
        store.fail(WRITING, nth=nth, every=True)
        if nth == 1:
            with pytest.raises(StoreUnreachable):
                keep_history(store, SEAL, known, readings(p2=1), [pack(0), pack(1), pack(2)])
        else:
            keep_history(store, SEAL, known, readings(p2=1), [pack(0), pack(1), pack(2)])
        store.heal()
        assert read_history(store, SEAL, NOW).packs.items() >= readings(p0=3, p1=2).items()


def test_a_record_that_can_not_be_read_says_nothing_and_is_named() -> None:
    store = in_memory()
    keep_history(store, SEAL, CheckHistory({}), readings(p0=3), [pack(0)])
    (name,) = objects(store, CHECKS)
    store.write(name, b"not this")
    found = read_history(store, SEAL, NOW)
    assert (found.packs, found.names, list(found.unreadable)) == ({}, (), [name])
