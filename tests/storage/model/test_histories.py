"""Histories that once lost a snapshot, or stopped the removing of garbage for good: found by the model, told short."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from storage.errors import PiecesLost, StoreUnreachable, SweepRefused
from storage.format.blob import BlobKind, pack_name
from storage.format.listing import pieces_tree
from storage.format.manifest import StoredFile
from storage.format.verdict import Finding, Verdict, read_verdict, verdict_name, write_verdict
from storage.opening import open_repository
from storage.repository import SnapshotRef
from storage.sweeping.garbage import Rules
from storage.sweeping.index_folding import fold
from storage.trash import put_back
from tests.faults.faulty_store import FaultyStore
from tests.storage.model.content import Source, cut, manifest_of
from tests.storage.model.place import (
    DAY,
    FIRST,
    KEY,
    SECOND,
    Behind,
    Interrupted,
    Place,
    a_place,
    is_seen_by_a_sweep_that_slept,
    relies_only_on_what_is_there,
    relies_only_on_what_is_there_behind,
    store_pieces,
)


@pytest.fixture
def place() -> Iterator[Place]:
    with a_place() as new:
        yield new


def test_a_plan_that_is_made_again_after_a_fault_knows_what_is_needed(place: Place) -> None:
    ref = place.back_up(FIRST)
    place.judge(Finding.CONDEMNED)
    place.wait(2 * DAY)
    faulty = FaultyStore(place.store)
    sweeper = place.sweeper(faulty)
    faulty.fail(frozenset({"read_range"}))
    with pytest.raises(StoreUnreachable):
        sweeper.plan()
    faulty.heal()
    sweeper.carry_out(sweeper.plan())
    assert place.is_whole(ref, FIRST)


def test_a_pack_that_a_late_listing_still_shows_is_not_relied_on_after_its_removal(place: Place) -> None:
    forgotten = place.back_up(FIRST)
    place.back_up(SECOND)
    place.wait(DAY)
    open_repository(place.store).move_to_trash(forgotten)
    packs = len(place.store.list("packs"))
    while len(place.store.list("packs")) >= packs:
        place.sweep()
    place.wait(timedelta(minutes=1))
    ref = place.back_up(FIRST, Behind(place.store))
    assert place.is_whole(ref, FIRST)


def test_a_pack_that_a_late_listing_still_shows_is_not_relied_on_when_no_verdict_condemns_it_any_more(
    place: Place,
) -> None:
    assert relies_only_on_what_is_there_behind(place)


@pytest.mark.parametrize("folder", ["verdicts", "index", "packs"])
def test_a_pack_that_goes_while_a_writer_looks_is_not_relied_on(place: Place, folder: str) -> None:
    assert relies_only_on_what_is_there(place, folder)


def test_a_snapshot_whose_writer_died_before_it_could_look_again_is_seen_by_a_sweep_that_slept(place: Place) -> None:
    assert is_seen_by_a_sweep_that_slept(place, listing_holds=Rules().listing_holds)


def test_a_backup_goes_on_where_a_late_listing_shows_an_index_file_that_was_folded(place: Place) -> None:
    for source in (FIRST, SECOND):
        place.back_up(source)
    place.wait(DAY)
    repository = open_repository(place.store)
    fold(repository, [item.name for item in place.store.list("index")])
    place.wait(timedelta(minutes=1))
    open_repository(Behind(place.store)).index()


def test_a_manifest_that_a_retry_wrote_anew_is_seen_by_those_who_cached_the_first(place: Place, tmp_path: Path) -> None:
    faulty = FaultyStore(place.store)
    writer = open_repository(faulty)
    ref = place.new_ref()
    store_pieces(writer, FIRST)
    faulty.fail(frozenset({"list"}), folder="snapshots/")
    with pytest.raises(StoreUnreachable):
        writer.commit(manifest_of(FIRST, ref.profile_key, ref.id, ref.taken_at))
    place.sweeper(cache=tmp_path).plan()
    writer.forget_index()
    store_pieces(writer, SECOND)
    again, _ = writer.commit(manifest_of(SECOND, ref.profile_key, ref.id, ref.taken_at))
    place.sweep(days=5, cache=tmp_path)
    assert place.is_whole(again, SECOND)


def test_a_snapshot_is_not_put_back_when_its_pieces_went_while_its_computer_slept(place: Place) -> None:
    """The roots of its listings are there still, in a pack that another snapshot needs."""
    source = Source(FIRST.pages, frozenset({7, 8, 9}))
    repository = open_repository(place.store)
    with repository.write(uploads=1) as session:  # the pages into packs of their own
        for blob, (kind, plain) in cut(source).blobs.items():
            if kind is BlobKind.PAGE:
                session.add(kind, blob, plain)
        session.close()
    ref = place.back_up(source)
    place.back_up(Source(SECOND.pages, source.pictures))
    place.wait(DAY)
    open_repository(place.store).move_to_trash(ref)
    asleep = Interrupted(place.store, "read", "trash/", lambda: place.sweep(days=6), after=True)
    with pytest.raises(PiecesLost):
        put_back(open_repository(asleep), ref)


def test_what_is_broken_in_the_trash_does_not_stop_sweeps(place: Place) -> None:
    ref = place.back_up(FIRST)
    place.wait(DAY)
    repository = open_repository(place.store)
    repository.move_to_trash(ref)
    place.store.remove(place.store.list("packs")[0].name)
    place.back_up(SECOND)
    sweeper = place.sweeper()
    sweeper.carry_out(sweeper.plan())


def test_a_sweep_goes_on_when_a_backup_was_made_since_its_plan(place: Place) -> None:
    gone = place.back_up(FIRST)
    place.wait(DAY)
    open_repository(place.store).move_to_trash(gone)
    kept = place.back_up(SECOND)
    while True:
        place.wait(DAY)
        sweeper = place.sweeper()
        plan = sweeper.plan()
        if plan.fates.remove:
            break
        sweeper.carry_out(plan)
    newer = Source(SECOND.pages, SECOND.pictures | {20, 21, 22})
    ref = place.back_up(newer)
    place.wait(timedelta(hours=1))
    assert sweeper.carry_out(plan).removed
    assert place.is_whole(kept, SECOND)
    assert place.is_whole(ref, newer)


def test_a_late_answer_to_forgetting_does_not_remove_what_was_put_back(place: Place) -> None:
    ref = place.back_up(FIRST)
    repository = open_repository(place.store)

    class Late(FaultyStore):
        """A removal that times out, and is done hours later."""

        def remove(self, name: str) -> None:
            place.world.later(3 * 3600, lambda: self.inner.remove(name))
            raise StoreUnreachable("No answer", "This is a test")

    with pytest.raises(StoreUnreachable):
        open_repository(Late(place.store)).move_to_trash(ref)
    put_back(repository, ref)
    place.wait(DAY)
    (left,) = open_repository(place.store).snapshots()
    assert place.is_whole(left, FIRST)


def test_a_snapshot_that_is_forgotten_and_put_back_at_once_is_not_lost(place: Place) -> None:
    ref = place.back_up(FIRST)
    meanwhile = Interrupted(place.store, "remove", "snapshots/", lambda: put_back(open_repository(place.store), ref))
    open_repository(meanwhile).move_to_trash(ref)
    there = open_repository(place.store).snapshots()
    assert there or place.store.list("trash")


def test_what_was_pardoned_together_with_a_pack_in_quarantine_goes_when_nothing_needs_it_any_more(place: Place) -> None:
    gone, kept = place.back_up(FIRST), place.back_up(SECOND)
    of_second = open_repository(place.store).index().find(next(iter(cut(SECOND).blobs)))
    assert of_second is not None
    place.judge(Finding.CONDEMNED)
    place.judge(Finding.QUARANTINED, of_second.pack)
    place.sweep(days=2)  # pardoned
    open_repository(place.store).move_to_trash(gone)
    place.sweep(days=12)
    holdings = open_repository(place.store).holdings()
    needed = cut(SECOND).blobs.keys()
    useless = [pack for pack in holdings.packs if needed.isdisjoint(e.id for e in holdings.index.entries_in(pack))]
    assert useless == []
    assert place.is_whole(kept, SECOND)


def test_index_files_of_blobs_that_lie_in_many_packs_can_be_folded(place: Place) -> None:
    for _ in range(12):
        place.back_up(FIRST)
        place.judge(Finding.CONDEMNED)
    repository = open_repository(place.store)
    fold(repository, [item.name for item in place.store.list("index")])
    assert open_repository(place.store).holdings().damaged_indexes == ()


def test_a_snapshot_that_was_put_back_twice_between_two_sweeps_is_not_missed(place: Place) -> None:
    ref = place.back_up(FIRST)
    place.sweep()
    repository = open_repository(place.store)
    for _ in range(2):
        repository.move_to_trash(ref)
        ref = put_back(repository, ref)
    place.sweep()
    assert place.is_whole(ref, FIRST)


def test_a_manifest_that_arrives_late_does_not_take_the_place_of_what_a_retry_committed(place: Place) -> None:
    """Where a store can't decide between two who create, it looks for the object first, and then puts it."""

    class Late(FaultyStore):
        """A creation that times out, and is done hours later."""

        def create(self, name: str, data: bytes) -> None:
            place.world.later(3 * 3600, lambda: self.inner.write(name, data))
            raise StoreUnreachable("No answer", "This is a test")

    late = Late(place.store)
    writer, ref = open_repository(late), place.new_ref()
    store_pieces(writer, FIRST)
    with pytest.raises(StoreUnreachable):
        writer.commit(manifest_of(FIRST, ref.profile_key, ref.id, ref.taken_at))
    writer.store = place.store
    writer.forget_index()
    store_pieces(writer, SECOND)
    again, _ = writer.commit(manifest_of(SECOND, ref.profile_key, ref.id, ref.taken_at))
    place.wait(DAY)
    assert place.is_whole(again, SECOND)


