"""Media on their way out one after the other: in the order of the packs, in little memory, damage costing no other."""

from __future__ import annotations

import random

import pytest

from storage.errors import Damaged, StoreUnreachable
from storage.format.blob import PART_BYTES
from storage.format.listing import FolderEntry
from storage.listings import read_pieces
from storage.repository import Repository
from storage.retrieval import folder_entries, stream_entries
from storage.store import Store
from tests.faults.faulty_store import FaultyStore
from tests.flows.chains.house import never
from tests.storage.damage_house import in_memory, opened, small_packs, spoil
from tests.storage.small_backup import Source, back_up

LARGE = {name: random.Random(name).randbytes(2 * PART_BYTES + 5) for name in (b"a large one", b"z large one")}
SMALL = {f"{number:02}.jpg".encode(): random.Random(number).randbytes(5_000) for number in range(30)}
MEDIA = {**LARGE, **SMALL, b"twice": SMALL[b"07.jpg"], b"empty": b""}


@pytest.fixture(scope="module")
def stocked() -> Store:
    from storage.opening import create_repository

    store = in_memory()
    with small_packs():
        create_repository(store)
        back_up(opened(store), Source(bytes(4096), MEDIA), run=0)
    return store


def copied(store: Store) -> Store:
    twin = in_memory()
    for one in store.list(""):
        twin.write(one.name, store.read(one.name))
    return twin


def entries_of(repository: Repository) -> dict[bytes, FolderEntry]:
    (ref,) = repository.snapshots()
    folder = repository.manifest(ref).folder("collection.media")
    assert folder is not None
    return {entry.name: entry for entry in folder_entries(repository, folder)}


def test_all_come_once_and_whole_the_small_ones_as_they_lie_in_packs(stocked: Store) -> None:
    repository = opened(stocked)
    entries = entries_of(repository)
    found = [
        (entry.name, b"".join(parts)) for entry, parts in stream_entries(repository, entries.values(), damaged=never)
    ]
    assert len(found) == len(MEDIA)
    assert dict(found) == MEDIA
    names = [name for name, _ in found]
    assert set(names[-3:]) == {*LARGE, b"empty"}
    places = [repository.index().find(entries[name].content.root) for name in names[:-3]]  # type: ignore[arg-type]
    where = [(place.pack, place.offset) for place in places if place is not None]
    assert where == sorted(where)
    assert len(set(where)) == len(SMALL)


def test_damage_is_told_beforehand_or_on_the_way_and_costs_no_other(stocked: Store) -> None:
    store = copied(stocked)
    repository = opened(store)
    entries = entries_of(repository)
    spoil(store, entries[b"07.jpg"].content.root)  # type: ignore[arg-type]
    spoil(store, read_pieces(repository.read_nodes, entries[b"a large one"].content)[-1])
    heard: list[bytes] = []
    whole: dict[bytes, bytes] = {}
    broken: list[bytes] = []
    for entry, parts in stream_entries(
        opened(store), entries.values(), damaged=lambda entry, _: heard.append(entry.name)
    ):
        try:
            whole[entry.name] = b"".join(parts)
        except Damaged:
            broken.append(entry.name)
    assert sorted(heard) == [b"07.jpg", b"twice"]
    assert broken == [b"a large one"]
    assert whole == {name: content for name, content in MEDIA.items() if name not in {*heard, *broken}}


def test_a_store_that_can_not_be_reached_is_no_damage(stocked: Store) -> None:
    faulty = FaultyStore(stocked)
    repository = opened(faulty)
    entries = entries_of(repository)
    faulty.fail(frozenset({"read_range"}), nth=3, every=True)
    with pytest.raises(StoreUnreachable):  # noqa: PT012 - it is met on the way
        for _entry, parts in stream_entries(repository, entries.values(), damaged=never):
            b"".join(parts)
