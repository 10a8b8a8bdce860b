from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Event

import pytest

from storage import writing
from storage.errors import (
    Damaged,
    NotARepository,
    ObjectExists,
    SnapshotUnknown,
    StorageError,
    StoreFull,
    StoreUnreachable,
    UnsupportedFormat,
)
from storage.format.blob import BlobKind
from storage.format.configuration import CONFIGURATION_NAME, Configuration, write_configuration
from storage.format.manifest import (
    MANIFEST_FORMAT,
    ProfileKey,
    SnapshotId,
    snapshot_name,
    trash_name,
    write_manifest,
)
from storage.format.verdict import VERDICT_RECORD, Finding, Verdict, verdict_name, write_verdict
from storage.opening import create_repository, open_or_create_repository, open_repository
from storage.repository import Repository, SnapshotRef
from storage.store import Store, StoredObject
from storage.stores.address import open_store
from tests.faults.faulty_store import FaultyStore
from tests.storage.small_backup import PROFILE, Source, back_up, blobs_of, manifest_of, restore, source_of, store_pieces

FIRST, SECOND = source_of(0, pages=70, media=20), source_of(30, pages=70, media=20)
_NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def _small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several packs and index files in a backup of a few hundred kilobytes."""
    monkeypatch.setattr(writing, "PACK_BYTES", 24 * 1024)
    monkeypatch.setattr(writing, "_BATCH_BYTES", 8 * 1024)
    monkeypatch.setattr(writing, "PACKS_PER_INDEX", 2)


def in_memory() -> Store:
    return open_store(f"memory://repository-{os.getpid()}-{next(_NUMBERS)}")


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store")) if request.param == "folder" else in_memory()


def test_every_snapshot_comes_back_bit_for_bit(store: Store) -> None:
    repository = create_repository(store)
    sources = [FIRST, SECOND, Source(b"", {}), Source(FIRST.collection[:4096], {b"a": b"", b"b": b"x"})]
    refs = [back_up(repository, source, run=run) for run, source in enumerate(sources)]
    later = open_repository(store)
    assert later.snapshots() == later.snapshots(PROFILE) == refs
    assert [restore(later, ref) for ref in refs] == sources
    assert [ref.taken_at for ref in refs] == [manifest.taken_at for manifest in map(later.manifest, refs)]


def test_what_is_stored_already_is_not_stored_again(store: Store) -> None:
    repository = create_repository(FaultyStore(store))
    back_up(repository, FIRST, run=0)
    again = open_repository(counting := FaultyStore(store))
    back_up(again, FIRST, run=1)
    assert counting.count("write", "create") == 1
    assert [one.name.split("/")[0] for one in counting.requests if one.verb in {"write", "create"}] == ["snapshots"]


# Law 1: a snapshot exists if and only if its manifest does, and then it is whole.


def prepared() -> tuple[FaultyStore, SnapshotRef]:
    """A repository that holds a first snapshot."""
    store = FaultyStore(in_memory())
    return store, back_up(create_repository(store), FIRST, run=0, uploads=1)


def requests_of_a_whole_backup() -> int:
    store, _ = prepared()
    before = store.count()
    back_up(open_repository(store), SECOND, run=1, uploads=1)
    return store.count() - before


FAULTS: dict[str, Callable[[FaultyStore, int], None]] = {
    "unreachable": lambda store, nth: store.fail(nth=nth),
    "unreachable from then on": lambda store, nth: store.fail(nth=nth, every=True),
    "full": lambda store, nth: store.fail(frozenset({"write"}), nth=nth, error=StoreFull),
    "answer lost": lambda store, nth: store.lose_the_answer(nth=nth),
    "torn": lambda store, nth: store.tear(keep=100, nth=nth),
    "torn without a word": lambda store, nth: store.tear(keep=100, nth=nth, silently=True),
    "dropped without a word": lambda store, nth: store.drop(nth=nth),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_at_any_request_breaks_a_snapshot_or_makes_half_a_one(fault: str) -> None:
    total = requests_of_a_whole_backup()
    assert total > 15
    failed = 0
    for nth in range(1, total + 1):
        store, first = prepared()
        FAULTS[fault](store, nth)
        try:
            back_up(open_repository(store), SECOND, run=1, uploads=1)
        except StorageError:
            failed += 1
        store.heal()
        later = open_repository(store)
        whole = {ref: outcome for ref in later.snapshots() if isinstance(outcome := restored(later, ref), Source)}
        assert whole.pop(first) == FIRST
        assert all(source == SECOND for source in whole.values())
        if fault != "torn":  # what a medium must never do to a name: the manifest itself may be cut short
            assert len(later.snapshots()) == 1 + len(whole)
        third = back_up(later, SECOND, run=2)
        assert restore(open_repository(store), third) == SECOND
    assert failed >= 5


def restored(repository: Repository, ref: SnapshotRef) -> Source | Damaged:
    try:
        return restore(repository, ref)
    except Damaged as damage:
        return damage


def test_the_manifest_is_the_last_thing_written() -> None:
    store, _ = prepared()
    back_up(open_repository(store), SECOND, run=1)
    written = [request.name.partition("/")[0] for request in store.requests if request.verb in {"write", "create"}]
    assert written[-1] == "snapshots"
    assert written.count("snapshots") == 2
    assert written[-2] == "index"


def test_a_manifest_whose_pieces_were_never_stored_is_refused(store: Store) -> None:
    repository = create_repository(store)
    with pytest.raises(Damaged, match="not stored"):
        repository.commit(manifest_of(repository, FIRST, run=0))
    assert repository.snapshots() == []


@pytest.mark.parametrize("lost", range(6))
def test_a_pack_that_vanished_before_the_commit_is_noticed(lost: int) -> None:
    """As when another machine collects garbage meanwhile, or a server loses what it confirmed."""
    store, first = prepared()
    repository = open_repository(store)
    store_pieces(repository, SECOND)
    packs = [item.name for item in store.list("packs")]
    assert len(packs) > 6
    store.inner.remove(packs[lost])
    needed = restored_without(store, SECOND)
    if needed:
        with pytest.raises(Damaged):
            repository.commit(manifest_of(repository, SECOND, run=1))
        assert open_repository(store).snapshots() == [first]
    else:
        ref, _ = repository.commit(manifest_of(repository, SECOND, run=1))
        assert restore(open_repository(store), ref) == SECOND


def restored_without(store: FaultyStore, source: Source) -> bool:
    """Whether a backup of `source` would have to store anything again."""
    repository = open_repository(store)
    return bool(repository.index().missing([blob for _, blob, _ in blobs_of(repository, source)]))


def test_a_commit_into_a_place_that_holds_another_repository_by_now_is_refused(store: Store) -> None:
    repository = create_repository(store)
    store_pieces(repository, FIRST)
    store.write(CONFIGURATION_NAME, write_configuration(Configuration("f" * 32, "2026-01-01T00:00:00+00:00")))
    with pytest.raises(NotARepository, match="does not hold the repository any more"):
        repository.commit(manifest_of(repository, FIRST, run=0))
    assert store.list("snapshots") == []


@pytest.mark.parametrize("is_known", [True, False])
def test_no_snapshot_is_made_beside_a_verdict_of_a_newer_version(
    store: Store, is_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it says can be carried out by whoever wrote it."""
    first = back_up(create_repository(store), FIRST, run=0)
    repository = open_repository(store)
    if not is_known:
        store_pieces(repository, SECOND)
    with monkeypatch.context() as newer:
        newer.setattr(
            "storage.format.verdict.VERDICT_RECORD", replace(VERDICT_RECORD, version=VERDICT_RECORD.version + 1)
        )
        verdict = Verdict(verdict_name(b"n" * 16), Finding.CONDEMNED, frozenset(repository.holdings().packs))
        store.write(verdict.name, write_verdict(repository.seal, verdict))
    if is_known:
        repository = open_repository(store)
        store_pieces(repository, SECOND)
    with pytest.raises(UnsupportedFormat, match=r"another version.*Update Recollect"):
        repository.commit(manifest_of(repository, SECOND, run=1))
    assert open_repository(store).snapshots() == [first]


