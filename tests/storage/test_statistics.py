from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from storage.format.blob import BlobKind
from storage.format.index_table import index_table, write_index_table
from storage.format.manifest import ProfileKey, profile_key
from storage.format.verdict import Finding, Verdict, verdict_name, write_verdict
from storage.index import Index
from storage.opening import open_repository
from storage.repository import Repository, SnapshotRef
from storage.statistics import statistics
from storage.store import Store, StoredObject
from storage.walking import Walk
from storage.writing import WriteSession
from tests.faults.faulty_store import FaultyStore
from tests.storage.damage_house import SOURCES, copy_of, flip, in_memory, objects, opened, small_packs, spoil, stocked
from tests.storage.small_backup import PROFILE, Source, manifest_of, source_of, store_pieces

BEN = profile_key("Ben", "desk", "/home/ben/Anki2/Ben")


def back_up_ben(repository: Repository, source: Source, *, run: int) -> SnapshotRef:
    with small_packs():
        store_pieces(repository, source)
        manifest = manifest_of(repository, source, run=run)
        return repository.commit(replace(manifest, profile="Ben", profile_key=BEN))[0]


def needed(repository: Repository, *keys: ProfileKey) -> set[bytes]:
    """Every blob that the snapshots of these profiles are made of, found by a walk of its own."""
    manifests = [repository.manifest(ref) for ref in repository.snapshots() if ref.profile_key in keys]
    return {blob for batch in Walk(repository.read).blobs(manifests) for blob in batch}


def bytes_of(repository: Repository, blobs: set[bytes]) -> tuple[int, int]:
    """Plain and stored bytes."""
    places = [repository.index().find(blob) for blob in blobs]  # type: ignore[arg-type]
    return sum(place.length for place in places if place), sum(place.stored for place in places if place)


def plain(source: Source) -> int:
    return len(source.collection) + sum(map(len, source.media.values()))


@pytest.fixture(scope="module")
def two() -> Store:
    """Ada's three snapshots, and two of Ben's, who shares many of Ada's pictures."""
    store = in_memory()
    stocked(store)
    back_up_ben(opened(store), source_of(30, pages=70, media=20), run=10)
    back_up_ben(opened(store), source_of(36, pages=70, media=20), run=11)
    return store


def test_every_figure_is_what_a_count_by_hand_gives(two: Store) -> None:
    repository = opened(two)
    found = statistics(repository)
    ada, ben = found.profiles
    own, others, every = (
        needed(repository, PROFILE),
        needed(repository, BEN),
        needed(repository, PROFILE, BEN),
    )
    assert (ada.name, ada.key, ben.name, ben.key) == ("Ada", PROFILE, "Ben", BEN)
    assert (ada.amounts.unique_bytes, ada.amounts.stored_bytes) == bytes_of(repository, own)
    assert (ben.amounts.unique_bytes, ben.amounts.stored_bytes) == bytes_of(repository, others)
    assert (found.in_all.unique_bytes, found.in_all.stored_bytes) == bytes_of(repository, every)
    assert ada.only_bytes == bytes_of(repository, own - others)[1]
    assert ben.only_bytes == bytes_of(repository, others - own)[1]
    assert 0 < ben.only_bytes < ben.amounts.stored_bytes
    assert ada.amounts.newest_bytes == plain(SOURCES[-1])
    assert ada.amounts.all_bytes == sum(map(plain, SOURCES))
    assert (ada.amounts.snapshots, ben.amounts.snapshots, found.in_all.snapshots) == (3, 2, 5)
    assert found.in_all.newest_bytes == ada.amounts.newest_bytes + ben.amounts.newest_bytes
    assert ada.amounts.first == repository.snapshots(PROFILE)[0].taken_at
    assert ada.amounts.last == repository.snapshots(PROFILE)[-1].taken_at
    assert ada.amounts.deduplication == pytest.approx(ada.amounts.all_bytes / ada.amounts.unique_bytes)
    assert found.remarks == ()


def test_all_bytes_are_accounted_for(two: Store) -> None:
    found = statistics(opened(two))
    overhead = found.overhead
    assert found.bytes == sum(item.size for item in two.list(""))
    assert found.pack_bytes == found.in_all.stored_bytes + overhead.dead + overhead.trash + overhead.frames
    beside = overhead.index + overhead.manifests + overhead.audit + overhead.other
    assert found.bytes == found.pack_bytes + beside
    assert overhead.dead == 0


