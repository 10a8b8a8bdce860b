"""Putting media files back beside the ones that are there, so that a later media sync keeps them.

The rule is additive (Anki's rslib/src/sync/media, changetracker.rs): a file that vanishes is taken as deleted by the
next media sync and goes on every device, so nothing is ever removed; and a changed file is only seen when the
folder's time and the second of its own time differ from what Anki remembers, so what is written gets a new time.

What is not finished lies in a folder of its own inside the media folder: the one place that is always on the same disk,
also where the media folder is a link or a mount, and that no media sync looks into (changetracker.rs skips folders). A
file beside the others would be sent to every device if a killed run left it there.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import sys
import threading
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from profiles.durable import sync_descriptor, sync_files_below, told_plainly
from profiles.errors import MediaLeftOut, MediaNameTaken, SourceUnreadable, TargetUnusable

UNFINISHED = re.compile(r"\.recollect-[0-9a-f]{16}\.tmp")
"""A folder that holds one unfinished file; or such a file itself, from before it had a folder."""
_IN_THE_MAKING = "file"
# Left by file managers in folders that a person sees as empty.
_LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: devices, with any ending, and characters.
_WINDOWS_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE | re.DOTALL
)
_WINDOWS_CHARACTERS = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_LONGEST_NAME = 255
"""Bytes on Linux, 16-bit units on Windows. Volumes of macOS differ, and say so themselves."""

_REFUSED_NAME = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL})
"""How volumes refuse a name that their system takes: exFAT a colon (EINVAL), APFS what is no UTF-8 (EILSEQ)."""

_ADDING = threading.Lock()
"""Where a file can't be added in one step, two names that the volume takes for one are still added in turn."""

_SECOND_NS = 1_000_000_000
_MILLISECOND_NS = 1_000_000


class MediaAction(StrEnum):
    """What happens to one media file of the snapshot."""

    ADD = "add"
    REPLACE = "replace"
    KEEP = "keep"
    LEAVE_OUT = "leave_out"


@dataclass(frozen=True, slots=True)
class MediaStep:
    """One media file of the snapshot and what happens to it; why, in a sentence, when it is left out."""

    name: str
    action: MediaAction
    reason: str | None = None

    @property
    def writes(self) -> bool:
        """Whether the file is written."""
        return self.action in (MediaAction.ADD, MediaAction.REPLACE)


def checked_media_name(name: str, *, windows: bool = sys.platform == "win32") -> str:
    """Return `name` if a file of that name can lie directly in a media folder of this system.

    Names come out of a repository and are hostile until checked here: one that leads elsewhere, or that this
    system takes for something other than a plain file, raises MediaLeftOut. Everything a real folder can hold passes,
    bytes that are no UTF-8 (as `os.fsdecode` gives them) included. `windows` chooses whose rules apply.
    """
    reason = _windows_refusal(name) if windows else _posix_refusal(name)
    if name in ("", ".", ".."):
        reason = "it names no file"
    if reason is not None:
        raise _left_out(name, reason)
    return name


def _left_out(name: str, reason: str) -> MediaLeftOut:
    return MediaLeftOut(
        f"The media file {name!r} can't be restored under that name: {reason}",
        "Restore it into an empty folder on a system or disk that allows it",
    )


def _posix_refusal(name: str) -> str | None:
    if "/" in name:
        return "it leads to another folder"
    if "\x00" in name:
        return "it holds a zero byte"
    try:
        encoded = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "it can't be written as bytes"
    return "it is too long" if len(encoded) > _LONGEST_NAME and sys.platform != "darwin" else None


def _windows_refusal(name: str) -> str | None:
    if _WINDOWS_CHARACTERS.search(name):
        return "it holds a character that Windows forbids"
    if name.endswith((" ", ".")):
        return "Windows drops a space or dot at the end"
    if _WINDOWS_DEVICE.fullmatch(name):
        return "Windows keeps it for a device"
    return "it is too long" if len(name.encode("utf-16-le", "surrogatepass")) > 2 * _LONGEST_NAME else None


