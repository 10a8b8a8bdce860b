"""What a person hears when a store can't do its work, and that trouble never leaves half an object behind."""

from __future__ import annotations

import errno
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from storage.errors import (
    StorageError,
    StoreAddressInvalid,
    StoreFull,
    StoreReadOnly,
    StoreRefused,
    StoreUnreachable,
)
from storage.store import Store
from storage.stores.address import open_store
from storage.stores.fsspec_store import sweep_leftovers
from storage.stores.trouble import RetryRule, in_words
from tests.servers.openssh import MISSING, openssh_server, sshd_program
from tests.servers.process import HOST, free_port
from tests.servers.rclone import s3_server, sftp_server
from tests.servers.ssh_keys import make_ssh_keys

AT_ONCE = RetryRule(pause=lambda _: None)
ONCE = RetryRule(tries=1)


def _never(seconds: float) -> None:
    pytest.fail(f"waits {seconds} seconds for what won't pass")


OPERATIONS: dict[str, Callable[[Store], object]] = {
    "read": lambda store: store.read("a/b"),
    "read_range": lambda store: store.read_range("a/b", 0, 1),
    "write": lambda store: store.write("a/b", b"1"),
    "create": lambda store: store.create("a/c", b"1"),
    "list": lambda store: store.list(""),
    "remove": lambda store: store.remove("a/b"),
    "size": lambda store: store.size("a/b"),
}


def test_trouble_that_may_pass_is_tried_four_times_with_growing_pauses_of_less_than_15_seconds_in_all() -> None:
    pauses: list[float] = []

    def attempt(_: int) -> None:
        raise StoreUnreachable("No answer", "Try again")

    with pytest.raises(StoreUnreachable):
        RetryRule(pause=pauses.append, draw=lambda: 1.0).run(attempt)

    assert pauses == [1.5, 3.0, 6.0]
    assert sum(pauses) <= 15


def test_pauses_are_drawn_so_that_writers_do_not_come_back_together() -> None:
    pauses: list[float] = []

    def attempt(number: int) -> str:
        if number < 3:
            raise StoreUnreachable("No answer", "Try again")
        return "done"

    assert RetryRule(pause=pauses.append, draw=lambda: 0.0).run(attempt) == "done"
    assert pauses == [0.75, 1.5]


@pytest.mark.parametrize("kind", [StoreRefused, StoreFull, StoreReadOnly, StoreAddressInvalid, StorageError])
def test_trouble_that_will_not_pass_is_told_at_once(kind: type[StorageError]) -> None:
    numbers: list[int] = []

    def attempt(number: int) -> None:
        numbers.append(number)
        raise kind("No", "Don't")

    with pytest.raises(kind):
        RetryRule(pause=_never).run(attempt)

    assert numbers == [1]


def test_an_error_says_what_was_done_to_what_and_where() -> None:
    with pytest.raises(StoreFull) as full, in_words("write", "packs/ab/1", "s3://bucket/x"):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert full.value.problem == "Could not write packs/ab/1 in s3://bucket/x: no space or quota is left"
    assert full.value.advice


def test_a_defect_of_ours_is_not_dressed_up_as_trouble_of_the_store() -> None:
    with pytest.raises(ZeroDivisionError), in_words("write", "a", "memory://x"):
        raise ZeroDivisionError


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_error_number_becomes_a_sentence(number: int) -> None:
    with pytest.raises(StorageError), in_words("write", "a", "/backups"):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", ["s3", "sftp"])
def test_a_dead_port_is_unreachable_for_every_operation(kind: str, operation: str) -> None:
    port = free_port()
    places: dict[str, tuple[str, dict[str, Any]]] = {
        "s3": ("s3://bucket/x", {"endpoint_url": f"http://{HOST}:{port}", "key": "k", "secret": "s"}),
        "sftp": (f"sftp://user@{HOST}:{port}/x", {"known_hosts": None}),
    }
    url, options = places[kind]

    with pytest.raises(StoreUnreachable, match="Could not"):
        OPERATIONS[operation](open_store(url, options, retries=ONCE))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_wrong_secret_is_refused_for_every_operation(operation: str, s3_options: dict[str, Any]) -> None:
    store = open_store("s3://backups/x", {**s3_options, "secret": "not the secret"}, retries=RetryRule(pause=_never))

    with pytest.raises(StoreRefused, match="credentials"):
        OPERATIONS[operation](store)


