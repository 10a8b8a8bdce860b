"""When all index files are lost, packs tell what lies in them: in tables, written anew in files of bounded length."""

from __future__ import annotations

import pyarrow as pa
import pytest

from storage.checking.repair import plan_repair, repair
from storage.format.index_table import packs_named
from storage.repository import Repository, SnapshotRef
from storage.store import Store
from tests.storage.damage_house import SOURCES, flip, in_memory, opened, small_packs, stocked, verified
from tests.storage.small_backup import restore


def without_an_index(*, damaged: bool = False) -> tuple[Store, list[SnapshotRef]]:
    """A repository of which every index file is lost, or `damaged`."""
    store = in_memory()
    refs = stocked(store)
    for item in store.list("index"):
        if damaged:
            flip(store, item.name, 40)
        else:
            store.remove(item.name)
    return store, refs


def tables(repository: Repository) -> list[pa.Table]:
    return [repository.read_index_file(item.name) for item in repository.store.list("index")]


def test_what_packs_say_is_kept_in_a_table_for_each() -> None:
    store, _ = without_an_index()
    holdings = opened(store).holdings()
    assert all(isinstance(table, pa.Table) for table in holdings.unindexed)
    assert [len(packs_named([table])) for table in holdings.unindexed] == [1] * len(holdings.packs)


@pytest.mark.parametrize("mend", ["backup", "repair"])
def test_the_index_is_written_anew_in_parts(monkeypatch: pytest.MonkeyPatch, mend: str) -> None:
    store, refs = without_an_index(damaged=mend == "repair")
    monkeypatch.setattr("storage.format.index_table.ROWS_PER_FILE", 40)
    before = {blob for table in opened(store).holdings().unindexed for blob in table.column("id").to_pylist()}
    if mend == "backup":
        with small_packs(), opened(store).write(uploads=1) as session:
            session.close()
    else:
        repair(opened(store), plan_repair(verified(store)))
    repository = opened(store)
    assert repository.holdings().unindexed == ()
    written = tables(repository)
    assert len(written) > 3
    assert all(table.num_rows <= 40 or len(packs_named([table])) == 1 for table in written)
    assert {blob for table in written for blob in table.column("id").to_pylist()} == before
    told = [pack for table in written for pack in packs_named([table])]
    assert len(told) == len(set(told))
    assert [restore(repository, ref) for ref in refs] == SOURCES