def plan_media(
    wanted: Iterable[tuple[str, int]], folder: Path, same: Callable[[Path, str], bool]
) -> tuple[MediaStep, ...]:
    """Decide for each wanted file (name, size in bytes) whether it is added, replaced, kept or left out; write nothing.

    `same(path, name)` tells whether the file at `path` holds the wanted bytes of `name`; it is asked only about regular
    files of the right size, so it may read them. A link at the name is replaced, never followed. Files that are
    there and not wanted don't appear: nothing is deleted. A folder that is missing holds nothing.

    Left out, so that it costs no other file, is one whose name can't be written here, is taken by a folder or by a
    file that can't be read (SourceUnreadable of `same`), or is the same file as an earlier one to a volume that does
    not tell capitals or ways to write an accent apart. Of two such names that are both to be added
    `write_media_file` refuses the later. Raises TargetUnusable when `folder` can't be looked into.
    """
    steps: list[MediaStep] = []
    names: set[str] = set()
    earlier: dict[tuple[str, int, int], MediaStep] = {}
    for name, size in wanted:
        try:
            if name in names:
                raise _left_out(name, "the snapshot lists it twice")
            names.add(name)
            step, there = _step(folder, name, size, same)
        except (MediaLeftOut, SourceUnreadable) as trouble:
            steps.append(MediaStep(name, MediaAction.LEAVE_OUT, trouble.problem))
            continue
        if there is not None:
            alike = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
            first = earlier.setdefault((alike, there.st_dev, there.st_ino), step)
            if first is not step and MediaAction.REPLACE in (first.action, step.action):
                why = _left_out(name, f"it is the same file as {first.name!r} in {folder}").problem
                step = MediaStep(name, MediaAction.LEAVE_OUT, why)
        steps.append(step)
    return tuple(steps)


def _step(
    folder: Path, name: str, size: int, same: Callable[[Path, str], bool]
) -> tuple[MediaStep, os.stat_result | None]:
    path = folder / checked_media_name(name)
    with told_plainly(f"The media file {name!r} can't be looked up in {folder}"), _refusals_of_a_name(name):
        try:
            there = path.lstat()
        except FileNotFoundError:
            return MediaStep(name, MediaAction.ADD), None
    if stat.S_ISDIR(there.st_mode):
        raise _left_out(name, f"{folder} holds a folder of that name")
    kept = stat.S_ISREG(there.st_mode) and there.st_size == size and same(path, name)
    return MediaStep(name, MediaAction.KEEP if kept else MediaAction.REPLACE), there


