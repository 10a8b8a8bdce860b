"""Putting media files back beside the ones that are there, so that a later media sync keeps them.

The rule is additive (Anki's rslib/src/sync/media, changetracker.rs): a file that vanishes is taken as deleted by the
next media sync and goes on every device, so nothing is ever removed; and a changed file is only seen when the
folder's time and the second of its own time differ from what Anki remembers, so what is written gets a new time.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from profiles.durable import sync_descriptor, told_plainly
from profiles.errors import TargetUnusable

_UNFINISHED = re.compile(r"\.recollect-[0-9a-f]{16}\.tmp")
# Left by file managers in folders that a person sees as empty.
_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: devices, with any ending, and characters.
_WINDOWS_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE | re.DOTALL
)
_WINDOWS_CHARACTERS = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_SECOND_NS = 1_000_000_000
_MILLISECOND_NS = 1_000_000


class MediaAction(StrEnum):
    """What happens to one media file of the snapshot."""

    ADD = "add"
    REPLACE = "replace"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class MediaStep:
    """One media file of the snapshot and what happens to it."""

    name: str
    action: MediaAction


def checked_media_name(name: str, *, windows: bool = sys.platform == "win32") -> str:
    """Return `name` if a file of that name can lie directly in a media folder of this system.

    Names come out of a repository and are hostile until checked here: one that leads elsewhere, or that this
    system takes for something other than a plain file, raises TargetUnusable. Everything a real folder can hold passes,
    bytes that are no UTF-8 (as `os.fsdecode` gives them) included. `windows` chooses whose rules apply.
    """
    reason = _windows_refusal(name) if windows else _posix_refusal(name)
    if name in ("", ".", ".."):
        reason = "it names no file"
    if reason is not None:
        raise TargetUnusable(
            f"The media file {name!r} can't be restored under that name: {reason}",
            "Restore the other files, and this one under another name on a system that allows it",
        )
    return name


def _posix_refusal(name: str) -> str | None:
    if "/" in name:
        return "it leads to another folder"
    if "\x00" in name:
        return "it holds a zero byte"
    try:
        name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "it can't be written as bytes"
    return None


def _windows_refusal(name: str) -> str | None:
    if _WINDOWS_CHARACTERS.search(name):
        return "it holds a character that Windows forbids"
    if name.endswith((" ", ".")):
        return "Windows drops a space or dot at the end"
    if _WINDOWS_DEVICE.fullmatch(name):
        return "Windows keeps it for a device"
    return None


def plan_media(
    wanted: Iterable[tuple[str, int]], folder: Path, same: Callable[[Path, str], bool]
) -> tuple[MediaStep, ...]:
    """Decide for each wanted file (name, size in bytes) whether it is added, replaced or kept; write nothing.

    `same(path, name)` tells whether the file at `path` holds the wanted bytes of `name`; it is asked only about regular
    files of the right size, so it may read them. A link at the name is replaced, never followed. Files that are
    there and not wanted don't appear: nothing is deleted. A folder that is missing holds nothing.

    Raises TargetUnusable for a name that can't be written here, one that is wanted twice, or one that is a folder.
    """
    steps: dict[str, MediaStep] = {}
    for name, size in wanted:
        path = folder / checked_media_name(name)
        if name in steps:
            raise TargetUnusable(
                f"The snapshot lists the media file {name!r} twice",
                "Verify the repository, or restore another snapshot",
            )
        with told_plainly(f"The media file {name!r} can't be looked up in {folder}"):
            there = _lstat(path)
        steps[name] = MediaStep(name, _action(path, name, size, there, same))
    return tuple(steps.values())


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _action(
    path: Path, name: str, size: int, there: os.stat_result | None, same: Callable[[Path, str], bool]
) -> MediaAction:
    if there is None:
        return MediaAction.ADD
    if stat.S_ISDIR(there.st_mode):
        raise TargetUnusable(
            f"The media file {name!r} can't be restored: {path.parent} holds a folder of that name",
            "Rename or move that folder, then restore again",
        )
    if stat.S_ISREG(there.st_mode) and there.st_size == size and same(path, name):
        return MediaAction.KEEP
    return MediaAction.REPLACE


@dataclass(frozen=True, slots=True)
class _Folder:
    """An opened folder: on POSIX a descriptor, so that no rename or link can lead a later step elsewhere."""

    path: Path
    descriptor: int | None
    status: os.stat_result

    def at(self, name: str) -> str:
        return name if self.descriptor is not None else str(self.path / name)

    @property
    def itself(self) -> int | Path:
        return self.descriptor if self.descriptor is not None else self.path


@contextmanager
def _opened(folder: Path) -> Iterator[_Folder]:
    if sys.platform == "win32":
        status = os.lstat(folder)
        if status.st_reparse_tag in (stat.IO_REPARSE_TAG_SYMLINK, stat.IO_REPARSE_TAG_MOUNT_POINT):
            raise NotADirectoryError(None, "it is a link to another place")
        yield _Folder(folder, None, status)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield _Folder(folder, descriptor, os.fstat(descriptor))
    finally:
        os.close(descriptor)


def write_media_file(folder: Path, name: str, parts: Iterable[bytes]) -> None:
    """Write `parts` as the file `name` in `folder`: whole or not at all, with a new time, on the disk on return.

    A missing folder is made (its parent must be there). A `folder` that is itself a link is refused: a caller that
    means to follow it passes the resolved path. A link at `name` is replaced, not followed. A replaced file keeps its
    mode, and its owner where allowed; a new one gets what every new file gets, and the folder's owner when root
    restores. Call `finish_media` after the last one.

    Raises TargetUnusable; what `parts` raises passes through. In either case nothing is left of the new file.
    """
    checked_media_name(name)
    could_not = f"The media file {name!r} could not be written to {folder}"
    with ExitStack() as stack:
        with told_plainly(could_not):
            with suppress(FileExistsError):
                folder.mkdir()
            place = stack.enter_context(_opened(folder))
        _write(place, name, parts, could_not)


def _write(place: _Folder, name: str, parts: Iterable[bytes], could_not: str) -> None:
    unfinished = place.at(f".recollect-{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with told_plainly(could_not):
        descriptor = os.open(unfinished, flags, 0o666, dir_fd=place.descriptor)
    try:
        try:
            for part in parts:
                with told_plainly(could_not):
                    _write_all(descriptor, part)
            with told_plainly(could_not):
                old = _lstat_in(place, name)
                _take_over_owner_and_mode(descriptor, place, old)
                sync_descriptor(descriptor)
                written = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        with told_plainly(could_not):
            if old is not None and written.st_mtime_ns // _SECOND_NS == old.st_mtime_ns // _SECOND_NS:
                later = written.st_mtime_ns + _SECOND_NS
                os.utime(unfinished, ns=(later, later), dir_fd=place.descriptor)
            os.replace(unfinished, place.at(name), src_dir_fd=place.descriptor, dst_dir_fd=place.descriptor)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished, dir_fd=place.descriptor)
        raise


def _write_all(descriptor: int, part: bytes) -> None:
    rest = memoryview(part)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _lstat_in(place: _Folder, name: str) -> os.stat_result | None:
    try:
        return os.stat(place.at(name), dir_fd=place.descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _take_over_owner_and_mode(descriptor: int, place: _Folder, old: os.stat_result | None) -> None:
    if sys.platform == "win32":
        return  # The folder's access list is inherited.
    replaced = old if old is not None and stat.S_ISREG(old.st_mode) else None
    model = replaced or place.status
    if replaced is not None or os.geteuid() == 0:
        with suppress(PermissionError):
            os.fchown(descriptor, model.st_uid, model.st_gid)
    if replaced is not None:
        os.fchmod(descriptor, stat.S_IMODE(replaced.st_mode) & 0o777)


def finish_media(folder: Path) -> None:
    """Make the files written to `folder` last, and see that Anki looks through it again.

    Removes what killed runs left unfinished, which Anki would otherwise send to every device as media; then gives
    the folder a time that differs in the millisecond from before, because that is what Anki's scan compares.
    Raises TargetUnusable.
    """
    with told_plainly(f"The media folder {folder} could not be finished"), _opened(folder) as place:
        with os.scandir(place.itself) as entries:
            unfinished = [entry.name for entry in entries if _UNFINISHED.fullmatch(entry.name)]
        for name in unfinished:
            os.unlink(place.at(name), dir_fd=place.descriptor)
        later = max(time.time_ns(), place.status.st_mtime_ns + _MILLISECOND_NS)
        # Only the owner may set a time; for anyone else the files just written have moved it already.
        with suppress(PermissionError):
            os.utime(place.itself, ns=(later, later))
        if place.descriptor is not None:
            sync_descriptor(place.descriptor)


def prepare_empty_target(target: Path) -> None:
    """See that `target` is an empty folder to restore into: make it, with its parents, or accept it as it is.

    A new one is readable by its owner only. Raises TargetUnusable, with some of what is in there, when it is not empty.
    """
    if "\x00" in str(target):
        raise TargetUnusable(f"The folder name {str(target)!r} holds a zero byte", "Choose another folder")
    with told_plainly(f"{target} can't be restored into"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            target.mkdir(mode=0o700)
            return
        if not target.is_dir():
            raise TargetUnusable(f"{target} can't be restored into: it is not a folder", "Choose a new or empty folder")
        found = sorted(entry.name for entry in target.iterdir() if entry.name not in _LITTER)
        if found:
            shown = ", ".join(repr(name) for name in found[:3]) + (" and more" if len(found) > 3 else "")
            raise TargetUnusable(
                f"The folder {target} is not empty: it holds {shown}",
                "Choose a new or empty folder; nothing was changed",
            )
        if not os.access(target, os.W_OK | os.X_OK):
            raise TargetUnusable(
                f"The folder {target} can't be written to", "Choose another folder, or make it writable first"
            )
