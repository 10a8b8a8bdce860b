"""Putting a collection back where Anki will open it: the one place that changes a profile's own database.

Two facts make the rules. A leftover `-wal` is replayed over whatever main file lies beside it (SQLite's src/wal.c,
walIndexRecover: nothing ties the two together), so a restored file beside an old `-wal` shows old rows or breaks. And a
restored file whose `col.scm` equals the server's is quietly undone by the next sync (Anki's
rslib/src/sync/collection/meta.rs, compared_to_remote).
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from profiles.collection_copy import SourceStamp
from profiles.durable import sync_file, told_plainly
from profiles.errors import CollectionDamaged, TargetUnusable
from profiles.lock_probe import LOCK_LENGTH, LOCK_START, holder_of
from profiles.private_copy import is_disk_trouble
from profiles.replacing import Guard, anki_is_open, go_on, refuse_sidecars, replace_closed

if sys.platform != "win32":
    import fcntl

_THEN = "restore again"
_SQLITE_MAGIC = b"SQLite format 3\x00"
_STAMPS = "select scm, mod, ls from col"
_LARGEST_STAMP = 2**63 - 1


def stamp_for_one_way_sync(collection_copy: Path, now_ms: int) -> int:
    """Mark a private copy so that the next sync must ask which side to keep, instead of undoing the restore.

    Sets `col.scm` and `col.mod` to `now_ms` (milliseconds since 1970), or just past the newest of `scm`, `mod` and `ls`
    where the clock of this computer is behind them: Anki takes a one-way sync as pending while `scm > ls`. The file
    keeps its journal mode, stands alone afterwards and is on the disk. The format and the rule are Anki's:
    rslib/src/storage/schema11.sql and rslib/src/sync/collection/meta.rs. Returns what both are now.

    Raises CollectionDamaged when the copy has no sound `col` row, TargetUnusable when it can't be written.
    """
    refuse_sidecars(collection_copy)
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
        if is_disk_trouble(error):
            raise TargetUnusable(
                f"The restored copy {collection_copy} could not be marked for a one-way sync: {error}",
                "Check that its disk has space and its folder can be written to, then restore again",
            ) from error
        raise _unsound_copy(collection_copy, str(error)) from error
    with told_plainly(f"The restored copy {collection_copy} could not be made safe on the disk"):
        sync_file(collection_copy)
    refuse_sidecars(collection_copy)
    return marked


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


def install_collection(
    prepared: Path,
    collection: Path,
    *,
    kept_elsewhere: SourceStamp | None = None,
    before_swap: Callable[[str], None] = go_on,
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
    stop there. What killed runs left beside the collection is removed by the next one that succeeds.

    Raises AnkiIsOpen (also when another restore is at work), SourceBusy when the collection changed meanwhile,
    TargetUnusable, SourceUnreadable, CollectionDamaged when `prepared` is no database; ValueError when `prepared` is
    not a sibling of `collection`. After any of them the old state is there, unchanged in content; only a disk that
    fails to confirm the very last rename leaves the new one in place and still raises TargetUnusable.
    """
    guard = Guard(
        refuse_while_open=lambda: _refuse_while_open(collection),
        keep_out=lambda path, locks: _lock(path, collection, locks),
        then=_THEN,
    )
    with told_plainly(f"{collection} could not be replaced"), prepared.open("rb") as file:
        if file.read(len(_SQLITE_MAGIC)) != _SQLITE_MAGIC:
            raise _unsound_copy(prepared, "it is not a SQLite database")
    replace_closed(prepared, collection, guard, kept_elsewhere=kept_elsewhere, before_swap=before_swap)


def _refuse_while_open(collection: Path) -> None:
    holder = holder_of(collection)
    if holder is not None:
        raise anki_is_open(collection, _THEN, pid=holder.pid, command=holder.command)


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
            raise anki_is_open(collection, _THEN) from error
        if os.fstat(descriptor).st_ino != path.lstat().st_ino:
            raise anki_is_open(collection, _THEN)
