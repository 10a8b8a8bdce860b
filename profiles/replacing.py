"""Putting a finished SQLite file in the place of one that nobody has open: the old state or the new, nothing between.

Why the order of steps is what it is stands at `install.install_collection`, the first that needed it.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiles.collection_copy import SourceStamp, copy_collection, stamp
from profiles.durable import sync_file, sync_folder, told_plainly
from profiles.errors import AnkiIsOpen, CollectionDamaged, SourceBusy, TargetUnusable
from profiles.source_stamp import FileStamp, beside

# The journal goes before the `-wal`: beside a file that has the `-wal` folded in, a hot journal alone would put older
# pages back, while the `-wal` alone only repeats what the file holds already.
_SIDECARS: Final = ("-journal", "-wal", "-shm")
_LEFT_BY_A_KILL: Final = re.compile(r"\.recollect-(folded-)?[0-9a-f]+\.(tmp|anki2)(-journal|-wal|-shm)?")
"""What was being prepared beside a database, and what SQLite keeps beside one that is being marked."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What keeps programs off a database while it is replaced."""

    refuse_while_open: Callable[[], None]
    """Raises AnkiIsOpen while a program has the database open."""
    keep_out: Callable[[Path, ExitStack], None]
    """Called with each file, the old one first, before it is or may be seen under the database's name: keeps programs
    out of it until the stack ends, or raises AnkiIsOpen."""
    then: str
    """What to do after an error has been seen to, as the end of a sentence: "restore again"."""


def go_on(_step: str) -> None:
    """Nothing to do before a step, outside tests."""


def replace_closed(
    prepared: Path,
    database: Path,
    guard: Guard,
    *,
    seen: SourceStamp | None = None,
    kept_elsewhere: SourceStamp | None = None,
    before_swap: Callable[[str], None] = go_on,
) -> None:
    """Put `prepared`, which lies in the same folder, in the place of `database`, which no program must have open.

    What `-wal` or `-journal` tell of the old state is folded into its main file first, unless that state is damaged and
    `kept_elsewhere` as it was at that stamp. With `seen`, nothing but the state of that stamp is replaced.

    The new file gets the old one's owner and mode; where the group can't be given, mode 0600; with no old file the
    folder's owner and mode 0600. `before_swap` is called with the name of each step before it is taken.

    Raises AnkiIsOpen, SourceBusy when the database changed meanwhile, TargetUnusable, SourceUnreadable; ValueError when
    `prepared` is not a finished sibling of `database`. The old state is there after each of them, unchanged in content,
    unless the disk failed to confirm the last rename.
    """
    with told_plainly(f"{database} could not be replaced", then=guard.then):
        old = _checked_old(database, guard)
        if prepared == database or not prepared.parent.samefile(database.parent):
            raise ValueError(f"{prepared} does not lie beside {database}")
        refuse_sidecars(prepared)
        guard.refuse_while_open()
        before_swap("sync-prepared")
        _take_over_owner_and_mode(prepared, database, old)
        sync_file(prepared)
        folded = database.with_name(f".recollect-folded-{secrets.token_hex(8)}.tmp")
        try:
            before_swap("fold")
            folded_from = None if kept_elsewhere else _fold(database, folded, old, guard)
            expected = seen or folded_from or kept_elsewhere
            with ExitStack() as locks:
                before_swap("lock")
                present = _still_as_expected(database, expected, guard, locks)
                if folded_from is not None:
                    guard.keep_out(folded, locks)
                    before_swap("swap-folded")
                    present = _swap_folded(folded, database, folded_from, guard)
                    before_swap("sync-folded")
                    sync_folder(database.parent)
                _swap_prepared(prepared, database, guard, locks, before_swap, present=present)
        finally:
            folded.unlink(missing_ok=True)
        before_swap("done")


def _still_as_expected(
    database: Path, expected: SourceStamp | None, guard: Guard, locks: ExitStack
) -> FileStamp | None:
    """With programs kept out: is what lies there still what was folded, seen or kept, or what needed no folding?"""
    if _main_stamp(database) is not None:
        guard.keep_out(database, locks)
    present = _main_stamp(database)
    if expected is not None:
        changed = present is None or stamp(database) != expected
    else:
        changed = present is not None and present.size > 0 and bool(_content_beside(database))
    if changed:
        raise _has_changed(database, guard)
    return present


def _swap_folded(folded: Path, database: Path, folded_from: SourceStamp, guard: Guard) -> FileStamp | None:
    # A guard that takes no locks can't keep a program from having come and gone since.
    if stamp(database) != folded_from:
        raise _has_changed(database, guard)
    _replace(folded, database, guard)
    return _main_stamp(database)