@pytest.mark.parametrize("kept", [0, 40])
def test_a_manifest_that_did_not_arrive_whole_is_taken_away_and_told(kept: int, tmp_path: Path) -> None:
    """The store says that all is well, and kept a part of it, or nothing."""

    class Forgetful(FaultyStore):
        forgets = True

        def create(self, name: str, data: bytes) -> None:
            if kept or not self.forgets:
                self.inner.create(name, data[:kept] if self.forgets else data)

    store, first = prepared()
    forgetful = Forgetful(store.inner)
    repository = open_repository(forgetful, tmp_path)
    with pytest.raises(Damaged, match="did not arrive whole"):
        back_up(repository, SECOND, run=1)
    assert open_repository(store.inner, tmp_path).snapshots() == [first]
    assert list((tmp_path).glob("*/snapshots/**/*-*-*")) == []
    forgetful.forgets = False
    assert restore(repository, back_up(repository, SECOND, run=2)) == SECOND


def test_a_manifest_that_a_late_listing_does_not_show_is_asked_for_itself() -> None:
    class Late(FaultyStore):
        def list(self, prefix: str) -> list[StoredObject]:
            return [] if prefix.startswith("snapshots") else super().list(prefix)

    store, first = prepared()
    late = Late(store.inner)
    ref = back_up(open_repository(late), SECOND, run=1)
    assert late.count("size", folder="snapshots/") == 1
    assert open_repository(store.inner).snapshots() == [first, ref]


