"""A consistent copy of a collection that Anki may be writing to, taken by reading bytes and nothing else.

Anki keeps its database locked for as long as it runs, so SQLite can't read it; but the bytes can be read, and the
write-ahead log makes a sound copy of them possible:

1. read the log's 32 byte header; 2. copy the database; 3. copy the log; 4. read the header again.

The header holds two salts that change whenever SQLite starts the log afresh. If it is the same before and after, then
the log was only ever appended to, so whatever a checkpoint wrote into the database while it was copied, torn pages
included, lies as a committed frame in the log that was copied after it. Folding the log into the copy gives exactly
the state after its last transaction. The order matters: log first, database second is unsound.

Without a log, and with a hot rollback journal, the copy is accepted if stat shows every file untouched from before
the copy until after it, and no time among them is so young that another write could hide behind it.
"""

from __future__ import annotations

import errno
import os
import random
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiles.errors import CollectionDamaged, SourceBusy, SourceUnreadable
from profiles.lock_probe import holder_of
from profiles.private_copy import fresh_database, opened_target, target_trouble, target_troubles, write_all
from profiles.source_file import opened_source, source_trouble
from profiles.source_stamp import (
    FileStamp,
    SourceStamp,
    beside,
    clock_step_ns,
    first_bytes,
    read_stamp,
    real_path,
    stamp,
    surely_unchanged,
)
from profiles.wal import LOCK_BYTE, Replay, overlay, parse_header
from recollect.progress import Stage

if sys.platform == "linux":
    import fcntl

__all__ = ["CopyEvidence", "SourceStamp", "copy_collection", "stamp", "surely_unchanged"]

_CHUNK: Final = 1 << 20
_LOCK_BYTES: Final = 512
_FICLONE: Final = 0x40049409
"""linux/fs.h: make one file share the blocks of another; instant where the filesystem can (btrfs, xfs)."""
_JOURNAL_MAGIC: Final = bytes.fromhex("d9d505f920a163d7")
_SHARING_VIOLATIONS: Final = (32, 33)
"""Windows: another program, such as a virus scanner, holds the file or a part of it for a moment."""
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class CopyEvidence:
    """How a copy was taken, for whoever wants to know why it can be trusted.

    `how` is "wal-guarded", "quiet" or "rollback-journal". `frames`, `salts` (16 hex digits) and `commit_pages` tell of
    the log that was folded in. `size` is that of the resulting file in bytes. `stamp` is the state of the source just
    before the accepted attempt, which began at `taken_at_ns` (wall clock, nanoseconds since 1970).
    """

    how: str
    attempts: int
    frames: int
    salts: str | None
    commit_pages: int | None
    page_size: int
    size: int
    stamp: SourceStamp
    taken_at_ns: int


class _UnsoundError(Exception):
    """This attempt gave no sound copy; the next one may. Its text says why, as the end of a sentence."""


class _Meter:
    """Tells a listener of bytes copied, but of none twice when an attempt is repeated."""

    def __init__(self, stage: Stage | None) -> None:
        self._stage = stage
        self._told = 0
        self._copied = 0

    def begin_attempt(self) -> None:
        self._copied = 0

    def copied(self, amount: int) -> None:
        self._copied += amount
        if self._stage is not None:
            self._stage.advance(max(0, self._copied - self._told))
        self._told = max(self._told, self._copied)


def copy_collection(
    collection: Path,
    target: Path,
    *,
    attempts: int = 8,
    pause: Callable[[float], None] = time.sleep,
    progress: Stage | None = None,
) -> CopyEvidence:
    """Copy `collection`, open in Anki or not, into the new single file `target`, which only its owner may read.

    `target` must not exist and its folder must be private. What goes wrong leaves nothing at `target` or beside it.
    `pause` waits some seconds between attempts: about three in all for the eight.

    Raises CollectionMissing, SourceUnreadable, CollectionDamaged (neither the database nor its log make sense),
    SourceBusy (no attempt met a moment of calm), TargetUnusable (full disk, or `target` is taken).
    """
    source = real_path(collection)
    meter = _Meter(progress)
    reason = ""
    with fresh_database(target):
        for attempt in range(1, attempts + 1):
            if attempt > 1:
                longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (attempt - 2))
                pause(longest * random.uniform(0.5, 1.0))
            meter.begin_attempt()
            try:
                taken_at_ns, seen, how, replay = _attempt(source, target, pause, meter)
            except _UnsoundError as signal:
                reason = str(signal)
                continue
            return CopyEvidence(
                how=how,
                attempts=attempt,
                frames=replay.frames,
                salts=None if replay.salts is None else "{:08x}{:08x}".format(*replay.salts),
                commit_pages=replay.commit_pages,
                page_size=_page_size(target, source),
                size=target.stat().st_size,
                stamp=seen,
                taken_at_ns=taken_at_ns,
            )
        raise SourceBusy(
            f"{source} gave no moment of calm for a consistent copy: {reason}",
            "Nothing is wrong with the collection; the next run tries again",
        )