def test_what_is_forgotten_is_needed_by_the_trash_alone_and_what_nobody_needs_is_dead(two: Store) -> None:
    store = copy_of(two)
    repository = opened(store)
    before = statistics(repository)
    newest = repository.snapshots(BEN)[-1]
    repository.move_to_trash(newest)
    trashed = statistics(opened(store))
    assert trashed.overhead.dead == 0
    assert trashed.in_all.stored_bytes + trashed.overhead.trash == pytest.approx(before.in_all.stored_bytes, abs=1000)
    for name in objects(store, "trash"):
        store.remove(name)
    gone = statistics(opened(store))
    assert gone.overhead.dead == before.in_all.stored_bytes - gone.in_all.stored_bytes > 0


def test_a_second_copy_and_packs_on_their_way_out_are_told(two: Store) -> None:
    store = copy_of(two)
    repository = opened(store)
    blob = next(iter(repository.index().entries_in(repository.index().pack_ids[0])))
    ((_, content),) = repository.read([blob.id])
    with WriteSession(store, repository.seal, Index(), uploads=1) as session:
        session.add(BlobKind.DATA, blob.id, content)
        session.close()
    pack = repository.index().pack_ids[0]
    for finding, number in ((Finding.CONDEMNED, b"c"), (Finding.QUARANTINED, b"q")):
        verdict = Verdict(verdict_name(number * 16), finding, frozenset({pack}))
        store.write(verdict.name, write_verdict(repository.seal, verdict))
    found = statistics(opened(store))
    assert found.overhead.dead >= blob.location.stored - 64
    size = repository.holdings().packs[pack].size
    assert (found.overhead.condemned, found.overhead.quarantined) == (size, size)


def test_nothing_is_counted_twice_where_two_index_files_tell_the_same(two: Store) -> None:
    store = copy_of(two)
    before = statistics(opened(store))
    repository = opened(store)
    entries = [entry for pack in repository.index().pack_ids for entry in repository.index().entries_in(pack)]
    store.write(name := f"index/{'ab' * 16}", write_index_table(repository.seal, name, index_table(entries)))
    after = statistics(opened(store))
    assert after.in_all == before.in_all
    assert (after.overhead.dead, after.overhead.frames) == (before.overhead.dead, before.overhead.frames)


def test_an_empty_repository_has_no_figures() -> None:
    store = in_memory()
    stocked(store, [Source(b"", {})])
    found = statistics(opened(store))
    assert (found.in_all.snapshots, found.in_all.unique_bytes, found.in_all.compression) == (1, 0, None)


def test_what_can_not_be_read_is_left_out_and_remarked(two: Store) -> None:
    store = copy_of(two)
    repository = opened(store)
    root = repository.manifest(repository.snapshots(PROFILE)[0]).folders[0].entries.root
    assert root is not None
    spoil(store, root)
    flip(store, objects(store, "snapshots")[-1], 50)
    found = statistics(opened(store))
    assert found.in_all.snapshots == 4
    assert any("too low" in remark for remark in found.remarks)
    assert len(found.remarks) == 2


def test_what_leaves_the_trash_while_it_is_counted_is_passed_over(two: Store) -> None:
    store = copy_of(two)
    repository = opened(store)
    for ref in repository.snapshots(PROFILE)[:2]:
        repository.move_to_trash(ref)
    first, second = objects(store, "trash")

    class Emptied(FaultyStore):
        """The trash is emptied just after it was listed."""

        def list(self, prefix: str) -> list[StoredObject]:
            found = self.inner.list(prefix)
            if prefix == "trash":
                self.inner.remove(first)
            return found

    found = statistics(opened(Emptied(store)))
    assert (found.in_all.snapshots, found.remarks) == (3, ())
    assert objects(store, "trash") == [second]


def test_a_forgotten_snapshot_that_this_computer_knows_is_not_read_again(two: Store, tmp_path: Path) -> None:
    store = copy_of(two)
    opened(store).move_to_trash(*opened(store).snapshots(PROFILE)[:2])
    reads = []
    for _ in range(2):
        counting = FaultyStore(store)
        statistics(open_repository(counting, tmp_path))
        reads.append(counting.count("read", folder="trash"))
    assert reads == [2, 0]


def test_no_piece_of_any_file_is_read_and_no_node_twice(two: Store) -> None:
    store = FaultyStore(copy_of(two))
    statistics(opened(store))
    nodes = sum(item.size for item in two.list("packs"))
    assert store.bytes_of("read_range", "packs") < nodes
    assert store.count("read", folder="packs") == 0


def test_the_figures_are_told_in_json(two: Store) -> None:
    told = json.loads(json.dumps(statistics(opened(two)).as_json()))
    assert [profile["profile"] for profile in told["profiles"]] == ["Ada", "Ben"]
    assert told["in_all"]["snapshots"] == 5
    assert told["overhead"]["dead_bytes"] == 0