def test_a_look_ahead_is_what_holdings_tell_and_is_made_once(store: Store) -> None:
    back_up(create_repository(store), FIRST, run=0)
    looked = Event()

    class Noticing(FaultyStore):
        def list(self, prefix: str) -> list[StoredObject]:
            looked.set()
            return super().list(prefix)

    counting = Noticing(store)
    repository = open_repository(counting)
    repository.look_ahead()
    assert looked.wait(60)
    repository.look_ahead()
    assert repository.holdings().packs == open_repository(store).holdings().packs
    assert counting.count("list", folder="packs") == 1
    repository.forget_index()
    repository.holdings()
    assert counting.count("list", folder="packs") == 2


def test_what_a_look_ahead_runs_into_is_told_to_whoever_asks_and_not_twice(store: Store) -> None:
    back_up(create_repository(store), FIRST, run=0)
    faulty = FaultyStore(store)
    repository = open_repository(faulty)
    faulty.fail(frozenset({"list"}))
    repository.look_ahead()
    with pytest.raises(StoreUnreachable):
        repository.holdings()
    assert repository.holdings().packs


def test_nodes_that_were_read_once_are_not_fetched_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = back_up(create_repository(store), FIRST, run=0)
    counting = FaultyStore(store)
    repository = open_repository(counting)
    nodes = [folder.entries.root for folder in repository.manifest(ref).folders]
    nodes += [file.pieces.root for file in repository.manifest(ref).files]
    wanted = [node for node in nodes if node is not None]
    first = dict(repository.read_nodes(wanted[:1]))
    before = counting.count("read_range")
    both = dict(repository.read_nodes([*wanted, *wanted]))
    assert both.keys() == set(wanted)
    assert both.items() >= first.items()
    assert counting.count("read_range") == before + 1
    assert dict(repository.read_nodes(wanted)) == both
    assert counting.count("read_range") == before + 1

    monkeypatch.setattr("storage.repository._NODE_BYTES_KEPT", 10)
    repository = open_repository(counting)
    assert dict(repository.read_nodes(wanted)) == dict(repository.read_nodes(wanted)) == both
    assert counting.count("read_range") > before + 2


# Making and opening.


def test_an_empty_place_becomes_a_repository_once(store: Store) -> None:
    first = open_or_create_repository(store)
    assert open_or_create_repository(store).id == first.id == create_repository(store).id
    assert [item.name for item in store.list("")] == [CONFIGURATION_NAME]


