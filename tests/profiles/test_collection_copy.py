from __future__ import annotations

import errno
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from profiles import collection_copy, source_file
from profiles.collection_copy import copy_collection, stamp
from profiles.errors import CollectionDamaged, CollectionMissing, SourceBusy, SourceUnreadable, TargetUnusable
from profiles.wal import plain_checksum

PAGE = 4096

# A process that ends in the midst of things, told over its standard input when to go on.
WRITER = """
import os, signal, sqlite3, sys
path, mode = sys.argv[1:]
c = sqlite3.connect(path, isolation_level=None)
c.execute("PRAGMA locking_mode=EXCLUSIVE")
c.execute("PRAGMA journal_mode=" + mode)
c.execute("PRAGMA cache_size=3")
c.execute("BEGIN")
c.execute("UPDATE pair SET value = 7, filler = randomblob(3000)")
if mode == "wal":
    c.execute("COMMIT")
print("ready", flush=True)
sys.stdin.readline()
if mode == "delete":
    c.execute("COMMIT")
    c.close()
"""


class Hook:
    """A listener for progress that does something of its own each time a piece was copied."""

    def __init__(self, act: Callable[[int], None]) -> None:
        self.act = act
        self.calls = 0
        self.told = 0

    def advance(self, amount: int, files: int = 0) -> None:  # noqa: ARG002
        self.calls += 1
        self.told += amount
        self.act(self.calls)


class HeldByAnother(PermissionError):
    """What Windows says when another program holds a file (ERROR_SHARING_VIOLATION)."""

    winerror = 32


def no_pause(seconds: float) -> None:
    """What needs no rest in a test."""


