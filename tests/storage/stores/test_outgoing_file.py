"""A file that is written as a stream to every kind of place: whole in the end, or not there at all."""

from __future__ import annotations

import errno
import gc
import hashlib
import io
import os
import random
import stat
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile

from storage.errors import TargetUnreachable, TargetUnwritable
from storage.stores import local_medium, outgoing_file
from storage.stores.address import open_outgoing_file, open_store
from storage.stores.medium import UPLOAD_PART_BYTES
from storage.stores.object_medium import ObjectMedium
from storage.stores.outgoing_file import OutgoingFile
from storage.stores.s3_medium import S3Medium
from storage.stores.sftp_medium import SftpMedium
from storage.stores.tree_medium import TreeMedium
from storage.stores.trouble import RetryRule
from tests.servers.process import free_port
from tests.servers.rclone import SECRET, ftp_server, s3_server
from tests.storage.conftest import EVERY_KIND_OF_STORE, Places, RepositoryPlace, places

__all__ = ["places"]

AT_ONCE = RetryRule(pause=lambda _: None)
NAME = "Ada's package ü.colpkg"
PART = 2**18
LARGE = random.Random(3).randbytes(2 * PART + 100_003)
"""Three parts, which are small here for the sake of time."""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing_file, "UPLOAD_PART_BYTES", PART)


@pytest.fixture(scope="module")
def ftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scratch = tmp_path_factory.mktemp("ftp")
    with ftp_server(scratch / "served", scratch) as url:
        yield url


@pytest.fixture(params=[*EVERY_KIND_OF_STORE, "ftp"])
def place(request: pytest.FixtureRequest, places: Places) -> RepositoryPlace:
    if request.param == "ftp":
        return RepositoryPlace("ftp", f"{request.getfixturevalue('ftp')}/{os.urandom(8).hex()}", {})
    made = places.new(request.param)
    if request.param == "local":
        Path(made.url).mkdir(parents=True)
    return made


def file_at(place: RepositoryPlace, name: str = NAME) -> OutgoingFile:
    return open_outgoing_file(f"{place.url}/{name}", place.options, retries=AT_ONCE)


def written(file: OutgoingFile, content: bytes, *, replace: bool = False) -> None:
    with file.written(replace=replace) as out:
        rest = io.BytesIO(content)
        while part := rest.read(300_001):
            out.write(part)


def everything(place: RepositoryPlace) -> dict[str, int]:
    """Every file at the place, also those with names that no store's object has."""
    if place.kind == "local":
        return {path.name: path.stat().st_size for path in Path(place.url).iterdir()}
    return {found.name: found.size for found in place.open()._medium.objects("")}  # type: ignore[attr-defined]


@pytest.mark.parametrize("content", [b"", b"small", LARGE], ids=["empty", "small", "large"])
def test_what_was_written_is_there_under_its_name_alone(place: RepositoryPlace, content: bytes) -> None:
    file = file_at(place)
    assert not file.is_there()
    written(file, content)
    assert file.is_there()
    assert everything(place) == {NAME: len(content)}
    found = hashlib.sha256(place.open().read(NAME)).digest()
    assert found == hashlib.sha256(content).digest()


def broken_off(file: OutgoingFile, size: int, *, replace: bool = False) -> None:
    with suppress(ZeroDivisionError), file.written(replace=replace) as out:
        out.write(LARGE[:size])
        raise ZeroDivisionError


@pytest.mark.parametrize("size", [0, len(LARGE)], ids=["at the beginning", "in the middle"])
def test_what_fails_leaves_nothing_and_what_was_there_stays(place: RepositoryPlace, size: int) -> None:
    broken_off(file_at(place), size)
    assert everything(place) == {}
    written(file_at(place), b"before")
    broken_off(file_at(place), size, replace=True)
    assert place.open().read(NAME) == b"before"
    assert everything(place) == {NAME: 6}


def test_a_file_is_replaced_only_by_who_says_so(place: RepositoryPlace) -> None:
    written(file_at(place), b"before")
    with pytest.raises(TargetUnwritable, match="it is there already"):
        written(file_at(place), LARGE)
    assert everything(place) == {NAME: 6}
    written(file_at(place), LARGE, replace=True)
    assert everything(place) == {NAME: len(LARGE)}
    written(file_at(place), b"", replace=True)
    assert everything(place) == {NAME: 0}


def test_a_file_that_came_meanwhile_is_left_alone(place: RepositoryPlace) -> None:
    first = file_at(place)

    def overtaken() -> None:
        with file_at(place).written() as out:
            out.write(LARGE)
            written(first, b"first")

    with pytest.raises(TargetUnwritable, match="it is there already"):
        overtaken()
    assert place.open().read(NAME) == b"first"
    assert everything(place) == {NAME: 5}


