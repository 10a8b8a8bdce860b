"""A sweep, one promise a test. What many at once do to each other is `tests/storage/model/`'s."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from storage import writing
from storage.errors import ClockUntrusted, Damaged, PiecesLost, SnapshotUnknown, StoreUnreachable, SweepRefused
from storage.format.blob import BlobKind, pack_name, pack_of_name
from storage.format.census import CENSUS_RECORD, census_name
from storage.format.manifest import Manifest, snapshot_name, trash_name, write_manifest
from storage.format.verdict import VERDICT_RECORD, Finding, Verdict, verdict_name, write_verdict
from storage.opening import create_repository, open_repository
from storage.repository import SnapshotRef
from storage.store import StoredObject
from storage.stores.address import open_store
from storage.sweeping import garbage
from storage.sweeping.garbage import PackUse
from storage.sweeping.sweeper import Sweeper
from storage.trash import forgotten_snapshots, put_back
from tests.faults.clocked_store import FakeClock
from tests.faults.faulty_store import READING, WRITING
from tests.storage.newer_version import make_it_of_a_newer_version
from tests.storage.small_backup import Source, back_up, manifest_of, restore, source_of, store_pieces
from tests.storage.sweeping.place import Place

A, B, C = (source_of(seed, pages=60, media=10) for seed in (0, 40, 200))


@pytest.fixture(autouse=True)
def _small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PACK_BYTES", 24 * 1024)
    monkeypatch.setattr(writing, "_BATCH_BYTES", 8 * 1024)
    # Every pack of these tests is small: the rule about small packs has a test of its own.
    monkeypatch.setattr(garbage, "_SMALL_PACKS", 1000)


@pytest.fixture
def place() -> Place:
    return Place()


def holds(place: Place, ref: SnapshotRef, source: Source) -> bool:
    return restore(place.opened(), ref) == source


# Two steps, a day apart.


def test_what_nothing_needs_is_condemned_and_a_day_later_removed(place: Place) -> None:
    first, second = place.back_up(A), place.back_up(C)
    place.forget(first)
    place.days(8)
    before = place.packs()
    condemned = place.sweep()
    assert condemned.expired == 1
    assert condemned.condemned
    assert condemned.removed == ()
    assert place.packs() >= before

    place.days(0.9)
    assert place.sweep().removed == ()
    place.days(0.2)
    swept = place.sweep()
    assert {use.pack for use in swept.removed} >= {use.pack for use in condemned.condemned}
    assert swept.bytes_removed > 0
    assert len(place.packs()) < len(before)
    assert holds(place, second, C)
    assert restore(place.opened(), place.back_up(A)) == A


def test_a_plan_alone_removes_and_writes_nothing_but_its_probe(place: Place) -> None:
    place.forget(place.back_up(A))
    place.back_up(C)
    place.days(8)
    before = dict(place.inner.objects)
    plan = place.plan()
    assert plan.fates.condemn
    assert place.inner.objects == before
    assert "condemns" in plan.as_text()
    assert plan.as_json()["condemn"]


def test_what_lies_in_the_trash_is_not_fetched_by_a_computer_that_has_a_copy(place: Place, tmp_path: Path) -> None:
    writer = open_repository(place.store, tmp_path)
    ref = back_up(writer, A, run=50)
    back_up(writer, C, run=51)
    writer.move_to_trash(ref)
    place.days(8)
    place.store.requests.clear()
    Sweeper(open_repository(place.store, tmp_path), clock=place.clock).plan()
    assert place.store.count("read", folder="trash/") == 0
    Sweeper(open_repository(place.store), clock=place.clock).plan()
    assert place.store.count("read", folder="trash/") == 1


def test_packs_are_removed_with_no_more_requests_than_the_store_needs(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.forget(place.back_up(A))
    place.back_up(C)
    place.days(8)
    place.sweep()
    place.days(2)
    sweeper = place.sweeper()
    plan = sweeper.plan()
    together: list[int] = []

    def remove_all(names: Iterable[str]) -> None:
        going = [name for name in names if name.startswith("packs/")]
        if going:
            together.append(len(going))
        for name in going:
            place.inner.remove(name)

    monkeypatch.setattr(place.store, "removals_at_once", 2)
    monkeypatch.setattr(place.store, "remove_all", remove_all)
    swept = sweeper.carry_out(plan)
    assert len(swept.removed) > 3
    assert sum(together) == len(swept.removed)
    assert set(together[:-1]) == {2}


def test_the_plan_shown_is_what_is_done(place: Place) -> None:
    place.forget(place.back_up(A))
    place.back_up(C)
    place.days(8)
    plan, swept = place.plan(), place.sweep()
    assert (plan.fates.condemn, plan.fates.pack_anew) == (swept.condemned, swept.packed_anew)
    place.days(2)
    plan, swept = place.plan(), place.sweep()
    assert plan.fates.remove == swept.removed != ()


def test_what_a_running_backup_just_stored_is_left_alone(place: Place) -> None:
    place.back_up(A)
    store_pieces(place.opened(), C)  # no manifest yet
    swept = place.sweep()
    assert (swept.condemned, swept.removed) == ((), ())
    place.days(1.1)
    assert place.sweep().condemned


def test_a_repository_at_rest_has_nothing_to_sweep(place: Place) -> None:
    refs = [place.back_up(source) for source in (A, B, C)]
    for _ in range(4):
        place.days(3)
        swept = place.sweep()
    assert (swept.condemned, swept.packed_anew, swept.removed) == ((), (), ())
    assert [restore(place.opened(), ref) for ref in refs] == [A, B, C]
    assert len(place.names("census")) == 2
    assert place.names("probe") == place.names("verdicts") == []


# What is needed stays.


def test_a_forgotten_snapshot_can_be_had_back_for_a_week_and_not_longer(place: Place) -> None:
    first, _ = place.back_up(A), place.back_up(C)
    place.forget(first)
    for _ in range(3):
        place.days(2)
        assert place.sweep().condemned == ()
    back = put_back(place.opened(), first)
    assert back.taken_at == first.taken_at
    assert holds(place, back, A)
    assert forgotten_snapshots(place.opened()) == []

    place.forget(back)
    place.days(7.1)
    assert place.sweep().expired == 1
    with pytest.raises(SnapshotUnknown, match="not in the trash"):
        put_back(place.opened(), back)


def test_a_snapshot_whose_packs_are_condemned_is_put_back_from_what_is_still_there(place: Place) -> None:
    first, _ = place.back_up(A), place.back_up(C)
    place.forget(first)
    kept = place.inner.objects[trash_name(first.profile_key, first.id)]
    place.days(8)
    place.sweep()
    place.inner.objects[trash_name(first.profile_key, first.id)] = kept  # as if it had been restored from elsewhere
    back = put_back(place.opened(), first)
    place.days(2)
    place.sweep()
    assert holds(place, back, A)


def test_a_snapshot_of_which_a_part_is_gone_is_not_put_back(place: Place) -> None:
    first, _ = place.back_up(A), place.back_up(C)
    place.forget(first)
    kept = place.inner.objects[trash_name(first.profile_key, first.id)]
    for _ in range(3):
        place.days(8)
        place.sweep()
    place.inner.objects[trash_name(first.profile_key, first.id)] = kept
    with pytest.raises(PiecesLost, match="can't be put back"):
        put_back(place.opened(), first)
    assert len(place.names("snapshots")) == 1


def test_a_backup_relies_on_no_condemned_pack(place: Place) -> None:
    place.forget(place.back_up(A))
    place.back_up(C)
    place.days(8)
    condemned = {use.pack for use in place.sweep().condemned}
    again = place.back_up(A)
    trusted = place.opened().index().packs()
    assert condemned.isdisjoint(trusted)
    place.days(2)
    assert {use.pack for use in place.sweep().removed} >= condemned
    assert holds(place, again, A)


def test_a_pack_condemned_between_a_backups_look_and_its_manifest_is_packed_anew(place: Place) -> None:
    place.forget(place.back_up(A))
    place.back_up(C)
    place.days(8)
    writer = place.opened()
    store_pieces(writer, A)  # all is there already
    condemned = {use.pack for use in place.sweep().condemned}
    assert condemned
    ref, _ = writer.commit(manifest_of(writer, A, run=50))
    assert condemned.isdisjoint(place.opened().index().packs())
    place.days(2)
    place.sweep()
    assert holds(place, ref, A)


def test_a_writer_that_slept_through_the_grace_finds_out_and_stores_anew(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.forget(place.back_up(A))
    place.back_up(C)
    place.days(8)
    writer = place.opened()
    store_pieces(writer, A)
    create = writer.store.create

    def after_a_long_sleep(name: str, data: bytes) -> None:
        monkeypatch.undo()
        place.sweep()
        place.days(1.5)
        assert place.sweep().removed
        create(name, data)

    monkeypatch.setattr(writer.store, "create", after_a_long_sleep)
    manifest = manifest_of(writer, A, run=50)
    with pytest.raises(PiecesLost):
        writer.commit(manifest)
    store_pieces(place.opened(), A)
    later = place.opened()
    assert holds(place, later.commit(manifest)[0], A)


def test_a_condemned_pack_that_a_snapshot_needs_after_all_is_pardoned(place: Place) -> None:
    first = place.back_up(A)
    packs = frozenset(pack for name in place.packs() if (pack := pack_of_name(name)))
    repository = place.opened()
    verdict = Verdict(verdict_name(bytes(16)), Finding.CONDEMNED, packs)
    place.inner.write(verdict.name, write_verdict(repository.seal, verdict))
    place.days(1.5)
    swept = place.sweep()
    assert (swept.removed, {use.pack for use in swept.pardoned}) == ((), packs)
    # For two more days no writer relies on them, and no sweep removes them.
    place.days(1)
    assert place.opened().index().packs() == {}
    assert place.sweep().removed == ()
    place.days(1.1)
    place.sweep()
    assert place.names("verdicts") == []
    assert set(place.opened().index().packs()) == packs
    assert holds(place, first, A)


def test_a_snapshot_that_appears_while_packs_are_removed_stops_the_sweep(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.forget(place.back_up(A))
    place.back_up(C)
    place.days(8)
    manifest = manifest_of(place.first, A, run=60)
    content = write_manifest_of(place, manifest)
    place.sweep()
    place.days(2)
    sweeper = place.sweeper()
    plan = sweeper.plan()
    index = place.opened().index()

    def holds_nodes(use: PackUse) -> bool:
        return any(entry.location.kind is BlobKind.NODE for entry in index.entries_in(use.pack))

    # The new snapshot's listings must still be there to be walked.
    due = sorted(plan.fates.remove, key=holds_nodes)
    plan = replace(plan, fates=replace(plan.fates, remove=tuple(due)))
    assert len(due) > 2
    assert not holds_nodes(due[0])
    remove = place.store.remove

    def slow(name: str) -> None:
        remove(name)
        if name.startswith("packs/"):
            monkeypatch.undo()
            place.clock.pass_by(minutes=11)
            place.inner.write(*content)

    monkeypatch.setattr(place.store, "remove", slow)
    before = place.packs()
    with pytest.raises(SweepRefused, match="missing"):
        sweeper.carry_out(plan)
    assert len(before - place.packs()) == 1


def write_manifest_of(place: Place, manifest: Manifest) -> tuple[str, bytes]:
    return snapshot_name(manifest.profile_key, manifest.id), write_manifest(place.first.seal, manifest)


# Packing anew.


def test_a_pack_that_is_mostly_dead_is_packed_anew_before_it_is_condemned(place: Place) -> None:
    first = place.back_up(A)
    keep = source_of(0, pages=20, media=3)
    second = place.back_up(keep)
    place.forget(first)
    place.days(8)
    before = place.packs()
    swept = place.sweep()
    assert swept.packed_anew
    assert before <= place.packs()
    place.days(2)
    place.sweep()
    gone = {name for name in before if pack_of_name(name) in {use.pack for use in swept.packed_anew}}
    assert gone.isdisjoint(place.packs())
    assert holds(place, second, keep)


def test_many_small_packs_become_few(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "_SMALL_PACKS", 8)
    refs = [place.back_up(source_of(seed, pages=30, media=3)) for seed in range(10)]
    assert len(place.packs()) >= 10
    place.days(2)
    monkeypatch.setattr(writing, "PACK_BYTES", 16 * 1024 * 1024)
    place.sweep()
    place.days(2)
    place.sweep()
    assert len(place.packs()) == 1
    assert [restore(place.opened(), ref) for ref in refs] == [source_of(seed, pages=30, media=3) for seed in range(10)]


def test_what_two_sweeps_packed_anew_at_once_comes_together_again(place: Place) -> None:
    first = place.back_up(A)
    keep = source_of(0, pages=20, media=3)
    second = place.back_up(keep)
    place.forget(first)
    place.days(8)
    one, other = place.sweeper(), place.sweeper()
    plans = one.plan(), other.plan()
    one.carry_out(plans[0])
    other.carry_out(plans[1])
    for _ in range(4):
        place.days(2)
        place.sweep()
    index = place.opened().index()
    assert len(index.ids(index.groups())) == len(set(index.ids(index.groups())))
    assert holds(place, second, keep)


@pytest.mark.parametrize("keep_bytes", [1000, 1700])
def test_a_copy_that_can_not_be_read_back_condemns_nothing(place: Place, keep_bytes: int) -> None:
    first = place.back_up(A)
    second = place.back_up(keep := source_of(0, pages=20, media=3))
    place.forget(first)
    place.days(8)
    sweeper = place.sweeper()
    plan = sweeper.plan()
    place.store.tear(keep=keep_bytes, folder="packs/", silently=True)
    with pytest.raises(Damaged):
        sweeper.carry_out(plan)
    assert place.names("verdicts") == []
    assert holds(place, second, keep)


def test_a_damaged_piece_in_a_pack_that_is_packed_anew_stops_nothing_but_that(place: Place) -> None:
    first = place.back_up(A)
    keep = source_of(0, pages=20, media=3)
    place.back_up(keep)
    place.forget(first)
    place.days(8)
    plan = place.plan()
    repository = place.opened()
    spoiled = plan.fates.pack_anew[0].pack
    needed = {repository.seal.blob_id(content) for content in keep.media.values()}
    needed |= {repository.seal.blob_id(keep.collection[at : at + 4096]) for at in range(0, len(keep.collection), 4096)}
    entry = next(entry for entry in repository.index().entries_in(spoiled) if entry.id in needed)
    content = bytearray(place.inner.read(pack_name(spoiled)))
    content[entry.location.offset + 40] ^= 1
    place.inner.write(pack_name(spoiled), bytes(content))
    place.days(2)
    swept = place.sweep()
    assert [use.pack for use in swept.left_alone] == [spoiled]
    assert len(swept.packed_anew) == len(plan.fates.pack_anew) - 1
    assert swept.condemned
    place.days(2)
    assert {use.pack for use in place.sweep().left_alone} == {spoiled}
    assert pack_name(spoiled) in place.packs()
    lost: list[object] = []
    found = dict(place.opened().read(needed, damaged=lambda blob, _: lost.append(blob)))
    assert lost == [entry.id]
    assert len(found) == len(needed) - 1


# What looks wrong stops it.


def test_snapshots_that_vanished_stop_a_sweep_until_a_person_accepts_it(place: Place) -> None:
    first, _ = place.back_up(A), place.back_up(C)
    place.sweep()
    del place.inner.objects[snapshot_name(first.profile_key, first.id)]
    place.days(2)
    with pytest.raises(SweepRefused, match=f"1 snapshots .* are not there any more.*{first.id}"):
        place.plan()
    with pytest.raises(SweepRefused, match="accept-missing"):
        place.sweep(accept=True)
    accepted = place.sweeper(accept_missing=True).plan()
    assert accepted.missing == (f"{first.profile_key}/{first.id}",)
    assert f"{first.id} is gone" in accepted.as_text()
    assert place.sweep(accept_missing=True).condemned
    place.days(2)
    assert place.sweep().removed


@pytest.mark.parametrize("swept_before", [False, True])
def test_packs_without_a_single_snapshot_stop_a_sweep(place: Place, swept_before: bool) -> None:
    """Also where an earlier sweep saw that there was none: those made since may not be listed."""
    if swept_before:
        place.sweep()
    store_pieces(place.opened(), A)
    place.days(2)
    with pytest.raises(SweepRefused, match="no snapshot at all"):
        place.plan()
    assert place.sweep(accept_missing=True).condemned


def test_forgetting_and_emptying_the_trash_is_nothing_that_vanished(place: Place) -> None:
    refs = [place.back_up(source) for source in (A, B, C)]
    for ref in refs[:2]:
        place.sweep()
        place.forget(ref)
        place.sweep()
        place.days(8)
        place.sweep()
    assert place.names("trash") == []


def damage_manifest(place: Place, ref: SnapshotRef) -> None:
    name = snapshot_name(ref.profile_key, ref.id)
    place.inner.write(name, place.inner.read(name)[:-1] + b"?")


def damage_index(place: Place, _: SnapshotRef) -> None:
    name = place.names("index")[0]
    place.inner.write(name, place.inner.read(name)[:-1] + b"?")


def damage_verdict(place: Place, _: SnapshotRef) -> None:
    place.inner.write(verdict_name(bytes(16)), b"nothing that was ever sealed")


def lose_a_pack(place: Place, ref: SnapshotRef) -> None:
    repository = place.opened()
    root = repository.manifest(ref).files[0].pieces.root
    assert root is not None
    found = repository.index().find(root)
    assert found is not None
    place.inner.remove(pack_name(found.pack))


@pytest.mark.parametrize("harm", [damage_manifest, damage_index, damage_verdict, lose_a_pack])
def test_damage_stops_a_sweep(place: Place, harm: Callable[[Place, SnapshotRef], None]) -> None:
    ref = place.back_up(A)
    place.forget(place.back_up(C))
    place.days(8)
    harm(place, ref)
    before = dict(place.inner.objects)
    with pytest.raises(Exception, match="recollect"):
        place.plan()
    assert place.inner.objects == before


@pytest.mark.parametrize("in_trash", [False, True])
def test_a_snapshot_of_a_newer_version_stops_a_sweep_and_asks_for_an_update(place: Place, in_trash: bool) -> None:
    ref = place.back_up(A)
    place.back_up(C)
    make_it_of_a_newer_version(place.inner, place.first.seal, ref)
    if in_trash:
        place.forget(ref)
    place.days(2)
    with pytest.raises(SweepRefused) as told:
        place.plan()
    assert "Update Recollect" in told.value.advice
    assert "forget" not in told.value.advice
    place.days(8)
    if in_trash:  # by now nobody can have it back
        assert place.sweep().expired == 1


def test_what_another_sweep_let_expire_while_this_one_looked_has_not_vanished(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.forget(place.back_up(A))
    place.back_up(C)
    place.sweep()  # its census expects both
    place.days(8)
    other, listed, looks = place.sweeper(), place.store.list, itertools.count()

    def meanwhile(prefix: str) -> list[StoredObject]:
        found = listed(prefix)
        if prefix == "snapshots" and next(looks) == 0:
            other.carry_out(other.plan())
        return found

    monkeypatch.setattr(place.store, "list", meanwhile)
    assert place.plan().expired == ()


def newer_verdict(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("storage.format.verdict.VERDICT_RECORD", replace(VERDICT_RECORD, version=2))
        pack = pack_of_name(sorted(place.packs())[0])
        assert pack is not None
        verdict = Verdict(verdict_name(b"n" * 16), Finding.CONDEMNED, frozenset({pack}))
        place.inner.write(verdict.name, write_verdict(place.first.seal, verdict))


def newer_census(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("storage.format.census.CENSUS_RECORD", replace(CENSUS_RECORD, version=2))
        place.sweep()
    place.days(8)


@pytest.mark.parametrize("came", [newer_verdict, newer_census])
def test_what_a_newer_version_has_written_stops_a_sweep(
    place: Place, monkeypatch: pytest.MonkeyPatch, came: Callable[[Place, pytest.MonkeyPatch], None]
) -> None:
    place.back_up(A)
    place.forget(place.back_up(C))
    came(place, monkeypatch)
    before = dict(place.inner.objects)
    with pytest.raises(SweepRefused, match=r"another version.*Update Recollect"):
        place.plan()
    assert place.inner.objects == before


def test_no_more_censuses_than_needed_are_kept(place: Place) -> None:
    place.back_up(A)
    taken = []
    for _ in range(4):
        place.days(1)
        place.sweep()
        taken.append(place.names("census")[-1])
    assert place.names("census") == taken[-2:]


def test_a_sweep_lets_go_of_the_copies_of_manifests_that_are_gone_without_a_request(
    place: Place, tmp_path: Path
) -> None:
    gone, waiting, live = place.back_up(A), place.back_up(B), place.back_up(C)
    place.forget(gone)
    place.days(8)
    place.forget(waiting)
    sweeper = Sweeper(open_repository(place.store, tmp_path), clock=place.clock, rules=place.rules)
    plan = sweeper.plan()
    assert {path.name for path in tmp_path.glob("*/snapshots/*/*")} == {gone.id, waiting.id, live.id}
    place.store.requests.clear()
    sweeper.carry_out(plan)
    assert {path.name for path in tmp_path.glob("*/snapshots/*/*")} == {waiting.id, live.id}
    asked = [one for one in place.store.requests if one.verb in READING]
    assert [one.name for one in asked if one.name.startswith(("snapshots", "trash"))] == []


def test_a_damaged_census_stops_a_sweep(place: Place) -> None:
    place.back_up(A)
    place.inner.write(census_name(place.clock.now(), bytes(4)), b"nothing that was ever sealed")
    with pytest.raises(Exception, match="Nothing is removed"):
        place.plan()


@pytest.mark.parametrize("minutes", [-6, 6])
def test_clocks_that_disagree_stop_a_sweep(place: Place, minutes: int) -> None:
    place.back_up(A)
    own = FakeClock()
    own.pass_by(minutes=minutes)
    with pytest.raises(ClockUntrusted, match="The clock of"):
        Sweeper(place.opened(), clock=own).plan()


def test_much_that_would_go_asks_first(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.sweeping.planning._ASKS_FROM", 1)
    place.forget(place.back_up(A))
    place.back_up(source_of(300, pages=5, media=1))
    place.days(8)
    with pytest.raises(SweepRefused, match="% of all"):
        place.plan()
    assert place.sweep(accept=True).condemned


def test_what_was_packed_anew_does_not_count_as_gone_when_the_old_packs_are_removed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.sweeping.planning._ASKS_FROM", 1)
    monkeypatch.setattr(garbage, "_SMALL_PACKS", 8)
    for seed in range(10):
        place.back_up(source_of(seed, pages=30, media=3))
    place.days(2)
    assert len(place.sweep().packed_anew) >= 8
    place.days(2)
    assert len(place.sweep().removed) >= 8


def test_a_listing_that_never_settles_stops_a_sweep(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.back_up(A)
    listed = place.store.list
    numbers = itertools.count()

    def restless(prefix: str) -> list[StoredObject]:
        if prefix == "snapshots":
            place.inner.write(snapshot_name("Ada-00000000", f"20260101T000000Z-{next(numbers):08x}"), b"")  # type: ignore[arg-type]
        return listed(prefix)

    monkeypatch.setattr(place.store, "list", restless)
    with pytest.raises(SweepRefused, match="different each time"):
        place.plan()


def due_to_go(place: Place) -> SnapshotRef:
    """Packs are due to be removed, and a snapshot stays."""
    place.forget(place.back_up(A))
    kept = place.back_up(C)
    place.days(8)
    assert place.sweep().condemned
    place.days(2)
    return kept


def slow(place: Place, monkeypatch: pytest.MonkeyPatch, verb: str, folder: str, minutes: int) -> None:
    """Every request of this kind takes so long."""
    asked = getattr(place.store, verb)

    def slowly(name: str, *more: int) -> object:
        if name.startswith(folder):
            place.clock.pass_by(minutes=minutes)
        return asked(name, *more)

    monkeypatch.setattr(place.store, verb, slowly)


@pytest.mark.timeout(60)
def test_a_sweep_that_walks_longer_than_a_listing_holds_walks_only_what_is_new_then(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = due_to_go(place)
    slow(place, monkeypatch, "read_range", "packs/", minutes=11)
    swept = place.sweep()
    monkeypatch.undo()
    assert swept.removed
    assert holds(place, kept, C)


@pytest.mark.timeout(60)
def test_a_sweep_that_can_not_look_in_time_gives_up_with_a_sentence(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = due_to_go(place)
    packs = place.packs()
    slow(place, monkeypatch, "list", "packs", minutes=11)
    with pytest.raises(SweepRefused, match="takes so long"):
        place.sweep()
    monkeypatch.undo()
    assert place.packs() == packs
    assert place.sweep().removed
    assert holds(place, kept, C)


def test_a_plan_is_carried_out_by_any_sweeper(place: Place) -> None:
    due_to_go(place)
    planned_elsewhere = place.plan()
    assert place.sweeper().carry_out(planned_elsewhere).removed


# Faults and other company.


def test_whatever_request_fails_no_snapshot_breaks_and_a_later_sweep_does_the_rest(place: Place) -> None:
    first = place.back_up(A)
    second = place.back_up(keep := source_of(0, pages=20, media=3))
    place.forget(first)
    place.days(8)
    # Each sweep that fails leaves a verdict to read: counted together, the fault would meet the same request for ever.
    for verbs in (WRITING, READING):
        for nth in itertools.count(1):
            place.store.fail(verbs, nth=nth, every=True)
            try:
                place.sweep()
            except StoreUnreachable:
                place.store.heal()
                assert holds(place, second, keep)
                place.days(1.1)
                continue
            place.store.heal()
            break
    for _ in range(6):
        place.days(2)
        place.sweep()
    assert holds(place, second, keep)
    live = place.opened().index()
    assert sum(live.packs().values()) < 200_000
    assert place.names("verdicts") == place.names("probe") == []


def test_index_files_are_folded_and_no_reader_misses_a_blob_meanwhile(place: Place) -> None:
    refs = [place.back_up(source_of(seed, pages=10, media=2)) for seed in range(40)]
    place.days(2)
    reader = place.opened()
    removed: list[str] = []
    remove = place.store.remove

    def checked(name: str) -> None:
        remove(name)
        if name.startswith("index/"):
            removed.append(name)
            if len(removed) in (1, 20, 40):
                assert restore(place.opened(), refs[7]) == source_of(7, pages=10, media=2)

    place.store.remove = checked  # type: ignore[method-assign]
    assert place.sweep().folded == len(removed) >= 40
    assert len(place.names("index")) <= 2
    assert all(restore(reader, ref) == source_of(seed, pages=10, media=2) for seed, ref in enumerate(refs))


def test_a_sweep_in_a_folder_works_as_in_memory(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "repository"))
    repository = create_repository(store)
    ref = back_up(repository, A, run=0)
    sweeper = Sweeper(open_repository(store))
    swept = sweeper.carry_out(sweeper.plan())
    assert swept.removed == swept.condemned == ()
    assert restore(open_repository(store), ref) == A
