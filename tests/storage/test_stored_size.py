"""No object is fetched that a listing shows to be larger than any of its kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.checking.history import read_history
from storage.checking.verification import EVERYTHING, verify
from storage.deletion_archive import archive_notes, archived_notes
from storage.errors import Damaged, SweepRefused
from storage.format.blob import PackId, pack_name
from storage.format.census import LARGEST_CENSUS
from storage.format.check_record import LARGEST_CHECK
from storage.format.deletion_table import LARGEST_DELETIONS, ArchivedNote, How
from storage.format.index_table import LARGEST_INDEX
from storage.format.manifest import LARGEST_MANIFEST, SnapshotId
from storage.format.pack import LARGEST_TABLE_BYTES, TAIL_MAGIC
from storage.format.sealing import OpenSeal
from storage.format.verdict import LARGEST_VERDICT, Finding, Verdict, verdict_name, write_verdict
from storage.opening import open_repository
from storage.reading import read_pack_table
from storage.repository import Repository
from storage.store import Listings, Store, StoredObject
from storage.sweeping.sweeper import Sweeper
from storage.trash import forgotten_snapshots, put_back
from tests.faults.faulty_store import FaultyStore
from tests.storage.damage_house import SOURCES, copy_of, in_memory, objects, opened, stocked
from tests.storage.small_backup import PROFILE, back_up, restore

NOW = datetime(2026, 4, 1, tzinfo=UTC)


class Swollen(FaultyStore):
    """Its listings show the objects of one folder as large as they are told to."""

    def __init__(self, inner: Store, folder: str, size: int) -> None:
        super().__init__(inner)
        self._folder = folder
        self._size = size

    def list(self, prefix: str) -> list[StoredObject]:
        found = super().list(prefix)
        return [replace(one, size=self._size) if one.name.startswith(f"{self._folder}/") else one for one in found]

    def list_together(self, folders: Sequence[str]) -> Listings:
        return {folder: self.list(folder) for folder in folders}


@pytest.fixture(scope="module")
def whole() -> Store:
    """An object of every kind that is read as a whole."""
    store = in_memory()
    stocked(store)
    repository = opened(store)
    trashed = back_up(repository, SOURCES[0], run=9)
    repository.move_to_trash(trashed)
    note = ArchivedNote(
        key=b"k",
        note_id=1,
        note_type_id=2,
        note_type="Basic",
        field_names=("Front",),
        fields=("text",),
        how=How.LOG,
        gone_in=SnapshotId(trashed.id),
        seen_at=NOW,
    )
    archive_notes(repository, PROFILE, [note], now=NOW)
    sweeper = Sweeper(opened(store))
    sweeper.carry_out(sweeper.plan())
    verify(opened(store), EVERYTHING)
    verdict = Verdict(verdict_name(b"v" * 16), Finding.CONDEMNED, frozenset({PackId(b"gone" * 4)}))
    store.write(verdict.name, write_verdict(repository.seal, verdict))
    return store


def refuses_manifests(repository: Repository) -> None:
    found = list(repository.manifests(repository.snapshots()))
    assert [type(one) for one in found] == [Damaged] * len(SOURCES)
    assert "remove that object by hand" in str(found[0])
    with pytest.raises(Damaged, match="remove that object by hand"):
        repository.move_to_trash(repository.snapshots()[0])


def refuses_what_was_forgotten(repository: Repository) -> None:
    (ref,) = [one.ref for one in forgotten_snapshots(repository)]
    assert [type(one) for one in repository.manifests([ref], in_trash=True)] == [Damaged]
    with pytest.raises(Damaged, match="remove that object by hand"):
        put_back(repository, ref)


def refuses_verdicts(repository: Repository) -> None:
    assert [type(one) for one in repository.holdings().damaged_verdicts] == [Damaged]


def refuses_index_files_and_asks_the_packs(repository: Repository) -> None:
    assert len(repository.holdings().damaged_indexes) == len(repository.holdings().index_files)
    assert [restore(repository, ref) for ref in repository.snapshots()] == SOURCES
    with pytest.raises(Damaged, match="remove that object by hand"):
        repository.read_index_file(repository.holdings().index_files[0].name)


def refuses_files_of_the_archive(repository: Repository) -> None:
    remarks: list[str] = []
    assert archived_notes(repository, PROFILE, remarks=remarks) == []
    assert len(remarks) == 1


def refuses_censuses(repository: Repository) -> None:
    with pytest.raises(SweepRefused, match="which snapshots have to be there is not known"):
        Sweeper(repository).plan()


def refuses_check_records(repository: Repository) -> None:
    found = read_history(repository.store, repository.seal, NOW)
    assert [type(one) for one in found.unreadable.values()] == [Damaged]


LARGEST: dict[str, tuple[int, Callable[[Repository], None]]] = {
    "snapshots": (LARGEST_MANIFEST, refuses_manifests),
    "trash": (LARGEST_MANIFEST, refuses_what_was_forgotten),
    "verdicts": (LARGEST_VERDICT, refuses_verdicts),
    "index": (LARGEST_INDEX, refuses_index_files_and_asks_the_packs),
    "deletions": (LARGEST_DELETIONS, refuses_files_of_the_archive),
    "census": (LARGEST_CENSUS, refuses_censuses),
    "checks": (LARGEST_CHECK, refuses_check_records),
}


@pytest.mark.parametrize("folder", LARGEST)
def test_what_is_larger_than_any_of_its_kind_is_damage_and_not_fetched(whole: Store, folder: str) -> None:
    largest, refuses = LARGEST[folder]
    store = Swollen(copy_of(whole), folder, largest + 1)
    refuses(opened(store))
    assert store.count("read", folder=f"{folder}/") == 0


@pytest.mark.parametrize("folder", LARGEST)
def test_what_is_as_large_as_its_kind_may_be_is_read(whole: Store, folder: str) -> None:
    store = Swollen(copy_of(whole), folder, LARGEST[folder][0])
    found = verify(opened(store), EVERYTHING)
    assert found.clean, found.damages
    assert store.count("read", folder=f"{folder}/") > 0


@pytest.mark.parametrize("folder", LARGEST)
def test_verifying_fetches_nothing_that_is_too_large_and_tells_of_it(whole: Store, folder: str) -> None:
    store = Swollen(copy_of(whole), folder, LARGEST[folder][0] + 1)
    found = verify(opened(store), EVERYTHING)
    assert {damage.name for damage in found.damages} == set(objects(store, folder))
    assert store.count("read", folder=f"{folder}/") == 0


def test_a_copy_on_this_computer_does_not_depend_on_what_a_listing_says(whole: Store, tmp_path: Path) -> None:
    store = copy_of(whole)
    repository = open_repository(store, tmp_path)
    told = list(repository.manifests(repository.snapshots()))
    again = open_repository(Swollen(store, "snapshots", LARGEST_MANIFEST + 1), tmp_path)
    assert list(again.manifests(again.snapshots())) == told


def test_the_table_of_a_pack_is_not_fetched_when_it_is_longer_than_that_of_any() -> None:
    pack, ranges = PackId(bytes(16)), list[tuple[int, int]]()

    class Long(FaultyStore):
        """Holds a pack of a gigabyte, whose end says that its table is very long."""

        def read_range(self, name: str, start: int, length: int) -> bytes:
            assert name == pack_name(pack)
            ranges.append((start, length))
            return bytes(length - 16) + LARGEST_TABLE_BYTES.to_bytes(4, "little") + TAIL_MAGIC

    store = Long(in_memory())
    with pytest.raises(Damaged, match="longer than that of any pack"):
        read_pack_table(store, OpenSeal(bytes(16)), pack, 2**30)
    assert len(ranges) == 1