def test_a_place_without_a_repository_is_said_to_be_none(store: Store) -> None:
    with pytest.raises(NotARepository, match="no repository yet"):
        open_repository(store)
    assert store.list("") == []


def test_foreign_content_is_left_alone(store: Store) -> None:
    store.write("thesis/final.docx", b"years of work")
    for make in (create_repository, open_or_create_repository):
        with pytest.raises(NotARepository, match=r"thesis/final\.docx"):
            make(store)
    assert [item.name for item in store.list("")] == ["thesis/final.docx"]


def test_a_damaged_configuration_is_never_replaced(store: Store) -> None:
    store.write(CONFIGURATION_NAME, b"{")
    for make in (create_repository, open_or_create_repository, open_repository):
        with pytest.raises(NotARepository, match="can't be read"):
            make(store)
    assert store.read(CONFIGURATION_NAME) == b"{"


def test_a_newer_repository_is_not_touched(store: Store) -> None:
    store.write(CONFIGURATION_NAME, b'{"format": 2}')
    for make in (create_repository, open_or_create_repository, open_repository):
        with pytest.raises(UnsupportedFormat):
            make(store)


def test_those_who_create_at_once_share_one_repository(store: Store) -> None:
    together = Barrier(4)

    def make(run: int) -> SnapshotRef:
        together.wait()
        return back_up(open_or_create_repository(store), FIRST, run=run)

    with ThreadPoolExecutor(4) as pool:
        refs = list(pool.map(make, range(4)))
    repository = open_repository(store)
    assert repository.snapshots() == refs
    assert all(restore(repository, ref) == FIRST for ref in refs)


def test_a_repository_that_appears_while_one_looks_is_no_foreign_content(store: Store) -> None:
    class LateStore(FaultyStore):
        """Another machine makes the repository, and its first backup, just after this one found none."""

        def size(self, name: str) -> int | None:
            found = self.inner.size(name)
            back_up(create_repository(self.inner), FIRST, run=0)
            return found

    assert len(open_or_create_repository(LateStore(store)).snapshots()) == 1


def test_one_who_loses_the_race_to_create_opens_what_the_other_made(store: Store) -> None:
    class LostRace(FaultyStore):
        def create(self, name: str, data: bytes) -> None:
            theirs = write_configuration(Configuration("a" * 32, "2026-01-01T00:00:00+00:00"))
            assert len(theirs) == len(data)
            self.inner.write(name, theirs)
            raise ObjectExists("it is there already", "this is a test")

    assert create_repository(LostRace(store)).id == "a" * 32


@pytest.mark.parametrize("verb", ["read", "list", "create"])
def test_a_store_that_can_not_be_reached_is_not_taken_for_an_empty_one(verb: str) -> None:
    store = FaultyStore(in_memory())
    store.fail(frozenset({verb}))
    with pytest.raises(StoreUnreachable):
        open_or_create_repository(store)


# Damage.


def test_a_damaged_index_costs_no_snapshot_and_stops_no_backup(store: Store) -> None:
    repository = create_repository(store)
    first = back_up(repository, FIRST, run=0)
    for number, item in enumerate(store.list("index")):
        content = store.read(item.name)
        store.write(item.name, content[:50] if number % 2 else content[:-1] + b"?")
    later = open_repository(store)
    assert restore(later, first) == FIRST
    assert len(later.holdings().damaged_indexes) == len(store.list("index"))
    second = back_up(later, SECOND, run=1)
    assert restore(open_repository(store), second) == SECOND


def test_what_lay_in_a_damaged_pack_that_no_index_names_is_stored_anew(store: Store) -> None:
    repository = create_repository(store)
    first = back_up(repository, FIRST, run=0)
    for item in store.list("index"):
        store.write(item.name, b"nonsense")
    victim = store.list("packs")[0].name
    store.write(victim, store.read(victim)[:-5])
    later = open_repository(store)
    with pytest.raises(Damaged):
        restore(later, first)
    back_up(later, FIRST, run=1)
    assert restore(open_repository(store), first) == FIRST


