from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage.checking.damage import Kind
from storage.checking.survey import Survey
from storage.checking.verification import EVERYTHING, STRUCTURE, Scope, Verification, verify
from storage.errors import StoreReadOnly, StoreUnreachable, WrittenUnderNewerKey
from storage.format.blob import BlobId, BlobKind, PackId, pack_name
from storage.format.census import Census, census_name, write_census
from storage.format.check_record import CHECKS
from storage.format.index_table import index_table, write_index_table
from storage.format.keyring import with_new_generation
from storage.format.listing import read_folder_branches
from storage.format.manifest import new_snapshot_id, snapshot_name
from storage.format.pack import PackEntry, build_pack, encode_blob
from storage.format.sealing import AesSeal
from storage.format.verdict import Finding, Verdict, verdict_name, write_verdict
from storage.index import Index
from storage.listings import read_folder, read_pieces
from storage.repository import Repository, SnapshotRef
from storage.retrieval import folder_entries
from storage.store import Store, StoredObject
from storage.walking import Walk
from storage.writing import WriteSession
from tests.faults.faulty_store import WRITING, FaultyStore
from tests.storage.damage_house import (
    KEYRING,
    SOURCES,
    contents,
    copy_of,
    flip,
    in_memory,
    objects,
    opened,
    small_packs,
    spoil,
    stocked,
    verified,
)
from tests.storage.newer_version import make_it_of_a_newer_version
from tests.storage.small_backup import PROFILE, back_up, source_of, store_pieces

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def whole() -> tuple[Store, list[SnapshotRef]]:
    """A repository with three snapshots that is as it should be; tests work on copies."""
    store = in_memory()
    return store, stocked(store)


@pytest.fixture
def house(whole: tuple[Store, list[SnapshotRef]]) -> tuple[Store, list[SnapshotRef]]:
    return copy_of(whole[0]), whole[1]


def picture(store: Store, ref: SnapshotRef, number: int) -> tuple[bytes, BlobId]:
    """The name and the only piece of one of a snapshot's media."""
    repository = opened(store)
    entries = list(read_folder(repository.read, repository.manifest(ref).folders[0].entries))
    root = entries[number].content.root
    assert root is not None
    return entries[number].name, root


def kinds(found: Verification) -> list[Kind]:
    return [damage.kind for damage in found.damages]


# A whole repository


@pytest.mark.parametrize("sealed", [False, True])
def test_a_whole_repository_is_clean_and_only_the_record_of_what_was_read_is_written(sealed: bool) -> None:
    store = in_memory()
    stocked(store, sealed=sealed)
    before = contents(store)
    assert verified(store, sealed=sealed).clean
    assert contents(store) == before
    found = verified(store, EVERYTHING, sealed=sealed)
    assert found.clean
    assert (found.packs_read, found.snapshots) == (len(objects(store, "packs")), 3)
    assert {name: content for name, content in contents(store).items() if not name.startswith(CHECKS)} == before
    assert len(objects(store, CHECKS)) == 1


def test_an_empty_repository_is_clean() -> None:
    store = in_memory()
    stocked(store, [source_of(0, pages=0, media=0)])
    assert verified(store, EVERYTHING).clean


def test_the_structure_is_looked_at_without_reading_any_content(house: tuple[Store, list[SnapshotRef]]) -> None:
    store = FaultyStore(house[0])
    verified(store)
    assert store.count("read", folder="packs") == 0
    nodes = sum(item.size for item in house[0].list("packs"))
    assert store.bytes_of("read_range", "packs") < nodes / 3


# What is damaged is found, and named by what it costs


def test_a_flipped_bit_in_a_picture_is_found_by_reading_and_named_with_the_snapshots_that_lack_it(
    house: tuple[Store, list[SnapshotRef]],
) -> None:
    store, refs = house
    name, piece = picture(store, refs[1], 3)
    place = spoil(store, piece)
    assert verified(store).clean
    found = verified(store, EVERYTHING)
    assert not found.clean
    assert [(one.kind, one.name) for one in found.damages] == [(Kind.PACK, pack_name(place.pack))]
    (loss,) = found.losses
    assert loss.entry is not None
    assert (loss.profile, loss.entry.name, loss.snapshots) == ("Ada", name, (refs[0].id, refs[1].id))
    assert repr(name.decode()) in loss.as_text()
    assert "2 snapshots" in loss.as_text()
    assert found.snapshots_hurt() == 2