def _attempt(
    source: Path, target: Path, pause: Callable[[float], None], meter: _Meter
) -> tuple[int, SourceStamp, str, Replay]:
    try:
        taken_at_ns = time.time_ns()
        seen = read_stamp(source)
        try:
            header = parse_header(seen.wal_header)
            if _is_hot(beside(source, "-journal")):
                how = "rollback-journal"
                if holder_of(source) is not None:
                    raise _UnsoundError("a program is in the middle of a change")
                taken_at_ns, seen = _settled(source, taken_at_ns, seen, pause)
                _copy_untouched(source, target, seen, meter, suffixes=("-wal", "-journal"))
                replay = _recovered(target, source)
            elif header is not None:
                how = "wal-guarded"
                _copy_guarded(source, target, seen, meter)
                replay = _folded(target)
            else:
                how = "quiet"
                taken_at_ns, seen = _settled(source, taken_at_ns, seen, pause)
                _copy_untouched(source, target, seen, meter, suffixes=())
                replay = Replay(0, 0, None, None)
        except ValueError as contradiction:
            raise CollectionDamaged(
                f"{source} can't be read as Anki would read it: {contradiction}",
                "Open the collection in Anki and run Tools > Check Database, or restore an earlier snapshot",
            ) from contradiction
    except OSError as error:
        if getattr(error, "winerror", None) in _SHARING_VIOLATIONS:
            raise _UnsoundError("another program held the file") from error
        raise source_trouble(error, source) from error
    return taken_at_ns, seen, how, replay


def _copy_guarded(source: Path, target: Path, seen: SourceStamp, meter: _Meter) -> None:
    """Database first, log second, both between two looks at the log's header. Every look is by name: the log may be
    removed and made anew, and an open descriptor would go on showing the old one."""
    wal, wal_copy = beside(source, "-wal"), beside(target, "-wal")
    with opened_source(source) as main:
        _copy_main(main, target, seen.main, meter)
        try:
            with opened_source(wal) as log:
                _copy_bytes(log, wal_copy, meter)
        except FileNotFoundError:
            raise _UnsoundError("its write-ahead log was removed during the copy") from None
        if first_bytes(wal_copy) != seen.wal_header or first_bytes(wal) != seen.wal_header:
            raise _UnsoundError("its write-ahead log was started afresh during the copy")
        # While `main` is open no other file can take its inode number.
        if FileStamp.of(source.stat()).inode != seen.main.inode:
            raise _UnsoundError("the file was replaced during the copy")
        if _is_hot(beside(source, "-journal")):
            raise _UnsoundError("its journal mode was changed during the copy")


def _copy_untouched(source: Path, target: Path, seen: SourceStamp, meter: _Meter, *, suffixes: tuple[str, ...]) -> None:
    """Copy the database and what `suffixes` name beside it, and accept that only if stat shows no change at all."""
    with opened_source(source) as main:
        _copy_main(main, target, seen.main, meter)
        for suffix in suffixes:
            try:
                with opened_source(beside(source, suffix)) as sidecar:
                    _copy_bytes(sidecar, beside(target, suffix), meter)
            except FileNotFoundError:
                beside(target, suffix).unlink(missing_ok=True)
        if read_stamp(source) != seen:
            raise _UnsoundError("it was written to during the copy")


def _settled(
    source: Path, taken_at_ns: int, seen: SourceStamp, pause: Callable[[float], None]
) -> tuple[int, SourceStamp]:
    """The state of `source` once no time in it is so young that another write could leave the same time."""
    if not _is_young(seen, taken_at_ns):
        return taken_at_ns, seen
    pause(max(clock_step_ns(time_ns) for time_ns in seen.times_ns()) / 1e9)
    taken_at_ns = time.time_ns()
    later = read_stamp(source)
    if later != seen or _is_young(later, taken_at_ns):
        raise _UnsoundError("it was written to a moment ago")
    return taken_at_ns, later