def test_a_lost_index_costs_no_snapshot(store: Store) -> None:
    repository = create_repository(store)
    refs = [back_up(repository, FIRST, run=0), back_up(repository, SECOND, run=1)]
    for item in store.list("index"):
        store.remove(item.name)
    later = open_repository(store)
    assert [restore(later, ref) for ref in refs] == [FIRST, SECOND]


def test_the_packs_of_a_run_that_was_killed_before_it_wrote_an_index_are_not_sent_again(store: Store) -> None:
    store_pieces(create_repository(store), FIRST)
    for item in store.list("index"):
        store.remove(item.name)
    whole = store.list("packs")
    torn = "f" * 32
    store.write(f"packs/ff/{torn}.pack", store.read(whole[0].name)[:-7])
    store.write("packs/ee/" + "e" * 32 + ".pack", b"")
    counting = FaultyStore(store)
    ref = back_up(open_repository(counting), FIRST, run=0)
    # Beside the index it says once that it counts on them, or a sweep would take them away meanwhile.
    assert sorted(request.name.partition("/")[0] for request in counting.requests if request.verb == "write") == [
        "index",
        "underway",
    ]
    assert restore(open_repository(store), ref) == FIRST
    # The index took them in: only what has no table to tell is asked for it again.
    again = FaultyStore(store)
    open_repository(again).index()
    assert {request.name[:9] for request in again.requests if request.verb == "read_range"} <= {
        "packs/ff/",
        "packs/ee/",
    }


def test_packs_that_an_index_names_are_not_asked_for_their_tables(store: Store) -> None:
    back_up(create_repository(store), FIRST, run=0)
    counting = FaultyStore(store)
    open_repository(counting).index()
    assert counting.count("read_range") == 0


def test_a_pack_that_is_gone_before_its_table_is_read_is_passed_over(store: Store) -> None:
    ref = back_up(create_repository(store), FIRST, run=0)

    class Vanishing(FaultyStore):
        def list(self, prefix: str) -> list[StoredObject]:
            found = self.inner.list(prefix)
            return [*found, replace(found[0], name="packs/ff/" + "f" * 32 + ".pack")] if prefix == "packs" else found

    assert restore(open_repository(Vanishing(store)), ref) == FIRST


def test_a_store_that_fails_while_tables_of_packs_are_read_is_not_taken_for_one_without_packs(store: Store) -> None:
    back_up(create_repository(store), FIRST, run=0)
    for item in store.list("index"):
        store.remove(item.name)
    faulty = FaultyStore(store)
    faulty.fail(frozenset({"read_range"}), nth=2)
    with pytest.raises(StoreUnreachable):
        open_repository(faulty).index()


def test_an_index_file_that_is_replaced_while_it_is_read_is_looked_for_again(store: Store) -> None:
    first = back_up(create_repository(store), FIRST, run=0)

    class Collected(FaultyStore):
        """The first listing names an index file that is gone when it is read."""

        def list(self, prefix: str) -> list:  # type: ignore[type-arg]
            found = self.inner.list(prefix)
            if prefix == "index" and not self.count("list", folder="index"):
                self._note("list", prefix, 0)
                ghost = type(found[0])("index/" + "0" * 32, 10, found[0].modified)
                return [ghost, *found]
            return found

    assert restore(open_repository(Collected(store)), first) == FIRST


def test_foreign_objects_among_ours_are_ignored(store: Store) -> None:
    repository = create_repository(store)
    first = back_up(repository, FIRST, run=0)
    for name in ("packs/.DS_Store", "index/readme.txt", "snapshots/desktop.ini", f"snapshots/{PROFILE}/notes (copy)"):
        store.write(name, b"foreign")
    later = open_repository(store)
    assert later.snapshots() == [first]
    assert restore(later, first) == FIRST


