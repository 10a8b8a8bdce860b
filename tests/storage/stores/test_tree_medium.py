"""A filesystem that the store has no medium of its own for, reached through fsspec's common methods: FTP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.errors import Damaged, NotARepository, ObjectExists, ObjectMissing, StorageError
from storage.store import Store
from storage.stores.address import open_store
from storage.stores.fsspec_store import sweep_leftovers
from storage.stores.trouble import RetryRule
from tests.servers.rclone import SECRET, ftp_server


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scratch = tmp_path_factory.mktemp("ftp")
    with ftp_server(scratch / "served", scratch) as url:
        yield url


@pytest.fixture
def store(address: str, request: pytest.FixtureRequest) -> Store:
    return open_store(f"{address}/{request.node.name}/backups")


def test_objects_come_back_and_are_replaced(store: Store) -> None:
    store.write("packs/ab/1", b"a longer object")
    store.write("packs/ab/1", b"0123456789")

    assert store.read("packs/ab/1") == b"0123456789"
    assert store.read_range("packs/ab/1", 3, 4) == b"3456"
    assert store.size("packs/ab/1") == 10
    assert store.size("packs/ab") is None
    with pytest.raises(Damaged):
        store.read_range("packs/ab/1", 9, 2)
    with pytest.raises(ObjectMissing):
        store.read("packs/ab")


def test_a_listing_is_whole_and_knows_when_objects_were_written(store: Store) -> None:
    assert store.list("") == []
    for name in ("packs/ab/1", "packs/cd/2", "recollect.json"):
        store.write(name, name.encode())

    found = store.list("")

    assert [(each.name, each.size) for each in found] == [
        ("packs/ab/1", 10),
        ("packs/cd/2", 10),
        ("recollect.json", 14),
    ]
    assert all(abs(each.modified - datetime.now(UTC)) < timedelta(minutes=5) for each in found)
    assert [each.name for each in store.list("packs/cd")] == ["packs/cd/2"]


def test_create_keeps_what_is_there(store: Store) -> None:
    store.create("a", b"1")

    with pytest.raises(ObjectExists):
        store.create("a", b"2")

    assert store.read("a") == b"1"


def test_removing_may_be_repeated(store: Store) -> None:
    store.write("a/b", b"1")

    store.remove("a/b")
    store.remove("a/b")

    assert store.list("") == []


def test_threads_take_turns_on_the_one_connection(store: Store) -> None:
    def work(number: int) -> bytes:
        store.write(f"a/{number}", str(number).encode())
        return store.read(f"a/{number}")

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(24))) == [str(number).encode() for number in range(24)]


def test_the_password_of_the_url_shows_nowhere(address: str) -> None:
    store = open_store(f"{address}/x")

    with pytest.raises(NotARepository) as missing:
        open_store(f"{address}/nowhere", must_exist=True)

    assert SECRET not in store.url + repr(store) + str(missing.value)


def test_leftovers_of_killed_writers_are_swept(tmp_path: Path) -> None:
    leftover = tmp_path / "served" / "x" / "packs" / ".b.0123456789abcdef.tmp"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    os.utime(leftover, (0, 0))
    with ftp_server(tmp_path / "served", tmp_path) as address:
        store = open_store(f"{address}/x")
        store.write("packs/a", b"1")

        assert sweep_leftovers(store) == 1

        assert [each.name for each in store.list("")] == ["packs/a"]
    assert not leftover.exists()


def test_a_wrong_password_is_said_without_a_traceback(address: str) -> None:
    with pytest.raises(StorageError, match="Could not"):
        open_store(f"{address.replace(SECRET, 'wrong')}/x", retries=RetryRule(tries=1)).list("")