def test_a_pack_that_is_needed_whole_is_not_packed_anew_whatever_its_table_takes(place: Place) -> None:
    repository, ref = open_repository(place.store), place.new_ref()
    tiny = repository.seal.blob_id(b"tiny")
    tree, nodes = pieces_tree([tiny], repository.seal.blob_id)
    with repository.write(uploads=1) as session:
        session.add(BlobKind.PAGE, tiny, b"tiny")
        for node, content in nodes:
            session.add(BlobKind.NODE, node, content)
        session.close()
    file = StoredFile("tiny", 4, 4096, tree)
    repository.commit(replace(manifest_of(FIRST, KEY, ref.id, ref.taken_at), files=(file,), folders=()))
    packs = [item.name for item in place.store.list("packs")]
    place.sweep(days=4)
    assert [item.name for item in place.store.list("packs")] == packs


def test_what_lies_twice_is_not_packed_anew_again_and_again(place: Place) -> None:
    at_once = [open_repository(place.store) for _ in range(2)]
    for repository in at_once:
        repository.index()
    sources = FIRST, Source(FIRST.pages, FIRST.pictures | {0, 39})
    for repository, source in zip(at_once, sources, strict=True):
        store_pieces(repository, source)
        ref = place.new_ref()
        repository.commit(manifest_of(source, ref.profile_key, ref.id, ref.taken_at))
    place.sweep(days=4)
    packs = [item.name for item in place.store.list("packs")]
    place.sweep(days=3)
    assert [item.name for item in place.store.list("packs")] == packs
    assert len(open_repository(place.store).index()) == len({blob for source in sources for blob in cut(source).blobs})


