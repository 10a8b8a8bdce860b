"""After a rotation of keys nothing stays under the old one but what the page on threats names."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage import writing
from storage.deletion_archive import archive_notes, archived_notes
from storage.errors import Damaged, StoreUnreachable, WrittenUnderNewerKey
from storage.format.blob import pack_name, pack_of_name
from storage.format.deletion_table import ArchivedNote, How
from storage.format.keyring import Keyring
from storage.format.manifest import SnapshotId
from storage.reading import read_pack_table
from storage.repository import Repository, SnapshotRef
from storage.store import StoredObject
from storage.sweeping import garbage, resealing
from storage.sweeping.garbage import Rules
from storage.sweeping.sweeper import Sweeper
from tests.faults.faulty_store import READING, WRITING
from tests.storage.small_backup import PROFILE, Source, manifest_of, restore, source_of, store_pieces
from tests.storage.sweeping.place import Place

A, B = (source_of(seed, pages=60, media=10) for seed in (0, 40))
KEYRING = Keyring(bytes(range(32)), ((1, bytes(range(32, 64))),))
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOTES = [
    ArchivedNote(
        key=bytes((n,)),
        note_id=n,
        note_type_id=1,
        note_type="Basic",
        field_names=("Front",),
        fields=(f"note {n}",),
        how=How.LOG,
        gone_in=SnapshotId("20260301T120000Z-00000000"),
        seen_at=NOW,
    )
    for n in range(4)
]
SLOW = Rules(most_resealed=40_000, always_resealed=40_000)


@pytest.fixture(autouse=True)
def _small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PACK_BYTES", 24 * 1024)
    monkeypatch.setattr(writing, "_BATCH_BYTES", 8 * 1024)
    monkeypatch.setattr(garbage, "_SMALL_PACKS", 1000)


@pytest.fixture
def place() -> Place:
    return Place(KEYRING)


def stocked_and_rotated(place: Place) -> dict[SnapshotRef, Source]:
    """Two snapshots and an archive of two files under the first key; then there is another one."""
    stored = {place.back_up(source): source for source in (A, B)}
    for notes in (NOTES[:2], NOTES[2:]):
        archive_notes(place.opened(), PROFILE, notes, now=NOW)
    place.days(2)
    place.rotate()
    return stored


def under_old_keys(place: Place, folder: str) -> list[str]:
    """The objects in a folder of which something is sealed under another key than the newest."""
    seal = place.opened().seal
    old = []
    for name in place.names(folder):
        content = place.inner.read(name)
        starts = [0]
        pack = pack_of_name(name)
        if pack is not None:
            starts = [entry.location.offset for entry in read_pack_table(place.inner, seal, pack, len(content))]
        if any(seal.generation_of(content[start:]) < seal.generation for start in starts):
            old.append(name)
    return old


def sweep_until_all_is_new(place: Place, most: int = 40) -> int:
    for number in range(most):
        place.sweep()
        place.days(1.1)
        if not any(under_old_keys(place, folder) for folder in ("packs", "index", "deletions", "verdicts")):
            return number + 1
    raise AssertionError("Something stays under an old key")


def assert_all_is_there(place: Place, stored: dict[SnapshotRef, Source]) -> None:
    assert {ref: restore(place.opened(), ref) for ref in stored} == stored
    assert sorted(note.note_id for note in archived_notes(place.opened(), PROFILE)) == [0, 1, 2, 3]


def test_packs_index_files_and_archives_leave_the_old_key(place: Place) -> None:
    stored = stocked_and_rotated(place)
    before = {name for folder in ("packs", "index", "deletions") for name in under_old_keys(place, folder)}
    assert before >= place.packs()
    sweep_until_all_is_new(place)
    for folder in ("packs", "index", "deletions"):
        assert before.isdisjoint(place.names(folder))
    assert_all_is_there(place, stored)
    plan = place.plan()
    assert (plan.fates.reseal, plan.fates.reseal_later, plan.reseal_objects) == ((), (), ())


def test_a_sweep_reseals_a_little_at_a_time_and_says_so(place: Place) -> None:
    stored = stocked_and_rotated(place)
    place.rules = SLOW
    plan = place.plan()
    assert sum(use.needed for use in plan.fates.reseal) <= 40_000
    assert len(plan.fates.reseal) + len(plan.fates.reseal_later) == len(place.packs())
    told = plan.as_text()
    assert f"reseals    {len(plan.fates.reseal)} packs" in told
    assert f"leaves     {len(plan.fates.reseal_later)} packs" in told
    assert len(plan.as_json()["reseal"]) == len(plan.fates.reseal)
    assert sweep_until_all_is_new(place) > 3
    assert_all_is_there(place, stored)


def test_a_pack_larger_than_the_bound_comes_by_itself(place: Place) -> None:
    stocked_and_rotated(place)
    place.rules = Rules(most_resealed=1, always_resealed=1)
    assert len(place.plan().fates.reseal) == 1


def test_a_rotation_never_looks_as_if_much_of_a_repository_went(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.sweeping.planning._ASKS_FROM", 1)
    stocked_and_rotated(place)
    place.rules = Rules(always_resealed=1)
    sweep_until_all_is_new(place)


def test_without_a_rotation_nothing_is_looked_at_or_resealed(place: Place) -> None:
    place.back_up(A)
    archive_notes(place.opened(), PROFILE, NOTES, now=NOW)
    place.days(2)
    place.store.requests.clear()
    plan = place.plan()
    assert (plan.fates.reseal, plan.reseal_objects) == ((), ())
    assert not [request for request in place.store.requests if request.name.startswith("deletions")]


def test_what_a_running_backup_just_stored_is_resealed_a_day_later(place: Place) -> None:
    place.back_up(A)
    place.rotate()
    plan = place.plan()
    assert plan.fates.reseal == ()
    assert {use.pack for use in plan.fates.reseal_later} == {pack_of_name(name) for name in place.packs()}
    place.days(1.1)
    assert place.plan().fates.reseal


def test_packs_that_no_index_file_names_leave_the_old_key_too(place: Place) -> None:
    stored = stocked_and_rotated(place)
    for name in place.names("index"):
        place.store.remove(name)
    sweep_until_all_is_new(place)
    assert_all_is_there(place, stored)


@pytest.mark.parametrize("later", [False, True])
def test_whatever_request_fails_nothing_is_lost_and_a_later_sweep_does_the_rest(place: Place, later: bool) -> None:
    """`later`: the same in the sweep that removes what was packed anew."""
    stored = stocked_and_rotated(place)
    if later:
        place.sweep()
        place.days(1.1)
    tries = 0
    # Each sweep that fails leaves a verdict to read: counted together, the fault would meet the same request for ever.
    for verbs in (WRITING, READING):
        for nth in itertools.count(1):
            place.store.fail(verbs, nth=nth, every=True)
            try:
                place.sweep()
            except StoreUnreachable:
                tries += 1
                place.store.heal()
                assert_all_is_there(place, stored)
                continue
            place.store.heal()
            break
    assert tries > 20
    place.days(1.1)
    sweep_until_all_is_new(place)
    for _ in range(4):
        place.days(1.1)
        place.sweep()
    assert_all_is_there(place, stored)
    assert place.names("verdicts") == place.names("probe") == []
    assert sum(place.opened().index().packs().values()) < 400_000


@pytest.mark.parametrize("folder", ["deletions/", "index/"])
def test_what_did_not_arrive_whole_replaces_nothing(place: Place, folder: str) -> None:
    stored = stocked_and_rotated(place)
    place.rules = Rules(most_resealed=1, always_resealed=1)
    sweeper = place.sweeper()
    plan = sweeper.plan()
    before = set(place.names(folder.rstrip("/")))
    place.store.tear(keep=40, nth=2 if folder == "index/" else 1, folder=folder, silently=True)
    with pytest.raises(Damaged):
        sweeper.carry_out(plan)
    assert before <= set(place.names(folder.rstrip("/")))
    assert_all_is_there(place, stored)


def test_one_who_reads_an_archive_while_it_is_resealed_misses_no_note(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    stocked_and_rotated(place)
    reader, listed = place.opened(), place.store.list

    def list_then_reseal(prefix: str) -> list[StoredObject]:
        found = listed(prefix)
        if prefix.startswith("deletions"):
            monkeypatch.setattr(place.store, "list", listed)
            place.sweep()
        return found

    monkeypatch.setattr(place.store, "list", list_then_reseal)
    remarks: list[str] = []
    assert len(archived_notes(reader, PROFILE, remarks=remarks)) == 4
    assert remarks == []
    assert under_old_keys(place, "deletions") == []


def test_two_sweeps_at_once_reseal_each_note_and_lose_none(place: Place) -> None:
    stored = stocked_and_rotated(place)
    one, other = place.sweeper(), place.sweeper()
    plans = one.plan(), other.plan()
    one.carry_out(plans[0])
    other.carry_out(plans[1])
    sweep_until_all_is_new(place)
    assert_all_is_there(place, stored)


def test_archives_and_index_files_are_resealed_a_few_at_a_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = stocked_and_rotated(place)
    monkeypatch.setattr(resealing, "_MOST_BYTES", 1)
    assert len(place.plan().reseal_objects) == 1
    assert sweep_until_all_is_new(place) >= 4
    assert_all_is_there(place, stored)


@pytest.mark.parametrize("looks_before", [True, False])
def test_a_run_that_knows_the_old_key_alone_relies_on_nothing_that_was_condemned_under_the_new(
    place: Place, looks_before: bool
) -> None:
    """It can't tell what the verdict names; whoever wrote that can, and may remove it the next moment."""
    place.forget(place.back_up(A))
    place.days(8)
    old = place.opened()
    if looks_before:
        store_pieces(old, A)
    place.rotate()
    place.sweep()
    if not looks_before:
        store_pieces(old, A)
    with pytest.raises(WrittenUnderNewerKey, match="under a key that this one does not know"):
        old.commit(manifest_of(old, A, run=9))
    assert place.back_up(A)