def test_a_bucket_that_is_not_there_is_no_empty_repository(s3_options: dict[str, Any]) -> None:
    store = open_store("s3://no-such-bucket/x", s3_options)

    for operation in ("list", "write", "read"):
        with pytest.raises(StoreAddressInvalid, match="no such bucket"):
            OPERATIONS[operation](store)


@pytest.fixture(scope="module")
def s3_options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    scratch = tmp_path_factory.mktemp("s3")
    with s3_server(scratch / "served", scratch) as server:
        yield server.options


def test_an_unknown_host_key_is_refused_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    with sftp_server(tmp_path / "served", tmp_path) as server:
        nobody = tmp_path / "nobody"
        nobody.touch()
        store = open_store(server.url("x"), {**server.options, "known_hosts": str(nobody)}, retries=ONCE)
        with pytest.raises(StoreRefused, match="host key"):
            store.list("")

        by_default = {option: value for option, value in server.options.items() if option != "known_hosts"}
        with pytest.raises(StoreRefused, match="host key"):
            open_store(server.url("x"), by_default, retries=ONCE).list("")

        assert open_store(server.url("x"), {**by_default, "known_hosts": None}).list("") == []


def test_an_unknown_key_is_refused_by_sftp(tmp_path: Path) -> None:
    with sftp_server(tmp_path / "served", tmp_path) as server:
        others = make_ssh_keys(tmp_path / "others")
        store = open_store(server.url("x"), {**server.options, "client_keys": [str(others.client)], "agent_path": None})

        with pytest.raises(StoreRefused):
            store.read("a")


@pytest.mark.parametrize(
    "serve", [s3_server, sftp_server, openssh_server], ids=["s3-rclone", "sftp-rclone", "sftp-openssh"]
)
def test_a_server_that_only_lets_read_can_be_read_and_says_no_to_writes(serve: Any, tmp_path: Path) -> None:
    if serve is openssh_server and sshd_program() is None:
        pytest.skip(MISSING)
    with serve(tmp_path / "served", tmp_path) as server:
        open_store(server.url("x"), server.options).write("a/b", b"1")
    with serve(tmp_path / "served", tmp_path, read_only=True) as server:
        store = open_store(server.url("x"), server.options, retries=AT_ONCE)

        assert store.read("a/b") == b"1"
        for put in (store.write, store.create):
            with pytest.raises(StorageError, match="Could not write a/new"):
                put("a/new", b"2")
        assert [found.name for found in store.list("")] == ["a/b"]


def test_a_path_under_a_file_is_said_to_have_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for url in (tmp_path / "file", tmp_path / "file" / "below"):
        store = open_store(str(url), retries=RetryRule(pause=_never))

        with pytest.raises(StoreAddressInvalid, match="a file is in the way"):
            store.write("a/b", b"1")
    with pytest.raises(StoreAddressInvalid, match="a file is in the way"):
        open_store(str(tmp_path / "file")).list("")


def test_a_disk_that_was_unplugged_is_neither_an_empty_repository_nor_made_anew(tmp_path: Path) -> None:
    root = tmp_path / "disk" / "repository"
    store = open_store(str(root), retries=AT_ONCE)
    store.write("a/b", b"1")
    shutil.rmtree(tmp_path / "disk")

    for operation in (lambda: store.list(""), lambda: store.list("a"), lambda: store.write("a/b", b"1")):
        with pytest.raises(StoreUnreachable, match="folder has gone"):
            operation()
    assert not root.exists()