def test_a_sweep_that_was_slow_to_store_its_census_does_not_hinder_the_next(place: Place) -> None:
    ref = place.back_up(FIRST)
    place.back_up(SECOND)
    place.wait(DAY)
    open_repository(place.store).move_to_trash(ref)
    place.wait(2 * DAY - timedelta(hours=1))
    slow = place.sweeper()
    plan = slow.plan()
    place.sweep()
    place.wait(timedelta(hours=1))
    slow.carry_out(plan)
    place.sweep()


def test_a_snapshot_can_be_had_back_although_a_first_try_to_forget_it_failed_long_ago(place: Place) -> None:
    ref = place.back_up(FIRST)
    faulty = FaultyStore(place.store)
    faulty.fail(frozenset({"remove"}))
    with pytest.raises(StoreUnreachable):
        open_repository(faulty).move_to_trash(ref)
    place.wait(3 * DAY)
    sweeper = place.sweeper()
    plan = sweeper.plan()
    open_repository(place.store).move_to_trash(ref)
    sweeper.carry_out(plan)
    assert place.is_whole(put_back(open_repository(place.store), ref), FIRST)


def test_what_a_killed_backup_left_in_condemned_packs_is_not_relied_on_once_an_index_file_names_it(
    place: Place,
) -> None:
    """The backup that goes on stores an index file halfway, which names those packs, too."""
    place.back_up(SECOND)
    indexed = {item.name for item in place.store.list("index")}
    source = Source(FIRST.pages, frozenset(range(40)))
    store_pieces(open_repository(place.store), source)
    for item in place.store.list("index"):
        if item.name not in indexed:  # it was killed before it wrote one
            place.store.remove(item.name)
    place.sweep()  # condemns what the killed backup left
    place.wait(1.05 * DAY)
    sweeper = place.sweeper()
    plan = sweeper.plan()
    assert len(plan.fates.remove) > 8
    ref = place.back_up(source)
    sweeper.carry_out(plan)
    assert place.is_whole(ref, source)


