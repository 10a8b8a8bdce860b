"""One run at a time on this computer: no two backups of a profile into one repository, and none while it is changed.

Whoever backs a profile up, or puts something in its place, holds locks meanwhile, on small files in the state folder.
They save the work of a second run, and nothing rests on them: writers to a repository need no locks. Where they can't
be had, as on some network file systems, a run goes on without them and says so.

A profile has one lock that its backups share, and that whoever changes the profile has alone; and one for each
repository, which a backup into it has alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from profiles.discovery import Profile
from recollect.errors import RecollectError
from recollect.progress import current_progress
from storage.repository import Repository
from tasks.machine_lock import MachineLock
from tasks.profiles_here import key_of
from tasks.settings_in_force import active_settings

_FOLDER = "under-way"
_PATIENCE_S = 600.0
"""How long one who wants a profile changed waits for what is under way."""
_LOOKS_EVERY_S = 0.2

_changed_here: ContextVar[frozenset[Path]] = ContextVar("changed_here", default=frozenset())
"""The locks of the profiles that the work of this thread or flow changes: backups within it are a part of that."""


class UnderWay(RecollectError):
    """Another run on this computer does the same, or what this one must not come between."""

    code = "under-way"


class Doing(StrEnum):
    """What is done to a profile, as a sentence goes on with its name."""

    BACKUP = "backup of"
    RESTORE = "restore of"
    RECOVERY = "recovery of notes into"


@dataclass(frozen=True, slots=True)
class _Holder:
    """Whoever has a lock, as it noted itself down."""

    doing: Doing
    since: datetime
    process: int


@contextmanager
def backing_up(profile: Profile, repository: Repository, *, in_full: bool = False) -> Iterator[tuple[str, ...]]:
    """Let no other run back `profile` up into `repository`, or change the profile, within the context.

    Raises UnderWay at once when one does. `in_full` says that more is asked for than a run that is under way may do.
    Yields remarks, for a person to read.
    """
    key = key_of(profile)
    if _lock_file(key) in _changed_here.get():
        yield ()
        return
    remarks: tuple[str, ...] = ()
    with ExitStack() as stack:
        try:
            beside = stack.enter_context(MachineLock(_lock_file(key)))
            if not beside.take(_note(Doing.BACKUP), alone=False):
                raise UnderWay(
                    f"{_under_way(profile, beside)}, so nothing was backed up",
                    "There is nothing to do: the next backup stores what comes of it",
                )
            alone = stack.enter_context(MachineLock(_lock_file(f"{key} {repository.id}")))
            if not alone.take(_note(Doing.BACKUP), alone=True):
                raise UnderWay(
                    f"{_under_way(profile, alone)}, and does the work of this run",
                    "Run this again once that has ended" if in_full else "There is nothing to do",
                )
        except OSError as error:
            remarks = (_unprotected(profile, error),)
        yield remarks


@contextmanager
def changing(profile: Profile, doing: Doing) -> Iterator[tuple[str, ...]]:
    """Let no other run back `profile` up, or change it, within the context; backups within it are a part of it.

    Whoever asks for such a thing rather waits than is refused: for ten minutes, after which this raises UnderWay.
    Yields remarks, for a person to read.
    """
    file = _lock_file(key_of(profile))
    with ExitStack() as stack:
        try:
            remarks = _waited_for(stack.enter_context(MachineLock(file)), profile, doing)
        except OSError as error:
            remarks = (_unprotected(profile, error),)
        token = _changed_here.set(_changed_here.get() | {file})
        try:
            yield remarks
        finally:
            _changed_here.reset(token)


def _waited_for(lock: MachineLock, profile: Profile, doing: Doing) -> tuple[str, ...]:
    if lock.take(_note(doing), alone=True):
        return ()
    began, other = time.monotonic(), _under_way(profile, lock)
    with current_progress().stage(f"{other}; waiting for its end", None) as stage:
        while not lock.take(_note(doing), alone=True):
            if time.monotonic() - began >= _PATIENCE_S:
                raise UnderWay(
                    f"{_under_way(profile, lock)}, and did not end within {_PATIENCE_S / 60:.0f} minutes, so nothing "
                    "was changed",
                    "Try again once it has ended",
                )
            stage.advance(0)
            time.sleep(_LOOKS_EVERY_S)
    return (f"{other}, and this run waited for its end",)


def _lock_file(name: str) -> Path:
    return active_settings().state / _FOLDER / name


def _note(doing: Doing) -> bytes:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"doing": doing.name, "since": since, "process": os.getpid()}).encode()


def _holder(lock: MachineLock) -> _Holder | None:
    try:
        noted = json.loads(lock.note())
        return _Holder(
            Doing[noted["doing"]], datetime.fromisoformat(noted["since"]).astimezone(), int(noted["process"])
        )
    except (OSError, ValueError, TypeError, KeyError, OverflowError):
        return None


def _under_way(profile: Profile, lock: MachineLock) -> str:
    holder = _holder(lock)
    if holder is None:
        return f"Another run for {profile.name} is under way"
    today = holder.since.date() == datetime.now().astimezone().date()
    since = holder.since.strftime("%H:%M" if today else "%Y-%m-%d %H:%M")
    return f"A {holder.doing} {profile.name} has been under way since {since} (process {holder.process})"


def _unprotected(profile: Profile, error: OSError) -> str:
    folder = active_settings().state / _FOLDER
    return (
        f"Another run for {profile.name} at the same time would not be noticed, for nothing can be locked in {folder}: "
        f"{error.strerror or error}. That may cost time, and no data; a folder on a disk of this computer, set as "
        "`state`, mends it"
    )
