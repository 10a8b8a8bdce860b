from __future__ import annotations

import shutil
import sqlite3
import struct
import tracemalloc
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from profiles.wal import Replay, overlay, parse_header, plain_checksum, valid_frames

LITTLE, BIG = 0x377F0682, 0x377F0683

ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["insert", "update", "rollback"]), st.integers(1, 40)),
    st.tuples(st.sampled_from(["delete", "vacuum"]), st.just(0)),
    st.tuples(st.sampled_from(["PASSIVE", "FULL", "RESTART", "TRUNCATE"]), st.just(-1)),
)


def open_writer(path: Path, page_size: int, auto_checkpoint: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA page_size={page_size}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA wal_autocheckpoint={auto_checkpoint}")
    connection.execute("PRAGMA cache_size=4")  # so that large transactions spill before they are committed
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b BLOB)")
    connection.execute("CREATE INDEX i ON t (a)")
    return connection


def perform(connection: sqlite3.Connection, action: str, amount: int) -> None:
    if amount == -1:
        connection.execute(f"PRAGMA wal_checkpoint({action})").fetchall()
    elif action == "vacuum":
        connection.execute("VACUUM")
    else:
        connection.execute("BEGIN")
        if action == "delete":
            connection.execute("DELETE FROM t WHERE id % 3 = 1")
        elif action == "update":
            connection.execute("UPDATE t SET a = a * 7 + 1, b = zeroblob(?) WHERE id % 5 < 2", (amount * 30,))
        else:
            rows = [(number * 31 % 17, bytes([number % 251]) * 400) for number in range(amount)]
            connection.executemany("INSERT INTO t (a, b) VALUES (?, ?)", rows)
        connection.execute("ROLLBACK" if action == "rollback" else "COMMIT")


def folded_by_sqlite(main: bytes, wal: bytes, folder: Path) -> bytes:
    path = folder / "by-sqlite"
    path.write_bytes(main)
    (folder / "by-sqlite-wal").write_bytes(wal)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return path.read_bytes()


def folded_by_us(main: bytes, wal: bytes, folder: Path) -> tuple[bytes, Replay]:
    path, log = folder / "by-us", folder / "log"
    path.write_bytes(main)
    log.write_bytes(wal)
    replay = overlay(path, log)
    assert log.read_bytes() == wal
    return path.read_bytes(), replay


def forged(page_size: int, frames: list[tuple[int, int, bytes]], magic: int = LITTLE, version: int = 3007000) -> bytes:
    """A log with right checksums, whatever it says. Frames are (page, size after commit, content)."""
    big_endian = magic == BIG
    salts = struct.pack(">2I", 0x01020304, 0xA0B0C0D0)
    head = struct.pack(">4I", magic, version, page_size, 7) + salts
    checksum = plain_checksum(head, (0, 0), big_endian=big_endian)
    log = head + struct.pack(">2I", *checksum)
    for page, commit_pages, content in frames:
        start = struct.pack(">2I", page, commit_pages)
        checksum = plain_checksum(start + content, checksum, big_endian=big_endian)
        log += start + salts + struct.pack(">2I", *checksum) + content
    return log