def test_damage_that_was_found_stays_found_without_reading_everything_again(
    house: tuple[Store, list[SnapshotRef]],
) -> None:
    store, refs = house
    spoil(store, picture(store, refs[1], 3)[1])
    first = verified(store, EVERYTHING)
    again = verified(store)
    assert (again.damages, again.losses) == (first.damages, first.losses)
    assert again.packs_read == 1


def test_lost_pages_are_counted_for_the_snapshots_that_need_them(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, refs = house
    repository = opened(store)
    own = [set(read_pieces(repository.read, repository.manifest(ref).files[0].pieces)) for ref in refs]
    only_first = sorted(own[0] - own[1] - own[2])
    for page in only_first[:2]:
        spoil(store, page)
    (loss,) = verified(store, EVERYTHING).losses
    assert (loss.name, loss.pieces, loss.of, loss.snapshots) == ("collection.anki2", 2, 70, (refs[0].id,))
    assert "2 of 70 pieces of collection.anki2" in loss.as_text()


def test_a_copy_that_is_whole_elsewhere_makes_damage_no_loss(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, refs = house
    repository = opened(store)
    _, piece = picture(store, refs[0], 0)
    ((_, content),) = repository.read([piece])
    with WriteSession(store, repository.seal, Index(), uploads=1) as session:
        session.add(BlobKind.DATA, piece, content)
        session.close()
    spoil(store, piece)
    found = verified(store, EVERYTHING)
    assert kinds(found) == [Kind.PACK]
    assert "of 1 of them there is a whole copy elsewhere" in found.damages[0].how
    assert found.losses == ()
    assert "no snapshot has lost anything" in found.summary()


PICTURE_OR_LIST = "picture 0.jpg|the list of all files in collection.media"
"""What lies in one pack with what depends on which thread was first: the picture alone, or the folder's list, too."""


def drop_pack_of_a_picture(store: Store, refs: list[SnapshotRef]) -> None:
    place = opened(store).index().find(picture(store, refs[0], 0)[1])
    assert place is not None
    store.remove(pack_name(place.pack))


def cut_pack_of_a_picture(store: Store, refs: list[SnapshotRef]) -> None:
    place = opened(store).index().find(picture(store, refs[0], 0)[1])
    assert place is not None
    store.write(pack_name(place.pack), store.read(pack_name(place.pack))[: place.offset + 1])


def spoil_a_pieces_node(store: Store, refs: list[SnapshotRef]) -> None:
    root = opened(store).manifest(refs[0]).files[0].pieces.root
    assert root is not None
    spoil(store, root)


def spoil_a_folder_root(store: Store, refs: list[SnapshotRef]) -> None:
    root = opened(store).manifest(refs[0]).folders[0].entries.root
    assert root is not None
    spoil(store, root)


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        (drop_pack_of_a_picture, PICTURE_OR_LIST),
        (cut_pack_of_a_picture, PICTURE_OR_LIST),
        (spoil_a_pieces_node, "lost collection.anki2"),
        (spoil_a_folder_root, "the list of all files in collection.media"),
    ],
)
def test_what_is_lost_is_found_without_reading_content(
    house: tuple[Store, list[SnapshotRef]], damage: Callable[[Store, list[SnapshotRef]], None], lost: str
) -> None:
    store, refs = house
    damage(store, refs)
    found = verified(store)
    told = [loss.as_text() for loss in found.losses if refs[0].id in loss.snapshots]
    assert any(re.search(lost, text) for text in told), told


def test_a_damaged_leaf_of_a_folder_costs_the_files_it_names_and_no_other() -> None:
    store = in_memory()
    (ref,) = stocked(store, [source_of(0, pages=3, media=200)])
    repository = opened(store)
    folder = repository.manifest(ref).folders[0]
    assert folder.entries.root is not None
    assert folder.entries.levels == 2
    ((_, root),) = repository.read([folder.entries.root])
    branches = read_folder_branches(root, 1)
    spoil(store, branches[1].id)
    found = verified(store)
    (loss,) = found.losses
    assert loss.range is not None
    assert (loss.range.after, loss.range.to) == (branches[0].last_name, branches[1].last_name)
    lost = []
    listed = list(folder_entries(opened(store), folder, lost=lambda names, _: lost.append(names)))
    assert lost == [loss.range]
    names = [entry.name for entry in listed]
    assert 0 < len(names) < 200
    assert not [name for name in names if branches[0].last_name < name <= branches[1].last_name]  # type: ignore[operator]


