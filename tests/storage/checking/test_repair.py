from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.checking.damage import Kind
from storage.checking.repair import QUARANTINE, plan_repair, repair
from storage.checking.verification import EVERYTHING, STRUCTURE, Scope, verify
from storage.errors import StorageError, WrittenUnderNewerKey
from storage.format.blob import BlobKind, PackId, pack_name
from storage.format.index_table import index_table, write_index_table
from storage.format.manifest import snapshot_name
from storage.format.pack import PackEntry, build_pack, encode_blob
from storage.format.verdict import Finding, Verdict, verdict_name, write_verdict
from storage.index import Index
from storage.opening import open_repository
from storage.repository import SnapshotRef
from storage.store import Store
from storage.writing import WriteSession
from tests.faults.faulty_store import WRITING, FaultyStore
from tests.storage.checking.test_verification import picture
from tests.storage.damage_house import (
    SOURCES,
    contents,
    copy_of,
    flip,
    in_memory,
    objects,
    opened,
    restorable,
    small_packs,
    spoil,
    stocked,
    verified,
)
from tests.storage.small_backup import PROFILE, Source, back_up, blobs_of, restore, source_of


@pytest.fixture(scope="module")
def whole() -> tuple[Store, list[SnapshotRef]]:
    """Three snapshots, one more in the trash, a verdict, a record of what was read; tests work on copies."""
    store = in_memory()
    refs = stocked(store)
    add_trash_verdict_and_record(store, SOURCES[0])
    return store, refs


def add_trash_verdict_and_record(store: Store, source: Source, *, sealed: bool = False) -> None:
    repository = opened(store, sealed=sealed)
    with small_packs():
        trashed = back_up(repository, source, run=7)
    repository.move_to_trash(trashed)
    # A verdict on a pack that is not there any more: it costs nothing, and can be damaged.
    verdict = Verdict(verdict_name(b"v" * 16), Finding.CONDEMNED, frozenset({PackId(b"gone" * 4)}))
    store.write(verdict.name, write_verdict(repository.seal, verdict))
    assert verified(store, EVERYTHING, sealed=sealed).clean


@pytest.fixture
def house(whole: tuple[Store, list[SnapshotRef]]) -> tuple[Store, list[SnapshotRef]]:
    return copy_of(whole[0]), whole[1]


def repaired(store: Store, scope: Scope = EVERYTHING) -> str:
    """Repair what a verification finds; returns what was done."""
    return repair(opened(store), plan_repair(verified(store, scope))).summary()