def small_database(folder: Path, page_size: int = 512) -> bytes:
    path = folder / "small"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size={page_size}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (a)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 300,) for _ in range(5)])
    return path.read_bytes()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    page_size=st.sampled_from([512, 1024, 4096, 65536]),
    auto_checkpoint=st.sampled_from([0, 1, 7, 40, 1000]),
    actions=st.lists(ACTIONS, min_size=1, max_size=14),
    tail=st.sampled_from(["whole", "cut", "flipped"]),
    where=st.floats(0, 1, exclude_max=True),
)
@example(page_size=4096, auto_checkpoint=0, actions=[("insert", 40), ("rollback", 40)], tail="whole", where=0.0)
@example(page_size=512, auto_checkpoint=0, actions=[("insert", 40), ("FULL", -1), ("update", 1)], tail="whole", where=0)
def test_overlay_leaves_the_very_bytes_that_a_checkpoint_of_sqlite_leaves(
    page_size: int, auto_checkpoint: int, actions: list[tuple[str, int]], tail: str, where: float
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        with closing(open_writer(folder / "live", page_size, auto_checkpoint)) as connection:
            for number, (action, amount) in enumerate(actions):
                if tail != "whole" and number == len(actions) // 2:
                    # What is cut off or spoilt below must not be in the database yet: no crash does that.
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                    connection.execute("PRAGMA wal_autocheckpoint=0")
                if tail == "whole" or amount != -1 or number < len(actions) // 2:
                    perform(connection, action, amount)
            main, wal = (folder / "live").read_bytes(), (folder / "live-wal").read_bytes()
        at = int(len(wal) * where)
        if tail == "cut":
            wal = wal[:at]
        elif tail == "flipped" and wal:
            wal = wal[:at] + bytes([wal[at] ^ 0x10]) + wal[at + 1 :]

        ours, replay = folded_by_us(main, wal, folder)

        assert ours == folded_by_sqlite(main, wal, folder)
        assert (replay.commit_pages is None) == (replay.frames == 0)
        if replay.commit_pages is not None:
            assert len(ours) == replay.commit_pages * page_size


@pytest.mark.parametrize("magic", [LITTLE, BIG])
@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_both_byte_orders_of_the_checksum_are_read(tmp_path: Path, magic: int, page_size: int) -> None:
    main = small_database(tmp_path, page_size)
    last = len(main) // page_size
    wal = forged(page_size, [(last, last, bytes(page_size)), (last, 0, b"\1" * page_size)], magic)

    ours, replay = folded_by_us(main, wal, tmp_path)

    assert replay == Replay(1, 1, last, (0x01020304, 0xA0B0C0D0))
    assert ours == folded_by_sqlite(main, wal, tmp_path) == main[: (last - 1) * page_size] + bytes(page_size)


@given(pages=st.lists(st.binary(min_size=512, max_size=512), max_size=5), big_endian=st.booleans())
def test_the_fast_checksum_agrees_with_the_plain_one_on_any_content(pages: list[bytes], big_endian: bool) -> None:
    wal = forged(512, [(number + 1, 0, page) for number, page in enumerate(pages)], BIG if big_endian else LITTLE)
    header = parse_header(wal)
    assert header is not None
    with TemporaryDirectory() as name:
        path = Path(name) / "log"
        path.write_bytes(wal)
        with path.open("rb") as log:
            assert [frame.page for frame in valid_frames(log, header)] == list(range(1, len(pages) + 1))


@given(st.binary(max_size=80))
def test_no_bytes_make_reading_a_header_crash(data: bytes) -> None:
    assert parse_header(data) is None


@pytest.mark.parametrize("page_size", [0, 256, 513, 131072])
def test_a_header_with_an_impossible_page_size_counts_as_no_log(page_size: int) -> None:
    assert parse_header(forged(page_size, [])) is None


def test_a_log_of_a_version_that_sqlite_would_refuse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown version 3008000"):
        folded_by_us(small_database(tmp_path), forged(512, [], version=3008000), tmp_path)


def test_a_forged_size_makes_no_giant_file(tmp_path: Path) -> None:
    main = small_database(tmp_path)
    with pytest.raises(ValueError, match="neither in it nor in the database"):
        folded_by_us(main, forged(512, [(1, 0xFFFFFFFF, main[:512])]), tmp_path)
    assert (tmp_path / "by-us").stat().st_size == len(main)


def test_a_page_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    main = small_database(tmp_path)
    pages = len(main) // 512
    with pytest.raises(ValueError, match="neither in it nor in the database"):
        folded_by_us(main, forged(512, [(pages + 2, pages + 2, bytes(512))]), tmp_path)


def test_a_log_for_another_page_size_is_refused(tmp_path: Path) -> None:
    main = small_database(tmp_path, 4096)
    with pytest.raises(ValueError, match="another page size"):
        folded_by_us(main, forged(512, [(3, 3, bytes(512))]), tmp_path)


def test_a_frame_for_page_zero_ends_the_log(tmp_path: Path) -> None:
    main = small_database(tmp_path)
    pages = len(main) // 512
    wal = forged(512, [(2, pages, bytes(512)), (0, 0, bytes(512)), (3, pages, bytes(512))])

    ours, replay = folded_by_us(main, wal, tmp_path)

    assert replay.frames == 1
    assert ours == folded_by_sqlite(main, wal, tmp_path)


def test_frames_of_an_older_generation_behind_the_present_one_are_ignored(tmp_path: Path) -> None:
    main = small_database(tmp_path)
    pages = len(main) // 512
    wal = forged(512, [(2, pages, bytes(512)), (3, pages, bytes(512))])
    second = 32 + 24 + 512
    wal = wal[: second + 8] + struct.pack(">I", 0x01020303) + wal[second + 12 :]

    ours, replay = folded_by_us(main, wal, tmp_path)

    assert replay.frames == 1
    assert ours == folded_by_sqlite(main, wal, tmp_path)


def test_a_log_beside_an_empty_database_is_ignored_as_sqlite_ignores_it(tmp_path: Path) -> None:
    wal = forged(512, [(1, 1, small_database(tmp_path)[:512])])

    ours, replay = folded_by_us(b"", wal, tmp_path)

    assert ours == folded_by_sqlite(b"", wal, tmp_path) == b""
    assert replay.pages_written == 0


def test_memory_does_not_grow_with_the_length_of_the_log(tmp_path: Path) -> None:
    with closing(open_writer(tmp_path / "live", 4096, 0)) as connection:
        connection.execute("INSERT INTO t (a, b) VALUES (1, zeroblob(200000))")
        for number in range(120):
            connection.execute("UPDATE t SET b = randomblob(200000), a = ?", (number,))
        shutil.copy(tmp_path / "live", tmp_path / "copy")
        shutil.copy(tmp_path / "live-wal", tmp_path / "log")
    assert (tmp_path / "log").stat().st_size > 20_000_000

    tracemalloc.start()
    try:
        overlay(tmp_path / "copy", tmp_path / "log")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8_000_000