@pytest.mark.parametrize("kind", ["s3-rclone", "sftp-openssh", "sftp-rclone"])
def test_parts_of_the_usual_size_arrive(places: Places, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(outgoing_file, "UPLOAD_PART_BYTES", UPLOAD_PART_BYTES)
    place = places.new(kind)
    content = random.Random(6).randbytes(UPLOAD_PART_BYTES + 1_000_003)
    written(file_at(place), content)
    assert hashlib.sha256(place.open().read(NAME)).digest() == hashlib.sha256(content).digest()


def test_memory_holds_a_few_parts_and_not_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing_file, "UPLOAD_PART_BYTES", UPLOAD_PART_BYTES)
    part = random.Random(4).randbytes(1 << 20)
    tracemalloc.start()
    try:
        with open_outgoing_file(str(tmp_path / "large")).written() as out:
            for _ in range(160):
                out.write(part)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "large").stat().st_size == 160 << 20
    assert peak < 4 * UPLOAD_PART_BYTES


# Faults on the way


@contextmanager
def failing_at(monkeypatch: pytest.MonkeyPatch, kind: type, method: str, nth: int, error: Exception) -> Iterator[None]:
    """The nth call fails after it did what it should: the answer is lost."""
    real = getattr(kind, method)
    calls = 0

    def faulty(*args: Any, **named: Any) -> Any:
        nonlocal calls
        answer = real(*args, **named)
        calls += 1
        if calls == nth:
            raise error
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(kind, method, faulty)
        yield
    assert calls >= nth


@pytest.mark.parametrize("nth", range(1, 6))
@pytest.mark.parametrize("replace", [False, True])
def test_a_lost_answer_of_an_object_store_costs_another_try(
    places: Places, monkeypatch: pytest.MonkeyPatch, nth: int, replace: bool
) -> None:
    place = places.new("s3-rclone")
    written(file_at(place), b"before") if replace else None
    # What is answered: the upload is begun, three parts, it is completed.
    with failing_at(monkeypatch, S3Medium, "asked", nth, OSError(errno.EIO, "lost")):
        written(file_at(place), LARGE, replace=replace)
    assert everything(place) == {NAME: len(LARGE)}
    assert place.open().read(NAME) == LARGE