def test_a_folder_that_cannot_be_listed_is_an_error_and_not_a_short_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path))
    store.write("packs/ab/1", b"1")
    store.write("packs/cd/2", b"2")
    scan = os.scandir

    def refuse_one(path: Any) -> Any:
        if str(path).endswith("cd"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("storage.stores.local_medium.os.scandir", refuse_one)

    with pytest.raises(StoreRefused):
        store.list("")


@pytest.mark.parametrize("put", ["write", "create"])
def test_a_full_disk_is_said_and_leaves_nothing_behind(
    put: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path), retries=RetryRule(pause=_never))
    store.write("old", b"old")

    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("storage.stores.local_medium.os.fsync", no_space)
    with pytest.raises(StoreFull, match="no space"):
        getattr(store, put)("new", b"new")

    assert _names_in(tmp_path) == ["old"]


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk, which takes Linux and root")
def test_a_truly_full_disk_is_said_and_the_old_object_stays(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("may not mount a disk here")
    try:
        store = open_store(str(tmp_path / "repository"))
        store.write("a", b"1" * 100_000)

        with pytest.raises(StoreFull):
            store.write("a", b"2" * 200_000)

        assert store.read("a") == b"1" * 100_000
        assert _names_in(tmp_path / "repository") == ["a"]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_folder_where_links_are_unknown_still_creates_and_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("storage.stores.local_medium.os.link", no_links)
    store = open_store(str(tmp_path))

    store.create("a", b"1")
    with pytest.raises(StorageError, match="there already"):
        store.create("a", b"2")

    assert _names_in(tmp_path) == ["a"]
    assert store.read("a") == b"1"


def test_every_new_folder_and_name_is_flushed_to_the_disk_before_a_write_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("the names of open files can be asked for on Linux only")
    monkeypatch.setattr("storage.stores.local_medium.os.fsync", watched)

    open_store(str(tmp_path / "new")).write("a/b", b"1")

    assert flushed[:2] == [str(tmp_path), str(tmp_path / "new")]
    assert flushed[2].startswith(str(tmp_path / "new" / "a" / ".b."))
    assert flushed[3] == str(tmp_path / "new" / "a")


@pytest.mark.parametrize("serve", [s3_server, sftp_server], ids=["s3", "sftp"])
def test_a_server_that_dies_in_mid_write_leaves_no_part_of_an_object(serve: Any, tmp_path: Path) -> None:
    old, new = b"old" * 100, random.Random(1).randbytes(48 * 2**20)
    with serve(tmp_path / "served", tmp_path) as server:
        port = server.server.port
        store = open_store(server.url("x"), server.options, retries=ONCE)
        store.write("a/replaced", old)
        served = tmp_path / "served"
        size_before = _bytes_below(served)
        arriving = threading.Event()
        ended = threading.Event()

        def kill_when_bytes_arrive() -> None:
            while not ended.is_set() and not arriving.is_set():
                if _bytes_below(served) > size_before + 2**20 or _grown(server.server.process.pid):
                    arriving.set()
                    server.server.kill()

        killer = threading.Thread(target=kill_when_bytes_arrive)
        killer.start()
        try:
            with pytest.raises(StoreUnreachable):
                store.write("a/replaced", new)
        finally:
            ended.set()
            killer.join()
        with pytest.raises(StoreUnreachable):
            store.read("a/replaced")
    with serve(tmp_path / "served", tmp_path, port=port, **({"keys": server.keys} if serve is sftp_server else {})):
        assert store.read("a/replaced") == old  # the same store finds the server again
        assert [(found.name, found.size) for found in store.list("")] == [("a/replaced", len(old))]


def _names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def _grown(process_id: int) -> bool:
    """Tell whether a server holds more than an idle one does: rclone's S3 server takes an upload into memory first."""
    try:
        resident = int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return resident > 110 * 2**20


def test_after_a_restart_of_the_server_the_same_store_goes_on(tmp_path: Path) -> None:
    with sftp_server(tmp_path / "served", tmp_path) as server:
        store = open_store(server.url("x"), server.options, retries=AT_ONCE)
        store.write("a", b"1")
    with sftp_server(tmp_path / "served", tmp_path, port=server.server.port, keys=server.keys):
        store.write("b", b"2")

        assert [found.name for found in store.list("")] == ["a", "b"]


def test_a_create_whose_answer_was_lost_is_not_taken_for_somebody_elses(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), retries=AT_ONCE)
    medium: Any = vars(store)["_medium"]
    create, calls = medium.create, []

    def lose_the_first_answer(name: str, data: bytes) -> None:
        calls.append(name)
        create(name, data)
        if len(calls) == 1:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    medium.create = lose_the_first_answer

    store.create("key", b"ours")

    assert calls == ["key", "key"]
    assert store.read("key") == b"ours"


