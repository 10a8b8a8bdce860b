from __future__ import annotations

import random
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import reading
from storage.errors import Damaged, StoreUnreachable
from storage.format.blob import BlobId, BlobKind, Location, PackId, pack_name
from storage.format.pack import PackEntry, build_pack, encode_blob
from storage.format.sealing import OpenSeal
from storage.index import Index
from storage.reading import plan_spans, read_blobs, read_pack_table
from storage.stores.address import open_store
from tests.faults.faulty_store import READING, FaultyStore

SEAL = OpenSeal(bytes(16))
GAP, SPAN = 128 * 1024, 8 * 1024 * 1024
PACKS = [PackId(bytes((n,)) * 16) for n in range(3)]
LOCATED = st.lists(
    st.builds(
        lambda number, pack, offset, stored: (
            BlobId(number.to_bytes(32, "big")),
            Location(BlobKind.DATA, pack, offset, stored, stored),
        ),
        st.integers(0, 10**6),
        st.sampled_from(PACKS),
        st.integers(32, 24 * 1024 * 1024),
        st.integers(1, 2 * 1024 * 1024),
    ),
    max_size=60,
)


@given(LOCATED)
def test_spans_cover_each_blob_once_and_read_little_for_nothing(located: list[tuple[BlobId, Location]]) -> None:
    spans = plan_spans(located)
    assert Counter(pair for span in spans for pair in span.blobs) == Counter(located)
    for span in spans:
        assert span.end - span.start <= SPAN
        reached = span.start
        for _, place in span.blobs:
            assert place.pack == span.pack
            assert span.start <= place.offset
            assert place.offset + place.stored <= span.end
            assert place.offset - reached <= GAP
            reached = max(reached, place.offset + place.stored)
        assert reached == span.end


@given(LOCATED)
def test_neighbours_are_read_with_one_request(located: list[tuple[BlobId, Location]]) -> None:
    """Two spans of a pack in a row only where the gap, or the whole, would be too long for one."""
    for one, other in pairwise(plan_spans(located)):
        if one.pack == other.pack:
            first = other.blobs[0][1]
            assert first.offset - one.end > GAP or first.offset + first.stored - one.start > SPAN


class Stored:
    """Packs in a counting store, written by hand so that each test knows what lies where."""

    def __init__(self, store: FaultyStore, packs: int, blobs: int, length: int) -> None:
        self.store = store
        self.index = Index()
        self.content: dict[BlobId, bytes] = {}
        self.entries: list[PackEntry] = []
        source = random.Random(1)
        for number in range(packs):
            plain = [source.randbytes(length) for _ in range(blobs)]
            encoded = [encode_blob(SEAL, BlobKind.DATA, SEAL.blob_id(piece), piece) for piece in plain]
            pack = build_pack(SEAL, PackId(bytes((number,)) * 16), encoded)
            store.write(pack_name(pack.id), pack.content)
            self.index.add(pack.entries)
            self.entries += pack.entries
            self.content |= {SEAL.blob_id(piece): piece for piece in plain}

    def read(self, blobs: list[BlobId] | None = None) -> dict[BlobId, bytes]:
        return dict(read_blobs(self.store, SEAL, self.index, list(self.content) if blobs is None else blobs))


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FaultyStore:
    url = str(tmp_path / "store") if request.param == "folder" else f"memory://{tmp_path}"
    return FaultyStore(open_store(url))


def test_all_blobs_come_with_as_few_requests_as_the_packs_allow(store: FaultyStore) -> None:
    stored = Stored(store, packs=3, blobs=40, length=30_000)
    assert stored.read() == stored.content
    assert store.count(*READING) == 3


def test_blobs_far_apart_are_read_alone(store: FaultyStore) -> None:
    stored = Stored(store, packs=1, blobs=40, length=30_000)
    chosen = [entry.id for entry in stored.entries[::13]]
    assert stored.read(chosen) == {blob: stored.content[blob] for blob in chosen}
    assert store.count(*READING) == len(chosen)
    assert store.bytes_of("read_range") < 31_000 * len(chosen)


def test_a_blob_asked_for_twice_comes_once(store: FaultyStore) -> None:
    stored = Stored(store, packs=1, blobs=2, length=100)
    blob = next(iter(stored.content))
    assert list(read_blobs(store, SEAL, stored.index, [blob, blob])) == [(blob, stored.content[blob])]


def test_nothing_asked_is_nothing_read(store: FaultyStore) -> None:
    assert Stored(store, packs=1, blobs=2, length=100).read([]) == {}
    assert store.count(*READING) == 0


def test_an_unknown_blob_is_damage_before_anything_is_read(store: FaultyStore) -> None:
    stored = Stored(store, packs=1, blobs=2, length=100)
    with pytest.raises(Damaged, match="00" * 8):
        stored.read([BlobId(bytes(32))])
    assert store.count(*READING) == 0


def test_a_missing_pack_is_damage_that_names_it(store: FaultyStore) -> None:
    stored = Stored(store, packs=3, blobs=3, length=100)
    store.remove(pack_name(PackId(b"\1" * 16)))
    with pytest.raises(Damaged, match=pack_name(PackId(b"\1" * 16))):
        stored.read()


def test_a_shortened_pack_is_damage_that_names_it(store: FaultyStore) -> None:
    stored = Stored(store, packs=3, blobs=3, length=100)
    name = pack_name(PackId(b"\2" * 16))
    store.write(name, store.read(name)[:200])
    with pytest.raises(Damaged, match=name):
        stored.read()


