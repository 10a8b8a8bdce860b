from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage import writing
from storage.errors import Damaged, StorageError, StoreFull, StoreUnreachable
from storage.format.blob import BlobId, BlobKind, PackId, pack_name
from storage.format.index_table import read_index
from storage.opening import create_repository, open_repository
from storage.repository import Repository
from storage.stores.address import open_store
from storage.writing import PACKS_PER_INDEX, WriteSession
from tests.faults.faulty_store import FaultyStore

PACK, BATCH = 64 * 1024, 16 * 1024


@pytest.fixture(autouse=True)
def _small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many packs of little data; the machinery is the same."""
    monkeypatch.setattr(writing, "PACK_BYTES", PACK)
    monkeypatch.setattr(writing, "_BATCH_BYTES", BATCH)


@pytest.fixture(params=["folder", "memory"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    url = str(tmp_path / "store") if request.param == "folder" else f"memory://{tmp_path}"
    return create_repository(FaultyStore(open_store(url)))


def faults(repository: Repository) -> FaultyStore:
    assert isinstance(repository.store, FaultyStore)
    return repository.store


def noise(repository: Repository, count: int, *, length: int = 4096, seed: int = 1) -> dict[BlobId, bytes]:
    source = random.Random(seed)
    pieces = [source.randbytes(length) for _ in range(count)]
    return {repository.seal.blob_id(piece): piece for piece in pieces}


def add_all(session: WriteSession, blobs: dict[BlobId, bytes]) -> None:
    for blob, plain in blobs.items():
        session.add(BlobKind.PAGE, blob, plain)


def store_side_by_side(session: WriteSession, blobs: dict[BlobId, bytes]) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda blob: session.store(BlobKind.PAGE, blob, blobs[blob]), blobs))


Fill = Callable[[WriteSession, dict[BlobId, bytes]], None]
either_way = pytest.mark.parametrize("fill", [add_all, store_side_by_side])


def store_all(repository: Repository, blobs: dict[BlobId, bytes], *, uploads: int = 2, fill: Fill = add_all) -> None:
    with repository.write(uploads=uploads) as session:
        fill(session, blobs)
        session.close()


def fail_at_the_end(repository: Repository, blobs: dict[BlobId, bytes]) -> None:
    with repository.write(uploads=1) as session:
        add_all(session, blobs)
        raise RuntimeError("mine")


def reopened(repository: Repository) -> Repository:
    return open_repository(faults(repository).inner)


@either_way
def test_whatever_is_added_can_be_read_after_the_close(repository: Repository, fill: Fill) -> None:
    blobs = noise(repository, 500)
    told: list[int] = []
    with repository.write(uploads=3, landed=told.append) as session:
        fill(session, blobs)
        written = session.close()
    assert dict(repository.read(blobs)) == dict(reopened(repository).read(blobs)) == blobs
    assert written.blobs == 500
    assert written.bytes_new == sum(told) == 500 * 4096
    assert written.packs == faults(repository).count("write", folder="packs/") == len(told)
    store = faults(repository)
    assert written.bytes_stored == store.bytes_of("write", "packs/") + store.bytes_of("write", "index/")


def test_an_empty_session_stores_nothing(repository: Repository) -> None:
    with repository.write(uploads=2) as session:
        written = session.close()
    assert (written.blobs, written.packs, written.bytes_stored) == (0, 0, 0)
    assert faults(repository).count("write") == 0


def test_a_blob_added_twice_or_stored_before_is_stored_once(repository: Repository) -> None:
    blobs = noise(repository, 40)
    (first, content), *_ = blobs.items()
    with repository.write(uploads=2) as session:
        assert session.add(BlobKind.PAGE, first, content)
        assert not session.add(BlobKind.PAGE, first, content)
        add_all(session, blobs)
        assert session.close().blobs == 40
    for again in (repository, reopened(repository)):
        with again.write(uploads=2) as session:
            assert not session.add(BlobKind.DATA, first, content)
            add_all(session, blobs)
            assert session.close().packs == 0


def test_a_blob_that_several_threads_bring_at_once_is_stored_once(repository: Repository) -> None:
    blobs = noise(repository, 60)
    with repository.write(uploads=2) as session:
        with ThreadPoolExecutor(4) as pool:
            took = list(pool.map(lambda blob: session.store(BlobKind.DATA, blob, blobs[blob]), list(blobs) * 4))
        assert took.count(True) == session.close().blobs == 60


def test_two_writers_of_the_same_blobs_at_once_do_not_harm_each_other(repository: Repository) -> None:
    blobs = noise(repository, 300)
    store = faults(repository).inner

    def write(_: int) -> None:
        mine = open_repository(store)
        with mine.write(uploads=2) as session:
            add_all(session, blobs)
            session.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, range(3)))
    assert dict(reopened(repository).read(blobs)) == blobs


def test_the_index_is_written_every_few_packs_so_that_a_killed_run_loses_little(repository: Repository) -> None:
    uploads = 1  # of several, one may hold the index while the others send what pleases the scheduler
    with repository.write(uploads=uploads) as session:
        add_all(session, noise(repository, 900))
        packs = session.close().packs
    assert packs > 5 * PACKS_PER_INDEX
    not_indexed = 0
    for request in faults(repository).requests:
        if request.verb == "write" and request.name.startswith("packs/"):
            not_indexed += 1
            assert not_indexed <= PACKS_PER_INDEX + 2 * uploads
        elif request.verb == "write" and request.name.startswith("index/"):
            not_indexed = max(0, not_indexed - PACKS_PER_INDEX)
    assert faults(repository).count("write", folder="index/") <= packs // PACKS_PER_INDEX + 1


def test_an_index_never_names_a_pack_that_was_not_confirmed_before(repository: Repository) -> None:
    with repository.write(uploads=3) as session:
        add_all(session, noise(repository, 600))
        session.close()
    inner = faults(repository).inner
    confirmed: set[str] = set()
    for request in faults(repository).requests:
        if request.verb == "write" and request.name.startswith("packs/"):
            confirmed.add(request.name)
        elif request.verb == "write":
            table = read_index(repository.seal, request.name, inner.read(request.name))
            assert {pack_name(PackId(pack)) for pack in table.column("pack").to_pylist()} <= confirmed
    assert {item.name for item in inner.list("packs")} == confirmed


@pytest.mark.parametrize("threads", [0, 3])
def test_bytes_under_way_never_exceed_a_bound_however_slow_the_store(repository: Repository, threads: int) -> None:
    uploads, length = 2, 4096
    blobs = noise(repository, 2500, length=length)
    accepted: list[int] = []

    def add(session: WriteSession) -> None:
        for blob, plain in blobs.items():
            session.add(BlobKind.PAGE, blob, plain)
            accepted.append(len(plain))
        session.close()

    def store(session: WriteSession) -> None:
        def bring(blob: BlobId) -> None:
            session.store(BlobKind.PAGE, blob, blobs[blob])
            accepted.append(length)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(bring, blobs))
        session.close()

    with repository.write(uploads=uploads) as session:
        bringer = threading.Thread(target=store if threads else add, args=(session,))
        with faults(repository).writes_held():
            bringer.start()
            for _ in range(uploads):
                assert faults(repository).held.acquire(timeout=20)
            # Long enough for an unbounded writer to take everything in; a bounded one stands still.
            bringer.join(timeout=0.7)
            assert bringer.is_alive()
            # Packs that are sent and the one that waits or is open; what is in the hands of the threads.
            packs, batches = uploads + 1, writing._BATCHES_UNDER_WAY + 2
            assert sum(accepted) <= packs * (PACK + length) + batches * (BATCH + length) < len(blobs) * length / 5
        bringer.join(timeout=60)
        assert not bringer.is_alive()
    assert dict(reopened(repository).read(blobs)) == blobs


def test_a_pack_holds_two_of_the_longest_blobs_and_never_three(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_OVERHANG_BYTES", 1024)
    long, longer = noise(repository, 6, length=PACK // 2), noise(repository, 3, length=PACK - 2048, seed=2)
    store_all(repository, long)
    assert {item.size // PACK for item in faults(repository).inner.list("packs")} == {1}
    store_all(repository, {**noise(repository, 1, length=PACK // 2, seed=3), **longer})
    assert max(item.size for item in faults(repository).inner.list("packs")) < PACK + 2048
    assert dict(reopened(repository).read([*long, *longer])) == {**long, **longer}


@either_way
@pytest.mark.parametrize("error", [StoreFull, StoreUnreachable])
@pytest.mark.parametrize("nth", [1, 2, 5, 9, 10, 13, 17])
def test_what_an_upload_ran_into_is_raised_and_leaves_nothing_that_counts(
    repository: Repository, nth: int, error: type[StorageError], fill: Fill
) -> None:
    blobs = noise(repository, 240)
    faults(repository).fail(frozenset({"write"}), nth=nth, error=error)
    with pytest.raises(error):
        store_all(repository, blobs, fill=fill)
    later = reopened(repository)
    stored = [blob for blob in blobs if blob in later.index()]
    assert dict(later.read(stored)) == {blob: blobs[blob] for blob in stored}
    with later.write(uploads=2) as session:
        add_all(session, blobs)
        assert session.close().blobs == len(blobs) - len(stored)
    assert dict(reopened(repository).read(blobs)) == blobs


def test_a_session_that_failed_once_never_comes_to_a_good_end(repository: Repository) -> None:
    blobs = noise(repository, 200)
    faults(repository).fail(frozenset({"write"}), nth=3)
    with repository.write(uploads=2) as session:
        for blob, plain in blobs.items():
            with contextlib.suppress(StoreUnreachable):
                session.add(BlobKind.PAGE, blob, plain)
        for _ in range(2):
            with pytest.raises(StoreUnreachable):
                session.close()
        (piece,) = noise(repository, 1, seed=2).items()
        with pytest.raises(StoreUnreachable):
            session.store(BlobKind.PAGE, *piece)


def test_an_error_of_ones_own_ends_the_session_without_waiting_for_the_rest(repository: Repository) -> None:
    with pytest.raises(RuntimeError, match="mine"):
        fail_at_the_end(repository, noise(repository, 400))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("encode", "send"))]


@either_way
def test_a_computer_that_spoils_what_it_compresses_is_found_out(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, fill: Fill
) -> None:
    monkeypatch.setattr("storage.format.pack.compress", lambda plain: bytes((0,)) + bytes(len(plain)))
    with pytest.raises(Damaged, match="this computer"):
        store_all(repository, noise(repository, 3), fill=fill)
    assert faults(repository).inner.list("packs") == []


def test_a_piece_that_could_not_be_sealed_is_not_taken_for_stored(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((blob, plain),) = noise(repository, 1).items()
    with repository.write(uploads=2) as session:
        with monkeypatch.context() as spoiled:
            spoiled.setattr("storage.format.pack.compress", lambda plain: bytes((0,)) + bytes(len(plain)))
            with pytest.raises(Damaged):
                session.store(BlobKind.PAGE, blob, plain)
        with pytest.raises(Damaged):
            session.close()