@contextmanager
def live(path: Path) -> Iterator[sqlite3.Connection]:
    """An owner with rows on distant pages that it always changes together, and no checkpoint but those asked for."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("CREATE TABLE pair (id INTEGER PRIMARY KEY, value INTEGER, filler BLOB)")
        connection.executemany("INSERT INTO pair VALUES (?, 0, zeroblob(3000))", [(number,) for number in range(1, 41)])
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        yield connection


def raise_pair(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE pair SET value = value + 1 WHERE id IN (1, 40)")


def closed(path: Path, value: int = 0) -> Path:
    with live(path) as connection:
        connection.execute("UPDATE pair SET value = ?", (value,))
    return path


def pair(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        first, last = connection.execute("SELECT value FROM pair WHERE id IN (1, 40) ORDER BY id").fetchall()
    return first[0], last[0]


@contextmanager
def writer(path: Path, mode: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def kill(process: subprocess.Popen[str]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def state_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "profile").mkdir()
    return tmp_path / "profile" / "collection.anki2"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "staging").mkdir()
    return tmp_path / "staging" / "copy"


def test_a_closed_collection_is_copied_byte_for_byte(source: Path, target: Path) -> None:
    closed(source)

    evidence = copy_collection(source, target)

    assert target.read_bytes() == source.read_bytes()
    assert (evidence.how, evidence.attempts, evidence.frames) == ("quiet", 1, 0)
    assert (evidence.salts, evidence.commit_pages) == (None, None)
    assert (evidence.page_size, evidence.size) == (PAGE, source.stat().st_size)
    assert evidence.stamp == stamp(source)
    assert list(target.parent.iterdir()) == [target]


def test_only_its_owner_may_read_the_copy(source: Path, target: Path) -> None:
    closed(source)
    copy_collection(source, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_what_lies_only_in_the_log_of_an_open_collection_is_in_the_copy(source: Path, target: Path) -> None:
    with live(source) as connection:
        raise_pair(connection)
        before = state_of(source.parent)

        evidence = copy_collection(source, target)

        assert state_of(source.parent) == before
        assert pair(target) == (1, 1)
        assert evidence.how == "wal-guarded"
        assert evidence.frames > 0
        assert evidence.commit_pages == target.stat().st_size // PAGE
        assert evidence.salts == before["collection.anki2-wal"][1][16:24].hex()
        assert list(target.parent.iterdir()) == [target]


def test_a_transaction_under_way_is_not_in_the_copy(source: Path, target: Path) -> None:
    with live(source) as connection:
        raise_pair(connection)
        connection.execute("PRAGMA cache_size=2")
        connection.execute("BEGIN")
        connection.execute("UPDATE pair SET value = 99, filler = randomblob(3000)")
        assert source.with_name("collection.anki2-wal").stat().st_size > 30 * PAGE  # it has spilled into the log

        copy_collection(source, target)

        assert pair(target) == (1, 1)


def test_the_log_that_a_killed_anki_left_is_folded_in(source: Path, target: Path) -> None:
    closed(source)
    with writer(source, "wal") as process:
        kill(process)
    before = state_of(source.parent)

    evidence = copy_collection(source, target)

    assert evidence.how == "wal-guarded"
    assert pair(target) == (7, 7)
    assert state_of(source.parent) == before


def test_a_change_that_was_cut_off_is_undone_in_the_copy_and_only_there(source: Path, target: Path) -> None:
    closed(source, value=3)
    with writer(source, "delete") as process:
        kill(process)
    before = state_of(source.parent)
    assert before["collection.anki2-journal"][1]

    evidence = copy_collection(source, target)

    assert evidence.how == "rollback-journal"
    assert pair(target) == (3, 3)
    assert state_of(source.parent) == before
    assert list(target.parent.iterdir()) == [target]


def test_a_program_in_the_middle_of_a_change_is_waited_for(source: Path, target: Path) -> None:
    closed(source)
    pauses: list[float] = []
    with writer(source, "delete") as process:

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                process.communicate("go on\n")
            time.sleep(seconds)

        evidence = copy_collection(source, target, pause=pause)

    assert evidence.attempts >= 4
    assert pair(target) == (7, 7)


def test_a_journal_that_names_other_databases_is_not_given_to_sqlite(source: Path, target: Path) -> None:
    closed(source)
    with writer(source, "delete") as process:
        kill(process)
    journal = source.with_name("collection.anki2-journal")
    precious = source.with_name("precious")
    precious.write_bytes(b"")
    name = str(precious).encode()
    trailer = (1).to_bytes(4, "big") + name + len(name).to_bytes(4, "big") + sum(name).to_bytes(4, "big")
    journal.write_bytes(journal.read_bytes() + trailer + bytes.fromhex("d9d505f920a163d7"))

    with pytest.raises(SourceUnreadable, match="several databases"):
        copy_collection(source, target)

    assert precious.exists()
    assert not list(target.parent.iterdir())


def test_a_journal_with_its_head_zeroed_holds_nothing_to_undo(source: Path, target: Path) -> None:
    closed(source, value=5)
    source.with_name("collection.anki2-journal").write_bytes(bytes(2000))

    assert copy_collection(source, target).how == "quiet"
    assert target.read_bytes() == source.read_bytes()


def test_a_checkpoint_and_new_transactions_between_database_and_log_do_no_harm(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[Path] = []
    with live(source) as connection:
        connection.execute("UPDATE pair SET filler = randomblob(3000) WHERE id = 1")  # the log knows one of two pages
        real_copy = collection_copy._copy_bytes

        def copy_bytes(source: int, target: Path, meter: object, *, lock_bytes_at: int | None = None) -> None:
            real_copy(source, target, meter, lock_bytes_at=lock_bytes_at)  # type: ignore[arg-type]
            copied.append(target)
            if len(copied) == 1:  # one file is copied: had that been the log, the copy would now come out broken
                raise_pair(connection)
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

        monkeypatch.setattr(collection_copy, "_copy_bytes", copy_bytes)
        evidence = copy_collection(source, target)

        assert evidence.attempts == 1
        assert pair(target) == (1, 1)


def test_a_database_torn_by_a_checkpoint_in_mid_copy_is_mended_by_the_log(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collection_copy, "_CHUNK", PAGE)
    torn: list[tuple[int, int]] = []
    with live(source) as connection:
        raise_pair(connection)
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        connection.execute("UPDATE pair SET filler = randomblob(3000) WHERE id = 20")  # starts the log afresh
        pages = source.stat().st_size // PAGE

        def act(call: int) -> None:
            if call == pages // 2:
                raise_pair(connection)
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            elif call == pages:
                torn.append(pair(target))

        evidence = copy_collection(source, target, progress=Hook(act))

        assert torn == [(1, 2)]  # the power of this test: the database alone is a broken copy
        assert evidence.attempts == 1
        assert pair(target) == (2, 2)


def test_a_log_started_afresh_in_mid_copy_makes_another_attempt(source: Path, target: Path) -> None:
    with live(source) as connection:
        raise_pair(connection)

        def act(call: int) -> None:
            if call == 1:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                raise_pair(connection)

        evidence = copy_collection(source, target, progress=Hook(act), pause=no_pause)

        assert evidence.attempts == 2
        assert pair(target) == (2, 2)


@pytest.mark.parametrize("disturbed_call", [1, 2])
def test_a_source_that_never_rests_ends_as_busy_after_the_attempts(
    source: Path, target: Path, disturbed_call: int
) -> None:
    pauses: list[float] = []
    wal = source.with_name("collection.anki2-wal")
    with live(source) as connection:
        raise_pair(connection)

        def act(call: int) -> None:
            if call % 2 == disturbed_call % 2:  # after the database (1) or after the log (2) of each attempt
                salted = bytearray(wal.read_bytes())
                salted[19] = (salted[19] + 1) % 256
                salted[24:32] = b"".join(
                    part.to_bytes(4, "big") for part in plain_checksum(bytes(salted[:24]), (0, 0), big_endian=False)
                )
                wal.write_bytes(salted)

        with pytest.raises(SourceBusy, match="started afresh") as caught:
            copy_collection(source, target, attempts=5, pause=pauses.append, progress=Hook(act))

    assert str(source) in caught.value.problem
    assert len(pauses) == 4
    assert pauses == sorted(pauses)
    assert not list(target.parent.iterdir())


def test_a_database_replaced_in_mid_copy_is_not_mixed_with_its_predecessor(source: Path, target: Path) -> None:
    with live(source) as connection:
        raise_pair(connection)
        other = closed(source.with_name("other"), value=9)

        def act(call: int) -> None:
            if call == 1:
                other.replace(source)

        evidence = copy_collection(source, target, progress=Hook(act), pause=no_pause)

        assert evidence.attempts == 2


def test_a_log_removed_in_mid_copy_makes_another_attempt(source: Path, target: Path) -> None:
    with live(source) as connection:
        raise_pair(connection)

        def act(call: int) -> None:
            if call == 1:
                connection.close()

        evidence = copy_collection(source, target, progress=Hook(act))

        assert (evidence.how, evidence.attempts) == ("quiet", 2)
        assert pair(target) == (1, 1)


def test_a_write_to_a_quiet_collection_in_mid_copy_is_seen_though_its_times_are_put_back(
    source: Path, target: Path
) -> None:
    closed(source)
    before = source.stat()

    def act(call: int) -> None:
        if call == 1:
            with source.open("r+b") as file:
                file.seek(2 * PAGE)
                file.write(b"changed")
            os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))

    evidence = copy_collection(source, target, progress=Hook(act))

    assert evidence.attempts == 2
    assert target.read_bytes() == source.read_bytes()


def test_a_log_that_appears_in_mid_copy_of_a_quiet_collection_makes_another_attempt(source: Path, target: Path) -> None:
    with live(source) as connection:

        def act(call: int) -> None:
            if call == 1:
                raise_pair(connection)

        evidence = copy_collection(source, target, progress=Hook(act))

        assert (evidence.how, evidence.attempts) == ("wal-guarded", 2)
        assert pair(target) == (1, 1)


def test_a_collection_written_this_instant_is_left_to_settle_first(source: Path, target: Path) -> None:
    closed(source)
    source.touch()
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        source.touch()

    with pytest.raises(SourceBusy, match="a moment ago"):
        copy_collection(source, target, attempts=1, pause=pause)

    assert pauses == [0.05]


def test_a_time_far_in_the_future_does_not_keep_a_quiet_collection_from_being_copied(
    source: Path, target: Path
) -> None:
    closed(source)
    os.utime(source, ns=(4102444800_123456789, 4102444800_123456789))
    assert copy_collection(source, target).how == "quiet"


@pytest.mark.parametrize("log", [b"", b"short", b"\0" * 32, b"no log at all" * 1000])
def test_a_log_that_sqlite_would_take_for_empty_is_not_used(source: Path, target: Path, log: bytes) -> None:
    closed(source)
    source.with_name("collection.anki2-wal").write_bytes(log)

    assert copy_collection(source, target).how == "quiet"
    assert target.read_bytes() == source.read_bytes()


def test_a_log_of_an_unknown_version_is_damage_and_says_of_which_file(source: Path, target: Path) -> None:
    closed(source)
    head = bytes.fromhex("377f0682002de2190000100000000000") + b"saltsalt"
    checksum = plain_checksum(head, (0, 0), big_endian=False)
    wal = head + b"".join(part.to_bytes(4, "big") for part in checksum)
    source.with_name("collection.anki2-wal").write_bytes(wal)

    with pytest.raises(CollectionDamaged, match="unknown version") as caught:
        copy_collection(source, target)

    assert str(source) in caught.value.problem
    assert not list(target.parent.iterdir())


def test_a_log_lies_beside_the_file_that_a_symbolic_link_leads_to(source: Path, target: Path, tmp_path: Path) -> None:
    with live(source) as connection:
        raise_pair(connection)
        link = tmp_path / "link.anki2"
        link.symlink_to(source)

        assert copy_collection(link, target).how == "wal-guarded"
        assert pair(target) == (1, 1)


def test_no_collection_says_where_it_was_looked_for(source: Path, target: Path) -> None:
    with pytest.raises(CollectionMissing, match=str(source)):
        copy_collection(source, target)
    with pytest.raises(CollectionMissing):
        copy_collection(source.parent / "gone" / "collection.anki2", target)
    with pytest.raises(CollectionMissing):
        copy_collection(source.parent / "nul\0byte", target)
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize("name", ["collection.anki2", "collection.anki2-wal", "collection.anki2-journal"])
def test_a_folder_in_the_place_of_a_file_is_named(source: Path, target: Path, name: str) -> None:
    if name != source.name:
        closed(source)
    source.with_name(name).mkdir()

    with pytest.raises(SourceUnreadable, match=f"{name} can't be read.*it is a folder"):
        copy_collection(source, target)
    assert not list(target.parent.iterdir())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_in_the_place_of_the_collection_is_not_waited_for(source: Path, target: Path) -> None:
    os.mkfifo(source)
    with pytest.raises(SourceUnreadable, match="not an ordinary file"):
        copy_collection(source, target)


def test_a_collection_that_may_not_be_read_says_so(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed(source)

    def refuse(path: Path) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(source_file, "_open_shared", refuse)
    with pytest.raises(SourceUnreadable, match="may not be read: permission denied"):
        copy_collection(source, target)
    assert not list(target.parent.iterdir())


def test_a_virus_scanner_that_holds_the_file_for_a_moment_is_waited_for(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed(source)
    source.with_name("collection.anki2-wal").write_bytes(b"short")
    real_open = source_file._open_shared
    refused: list[Path] = []

    def refuse_once(path: Path) -> int:
        if path.parent == source.parent and path not in refused:
            refused.append(path)
            raise HeldByAnother(errno.EACCES, "The process cannot access the file", str(path))
        return real_open(path)

    monkeypatch.setattr(source_file, "_open_shared", refuse_once)

    assert copy_collection(source, target).attempts >= len(refused) + 1
    assert {path.name for path in refused} >= {"collection.anki2", "collection.anki2-wal"}


def test_a_failing_disk_says_so(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed(source)

    def fail(descriptor: int, size: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "read", fail)
    with pytest.raises(SourceUnreadable, match="could not be read: Input/output error"):
        copy_collection(source, target)
    monkeypatch.undo()
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("piece", [1, 2])
def test_a_full_disk_leaves_nothing_behind(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, code: int, piece: int
) -> None:
    written: list[int] = []

    def write(descriptor: int, data: bytes) -> None:
        written.append(len(data))
        if len(written) == piece:
            os.write(descriptor, data[: len(data) // 2])
            raise OSError(code, os.strerror(code))
        os.write(descriptor, data)

    with live(source) as connection:
        raise_pair(connection)
        monkeypatch.setattr(collection_copy, "write_all", write)
        with pytest.raises(TargetUnusable, match="no room left"):
            copy_collection(source, target)
    assert not list(target.parent.iterdir())


def test_a_file_that_is_there_already_is_not_overwritten(source: Path, target: Path) -> None:
    closed(source)
    target.write_text("precious")
    with pytest.raises(TargetUnusable, match="exists already"):
        copy_collection(source, target)
    assert target.read_text() == "precious"


def test_a_target_folder_that_is_not_there_says_so(source: Path, target: Path) -> None:
    closed(source)
    with pytest.raises(TargetUnusable, match="could not be written"):
        copy_collection(source, target.parent / "gone" / "copy")


@pytest.mark.parametrize(("content", "what"), [(b"", "is empty"), (b"some text" * 999, "is not an SQLite database")])
def test_a_file_that_is_no_database_is_damage(source: Path, target: Path, content: bytes, what: str) -> None:
    source.write_bytes(content)
    with pytest.raises(CollectionDamaged, match=what):
        copy_collection(source, target)
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize("lock_byte", [0, PAGE, 2 * PAGE, 3 * PAGE + 100])
def test_the_bytes_that_windows_locks_are_never_asked_for_and_stay_zero(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, lock_byte: int
) -> None:
    content = b"SQLite format 3\0\x10\x00" + bytes(range(1, 256)) * 200
    asked: list[tuple[int, int]] = []
    real_read = os.read

    def read(descriptor: int, size: int) -> bytes:
        asked.append((os.lseek(descriptor, 0, os.SEEK_CUR), size))
        return real_read(descriptor, size)

    source.write_bytes(content)
    monkeypatch.setattr(collection_copy, "LOCK_BYTE", lock_byte)
    monkeypatch.setattr(collection_copy, "_page_size", lambda _copy, _collection: PAGE)
    monkeypatch.setattr(os, "read", read)

    copy_collection(source, target)

    monkeypatch.undo()
    assert target.read_bytes() == content[:lock_byte] + bytes(512) + content[lock_byte + 512 :]
    assert asked
    assert not [(at, size) for at, size in asked if at < lock_byte + 512 and at + size > lock_byte]


@pytest.mark.parametrize("beyond", [-1, 0])
def test_a_file_that_ends_before_the_locked_bytes_is_copied_whole_without_touching_them(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, beyond: int
) -> None:
    closed(source)
    monkeypatch.setattr(collection_copy, "LOCK_BYTE", source.stat().st_size - beyond)
    copy_collection(source, target)
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="FICLONE is Linux's")
def test_a_filesystem_that_shares_blocks_is_used_and_guarded_all_the_same(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloned: list[int] = []
    with live(source) as connection:
        raise_pair(connection)

        def ioctl(copy: int, request: int, original: int) -> int:
            assert request == 0x40049409
            os.write(copy, os.pread(original, 1 << 24, 0))
            cloned.append(copy)
            if len(cloned) == 1:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                raise_pair(connection)
            return 0

        monkeypatch.setattr("fcntl.ioctl", ioctl)
        hook = Hook(lambda _call: None)
        evidence = copy_collection(source, target, pause=no_pause, progress=hook)

        assert (len(cloned), evidence.attempts) == (2, 2)
        assert pair(target) == (2, 2)


def test_a_repeated_attempt_tells_no_byte_twice(source: Path, target: Path) -> None:
    wal = source.with_name("collection.anki2-wal")
    with live(source) as connection:
        raise_pair(connection)

        def act(call: int) -> None:
            if call == 1:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                raise_pair(connection)

        hook = Hook(act)
        evidence = copy_collection(source, target, progress=hook, pause=no_pause)

        assert evidence.attempts == 2
        assert hook.told == source.stat().st_size + wal.stat().st_size


def test_the_evidence_is_of_the_attempt_that_was_accepted(source: Path, target: Path) -> None:
    with live(source) as connection:
        raise_pair(connection)

        def act(call: int) -> None:
            if call == 1:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                raise_pair(connection)

        evidence = copy_collection(source, target, progress=Hook(act), pause=no_pause)

        assert evidence.stamp == stamp(source)
        assert evidence.salts == source.with_name("collection.anki2-wal").read_bytes()[16:24].hex()
