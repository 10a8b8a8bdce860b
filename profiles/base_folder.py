"""Where Anki keeps its data on this computer.

The order is Anki's own (qt/aqt/profiles.py, get_created_base_folder and _default_base), followed by the places that
only a sandboxed or a very old Anki used.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from profiles.errors import BaseFolderMissing, SourceUnreadable

COLLECTION_FILE = "collection.anki2"
PREFERENCES_FILE = "prefs21.db"
# Anki 2.0's list of profiles; a newer Anki copies it to prefs21.db when it starts for the first time.
OLD_PREFERENCES_FILE = "prefs.db"

_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})
# ERROR_INVALID_NAME, ERROR_CANT_RESOLVE_FILENAME: how Windows says that no such name, or only a loop of links, exists.
_NOT_THERE_ON_WINDOWS = frozenset({123, 1921})


def default_base_folders(platform: str, environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """The folders in which Anki's data may lie, the likeliest first; none of them is looked at.

    `platform` is spelled as in `sys.platform`. When ANKI_BASE is set, Anki looks nowhere else, and neither do we.
    """
    if named := environ.get("ANKI_BASE"):
        return (home / named[2:] if named == "~" or named.startswith(("~/", "~\\")) else Path(named),)
    if platform == "win32":
        roaming = environ.get("APPDATA")
        candidates = [
            Path(roaming) / "Anki2" if roaming else home / "AppData" / "Roaming" / "Anki2",
            home / "Documents" / "Anki",
        ]
    elif platform == "darwin":
        candidates = [home / "Library" / "Application Support" / "Anki2", home / "Documents" / "Anki"]
    else:
        candidates = [
            home / ".local" / "share" / "Anki2",
            home / ".var" / "app" / "net.ankiweb.Anki" / "data" / "Anki2",
            home / "Anki",
            home / "Documents" / "Anki",
        ]
        # The XDG base directory specification: a relative path is to be ignored. The usual place stays in the list,
        # since a scheduler may run with another environment than the desktop that started Anki.
        data_home = environ.get("XDG_DATA_HOME", "")
        if Path(data_home).is_absolute():
            candidates.insert(0, Path(data_home) / "Anki2")
    return tuple(dict.fromkeys(candidates))


def find_base_folder(explicit: Path | None = None) -> Path:
    """The folder to look for profiles in: the one named, or the first default place that holds Anki's data.

    The answer is absolute. `explicit` may be a base folder, a profile's own folder, or AnkiDroid's folder.

    Raises BaseFolderMissing, saying where it looked, and SourceUnreadable when the named folder can't be read.
    """
    if explicit is not None:
        return _checked(explicit)
    try:
        home = Path.home()
    except RuntimeError:
        home = Path(os.sep)
    looked: list[str] = []
    unreadable = False
    for candidate in map(absolute, default_base_folders(sys.platform, os.environ, home)):
        try:
            if holds_anki_data(candidate):
                return candidate
            looked.append(str(candidate))
        except OSError as error:
            looked.append(f"{candidate} (not readable: {reason(error)})")
            unreadable = True
    problem = f"Anki's data folder was not found. Looked in: {'; '.join(looked)}"
    if unreadable:
        raise SourceUnreadable(problem, "Check that the disk is connected, and that you may read the folder")
    if os.environ.get("ANKI_BASE"):
        raise BaseFolderMissing(
            problem, "The environment variable ANKI_BASE names that place: correct it, or unset it to look elsewhere"
        )
    raise BaseFolderMissing(
        problem,
        "Start Anki once, or name the folder with --base (in Anki: Tools > Add-ons > View Files, one folder up)",
    )


def _checked(named: Path) -> Path:
    folder = absolute(named)
    advice = "Name Anki's data folder, a profile's folder that holds collection.anki2, or a copy of AnkiDroid's folder"
    try:
        if holds_anki_data(folder):
            return folder
        if not is_folder(folder):
            kind = "is a file, not a folder" if is_file(folder) else "does not exist"
            raise BaseFolderMissing(f"The folder {folder} {kind}", advice)
    except OSError as error:
        raise SourceUnreadable(
            f"The folder {folder} can't be read: {reason(error)}",
            "Check that the disk is connected, and that you may read the folder",
        ) from error
    raise BaseFolderMissing(
        f"The folder {folder} holds nothing of Anki's: no {PREFERENCES_FILE}, and no {COLLECTION_FILE}", advice
    )


def absolute(path: Path) -> Path:
    """`path` with `~` expanded, made absolute as Anki does it (os.path.abspath): links stay, so names stay readable.

    Raises BaseFolderMissing when `~` names an unknown user, or the current folder is gone.
    """
    try:
        return Path(os.path.normpath(path.expanduser().absolute()))
    except (RuntimeError, OSError):
        raise BaseFolderMissing(f"The folder {path} can't be resolved", "Write its full path, without ~") from None


def holds_anki_data(folder: Path) -> bool:
    """Whether `folder` is a base folder, a profile's folder, or a folder of profiles.

    Raises OSError when the folder is there but can't be read.
    """
    if not is_folder(folder):
        return False
    if any(is_file(folder / name) for name in (PREFERENCES_FILE, OLD_PREFERENCES_FILE, COLLECTION_FILE)):
        return True
    return any(_holds_collection(child) for child in folder.iterdir())


def _holds_collection(folder: Path) -> bool:
    try:
        return is_file(folder / COLLECTION_FILE)
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Whether a regular file is there, links followed. Raises OSError when the system refuses to say."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: Path) -> bool:
    """Whether a folder is there, links followed. Raises OSError when the system refuses to say."""
    return stat.S_ISDIR(_mode(path))


def _mode(path: Path) -> int:
    # Path.is_file() swallows different errors in different versions of Python; a profile must not vanish from sight
    # because a folder could not be entered.
    try:
        return path.stat().st_mode
    except OSError as error:
        if error.errno in _NOT_THERE or getattr(error, "winerror", None) in _NOT_THERE_ON_WINDOWS:
            return 0
        raise
    except ValueError:
        return 0


def reason(error: OSError) -> str:
    """The system's own words for `error`, without the path and the number."""
    return (error.strerror or type(error).__name__).lower()