def test_an_index_knows_the_key_of_each_pack(place: Place) -> None:
    place.back_up(A)
    first = place.packs()
    place.rotate()
    place.back_up(B)
    index = place.opened().index()
    known = {pack_name(pack): int(key) for pack, key in zip(index.pack_ids, index.generations, strict=True)}
    assert known == {name: 1 if name in first else 2 for name in place.packs()}


def test_an_archive_that_another_run_sealed_anew_meanwhile_is_not_there_twice(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    stocked_and_rotated(place)
    name = place.names("deletions")[0]
    write = place.store.write

    def meanwhile(renewed: str, data: bytes) -> None:
        monkeypatch.setattr(place.store, "write", write)
        assert resealing.reseal(place.opened(), [name]) == 1
        write(renewed, data)

    monkeypatch.setattr(place.store, "write", meanwhile)
    assert resealing.reseal(place.opened(), [name]) == 0
    assert len(place.names("deletions")) == 2


def test_what_was_seen_to_be_under_the_newest_key_is_not_asked_again(place: Place, tmp_path: Path) -> None:
    stocked_and_rotated(place)

    def swept_on_this_computer() -> int:
        opened = place.opened()
        repository = Repository(place.store, opened.configuration, opened.seal, tmp_path)
        place.store.requests.clear()
        sweeper = Sweeper(repository, clock=place.clock)
        sweeper.carry_out(sweeper.plan())
        place.days(1.1)
        return place.store.count("read_range", folder="deletions/") + place.store.count("read_range", folder="index/")

    assert swept_on_this_computer() > 2
    sweep_until_all_is_new(place)
    swept_on_this_computer()
    assert swept_on_this_computer() == 0
    place.rotate()
    assert swept_on_this_computer() > 0
    sweep_until_all_is_new(place)
