"""Putting a collection back where Anki will open it: the one place that changes a profile's own database.

Two facts make the rules. A leftover `-wal` is replayed over whatever main file lies beside it (SQLite's src/wal.c,
walIndexRecover: nothing ties the two together), so a restored file beside an old `-wal` shows old rows or breaks. And a
restored file whose `col.scm` equals the server's is quietly undone by the next sync (Anki's
rslib/src/sync/collection/meta.rs, compared_to_remote).
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from profiles.collection_copy import SourceStamp, copy_collection, stamp
from profiles.durable import sync_file, sync_folder, told_plainly
from profiles.errors import AnkiIsOpen, CollectionDamaged, SourceBusy, TargetUnusable
from profiles.install_media import (
    MediaAction,
    MediaStep,
    checked_media_name,
    finish_media,
    plan_media,
    prepare_empty_target,
    write_media_file,
)
from profiles.lock_probe import LOCK_LENGTH, LOCK_START, holder_of

if sys.platform != "win32":
    import fcntl

__all__ = [
    "MediaAction",
    "MediaStep",
    "checked_media_name",
    "finish_media",
    "install_collection",
    "plan_media",
    "prepare_empty_target",
    "stamp_for_one_way_sync",
    "write_media_file",
]

# The journal goes before the `-wal`: beside a file that has the `-wal` folded in, a hot journal alone would put older
# pages back, while the `-wal` alone only repeats what the file holds already.
_SIDECARS = ("-journal", "-wal", "-shm")
_SQLITE_MAGIC = b"SQLite format 3\x00"
_STAMPS = "select scm, mod, ls from col"
_LARGEST_STAMP = 2**63 - 1
_DISK_TROUBLE = (
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)


def stamp_for_one_way_sync(collection_copy: Path, now_ms: int) -> None:
    """Mark a private copy so that the next sync must ask which side to keep, instead of undoing the restore.

    Sets `col.scm` and `col.mod` to `now_ms` (milliseconds since 1970), or just past the newest of `scm`, `mod` and `ls`
    where the clock of this computer is behind them: Anki takes a one-way sync as pending while `scm > ls`. The file
    keeps its journal mode, stands alone afterwards and is on the disk. The format and the rule are Anki's:
    rslib/src/storage/schema11.sql and rslib/src/sync/collection/meta.rs.

    Raises CollectionDamaged when the copy has no sound `col` row, TargetUnusable when it can't be written.
    """
    _refuse_sidecars(collection_copy)
    if not collection_copy.is_file():  # SQLite would make an empty one.
        raise _unsound_copy(collection_copy, "it is not there")
    try:
        with closing(sqlite3.connect(collection_copy, isolation_level=None)) as connection:
            # Heap memory in place of a -shm file (https://sqlite.org/wal.html#noshm); the copy is nobody else's.
            connection.execute("pragma locking_mode = exclusive")
            connection.execute("pragma trusted_schema = off")
            connection.execute("begin immediate")
            marked = _stamp_after(connection.execute(_STAMPS).fetchall(), now_ms, collection_copy)
            connection.execute("update col set scm = ?, mod = ?", (marked, marked))
            if connection.execute(_STAMPS).fetchall()[0][:2] != (marked, marked):
                raise _unsound_copy(collection_copy, "its times of change can't be set")
            connection.execute("commit")
            # A checkpoint that fails at closing is silent, and would leave the change in a -wal.
            connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    except sqlite3.Error as error:
        # The low byte is the primary code (https://sqlite.org/rescode.html#extrc).
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in _DISK_TROUBLE:
            raise TargetUnusable(
                f"The restored copy {collection_copy} could not be marked for a one-way sync: {error}",
                "Check that its disk has space and its folder can be written to, then restore again",
            ) from error
        raise _unsound_copy(collection_copy, str(error)) from error
    with told_plainly(f"The restored copy {collection_copy} could not be made safe on the disk"):
        sync_file(collection_copy)
    _refuse_sidecars(collection_copy)


def _stamp_after(rows: list[tuple[object, ...]], now_ms: int, collection_copy: Path) -> int:
    if len(rows) != 1:
        raise _unsound_copy(collection_copy, f"its col table has {len(rows)} rows instead of one")
    stamps = [value for value in rows[0] if isinstance(value, int)]
    if len(stamps) != 3 or max(stamps) >= _LARGEST_STAMP:
        raise _unsound_copy(collection_copy, "its times of change are not times")
    return max(now_ms, *(value + 1 for value in stamps))


def _unsound_copy(collection_copy: Path, reason: str) -> CollectionDamaged:
    return CollectionDamaged(
        f"The restored copy {collection_copy} is not a sound collection: {reason}", "Restore another snapshot"
    )


def _go_on(_step: str) -> None:
    """Nothing to do before a step, outside tests."""


def install_collection(
    prepared: Path,
    collection: Path,
    *,
    kept_elsewhere: SourceStamp | None = None,
    before_swap: Callable[[str], None] = _go_on,
) -> None:
    """Put `prepared` (proven, stamped, in the same folder) in the place of `collection`, which Anki must have closed.

    Killed at any moment, or cut off from power, the profile opens as exactly the old or exactly the new state.
    Why this holds, with M for the old main file, W for a `-wal` that a crashed Anki left, N for `prepared`:

    1. The old state is M+W, so neither "remove W, then rename N" (killed in between: W's transactions are lost)
       nor the reverse (N+W is a mixture) is right. So W is first folded into a sibling copy F. F+W equals M+W: SQLite
       reads a page that W holds from W, and F's other pages are M's; the size is that of W's last commit. A hot
       `-journal` is the same case: it puts back pages that F already holds as the journal has them.
    2. F is renamed over M and the folder synced: old state. J, then W, are removed and the folder synced: F alone is
       the old state. Only then is N renamed into place, with nothing beside it that could be replayed over it.
    3. From the fold's check until the end, M, F and N are each locked as SQLite locks them before they can be seen
       under the collection's name, so an Anki started meanwhile says that the collection is already open instead of
       writing a new `-wal` beside F that N would inherit. Windows needs no lock: a file that Anki has open can't be
       replaced or removed there. (What remains is an Anki that opened M but locks it only after all of this ended.)

    An old state that is damaged can't be folded. Where it is `kept_elsewhere`, copied as it was at that stamp, it is
    replaced as it lies; killed between the steps, the profile is left with the damaged main file without its logs.

    The new file gets the old one's owner and mode; where the group can't be given, mode 0600; with no old file the
    folder's owner and mode 0600. `before_swap` is called with the name of each step before it is taken: tests
    stop there. A copy folded for the old state that a killed run left behind is removed by the next one that succeeds.

    Raises AnkiIsOpen (also when another restore is at work), SourceBusy when the collection changed meanwhile,
    TargetUnusable, SourceUnreadable, CollectionDamaged when `prepared` is no database; ValueError when `prepared` is
    not a sibling of `collection`. After any of them the old state is there, unchanged in content; only a disk that
    fails to confirm the very last rename leaves the new one in place and still raises TargetUnusable.
    """
    with told_plainly(f"{collection} could not be replaced"):
        old = _checked_old(collection)
        _check_prepared(prepared, collection)
        _refuse_while_open(collection)
        before_swap("sync-prepared")
        _take_over_owner_and_mode(prepared, collection, old)
        sync_file(prepared)
        folded = collection.with_name(f".recollect-folded-{secrets.token_hex(8)}.tmp")
        try:
            before_swap("fold")
            folded_from = None if kept_elsewhere else _fold(collection, folded, old)
            expected = folded_from or kept_elsewhere
            _swap(prepared, collection, folded if folded_from else None, expected, before_swap, exists=old is not None)
        finally:
            folded.unlink(missing_ok=True)
        before_swap("done")


def _swap(
    prepared: Path,
    collection: Path,
    folded: Path | None,
    expected: SourceStamp | None,
    before_swap: Callable[[str], None],
    *,
    exists: bool,
) -> None:
    """Steps 2 and 3 of `install_collection`."""
    folder = collection.parent
    with ExitStack() as locks:
        before_swap("lock")
        if exists:
            _lock(collection, collection, locks)
            _refuse_if_changed(collection, expected)
        if folded is not None:
            _lock(folded, collection, locks)
            before_swap("swap-folded")
            _replace(folded, collection)
            before_swap("sync-folded")
            sync_folder(folder)
        for suffix in _SIDECARS:
            before_swap(f"remove{suffix}")
            _sidecar(collection, suffix).unlink(missing_ok=True)
        before_swap("sync-removed")
        sync_folder(folder)
        _lock(prepared, collection, locks)
        before_swap("swap-prepared")
        _replace(prepared, collection)
        before_swap("sync-installed")
        sync_folder(folder)
        for leftover in folder.glob(".recollect-folded-*.tmp"):
            with suppress(OSError):
                leftover.unlink()


def _sidecar(database: Path, suffix: str) -> Path:
    return database.with_name(database.name + suffix)


def _content_beside(database: Path) -> list[Path]:
    """Name the sidecars of `database` that hold anything SQLite might replay."""
    found = []
    for suffix in ("-journal", "-wal"):
        sidecar = _sidecar(database, suffix)
        with suppress(FileNotFoundError):
            if sidecar.lstat().st_size > 0:
                found.append(sidecar)
    return found


def _refuse_sidecars(private: Path) -> None:
    if beside := _content_beside(private):
        raise ValueError(f"{private} is not a finished file: {beside[0].name} lies beside it")


def _checked_old(collection: Path) -> os.stat_result | None:
    try:
        old = collection.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(old.st_mode):
        kind = "a link to another place" if stat.S_ISLNK(old.st_mode) else "not a file"
        raise TargetUnusable(
            f"{collection} can't be replaced: it is {kind}",
            "Move it out of the profile's folder, or restore into an empty folder instead",
        )
    return old


def _check_prepared(prepared: Path, collection: Path) -> None:
    if prepared == collection or not prepared.parent.samefile(collection.parent):
        raise ValueError(f"{prepared} does not lie beside {collection}")
    _refuse_sidecars(prepared)
    with prepared.open("rb") as file:
        if file.read(len(_SQLITE_MAGIC)) != _SQLITE_MAGIC:
            raise _unsound_copy(prepared, "it is not a SQLite database")


def _refuse_while_open(collection: Path) -> None:
    holder = holder_of(collection)
    if holder is not None:
        raise _anki_is_open(collection, holder.pid, holder.command)


def _anki_is_open(collection: Path, pid: int | None = None, command: str | None = None) -> AnkiIsOpen:
    named = ", ".join(([command] if command else []) + ([f"process {pid}"] if pid is not None else []))
    return AnkiIsOpen(
        f"Another program has {collection} open" + (f" ({named})" if named else ""),
        "Close Anki, also on other screens or accounts of this computer, then restore again; nothing was changed",
    )


def _take_over_owner_and_mode(prepared: Path, collection: Path, old: os.stat_result | None) -> None:
    if sys.platform == "win32":
        return  # The folder's access list is inherited.
    model = old or collection.parent.stat()
    own = prepared.stat()
    mode = stat.S_IMODE(old.st_mode) if old is not None else 0o600
    if (own.st_uid, own.st_gid) != (model.st_uid, model.st_gid):
        try:
            os.chown(prepared, model.st_uid, model.st_gid)
        except PermissionError as error:
            if old is not None and own.st_uid != old.st_uid:
                raise TargetUnusable(
                    f"{collection} belongs to another user (id {old.st_uid}), who could not open it after a restore",
                    "Run the restore as that user",
                ) from error
            mode = 0o600
    prepared.chmod(mode)


def _fold(collection: Path, folded: Path, old: os.stat_result | None) -> SourceStamp | None:
    """Write the whole old state into the single file `folded`; None when the main file holds it all by itself.

    Beside a missing or empty main file SQLite deletes a `-wal` unread (src/pager.c, pagerOpenWalIfPresent), and a
    journal is not hot (hasHotJournal).
    """
    if old is None or old.st_size == 0 or not _content_beside(collection):
        return None
    try:
        evidence = copy_collection(collection, folded)
    except CollectionDamaged as error:
        raise TargetUnusable(
            f"{collection} and the unfinished changes beside it can't be read: {error.problem}",
            f"Move {collection.name} and the files whose names begin like it to a safe place, then restore again",
        ) from error
    _take_over_owner_and_mode(folded, collection, old)
    sync_file(folded)
    return evidence.stamp


def _refuse_if_changed(collection: Path, expected: SourceStamp | None) -> None:
    """With the lock held: is what lies there still what was folded or kept, or what needed no folding?"""
    if expected is None:
        changed = collection.lstat().st_size > 0 and bool(_content_beside(collection))
    else:
        changed = stamp(collection) != expected
    if changed:
        raise SourceBusy(
            f"{collection} was changed while the restore was being prepared",
            "Close Anki and restore again; nothing was changed by this try",
        )


def _lock(path: Path, collection: Path, locks: ExitStack) -> None:
    """Keep every SQLite out of the file until `locks` ends, by the lock SQLite itself takes (src/os_unix.c, unixLock).

    Until then nothing may open and close the file in this process: that would drop the lock (fcntl(2)).
    """
    if sys.platform != "win32":
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        locks.callback(os.close, descriptor)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, LOCK_LENGTH, LOCK_START)
        except (BlockingIOError, PermissionError) as error:
            _refuse_while_open(collection)
            raise _anki_is_open(collection) from error
        if os.fstat(descriptor).st_ino != path.lstat().st_ino:
            raise _anki_is_open(collection)


def _replace(source: Path, collection: Path) -> None:
    try:
        source.replace(collection)
    except PermissionError as error:
        if sys.platform == "win32":
            raise _anki_is_open(collection) from error
        raise
