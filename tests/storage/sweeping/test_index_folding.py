"""Folding: fewer files, the same places, and nobody who reads meanwhile misses one."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from storage import writing
from storage.errors import Damaged, StoreUnreachable
from storage.format.index_table import packs_named
from storage.opening import create_repository, open_repository
from storage.repository import Repository, SnapshotRef
from storage.stores.address import open_store
from storage.sweeping.index_folding import MOST_SMALL_FILES, fold, foldable
from tests.faults.faulty_store import FaultyStore
from tests.storage.small_backup import back_up, restore, source_of

_NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def _small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PACK_BYTES", 24 * 1024)
    monkeypatch.setattr(writing, "PACKS_PER_INDEX", 1)


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(open_store(f"memory://folding-{os.getpid()}-{next(_NUMBERS)}"))


def stocked(store: FaultyStore) -> list[SnapshotRef]:
    create_repository(store)
    return [back_up(open_repository(store), source_of(seed, pages=10, media=2), run=seed) for seed in range(4)]


def places(repository: Repository) -> set[object]:
    index = repository.index()
    return {(blob, *index.copies(blob)) for blob in index.ids(index.groups())}


def names(store: FaultyStore) -> list[str]:
    return [item.name for item in store.inner.list("index")]


def test_the_same_places_are_told_by_one_file(store: FaultyStore) -> None:
    refs = stocked(store)
    repository = open_repository(store)
    before, files = places(repository), names(store)
    assert fold(repository, files) == len(files) >= 4
    assert len(names(store)) == 1
    assert places(open_repository(store)) == before
    assert [restore(open_repository(store), ref) for ref in refs] == [
        source_of(seed, pages=10, media=2) for seed in range(4)
    ]


def test_one_who_looked_before_reads_on_and_one_who_looks_meanwhile_misses_nothing(store: FaultyStore) -> None:
    refs = stocked(store)
    early = open_repository(store)
    early.index()
    wanted = places(early)
    remove = store.remove
    met = 0

    def checked(name: str) -> None:
        nonlocal met
        remove(name)
        met += 1
        assert places(open_repository(store)) == wanted

    store.remove = checked  # type: ignore[method-assign]
    assert fold(open_repository(store), names(store)) == met >= 4
    assert restore(early, refs[0]) == source_of(0, pages=10, media=2)


def test_two_who_fold_at_once_lose_nothing(store: FaultyStore) -> None:
    stocked(store)
    one, other = open_repository(store), open_repository(store)
    wanted, files = places(one), names(store)
    other.index()
    fold(one, files)
    assert fold(other, files) == 0  # its files are gone by now
    assert places(open_repository(store)) == wanted
    fold(open_repository(store), names(store))
    assert places(open_repository(store)) == wanted


def test_what_another_folded_meanwhile_is_not_written_again_from_copies(store: FaultyStore, tmp_path: Path) -> None:
    stocked(store)
    one, other = open_repository(store), open_repository(store, tmp_path)
    files = names(store)
    assert places(other) == places(one)  # it has copies of all files now
    fold(one, files)
    folded = names(store)
    assert fold(other, files) == 0
    assert names(store) == folded


@pytest.mark.parametrize("rows", [1, 7, 20])
def test_what_lies_in_a_pack_is_told_by_one_file(
    store: FaultyStore, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr("storage.sweeping.index_folding.ROWS_PER_FILE", rows)
    stocked(store)
    before = places(open_repository(store))
    fold(open_repository(store), names(store))
    assert places(open_repository(store)) == before
    repository = open_repository(store)
    tables = [repository.read_index_file(name) for name in names(store)]
    assert len(tables) > 1
    told = [pack for table in tables for pack in packs_named([table])]
    assert len(told) == len(set(told)) == len(repository.holdings().packs)
    assert all(table.num_rows <= rows or len(packs_named([table])) == 1 for table in tables)


def test_rows_of_packs_that_are_gone_are_left_out(store: FaultyStore) -> None:
    stocked(store)
    gone = store.inner.list("packs")[0]
    store.inner.remove(gone.name)
    repository = open_repository(store)
    fold(repository, names(store))
    table = repository.read_index_file(names(store)[0])
    assert bytes.fromhex(gone.name.rpartition("/")[2].removesuffix(".pack")) not in table.column("pack").to_pylist()


def test_a_file_that_can_not_be_read_is_left_where_it_is(store: FaultyStore) -> None:
    stocked(store)
    files = names(store)
    store.inner.write(files[0], store.inner.read(files[0])[:-1] + b"?")
    fold(open_repository(store), files)
    assert files[0] in names(store)
    assert len(names(store)) == 2


@pytest.mark.parametrize("nth", range(1, 12))
def test_whatever_request_fails_no_place_is_lost(store: FaultyStore, nth: int) -> None:
    stocked(store)
    wanted, files = places(open_repository(store)), names(store)
    store.fail(nth=nth, every=True)
    with pytest.raises(StoreUnreachable):
        fold(open_repository(store), files)
    store.heal()
    assert places(open_repository(store)) == wanted


def test_a_new_file_that_did_not_arrive_whole_replaces_nothing(store: FaultyStore) -> None:
    stocked(store)
    wanted, files = places(open_repository(store)), names(store)
    store.tear(keep=100, folder="index/", silently=True)
    with pytest.raises(Damaged, match="did not arrive whole"):
        fold(open_repository(store), files)
    assert set(files) <= set(names(store))
    assert places(open_repository(store)) == wanted


def test_a_few_files_are_not_worth_it(store: FaultyStore) -> None:
    stocked(store)
    holdings = open_repository(store).holdings()
    assert foldable(holdings) == ()
    assert set(foldable(holdings, least=4)) == set(names(store))
    assert len(names(store)) < MOST_SMALL_FILES
    assert fold(open_repository(store), []) == fold(open_repository(store), names(store)[:1]) == 0