def test_a_snapshot_of_a_newer_version_is_not_said_to_be_all_there(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, refs = house
    make_it_of_a_newer_version(store, opened(store).seal, refs[1])
    found = verified(store)
    assert found.clean
    assert found.snapshots == 2
    assert "All is there that 2 snapshots need" in found.summary()
    (remark,) = found.remarks
    assert refs[1].id in remark


@pytest.mark.parametrize("late", [1, 9])
def test_a_snapshot_that_is_listed_and_lies_nowhere_is_looked_for_again(
    house: tuple[Store, list[SnapshotRef]], late: int
) -> None:
    """A listing may be late, once or for longer."""
    store, refs = house
    phantom = snapshot_name(PROFILE, new_snapshot_id(NOW, b"gone"))

    class Late(FaultyStore):
        """Shows a snapshot that is gone."""

        def list(self, prefix: str) -> list[StoredObject]:
            found = super().list(prefix)
            shown = prefix == "snapshots" and self.count("list", folder="snapshots") <= late
            return [*found, StoredObject(phantom, 1000, NOW)] if shown else found

    faulty = Late(store)
    found = verified(faulty)
    assert found.clean
    assert found.snapshots == len(refs)
    assert faulty.count("list", folder="snapshots") == 2
    assert any("listed, and not there" in remark for remark in found.remarks) == (late > 1)


def test_a_damaged_manifest_is_named_and_all_other_snapshots_stand(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, refs = house
    name = snapshot_name(PROFILE, refs[1].id)
    flip(store, name, 40)
    found = verified(store)
    assert [(one.kind, one.name) for one in found.damages] == [(Kind.MANIFEST, name)]
    assert found.losses == ()
    assert found.snapshots_hurt() == 1


@pytest.mark.parametrize("read", [STRUCTURE, EVERYTHING])
@pytest.mark.parametrize("at", [-5, -100])
def test_a_damaged_table_of_a_pack_is_found(house: tuple[Store, list[SnapshotRef]], at: int, read: Scope) -> None:
    store, _ = house
    flip(store, objects(store, "packs")[0], at)
    found = verified(store, read)
    assert kinds(found) == [Kind.PACK]
    assert found.losses == ()


def test_a_damaged_index_file_is_found_and_costs_nothing(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, _ = house
    name = objects(store, "index")[0]
    flip(store, name, 200)
    found = verified(store)
    assert [(one.kind, one.name) for one in found.damages] == [(Kind.INDEX, name)]
    assert found.losses == ()


def test_an_index_file_that_tells_what_its_packs_do_not_hold_is_found(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, _ = house
    repository = opened(store)
    index = repository.index()
    one, other = (index.entries_in(pack)[0] for pack in index.pack_ids[:2])
    name = f"index/{'5a' * 16}"
    store.write(name, write_index_table(repository.seal, name, index_table([PackEntry(one.id, other.location)])))
    found = verified(store)
    assert [(damage.kind, damage.name) for damage in found.damages] == [(Kind.INDEX, name)]


def test_an_index_file_that_tells_another_key_than_its_pack_is_found(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, _ = house
    repository = opened(store)
    pack = repository.index().pack_ids[0]
    name = f"index/{'5a' * 16}"
    lies = [PackEntry(one.id, one.location, 7) for one in repository.index().entries_in(pack)]
    old = list(objects(store, "index"))
    store.write(name, write_index_table(repository.seal, name, index_table(lies)))
    for one in old:
        store.remove(one)
    found = verified(store)
    assert [(damage.kind, damage.name) for damage in found.damages] == [(Kind.INDEX, name)]


def test_a_pack_of_which_the_index_does_not_tell_all_is_found() -> None:
    store = in_memory()
    stocked(store, [source_of(0, pages=1, media=0)])
    repository = opened(store)
    blobs = [encode_blob(repository.seal, BlobKind.DATA, repository.seal.blob_id(text), text) for text in (b"a", b"b")]
    pack = build_pack(repository.seal, PackId(b"p" * 16), blobs)
    store.write(pack_name(pack.id), pack.content)
    store.write(name := f"index/{'7c' * 16}", write_index_table(repository.seal, name, index_table(pack.entries[:1])))
    found = verified(store)
    assert [(damage.kind, damage.pack) for damage in found.damages] == [(Kind.UNINDEXED, pack.id)]


def test_a_damaged_verdict_is_found(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, _ = house
    seal = opened(store).seal
    verdict = Verdict(verdict_name(b"v" * 16), Finding.CONDEMNED, frozenset({opened(store).index().pack_ids[0]}))
    store.write(verdict.name, write_verdict(seal, verdict)[:-1] + b"!")
    assert kinds(verified(store)) == [Kind.VERDICT]


def test_a_snapshot_in_the_trash_that_can_not_be_read_is_found(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, refs = house
    opened(store).move_to_trash(refs[0])
    assert verified(store).clean
    flip(store, objects(store, "trash")[0], 30)
    assert kinds(verified(store)) == [Kind.MANIFEST]


def test_a_pack_that_is_not_needed_and_not_there_is_a_remark(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, _ = house
    before = objects(store, "packs")
    with small_packs():
        store_pieces(opened(store), source_of(500, pages=70, media=20))
    store.remove(next(name for name in objects(store, "packs") if name not in before))
    found = verified(store, EVERYTHING)
    assert found.clean
    assert any("names 1 pack that is not there" in remark for remark in found.remarks)


# What is no damage


@pytest.mark.parametrize("scope", [STRUCTURE, EVERYTHING])
def test_a_bit_that_flips_on_its_way_is_no_damage(whole: tuple[Store, list[SnapshotRef]], scope: Scope) -> None:
    calm = FaultyStore(copy_of(whole[0]))
    verified(calm, scope)
    reading = calm.count("read", "read_range")
    for nth in range(3, reading, max(1, reading // 12)):  # the first is recollect.json, which opening reads
        store = FaultyStore(copy_of(whole[0]))
        store.flip(at=-30, nth=nth)
        assert verified(store, scope).clean


@pytest.mark.parametrize("nth", [2, 5, 9, 14])
def test_a_store_that_does_not_answer_is_an_error_and_no_damage(
    house: tuple[Store, list[SnapshotRef]], nth: int
) -> None:
    store = FaultyStore(house[0])
    repository = opened(store)
    store.fail(frozenset({"read", "read_range", "list"}), nth=nth, every=True)
    with pytest.raises(StoreUnreachable):
        verify(repository, EVERYTHING)


def test_what_was_removed_while_it_was_looked_at_is_no_damage() -> None:
    """As when a sweep does its work meanwhile: a snapshot is forgotten, its packs are removed."""
    store = in_memory()
    refs = stocked(store, [source_of(900, pages=70, media=20), *SOURCES[:2]])
    repository = opened(store)
    explore = Survey.explore

    def meanwhile(self: Survey, *args: Any) -> None:
        name = snapshot_name(PROFILE, refs[0].id)
        if store.size(name) is not None:
            store.remove(name)
            _drop_what_nobody_needs(store, refs[1:])
        explore(self, *args)

    packs = len(objects(store, "packs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Survey, "explore", meanwhile)
        found = verify(repository)
    assert len(objects(store, "packs")) < packs
    assert found.clean
    assert found.snapshots == 2


def _drop_what_nobody_needs(store: Store, staying: list[SnapshotRef]) -> None:
    repository = opened(store)
    manifests = [repository.manifest(ref) for ref in staying]
    needed = {blob for batch in Walk(repository.read).blobs(manifests) for blob in batch}
    for pack in repository.index().pack_ids:
        if not needed & {entry.id for entry in repository.index().entries_in(pack)}:
            store.remove(pack_name(pack))


def test_packs_that_were_written_under_a_newer_key_are_no_damage() -> None:
    store = in_memory()
    stocked(store, sealed=True)
    old = opened(store, sealed=True)
    newer = AesSeal(bytes.fromhex(old.id), with_new_generation(KEYRING))
    with small_packs():
        back_up(Repository(store, old.configuration, newer, None), source_of(60, pages=1, media=0), run=9)
    with pytest.raises(WrittenUnderNewerKey, match="under a key"):
        verify(old)


def test_records_that_were_written_under_a_newer_key_are_no_damage() -> None:
    store = in_memory()
    stocked(store, sealed=True)
    old = opened(store, sealed=True)
    newer = AesSeal(bytes.fromhex(old.id), with_new_generation(KEYRING))
    for number in range(2):
        census = Census(census_name(NOW, bytes((number,)) * 4), frozenset())
        store.write(census.name, write_census(newer, census))
    with pytest.raises(WrittenUnderNewerKey, match="under a key"):
        verify(old)


# What is read when


def test_a_share_reads_what_was_not_read_for_the_longest_until_all_is_read(
    house: tuple[Store, list[SnapshotRef]],
) -> None:
    store, _ = house
    packs = len(objects(store, "packs"))
    seen = []
    for day in range(packs):
        found = verified(store, Scope(data=True, packs=1), now=NOW + timedelta(days=day))
        seen.append(found.coverage.unread_packs)
    assert seen == list(range(packs - 1, -1, -1))
    assert (found.coverage.oldest, found.coverage.newest) == (NOW, NOW + timedelta(days=packs - 1))
    assert found.coverage.days == pytest.approx(packs, rel=0.25)
    assert "Every byte was last read between" in found.coverage.as_text()
    assert f"at this rate all is read every {found.coverage.days:.0f} days" in found.coverage.as_text()
    again = verified(store, Scope(data=True, packs=1), now=NOW + timedelta(days=packs))
    assert again.coverage.oldest == NOW + timedelta(days=1)
    assert len(objects(store, CHECKS)) == 1


def test_a_share_reads_at_least_its_part_of_all_bytes(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, _ = house
    total = sum(item.size for item in store.list("packs"))
    found = verified(store, Scope(data=True, share=0.4))
    assert 0.4 * total <= found.bytes_read < 0.6 * total


def test_what_was_read_before_the_store_failed_counts(house: tuple[Store, list[SnapshotRef]]) -> None:
    store = FaultyStore(house[0])
    repository = opened(store)
    store.fail(frozenset({"read"}), nth=6, folder="packs", every=True)
    with pytest.raises(StoreUnreachable):
        verify(repository, EVERYTHING)
    store.heal()
    assert 0 < verified(store).coverage.unread_packs < len(objects(store, "packs"))


def test_a_repository_that_can_only_be_read_is_verified_all_the_same(house: tuple[Store, list[SnapshotRef]]) -> None:
    store = FaultyStore(house[0])
    store.fail(WRITING, every=True, error=StoreReadOnly)
    found = verified(store, EVERYTHING)
    assert found.clean
    assert any("could not be noted down" in remark for remark in found.remarks)


def test_two_verifications_at_once_forget_nothing_of_each_other(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, _ = house
    before = contents(store)
    verified(store, Scope(data=True, packs=2), now=NOW)
    one = {name: content for name, content in contents(store).items() if name not in before}
    twin = copy_of(store)
    verified(store, Scope(data=True, packs=2), now=NOW + timedelta(days=1))
    verified(twin, Scope(data=True, packs=2), now=NOW + timedelta(days=1, hours=1))
    for name, content in contents(twin).items():
        if name.startswith(CHECKS) and name not in one:
            store.write(name, content)
    assert len(objects(store, CHECKS)) == 2
    assert verified(store).coverage.unread_packs == len(objects(store, "packs")) - 4
    verified(store, Scope(data=True, packs=1), now=NOW + timedelta(days=2))
    assert len(objects(store, CHECKS)) == 1


def test_a_record_under_a_clock_that_was_ahead_does_not_count(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, _ = house
    verified(store, EVERYTHING, now=NOW + timedelta(days=3650))
    found = verified(store, now=NOW)
    assert found.coverage.unread_packs == found.packs


def test_nothing_in_the_words_breaks_when_json_is_made_of_them(house: tuple[Store, list[SnapshotRef]]) -> None:
    store, refs = house
    spoil(store, picture(store, refs[1], 3)[1])
    told = json.loads(json.dumps(verified(store, EVERYTHING).as_json()))
    assert told["clean"] is False
    assert told["losses"][0]["entry"].startswith("picture")