@pytest.mark.parametrize("replace", [False, True])
def test_a_small_object_whose_answer_was_lost_is_known_again(
    places: Places, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    place = places.new("s3-rclone")
    written(file_at(place), b"before") if replace else None
    with failing_at(monkeypatch, S3Medium, "write" if replace else "create", 1, OSError(errno.EIO, "lost")):
        written(file_at(place), b"small", replace=replace)
    assert place.open().read(NAME) == b"small"


@pytest.mark.parametrize("nth", range(1, 5))
@pytest.mark.parametrize("replace", [False, True])
def test_a_broken_connection_to_an_ssh_server_costs_another_try(
    places: Places, monkeypatch: pytest.MonkeyPatch, nth: int, replace: bool
) -> None:
    place = places.new("sftp-openssh")
    written(file_at(place), b"before") if replace else None
    ask = SftpMedium.ask
    calls = 0

    def breaking(medium: SftpMedium, request: Any) -> Any:
        nonlocal calls
        answer = ask(medium, request)
        calls += 1
        if calls == nth:
            broken = medium._connection
            assert broken is not None
            medium._forget(broken)
            broken.client.abort()
            raise ConnectionResetError(errno.ECONNRESET, "lost")
        return answer

    monkeypatch.setattr(SftpMedium, "ask", breaking)
    written(file_at(place), LARGE, replace=replace)
    assert calls > nth
    assert everything(place) == {NAME: len(LARGE)}
    assert hashlib.sha256(place.open().read(NAME)).digest() == hashlib.sha256(LARGE).digest()


def test_nothing_stays_of_an_upload_that_was_given_up(tmp_path: Path) -> None:
    with s3_server(tmp_path / "served", tmp_path) as server:
        broken_off(open_outgoing_file(server.url("x/y.colpkg"), server.options), len(LARGE))
        medium: Any = open_store(server.url("x"), server.options)._medium  # type: ignore[attr-defined]
        assert not medium.asked("list_multipart_uploads").get("Uploads")


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(local_medium, "_fsync", full)
    with pytest.raises(TargetUnwritable, match="no space or quota is left") as told:
        written(open_outgoing_file(str(tmp_path / "x.colpkg")), b"some")
    assert told.value.problem.startswith(f"Could not write {tmp_path / 'x.colpkg'}:")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_told_without_its_password() -> None:
    url = f"sftp://lena:{SECRET}@127.0.0.1:{free_port()}/x.colpkg"
    with pytest.raises(TargetUnreachable) as told:
        open_outgoing_file(url, {"known_hosts": None}, retries=AT_ONCE).is_there()
    assert SECRET not in f"{told.value}{open_outgoing_file(url)!r}"
    assert told.value.code == "target-unreachable"


# Filesystems that only fsspec knows


class _Service(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """An object store as fsspec's libraries for them are: parts are put together when the file is closed."""

    store: dict[str, Any] = {}  # noqa: RUF012 - its own, not the one of fsspec's memory
    pseudo_dirs = [""]  # noqa: RUF012
    sizes: list[int] = []  # noqa: RUF012

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> Any:
        if mode == "rb" or "data" in options:
            return super()._open(path, mode, **options)
        return _Parts(self, path, mode, block_size)


class _Parts(AbstractBufferedFile):  # type: ignore[misc]
    def _initiate_upload(self) -> None:
        self.parts: list[bytes] = []

    def _upload_chunk(self, final: bool = False) -> bool:
        self.parts.append(self.buffer.getvalue())
        self.fs.sizes.append(len(self.parts[-1]))
        if final:
            self.fs.pipe_file(self.path, b"".join(self.parts))
        return True


def test_an_object_of_any_service_is_there_when_its_file_was_closed_and_not_before() -> None:
    service = _Service(skip_instance_cache=True)
    medium = ObjectMedium(service, "/bucket/x")
    service.mkdir("/bucket")

    def outgoing(name: str) -> OutgoingFile:
        return OutgoingFile(medium, name, f"gs://bucket/x/{name}", AT_ONCE)

    broken_off(outgoing("a"), len(LARGE))
    gc.collect()
    assert list(medium.objects("")) == []
    written(outgoing("a"), LARGE)
    assert medium.read("a") == LARGE
    assert max(service.sizes) <= UPLOAD_PART_BYTES
    with pytest.raises(TargetUnwritable, match="it is there already"):
        written(outgoing("a"), b"other")
    broken_off(outgoing("a"), len(LARGE), replace=True)
    gc.collect()
    assert medium.read("a") == LARGE
    written(outgoing("a"), b"other", replace=True)
    assert medium.read("a") == b"other"


def test_a_server_that_can_not_rename_in_one_step_keeps_no_part_of_a_file() -> None:
    medium = TreeMedium(MemoryFileSystem(skip_instance_cache=True), f"/outgoing-{os.urandom(8).hex()}")
    file = OutgoingFile(medium, "a", "webdav://host/a", AT_ONCE)
    broken_off(file, len(LARGE))
    assert list(medium.objects("")) == []
    written(file, LARGE)
    assert medium.read("a") == LARGE


# What is no address of a file


@pytest.mark.parametrize(
    "url",
    ["s3://bucket", "s3://bucket/", "sftp://host/folder/", "sftp://host/..", "sftp://host/%2e%2e%2fx", "s3:x", ""],
)
def test_what_names_no_file_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(TargetUnwritable):
        open_outgoing_file(url, {"endpoint_url": "http://127.0.0.1:1"} if url.startswith("s3:/") else {})


def test_a_folder_or_a_device_is_never_replaced_and_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(TargetUnwritable, match="is a folder"):
        open_outgoing_file(str(tmp_path))
    with pytest.raises(TargetUnwritable, match="There is no folder"):
        open_outgoing_file(str(tmp_path / "away" / "x.colpkg"))
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(TargetUnwritable, match="no ordinary file"):
            open_outgoing_file(str(tmp_path / "pipe"))
        assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_folder_on_a_server_is_refused_before_anything_is_sent(places: Places) -> None:
    for kind in ("sftp-openssh", "sftp-rclone"):
        place = places.new(kind)
        place.open().write(f"{NAME}/inside", b"x")
        with pytest.raises(TargetUnwritable, match="a folder is in the way"), file_at(place).written(replace=True):
            pytest.fail("nothing should be written")


def test_what_a_link_leads_to_is_replaced_and_not_the_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "x.colpkg").write_bytes(b"before")
    (tmp_path / "x.colpkg").symlink_to(tmp_path / "disk" / "x.colpkg")
    written(open_outgoing_file(str(tmp_path / "x.colpkg")), b"after", replace=True)
    assert (tmp_path / "x.colpkg").is_symlink()
    assert (tmp_path / "disk" / "x.colpkg").read_bytes() == b"after"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_only_its_owner_may_read_a_file(tmp_path: Path) -> None:
    written(open_outgoing_file((tmp_path / "x y.colpkg").as_uri()), b"private")
    assert stat.S_IMODE((tmp_path / "x y.colpkg").stat().st_mode) == 0o600


def test_a_file_in_the_home_folder_of_a_server_is_reached(places: Places, tmp_path: Path) -> None:
    place = places.new("sftp-openssh")
    server = place.url.partition("://")[2].partition("/")[0]
    name = f"recollect-{os.urandom(8).hex()}.colpkg"
    file = open_outgoing_file(f"sftp://{server}/~/{name}", place.options, retries=AT_ONCE)
    try:
        written(file, b"at home")
        assert (Path.home() / name).read_bytes() == b"at home"
    finally:
        (Path.home() / name).unlink(missing_ok=True)