def condemned_by_a_sweep(place: Place, cache: Path | None = None) -> None:
    """A snapshot is let go, and sweeps follow until there is a verdict on its packs. `FIRST` goes, `SECOND` stays."""
    gone = place.back_up(FIRST)
    place.back_up(SECOND)
    place.wait(DAY)
    open_repository(place.store).move_to_trash(gone)
    while not place.store.list("verdicts"):
        place.sweep(cache=cache)
    open_repository(place.store, cache).index()


def test_a_verdict_that_others_can_not_read_is_not_carried_out_by_one_who_has_a_copy(
    place: Place, tmp_path: Path
) -> None:
    condemned_by_a_sweep(place, tmp_path)
    for verdict in place.store.list("verdicts"):
        place.store.write(verdict.name, place.store.read(verdict.name)[:-1] + b"?")
    place.wait(2 * DAY)
    with pytest.raises(SweepRefused, match="can't be read"):
        place.sweeper(cache=tmp_path).plan()


def test_a_verdict_that_came_damaged_once_is_obeyed(place: Place) -> None:
    condemned_by_a_sweep(place)
    flipping = FaultyStore(place.store)
    flipping.flip(at=-1, folder="verdicts/")
    holdings = open_repository(flipping).holdings()
    assert holdings.damaged_verdicts == ()
    assert holdings.index.distrusts.any()


def test_a_pack_is_not_removed_when_the_pardon_of_it_went_while_a_sweep_looked(place: Place) -> None:
    """Of two sweeps at once the other has done with a condemnation, and then with the pardon that answered it."""
    gone, kept = place.back_up(FIRST), place.back_up(SECOND)
    place.wait(DAY)
    repository = open_repository(place.store)
    packs = frozenset(repository.holdings().packs)
    pardon = verdict_name(b"\xff" * 16)  # read last
    for name, finding in ((verdict_name(bytes(16)), Finding.CONDEMNED), (pardon, Finding.PARDONED)):
        place.store.write(name, write_verdict(repository.seal, Verdict(name, finding, packs)))
    repository.move_to_trash(gone)
    place.wait(2 * DAY + timedelta(hours=1))
    stored: list[SnapshotRef] = []

    def meanwhile() -> None:
        other = place.sweeper()
        other.carry_out(other.plan())
        assert place.store.list("verdicts") == []
        stored.append(place.back_up(FIRST))

    sweeper = place.sweeper(Interrupted(place.store, "read", pardon, meanwhile))
    sweeper.carry_out(sweeper.plan())
    assert place.is_whole(stored[0], FIRST)
    assert place.is_whole(kept, SECOND)


def test_a_backup_is_not_called_done_while_verdicts_go_that_it_has_not_read(place: Place) -> None:
    """Its computer sleeps after it listed verdicts and packs for the last time, and before it reads a new verdict."""
    condemned_by_a_sweep(place)
    (verdict,) = place.store.list("verdicts")
    content = place.store.read(verdict.name)
    place.store.remove(verdict.name)
    seal, ref = open_repository(place.store).seal, place.new_ref()

    class Condemned(FaultyStore):
        """The packs are condemned once the manifest is there."""

        def create(self, name: str, data: bytes) -> None:
            super().create(name, data)
            self.inner.write(verdict.name, content)

    def asleep() -> None:
        for name in [pack_name(pack) for pack in read_verdict(seal, verdict.name, content).packs]:
            place.store.remove(name)
        place.store.remove(verdict.name)

    writer = open_repository(Condemned(Interrupted(place.store, "read", "verdicts/", asleep)))
    store_pieces(writer, FIRST)
    try:
        writer.commit(manifest_of(FIRST, ref.profile_key, ref.id, ref.taken_at))
    except PiecesLost:
        return
    assert place.is_whole(ref, FIRST)


@pytest.mark.parametrize("times", [2, 20])
def test_a_look_begins_anew_as_often_as_verdicts_vanish_and_then_says_so(place: Place, times: int) -> None:
    place.back_up(FIRST)
    place.judge(Finding.QUARANTINED)
    left = iter(range(times))

    class Vanishing(FaultyStore):
        """Another verdict is gone each time, and a new one there."""

        def read(self, name: str) -> bytes:
            if name.startswith("verdicts/") and next(left, None) is not None:
                place.store.remove(name)
                place.judge(Finding.QUARANTINED)
            return super().read(name)

    repository = open_repository(Vanishing(place.store))
    if times > 2:
        with pytest.raises(StoreUnreachable, match="vanish"):
            repository.holdings()
    else:
        assert repository.holdings().index.distrusts.any()