def _swap_prepared(
    prepared: Path,
    database: Path,
    guard: Guard,
    locks: ExitStack,
    before_swap: Callable[[str], None],
    *,
    present: FileStamp | None,
) -> None:
    folder = database.parent
    for suffix in _SIDECARS:
        before_swap(f"remove{suffix}")
        beside(database, suffix).unlink(missing_ok=True)
    before_swap("sync-removed")
    sync_folder(folder)
    guard.keep_out(prepared, locks)
    before_swap("swap-prepared")
    if _main_stamp(database) != present or _content_beside(database):
        raise _has_changed(database, guard)
    _replace(prepared, database, guard)
    before_swap("sync-installed")
    sync_folder(folder)
    for leftover in folder.iterdir():
        if _LEFT_BY_A_KILL.fullmatch(leftover.name):
            with suppress(OSError):
                leftover.unlink()


def _main_stamp(database: Path) -> FileStamp | None:
    try:
        return FileStamp.of(database.lstat())
    except FileNotFoundError:
        return None


def _content_beside(database: Path) -> list[Path]:
    """Name the sidecars of `database` that hold anything SQLite might replay."""
    found = []
    for suffix in ("-journal", "-wal"):
        sidecar = beside(database, suffix)
        with suppress(FileNotFoundError):
            if sidecar.lstat().st_size > 0:
                found.append(sidecar)
    return found


def refuse_sidecars(private: Path) -> None:
    """Raise ValueError where something lies beside a private file that SQLite might replay over it."""
    if found := _content_beside(private):
        raise ValueError(f"{private} is not a finished file: {found[0].name} lies beside it")


def _checked_old(database: Path, guard: Guard) -> os.stat_result | None:
    try:
        old = database.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(old.st_mode):
        kind = "a link to another place" if stat.S_ISLNK(old.st_mode) else "not a file"
        raise TargetUnusable(
            f"{database} can't be replaced: it is {kind}", f"Move it out of its folder, then {guard.then}"
        )
    return old


def _take_over_owner_and_mode(prepared: Path, database: Path, old: os.stat_result | None) -> None:
    if sys.platform == "win32":
        return  # The folder's access list is inherited.
    model = old or database.parent.stat()
    own = prepared.stat()
    mode = stat.S_IMODE(old.st_mode) if old is not None else 0o600
    if (own.st_uid, own.st_gid) != (model.st_uid, model.st_gid):
        try:
            os.chown(prepared, model.st_uid, model.st_gid)
        except PermissionError as error:
            if old is not None and own.st_uid != old.st_uid:
                raise TargetUnusable(
                    f"{database} belongs to another user (id {old.st_uid}), who could not open what takes its place",
                    "Run Recollect as that user",
                ) from error
            mode = 0o600
    prepared.chmod(mode)


def _fold(database: Path, folded: Path, old: os.stat_result | None, guard: Guard) -> SourceStamp | None:
    """Write the whole old state into the single file `folded`; None when the main file holds it all by itself.

    Beside a missing or empty main file SQLite deletes a `-wal` unread (src/pager.c, pagerOpenWalIfPresent), and a
    journal is not hot (hasHotJournal).
    """
    if old is None or old.st_size == 0 or not _content_beside(database):
        return None
    try:
        evidence = copy_collection(database, folded)
    except CollectionDamaged as error:
        raise TargetUnusable(
            f"{database} and the unfinished changes beside it can't be read: {error.problem}",
            f"Move {database.name} and the files whose names begin like it to a safe place, then {guard.then}",
        ) from error
    _take_over_owner_and_mode(folded, database, old)
    sync_file(folded)
    return evidence.stamp


def _has_changed(database: Path, guard: Guard) -> SourceBusy:
    return SourceBusy(
        f"{database} was changed while what takes its place was being prepared",
        f"Close Anki, then {guard.then}; nothing was changed by this try",
    )


def anki_is_open(database: Path, guard_then: str, *, pid: int | None = None, command: str | None = None) -> AnkiIsOpen:
    """What a person should hear when a program, as far as it is known, has `database` open."""
    named = ", ".join(([command] if command else []) + ([f"process {pid}"] if pid is not None else []))
    return AnkiIsOpen(
        f"Another program has {database} open" + (f" ({named})" if named else ""),
        f"Close Anki, also on other screens or accounts of this computer, then {guard_then}; nothing was changed",
    )


def _replace(source: Path, database: Path, guard: Guard) -> None:
    try:
        source.replace(database)
    except PermissionError as error:
        if sys.platform == "win32":
            raise anki_is_open(database, guard.then) from error
        raise