def test_a_flipped_bit_is_damage_that_names_the_pack(store: FaultyStore) -> None:
    stored = Stored(store, packs=1, blobs=3, length=100)
    for at in range(3 * 118):
        store.heal()
        store.flip(at=at)
        with pytest.raises(Damaged, match=pack_name(PackId(bytes(16)))):
            stored.read()


def read_around_damage(stored: Stored) -> tuple[dict[BlobId, bytes], dict[BlobId, Damaged]]:
    lost: dict[BlobId, Damaged] = {}
    read = dict(read_blobs(stored.store, SEAL, stored.index, list(stored.content), damaged=lost.__setitem__))
    assert read.keys().isdisjoint(lost)
    assert {**read, **{blob: stored.content[blob] for blob in lost}} == stored.content
    return read, lost


def test_a_flipped_bit_costs_one_blob_and_no_other(store: FaultyStore) -> None:
    stored = Stored(store, packs=3, blobs=5, length=100)
    hit = stored.entries[7]
    name = pack_name(hit.location.pack)
    spoiled = bytearray(store.read(name))
    spoiled[hit.location.offset + 50] ^= 1
    store.write(name, bytes(spoiled))
    _, lost = read_around_damage(stored)
    assert set(lost) == {hit.id}
    assert name in lost[hit.id].problem


def test_a_missing_pack_costs_its_own_blobs_and_no_other(store: FaultyStore) -> None:
    stored = Stored(store, packs=3, blobs=5, length=100)
    store.remove(pack_name(PackId(b"\1" * 16)))
    _, lost = read_around_damage(stored)
    assert set(lost) == {entry.id for entry in stored.entries[5:10]}


def test_a_shortened_pack_costs_what_lies_behind_the_cut(store: FaultyStore) -> None:
    stored = Stored(store, packs=3, blobs=5, length=100)
    name = pack_name(PackId(b"\2" * 16))
    cut = stored.entries[12].location
    store.write(name, store.read(name)[: cut.offset + cut.stored])
    _, lost = read_around_damage(stored)
    assert set(lost) == {entry.id for entry in stored.entries[13:]}


def test_a_blob_in_no_pack_costs_no_other(store: FaultyStore) -> None:
    stored = Stored(store, packs=1, blobs=2, length=100)
    lost: list[BlobId] = []
    wanted = [BlobId(bytes(32)), *stored.content]
    assert (
        dict(read_blobs(store, SEAL, stored.index, wanted, damaged=lambda blob, _: lost.append(blob))) == stored.content
    )
    assert lost == [BlobId(bytes(32))]


def test_a_store_that_can_not_be_reached_is_no_damage(store: FaultyStore) -> None:
    stored = Stored(store, packs=3, blobs=3, length=100)
    store.fail(nth=2, every=True)
    with pytest.raises(StoreUnreachable):
        stored.read()
    with pytest.raises(StoreUnreachable):
        read_around_damage(stored)


def test_a_reader_who_stops_early_leaves_no_requests_behind(store: FaultyStore) -> None:
    stored = Stored(store, packs=40, blobs=2, length=100)
    blobs = read_blobs(store, SEAL, stored.index, list(stored.content))
    next(blobs)
    blobs.close()  # type: ignore[attr-defined]
    assert store.count(*READING) <= 17


def test_small_pieces_are_fetched_many_at_once_and_large_ones_as_memory_allows(
    store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = Stored(store, packs=20, blobs=1, length=1000)
    lock, together = threading.Lock(), threading.Barrier(16)
    under_way = 0
    most: list[int] = []

    class Watched(FaultyStore):
        def read_range(self, name: str, start: int, length: int) -> bytes:
            nonlocal under_way
            with lock:
                under_way += 1
                most.append(under_way)
                is_of_the_first = len(most) <= together.parties
            if is_of_the_first:
                together.wait(timeout=60)
            found = self.inner.read_range(name, start, length)
            with lock:
                under_way -= 1
            return found

    assert dict(read_blobs(Watched(store), SEAL, stored.index, stored.content)) == stored.content
    assert max(most) == 16

    most.clear()
    together = threading.Barrier(1)
    monkeypatch.setattr(reading, "_BYTES_UNDER_WAY", 2 * max(entry.location.stored for entry in stored.entries))
    assert dict(read_blobs(Watched(store), SEAL, stored.index, stored.content)) == stored.content
    assert max(most) <= 2


@pytest.mark.parametrize("blobs", [1, 20, 20_000])
def test_a_pack_tells_its_table_with_one_request_or_two(store: FaultyStore, blobs: int) -> None:
    stored = Stored(store, packs=1, blobs=blobs, length=8)
    size = store.inner.size(pack_name(PackId(bytes(16))))
    assert size is not None
    assert list(read_pack_table(store, SEAL, PackId(bytes(16)), size)) == stored.entries
    assert store.count(*READING) == (2 if blobs == 20_000 else 1)


@pytest.mark.parametrize("size", [0, 5, 40, 1000, 10**6])
def test_a_pack_of_another_size_than_listed_is_damage(store: FaultyStore, size: int) -> None:
    Stored(store, packs=1, blobs=3, length=100)
    for pack in (PackId(bytes(16)), PackId(b"\7" * 16)):
        with pytest.raises(Damaged):
            read_pack_table(store, SEAL, pack, size)