def test_nothing_is_done_to_a_repository_that_is_whole(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, _ = house
    before = contents(store)
    plan = plan_repair(verified(store))
    assert not plan.has_work
    assert plan.as_text() == "There is nothing to repair"
    repair(opened(store), plan)
    assert contents(store) == before


def test_a_pack_with_damage_is_quarantined_and_what_is_whole_in_it_packed_anew(
    house: tuple[Store, list[SnapshotRef]],
) -> None:
    store, refs = house
    name, piece = picture(store, refs[1], 3)
    place = spoil(store, piece)
    plan = plan_repair(verified(store, EVERYTHING))
    assert plan.quarantine == (place.pack,)
    assert plan.rescue > 0
    assert "1 pack with damage will be quarantined" in plan.as_text()
    repair(opened(store), plan)
    later = opened(store)
    assert later.index().find(piece) is not None
    assert piece not in later.index()
    others = [entry.id for entry in later.index().entries_in(place.pack) if entry.id != piece]
    assert others
    assert not later.index().missing(others)
    assert store.size(pack_name(place.pack)) is not None
    found = verified(store)
    assert found.damages == ()
    assert [loss.entry.name for loss in found.losses if loss.entry] == [name]


def test_what_is_whole_is_packed_anew_though_an_index_file_begins_to_name_the_quarantined_packs(
    house: tuple[Store, list[SnapshotRef]],
) -> None:
    """The rescue stores an index file halfway, and no other one named those packs."""
    store, _ = house
    for name in objects(store, "index"):
        store.remove(name)
    packs = tuple(sorted(opened(store).holdings().packs))
    with small_packs():
        repair(opened(store), replace(plan_repair(verified(store)), quarantine=packs))
    later = opened(store)
    needed = [blob for source in SOURCES for _, blob, _ in blobs_of(later, source)]
    assert later.index().missing(needed) == set()


def test_the_next_backup_heals_what_a_repair_has_quarantined(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, refs = house
    spoil(store, picture(store, refs[1], 3)[1])
    repaired(store)
    assert not verified(store).clean
    with small_packs():
        back_up(opened(store), SOURCES[1], run=9)
    assert verified(store, EVERYTHING).clean
    assert [restore(opened(store), ref) for ref in refs] == SOURCES


def test_without_a_repair_the_next_backup_does_not_know_of_a_damaged_piece(
    house: tuple[Store, list[SnapshotRef]],
) -> None:
    """Why a repair is needed at all."""
    store, refs = house
    spoil(store, picture(store, refs[1], 3)[1])
    with small_packs():
        back_up(opened(store), SOURCES[1], run=9)
    assert verified(store, EVERYTHING).losses


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_a_pack_that_is_missing_or_cut_short_is_healed_by_the_next_backup_alone(
    house: tuple[Store, list[SnapshotRef]], cut: int
) -> None:
    store, refs = house
    place = opened(store).index().find(picture(store, refs[1], 3)[1])
    assert place is not None
    name = pack_name(place.pack)
    if cut:
        store.write(name, store.read(name)[: place.offset + cut])
    else:
        store.remove(name)
    assert verified(store).losses
    with small_packs():
        for run, source in enumerate(SOURCES):
            back_up(opened(store), source, run=20 + run)
    assert verified(store).losses == ()
    assert [restore(opened(store), ref) for ref in refs] == SOURCES


@pytest.mark.parametrize("number", [0, 1])
def test_a_damaged_index_file_is_replaced_by_what_packs_say_and_moved_aside(
    house: tuple[Store, list[SnapshotRef]], number: int
) -> None:
    store, refs = house
    name = objects(store, "index")[number]
    flip(store, name, 77)
    spoiled = store.read(name)
    assert repaired(store, STRUCTURE) == "replaced 1 index file"
    assert store.size(name) is None
    assert store.read(f"{QUARANTINE}/{name}") == spoiled
    assert opened(store).holdings().unindexed == ()
    assert verified(store, EVERYTHING).clean
    assert [restore(opened(store), ref) for ref in refs] == SOURCES


def test_an_index_file_that_lies_is_replaced_and_what_it_alone_knows_is_kept(
    house: tuple[Store, list[SnapshotRef]],
) -> None:
    """A pack that can't say itself what it holds is still told of by the index file that is moved aside."""
    store, refs = house
    repository = opened(store)
    index = repository.index()
    entries = [entry for pack in index.pack_ids for entry in index.entries_in(pack)]
    one, other = (index.entries_in(pack)[0] for pack in index.pack_ids[:2])
    lie = PackEntry(one.id, other.location)
    for old in objects(store, "index"):
        store.remove(old)
    store.write(name := f"index/{'5a' * 16}", write_index_table(repository.seal, name, index_table([*entries, lie])))
    silent = index.pack_ids[3]
    flip(store, pack_name(silent), -40)
    found = verified(store)
    assert {damage.kind for damage in found.damages} == {Kind.INDEX, Kind.PACK}
    before = restorable(store)
    repair(opened(store), plan_repair(found))
    assert restorable(store).items() >= before.items()
    assert opened(store).holdings().unindexed == ()
    assert verified(store, EVERYTHING).clean
    assert [restore(opened(store), ref) for ref in refs] == SOURCES


def test_a_pack_of_which_the_index_does_not_tell_all_is_taken_in(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, _ = house
    seal = opened(store).seal
    blobs = [encode_blob(seal, BlobKind.DATA, seal.blob_id(text), text) for text in (b"a", b"b")]
    pack = build_pack(seal, PackId(b"p" * 16), blobs)
    store.write(pack_name(pack.id), pack.content)
    store.write(name := f"index/{'7c' * 16}", write_index_table(seal, name, index_table(pack.entries[:1])))
    plan = plan_repair(verified(store))
    assert plan.index_anew == (pack.id,)
    repair(opened(store), plan)
    assert not opened(store).index().missing([blob.id for blob in blobs])
    assert verified(store).clean
    assert store.size(name) is not None


def test_an_index_file_and_a_pack_that_both_can_not_be_read_are_healed_from_this_computers_copy(
    house: tuple[Store, list[SnapshotRef]], tmp_path: Path
) -> None:
    store, refs = house
    open_repository(store, tmp_path).index()
    for name in objects(store, "index"):
        flip(store, name, 77)
    flip(store, objects(store, "packs")[2], -40)
    plan = plan_repair(verified(store))
    assert plan.losses
    repair(open_repository(store, tmp_path), plan)
    assert verified(store, EVERYTHING).clean
    assert [restore(opened(store), ref) for ref in refs] == SOURCES


def test_a_damaged_manifest_is_put_back_from_this_computers_copy(
    house: tuple[Store, list[SnapshotRef]], tmp_path: Path
) -> None:
    store, refs = house
    open_repository(store, tmp_path).manifest(refs[1])
    name = snapshot_name(PROFILE, refs[1].id)
    flip(store, name, 33)
    plan = plan_repair(verified(store))
    assert repair(opened(store), plan).manifests == 0
    assert not verified(store).clean
    assert repair(open_repository(store, tmp_path), plan).manifests == 1
    assert verified(store).clean
    assert restore(opened(store), refs[1]) == SOURCES[1]
    assert store.size(f"{QUARANTINE}/{name}") is not None


@pytest.mark.parametrize("folder", ["verdicts", "checks"])
def test_what_can_not_be_read_and_is_not_needed_is_moved_aside(
    house: tuple[Store, list[SnapshotRef]], folder: str
) -> None:
    store, _ = house
    (name,) = objects(store, folder)
    flip(store, name, 20)
    assert repaired(store, STRUCTURE) == "moved 1 object aside"
    assert store.size(f"{QUARANTINE}/{name}") is not None
    assert verified(store).clean


def test_a_repair_stopped_at_any_request_loses_nothing_and_is_finished_by_the_next(
    house: tuple[Store, list[SnapshotRef]],
) -> None:
    original, refs = house
    for damage in (
        lambda store: spoil(store, picture(store, refs[1], 3)[1]),
        lambda store: flip(store, objects(store, "index")[0], 77),
        lambda store: flip(store, objects(store, "verdicts")[0], 20),
    ):
        damage(original)
    plan = plan_repair(verified(original, EVERYTHING))
    before = restorable(original)
    spoiled = {name: original.read(name) for name in (*plan.reindex, *(damage.name for damage in plan.move))}
    assert len(spoiled) == 2
    counting = FaultyStore(copy_of(original))
    repository = opened(counting)
    already = counting.count(*WRITING)
    repair(repository, plan)
    total = counting.count(*WRITING) - already
    assert total >= 8
    for nth in range(1, total + 1):
        store = FaultyStore(copy_of(original))
        repository = opened(store)
        store.fail(WRITING, nth=nth, every=True)
        with pytest.raises(StorageError):
            repair(repository, plan)
        store.heal()
        assert restorable(store).items() >= before.items()
        there = contents(store)
        assert all(content in (there.get(name), there.get(f"{QUARANTINE}/{name}")) for name, content in spoiled.items())
        repaired(store)
        found = verified(store, EVERYTHING)
        assert found.damages == ()
        assert len(found.losses) == 1
        assert restorable(store).items() >= before.items()


def test_a_repair_carried_out_twice_changes_nothing_the_second_time(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, refs = house
    spoil(store, picture(store, refs[1], 3)[1])
    flip(store, objects(store, "index")[0], 77)
    repaired(store)
    before = contents(store)
    plan = plan_repair(verified(store))
    assert not plan.has_work
    repair(opened(store), plan)
    assert contents(store) == before


def test_whole_pieces_that_lie_only_in_quarantine_are_planned_for_even_after_a_stop(
    house: tuple[Store, list[SnapshotRef]],
) -> None:
    store, refs = house
    place = spoil(store, picture(store, refs[1], 3)[1])
    verdict = Verdict(verdict_name(b"q" * 16), Finding.QUARANTINED, frozenset({place.pack}))
    store.write(verdict.name, write_verdict(opened(store).seal, verdict))
    found = verified(store)
    assert any("`recollect repair` packs anew what is whole" in remark for remark in found.remarks)
    plan = plan_repair(found)
    assert (plan.quarantine, plan.rescue > 0) == ((), True)
    assert repair(opened(store), plan).rescued == plan.rescue


def test_a_quarantined_pack_whose_pieces_lie_elsewhere_is_no_damage(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, refs = house
    _, piece = picture(store, refs[0], 0)
    ((_, content),) = opened(store).read([piece])
    with WriteSession(store, opened(store).seal, Index(), uploads=1) as session:
        session.add(BlobKind.DATA, piece, content)
        session.close()
    spoil(store, piece)
    repaired(store)
    found = verified(store, EVERYTHING)
    assert found.clean
    assert any("quarantined" in remark for remark in found.remarks)


def test_a_plan_says_the_same_in_json(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, refs = house
    place = spoil(store, picture(store, refs[1], 3)[1])
    told = json.loads(json.dumps(plan_repair(verified(store, EVERYTHING)).as_json()))
    assert told["quarantine"] == [place.pack.hex()]
    assert told["losses"][0]["entry"] == picture(store, refs[1], 3)[0].decode()


# Any damage at all


@st.composite
def damage_to(draw: st.DrawFn, content: bytes) -> tuple[str, bytes | None]:
    """What becomes of an object, and what that is called."""
    at = draw(st.integers(0, len(content) - 1))
    how = draw(st.sampled_from(["flipped", "cut", "gone"]))
    if how == "flipped":
        return how, content[:at] + bytes([content[at] ^ 1 << draw(st.integers(0, 7))]) + content[at + 1 :]
    return how, content[:at] if how == "cut" else None


COSTS_NOTHING = ("index/", "verdicts/", "checks/", "trash/", "snapshots/")
"""What is gone from there is not missed: packs say themselves what they hold, and what a manifest does not name is no
snapshot (the census of a sweep notices that one is gone)."""


def is_surely_found(name: str, how: str, done: list[tuple[str, str]], *, sealed: bool) -> bool:
    """Whether a verification that reads everything must find this damage."""
    if name.startswith("packs/"):
        # Padding is noise that nothing depends on; and who needs a pack, when its snapshot is gone?
        forgotten = any(other.startswith(("snapshots/", "trash/")) for other, _ in done)
        return not (sealed and how == "flipped") and not (forgotten and how == "gone")
    return how != "gone" or not name.startswith(COSTS_NOTHING)


@pytest.fixture(scope="module", params=["open", "sealed"])
def small(request: pytest.FixtureRequest) -> tuple[Store, bool]:
    """A smaller repository that has everything, and whether it is sealed."""
    store, sealed = in_memory(), request.param == "sealed"
    sources = [source_of(seed, pages=16, media=12) for seed in (0, 6)]
    stocked(store, sources, sealed=sealed)
    add_trash_verdict_and_record(store, sources[0], sealed=sealed)
    return store, sealed


def holds_for_any_damage(whole: Store, data: st.DataObject, *, sealed: bool) -> None:
    store = copy_of(whole)
    names = [name for name in objects(store) if name != "recollect.json"]
    done: list[tuple[str, str]] = []
    for name in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)):
        how, content = data.draw(damage_to(store.read(name)))
        if content is None:
            store.remove(name)
        else:
            store.write(name, content)
        done.append((name, how))
    try:
        found = verify(opened(store, sealed=sealed), EVERYTHING)
    except WrittenUnderNewerKey:
        # A flipped bit in the number of the key looks like a newer key. Where a verdict, or more than one object, seems
        # to be under one, others can read what is there: all work ends with that sentence.
        unknown = [name for name, how in done if how == "flipped" and store.read(name)[1:3] != b"\1\0"]
        assert sealed
        assert len(unknown) > 1 or unknown[0].startswith("verdicts/")
        return
    assert not found.clean or not any(is_surely_found(name, how, done, sealed=sealed) for name, how in done)
    before = restorable(store, sealed=sealed)
    repair(opened(store, sealed=sealed), plan_repair(found))
    after = restorable(store, sealed=sealed)
    assert after.items() >= before.items()
    later = verify(opened(store, sealed=sealed), EVERYTHING)
    assert {damage.kind for damage in later.damages} <= {Kind.MANIFEST}
    assert not plan_repair(later).has_work
    repair(opened(store, sealed=sealed), plan_repair(later))
    assert restorable(store, sealed=sealed) == after


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_any_damage_is_found_and_a_repair_makes_nothing_worse(small: tuple[Store, bool], data: st.DataObject) -> None:
    holds_for_any_damage(small[0], data, sealed=small[1])


@pytest.mark.torture
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_great_deal_of_damage_is_found_and_a_repair_makes_nothing_worse(
    small: tuple[Store, bool], data: st.DataObject
) -> None:
    holds_for_any_damage(small[0], data, sealed=small[1])