WRITER = """
import itertools, sys
from storage.stores.address import open_store
store = open_store(sys.argv[1])
for number in itertools.count():
    store.write(f"packs/{number % 7}", bytes([number % 256]) * 3_000_000)
    store.create(f"index/{sys.argv[2]}-{number}", bytes([number % 256]) * 70_000)
    print("stored", number, flush=True)
"""


def test_whatever_a_killed_writer_leaves_is_whole_and_its_leftovers_can_be_swept(tmp_path: Path) -> None:
    chance = random.Random(20)
    promised: list[str] = []
    for round_number in range(20):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "repository"), str(round_number)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert writer.stdout is not None
        for _ in range(chance.randrange(1, 6)):
            promised.append(f"index/{round_number}-{writer.stdout.readline().split()[1].decode()}")
        threading.Event().wait(chance.random() / 30)  # so that the kill falls at any point of a write
        writer.kill()
        writer.communicate()
    store = open_store(str(tmp_path / "repository"))

    found = store.list("")
    assert set(promised) <= {each.name for each in found}
    for each in found:
        data = store.read(each.name)
        assert len(data) == (70_000 if each.name.startswith("index/") else 3_000_000)
        assert len(set(data)) == 1
    left = list(tmp_path.rglob(".*.tmp"))
    assert sweep_leftovers(store) == 0
    for path in left:
        os.utime(path, (0, 0))
    assert sweep_leftovers(store) == len(left)
    # Not the times: one killed between a link and its clearing away shares them with what it left.
    assert [(each.name, each.size) for each in store.list("")] == [(each.name, each.size) for each in found]
    assert list(tmp_path.rglob(".*.tmp")) == []


@pytest.mark.parametrize("kind", ["local", "sftp"])
def test_a_sweep_takes_what_is_older_than_a_day_and_leaves_a_write_under_way(kind: str, tmp_path: Path) -> None:
    if kind == "sftp" and sshd_program() is None:
        pytest.skip(MISSING)
    served = tmp_path / "served"
    # OpenSSH, because rclone doesn't see at once what is put into the folder behind its back.
    with openssh_server(served, tmp_path) if kind == "sftp" else nullcontext() as server:
        store = open_store(server.url("x"), server.options) if server else open_store(str(served / "x"))
        store.write("packs/a", b"1")
        fresh = served / "x" / "packs" / ".b.0123456789abcdef.tmp"
        stale = served / "x" / "packs" / ".c.fedcba9876543210.tmp"
        fresh.write_bytes(b"half")
        stale.write_bytes(b"half")
        os.utime(stale, (fresh.stat().st_mtime - 90_000,) * 2)

        assert [found.name for found in store.list("")] == ["packs/a"]
        assert sweep_leftovers(store) == 1

    assert _names_in(served / "x" / "packs") == [fresh.name, "a"]


@pytest.mark.parametrize("option", [{"protocol": 3}, {"client_kwargs": {"nonsense": 1}}, {"nonsense": 2}])
def test_options_that_a_library_looks_at_only_when_it_connects_are_told_in_a_sentence(option: dict[str, Any]) -> None:
    known = {"endpoint_url": "http://127.0.0.1:1", "key": "some-access-key", "secret": "some-secret-key"}
    with pytest.raises(StoreAddressInvalid, match="options") as caught:
        open_store("s3://bucket/anki", {**known, **option}).read("recollect.json")
    assert "some-secret-key" not in str(caught.value)