def _is_young(seen: SourceStamp, now_ns: int) -> bool:
    # A time well in the future is not young: it stems from a clock since set back, and a write would bring today's.
    return any(abs(now_ns - time_ns) < clock_step_ns(time_ns) for time_ns in seen.times_ns())


def _is_hot(journal: Path) -> bool:
    """Whether a rollback journal holds a transaction to undo: not if empty or with its first byte zeroed, as SQLite
    leaves it in `truncate` and `persist` mode (src/pager.c, hasHotJournal)."""
    return first_bytes(journal)[:1] not in (b"", b"\0")


def _copy_main(descriptor: int, target: Path, expected: FileStamp, meter: _Meter) -> None:
    if FileStamp.of(os.fstat(descriptor)).inode != expected.inode:
        raise _UnsoundError("the file was replaced during the copy")
    if _cloned(descriptor, target):
        meter.copied(target.stat().st_size)
    else:
        _copy_bytes(descriptor, target, meter, lock_bytes_at=LOCK_BYTE)


def _cloned(source: int, target: Path) -> bool:
    if sys.platform == "linux":
        with opened_target(target) as copy:
            try:
                fcntl.ioctl(copy, _FICLONE, source)
            except OSError:
                return False  # another filesystem, or one that can't: the bytes are copied instead
            return True
    return False


def _copy_bytes(source: int, target: Path, meter: _Meter, *, lock_bytes_at: int | None = None) -> None:
    """Copy an open file from its start to its end into `target`.

    The 512 bytes from `lock_bytes_at` on are left zero: SQLite never uses the page they lie in, and on Windows they
    can't be read while Anki has the collection open (Anki's own reader skips them: rslib/io/src/lib.rs).
    """
    with opened_target(target) as copy:
        offset = 0
        while True:
            wanted = _CHUNK
            if offset == lock_bytes_at:
                if os.fstat(source).st_size <= offset:
                    break
                offset = os.lseek(source, offset + _LOCK_BYTES, os.SEEK_SET)
                os.lseek(copy, offset, os.SEEK_SET)
            elif lock_bytes_at is not None and offset < lock_bytes_at:
                # Not even a request that reaches past the end of the file may touch the locked bytes.
                wanted = min(_CHUNK, lock_bytes_at - offset)
            chunk = os.read(source, wanted)
            if not chunk:
                break
            with target_troubles(target):
                write_all(copy, chunk)
            offset += len(chunk)
            meter.copied(len(chunk))
        with target_troubles(target):
            os.ftruncate(copy, offset)


def _folded(target: Path) -> Replay:
    with target_troubles(target):
        return overlay(target, beside(target, "-wal"))


def _recovered(target: Path, source: Path) -> Replay:
    """Let SQLite undo, in the copy, the transaction that its copied journal tells of."""
    if _names_other_databases(beside(target, "-journal")):
        raise SourceUnreadable(
            f"{source} was left in the middle of a change that spans several databases",
            "Open the profile in Anki once, so that the change is undone, then try again",
        )
    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            copy.execute("PRAGMA locking_mode=EXCLUSIVE")
            copy.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            copy.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise target_trouble(OSError(errno.ENOSPC, str(error)), target) from error
        raise ValueError(f"its rollback journal can't be applied ({error})") from error
    return Replay(0, 0, None, None)


def _names_other_databases(journal: Path) -> bool:
    """Whether a journal ends in the name of a super-journal, which SQLite would open, and perhaps delete, at the place
    where it lies in the live profile (src/pager.c, readSuperJournal)."""
    with journal.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < 16:
            return False
        file.seek(size - len(_JOURNAL_MAGIC))
        return file.read() == _JOURNAL_MAGIC


def _page_size(target: Path, source: Path) -> int:
    """The page size in the copy's header (https://www.sqlite.org/fileformat2.html#the_database_header)."""
    with target_troubles(target):
        head = first_bytes(target)
    page_size = int.from_bytes(head[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    if not head.startswith(b"SQLite format 3\0") or page_size < 512 or page_size & (page_size - 1):
        what = "is not an SQLite database" if head else "is empty"
        raise CollectionDamaged(
            f"{source} {what}, so it holds no collection", "Restore an earlier snapshot, or check the profile's folder"
        )
    return page_size