def test_a_damaged_manifest_stands_among_the_others_with_its_reason(store: Store) -> None:
    repository = create_repository(store)
    refs = [back_up(repository, FIRST, run=run) for run in range(4)]
    names = [snapshot_name(ref.profile_key, ref.id) for ref in refs]
    store.write(names[1], store.read(names[0]))
    newer = open_repository(store)
    manifest = manifest_of(repository, FIRST, run=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storage.format.manifest.MANIFEST_FORMAT", MANIFEST_FORMAT + 1)
        store.write(names[2], write_manifest(repository.seal, manifest))
    store.remove(names[3])
    found = list(newer.manifests(refs))
    assert [type(one).__name__ for one in found] == ["Manifest", "Damaged", "UnsupportedFormat", "SnapshotUnknown"]
    with pytest.raises(SnapshotUnknown, match="recollect snapshots"):
        newer.manifest(SnapshotRef(ProfileKey("Eve-00000000"), SnapshotId("20260101T000000Z-00000000")))


# The cache.


def test_the_cache_spares_requests(store: Store, tmp_path: Path) -> None:
    ref = back_up(create_repository(store), FIRST, run=0)
    for round_number in range(2):
        counting = FaultyStore(store)
        repository = open_repository(counting, tmp_path / "cache")
        repository.index()
        repository.manifest(ref)
        asked = counting.count("read", folder="index") + counting.count("read", folder="snapshots")
        assert asked == (0 if round_number else 1 + len(store.list("index")))


def test_any_damage_of_the_cache_is_harmless(store: Store, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    ref = back_up(create_repository(store, cache), FIRST, run=0)

    def used() -> Source:
        return restore(open_repository(store, cache), ref)

    assert used() == FIRST
    cached = [path for path in cache.rglob("*") if path.is_file()]
    assert len(cached) == 1 + len(store.list("index"))
    for spoil in (
        lambda content: content[:-1] + bytes((content[-1] ^ 1,)),
        lambda content: bytes((content[0] ^ 1,)) + content[1:],
        lambda content: (
            content[: len(content) // 2] + bytes((content[len(content) // 2] ^ 1,)) + content[len(content) // 2 + 1 :]
        ),
        lambda content: content[:10],
        lambda _: b"",
        lambda content: content + b"more",
    ):
        for path in cached:
            path.write_bytes(spoil(path.read_bytes()))
            assert used() == FIRST
    for path in cached:
        path.write_bytes(cached[0].read_bytes())
    assert used() == FIRST
    assert open_repository(store, cache).holdings().damaged_indexes == ()


def test_index_files_that_are_gone_leave_the_cache(store: Store, tmp_path: Path) -> None:
    repository = create_repository(store, tmp_path)
    back_up(repository, FIRST, run=0)
    open_repository(store, tmp_path).index()
    gone = store.list("index")[0].name
    assert (tmp_path / repository.id / gone).exists()
    store.remove(gone)
    open_repository(store, tmp_path).index()
    assert not (tmp_path / repository.id / gone).exists()


# The trash.


def test_a_forgotten_snapshot_waits_in_the_trash(store: Store) -> None:
    repository = create_repository(store)
    refs = [back_up(repository, FIRST, run=0), back_up(repository, SECOND, run=1)]
    stored = store.read(snapshot_name(refs[0].profile_key, refs[0].id))
    repository.move_to_trash(refs[0])
    repository.move_to_trash(refs[0])
    assert repository.snapshots() == [refs[1]]
    assert store.read(trash_name(refs[0].profile_key, refs[0].id)) == stored
    assert restore(open_repository(store), refs[1]) == SECOND


class RemovingTogether(FaultyStore):
    """Notes down what is removed with one request."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.removed: list[set[str]] = []

    def remove_all(self, names: Iterable[str]) -> None:
        self.removed.append(set(names))
        self.inner.remove_all(self.removed[-1])


def test_snapshots_are_forgotten_with_a_copy_each_and_one_removal(store: Store, tmp_path: Path) -> None:
    repository = create_repository(counting := RemovingTogether(store), tmp_path / "cache")
    refs = [back_up(repository, FIRST, run=run) for run in range(4)]
    stored = {ref: store.read(snapshot_name(ref.profile_key, ref.id)) for ref in refs}
    counting.requests.clear()
    repository.move_to_trash(*refs[:3])
    assert {ref: store.read(trash_name(ref.profile_key, ref.id)) for ref in refs[:3]} == {
        ref: stored[ref] for ref in refs[:3]
    }
    assert counting.removed == [{snapshot_name(ref.profile_key, ref.id) for ref in refs[:3]}]
    assert [one.verb for one in counting.requests] == ["write"] * 3
    assert repository.snapshots() == refs[3:]


def test_a_manifest_that_can_not_be_read_is_forgotten_as_it_is(store: Store, tmp_path: Path) -> None:
    ref = back_up(create_repository(store), FIRST, run=0)
    name, cache = snapshot_name(ref.profile_key, ref.id), tmp_path / "cache"
    store.write(name, b"nonsense")
    for cached in (None, b"other nonsense"):
        repository = open_repository(store, cache)
        if cached is not None:
            (cache / repository.id / name).parent.mkdir(parents=True, exist_ok=True)
            (cache / repository.id / name).write_bytes(cached)
        repository.move_to_trash(ref)
        assert repository.snapshots() == []
        assert store.read(trash_name(ref.profile_key, ref.id)) == b"nonsense"
        store.write(name, b"nonsense")


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_fault_while_forgetting_loses_no_manifest(nth: int) -> None:
    store, ref = prepared()
    repository = open_repository(store)
    store.fail(nth=nth)
    with pytest.raises(StoreUnreachable):
        repository.move_to_trash(ref)
    assert repository.snapshots() == [ref]
    assert restore(open_repository(store.inner), ref) == FIRST
    repository.move_to_trash(ref)
    assert repository.snapshots() == []


def test_the_same_bytes_as_page_and_as_file_are_one_blob(store: Store) -> None:
    page = FIRST.collection[:4096]
    repository = create_repository(store)
    ref = back_up(repository, Source(page, {b"page.bin": page}), run=0)
    assert restore(open_repository(store), ref) == Source(page, {b"page.bin": page})
    found = repository.index().find(repository.seal.blob_id(page))
    assert found is not None
    assert found.kind is BlobKind.PAGE


@pytest.mark.parametrize("last", [SECOND, source_of(60, pages=70, media=20)], ids=["the same", "changed again"])
def test_of_several_tries_of_one_backup_one_snapshot_stays(last: Source, store: Store) -> None:
    """Each retry found the media changed, and neither of the first two heard that its manifest was there."""
    first = back_up(create_repository(store), FIRST, run=0)

    class Unheard(FaultyStore):
        """The first creation is done, and reported as failed."""

        def create(self, name: str, data: bytes) -> None:
            super().create(name, data)
            if self.count("create") == 1:
                raise StoreUnreachable("No answer", "This is a test")

    faulty = Unheard(store)
    repository = open_repository(faulty)

    def tried(source: Source) -> SnapshotRef:
        repository.forget_index()
        store_pieces(repository, source)
        return repository.commit(manifest_of(repository, source, run=1))[0]

    with pytest.raises(StoreUnreachable):
        tried(source_of(15, pages=70, media=20))
    faulty.fail(frozenset({"list"}), folder="snapshots/")
    with pytest.raises(StoreUnreachable):
        tried(SECOND)
    assert len(open_repository(store).snapshots()) == 3
    ref = tried(last)
    assert open_repository(store).snapshots() == sorted([first, ref], key=lambda one: one.id)
    assert restore(open_repository(store), ref) == last


def test_a_snapshot_that_a_commit_told_of_is_not_removed_by_a_later_one_of_the_same_backup(store: Store) -> None:
    repository = create_repository(store)
    refs = []
    for source in (FIRST, SECOND, FIRST):
        repository.forget_index()
        store_pieces(repository, source)
        refs.append(repository.commit(manifest_of(repository, source, run=1))[0])
    assert refs[2] == refs[0] != refs[1]
    assert [restore(open_repository(store), ref) for ref in refs] == [FIRST, SECOND, FIRST]
