"""A filesystem that the store has no medium of its own for, reached through fsspec's common methods: FTP."""

from __future__ import annotations

import ftplib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from storage.errors import (
    Damaged,
    NotARepository,
    ObjectExists,
    ObjectMissing,
    StorageError,
    StoreRefused,
    StoreUnreachable,
)
from storage.store import Store
from storage.stores.address import open_store
from storage.stores.fsspec_store import FsspecStore, sweep_leftovers
from storage.stores.tree_medium import TreeMedium
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


class _Faulty(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Fails when it is asked what is at a path."""

    cachable = False
    fault: OSError = OSError()

    def info(self, path: str, **_: object) -> dict[str, object]:
        assert path
        raise self.fault


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (PermissionError(13, "denied"), StoreRefused),
        (ConnectionResetError(104, "reset"), StoreUnreachable),
        (TimeoutError(110, "slow"), StoreUnreachable),
    ],
)
def test_a_question_that_failed_is_not_taken_for_nothing_there(fault: OSError, said: type[StorageError]) -> None:
    filesystem = _Faulty()
    filesystem.fault = fault
    store = FsspecStore(TreeMedium(filesystem, "/tree"), "test://tree", retries=RetryRule(tries=1))

    for ask in (lambda: store.list(""), lambda: store.list("packs"), store.exists):
        with pytest.raises(said):
            ask()


@pytest.mark.parametrize("prefix", ["", "packs"])
def test_an_ftp_server_about_to_shut_down_is_not_taken_for_an_empty_one(
    address: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"{address}/shutting-down", retries=RetryRule(tries=1))
    store.write("packs/a", b"1")

    def busy(*_: object) -> Iterator[tuple[str, dict[str, str]]]:
        raise ftplib.error_temp("421 Service not available")

    monkeypatch.setattr(ftplib.FTP, "mlsd", busy)
    with pytest.raises(StoreUnreachable):
        store.list(prefix)


def test_a_folder_that_an_ftp_server_does_not_show_is_not_taken_for_an_empty_one(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(f"{address}/not-shown", retries=RetryRule(tries=1))
    store.write("packs/a", b"1")
    mlsd, dir_ = ftplib.FTP.mlsd, ftplib.FTP.dir

    def refusing(listing: Callable[..., Any]) -> Callable[..., Any]:
        def asked(server: ftplib.FTP, path: str, *more: Any) -> Any:
            if path.endswith("/packs"):
                raise ftplib.error_perm("550 Permission denied")
            return listing(server, path, *more)

        return asked

    monkeypatch.setattr(ftplib.FTP, "mlsd", refusing(mlsd))
    monkeypatch.setattr(ftplib.FTP, "dir", refusing(dir_))
    for prefix in ("", "packs"):
        with pytest.raises(StoreRefused):
            store.list(prefix)


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