@contextmanager
def _refusals_of_a_name(name: str) -> Iterator[None]:
    """Turn the error with which a volume refuses a name into MediaLeftOut."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSED_NAME:
            raise
        raise _left_out(name, f"this disk refuses it ({error.strerror})") from error


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
def _opened(folder: Path, *, within: _Folder | None = None) -> Iterator[_Folder]:
    if sys.platform == "win32":
        status = os.lstat(folder)
        if status.st_reparse_tag in (stat.IO_REPARSE_TAG_SYMLINK, stat.IO_REPARSE_TAG_MOUNT_POINT):
            raise NotADirectoryError(None, "it is a link to another place")
        yield _Folder(folder, None, status)
        return
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    descriptor = os.open(folder.name, flags, dir_fd=within.descriptor) if within else os.open(folder, flags)
    try:
        yield _Folder(folder, descriptor, os.fstat(descriptor))
    finally:
        os.close(descriptor)


def write_media_file(
    folder: Path, name: str, parts: Iterable[bytes], *, replacing: bool = True, synced: bool = True
) -> None:
    """Write `parts` as the file `name` in `folder`: whole or not at all, with a new time, on the disk on return.

    Where nobody lives in the folder yet, it need not be `synced` file by file: after a power cut the restore is done
    again. Then `finish_media` is told, and does it for all.

    A missing folder is made (its parent must be there). A `folder` that is itself a link is refused: a caller that
    means to follow it passes the resolved path. A link at `name` is replaced, not followed. A replaced file keeps its
    mode, and its owner where allowed; a new one gets what every new file gets, and the folder's owner when root
    restores. Unless `replacing`, whatever is found at the name is left alone, also when it came a moment ago
    (MediaNameTaken). Call `finish_media` after the last one.

    Raises TargetUnusable, and MediaLeftOut when it is the name alone that the volume refuses; what `parts` raises
    passes through. In all cases nothing is left of the new file.
    """
    checked_media_name(name)
    could_not = f"The media file {name!r} could not be written to {folder}"
    with ExitStack() as stack:
        with told_plainly(could_not):
            with suppress(FileExistsError):
                folder.mkdir()
            place = stack.enter_context(_opened(folder))
        _write(place, name, parts, could_not, replacing=replacing, synced=synced)


def _write(place: _Folder, name: str, parts: Iterable[bytes], could_not: str, *, replacing: bool, synced: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with ExitStack() as stack:
        with told_plainly(could_not):
            making = stack.enter_context(_making(place))
            descriptor = os.open(making.at(_IN_THE_MAKING), flags, 0o666, dir_fd=making.descriptor)
        try:
            for part in parts:
                with told_plainly(could_not):
                    _write_all(descriptor, part)
            with told_plainly(could_not):
                with _refusals_of_a_name(name):
                    old = _lstat_in(place, name)
                _take_over_owner_and_mode(descriptor, place, old)
                if synced:
                    sync_descriptor(descriptor)
                written = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        with told_plainly(could_not):
            if old is not None and written.st_mtime_ns // _SECOND_NS == old.st_mtime_ns // _SECOND_NS:
                later = written.st_mtime_ns + _SECOND_NS
                os.utime(making.at(_IN_THE_MAKING), ns=(later, later), dir_fd=making.descriptor)
            with _refusals_of_a_name(name):
                if replacing:
                    _rename(making, place, name)
                else:
                    _add(making, place, name)


@contextmanager
def _making(place: _Folder) -> Iterator[_Folder]:
    """A folder inside the media folder for the file in the making; gone afterwards, with what is left of that."""
    name = f".recollect-{secrets.token_hex(8)}.tmp"
    os.mkdir(place.at(name), 0o700, dir_fd=place.descriptor)
    try:
        with _opened(place.path / name, within=place) as making:
            try:
                yield making
            finally:
                with suppress(OSError):
                    os.unlink(making.at(_IN_THE_MAKING), dir_fd=making.descriptor)
    finally:
        with suppress(OSError):  # `finish_media` removes what could not be removed.
            os.rmdir(place.at(name), dir_fd=place.descriptor)


def _rename(making: _Folder, place: _Folder, name: str) -> None:
    os.replace(making.at(_IN_THE_MAKING), place.at(name), src_dir_fd=making.descriptor, dst_dir_fd=place.descriptor)


def _add(making: _Folder, place: _Folder, name: str) -> None:
    try:
        if place.descriptor is None:
            Path(making.at(_IN_THE_MAKING)).rename(place.at(name))  # On Windows this never replaces.
            return
        try:
            os.link(_IN_THE_MAKING, name, src_dir_fd=making.descriptor, dst_dir_fd=place.descriptor)
        except FileExistsError:
            raise
        except OSError:
            # FAT and many network shares know no links, each with an error of its own.
            with _ADDING:
                if _lstat_in(place, name) is not None:
                    raise FileExistsError from None
                _rename(making, place, name)
    except FileExistsError as error:
        raise MediaNameTaken(
            f"The media file {name!r} was not restored: since the plan was made {place.path} holds a file of that "
            "name, or of one that is the same to this disk",
            "Rename the file that is there, then restore again",
        ) from error


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


def finish_media(folder: Path, *, synced: bool = True) -> None:
    """Make the files written to `folder` last, and see that Anki looks through it again.

    `synced` says that each of them was put on the disk itself when it was written; else that is done here.

    Removes what killed runs left unfinished; then gives the folder a time that differs in the millisecond from before,
    because that is what Anki's scan compares. Raises TargetUnusable.
    """
    with told_plainly(f"The media folder {folder} could not be finished"), _opened(folder) as place:
        with os.scandir(place.itself) as entries:
            found = [entry for entry in entries if UNFINISHED.fullmatch(entry.name)]
            unfinished = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
        for name, is_folder in unfinished:
            _remove_unfinished(place, name, is_folder=is_folder)
        later = max(time.time_ns(), place.status.st_mtime_ns + _MILLISECOND_NS)
        # Only the owner may set a time; for anyone else the files just written have moved it already.
        with suppress(PermissionError):
            os.utime(place.itself, ns=(later, later))
        if not synced:
            sync_files_below(folder)
        if place.descriptor is not None:
            sync_descriptor(place.descriptor)


def _remove_unfinished(place: _Folder, name: str, *, is_folder: bool) -> None:
    if not is_folder:
        os.unlink(place.at(name), dir_fd=place.descriptor)
        return
    with _opened(place.path / name, within=place) as making, suppress(FileNotFoundError):
        os.unlink(making.at(_IN_THE_MAKING), dir_fd=making.descriptor)
    # What else lies in there is nothing of ours.
    with suppress(OSError):
        os.rmdir(place.at(name), dir_fd=place.descriptor)


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
