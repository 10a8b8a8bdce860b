"""A new profile that Anki lists, as if it had been added there."""

from __future__ import annotations

import os
import pickle
import sys
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from profiles.base_folder import COLLECTION_FILE, OLD_PREFERENCES_FILE, PREFERENCES_FILE, is_folder
from profiles.discovery import Listed, Profile
from profiles.durable import sync_folder, told_plainly
from profiles.errors import ProfileNameUnusable
from profiles.preferences import printable
from profiles.preferences_change import Row, change_row
from profiles.replacing import go_on

# qt/aqt/utils.py, invalid_filename, and qt/aqt/main.py, profileNameOk: what Anki does not take when it asks for a name.
_REFUSED_BY_ANKI: Final = ':*?"<>|/\\'
_RESERVED: Final = frozenset({"addons21", "_global", PREFERENCES_FILE, OLD_PREFERENCES_FILE})
_RESERVED_ON_WINDOWS: Final = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
)
_LONGEST_NAME: Final = 255
"""Bytes: what ext4, APFS and NTFS allow a folder's name at least."""
_LITTER: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def profile_defaults(now_s: int) -> dict[str, object]:
    """What Anki keeps of a profile that was just added at `now_s`, in seconds since 1970.

    These are all the keys of Anki's own (qt/aqt/profiles.py, profileConf). Anki reads a row as it is, fills in nothing,
    and asks for several of these keys as if they were always there; whatever else it keeps it asks for with a default.
    """
    return {
        "mainWindowGeom": None,
        "mainWindowState": None,
        "numBackups": 50,
        "lastOptimize": now_s,
        "searchHistory": [],
        "syncKey": None,
        "syncMedia": True,
        "autoSync": True,
        "allowHTML": False,
        "importMode": 1,
        "lastColour": "#00f",
        "stripHTML": True,
        "deleteMedia": False,
    }


def add_profile(base: Path, name: str, *, synced: bool = True, before_swap: Callable[[str], None] = go_on) -> Profile:
    """Add the profile `name` to Anki's list in the base folder, and make its folder, or accept one that is empty.

    It is logged in nowhere; unless `synced`, it also syncs nothing by itself once someone logs in. Where there is no
    list none is made: Anki makes it when it first starts, and keeps more in it than profiles. Anki must be closed; of
    that, and of how the list is changed, `preferences_change` tells.

    Raises ProfileNameUnusable when Anki would not take the name, or it is taken, AnkiIsOpen, SourceBusy,
    PreferencesUnusable, SourceUnreadable, TargetUnusable. Neither list nor folder has been changed then.
    """
    if (fault := _name_fault(name)) is not None:
        raise ProfileNameUnusable(f"No profile can be called “{printable(name)}”: {fault}", "Choose another name")
    folder = base / name
    made = False
    settings = profile_defaults(int(time.time())) | {"autoSync": synced, "syncMedia": synced}

    def added(rows: tuple[Row, ...]) -> Row:
        nonlocal made
        _refuse_taken(base, name, rows)
        made = _make_folder(folder, _sibling(base, rows))
        return Row(name, pickle.dumps(settings, protocol=4))

    try:
        change_row(base, added, before_swap=before_swap)
    except BaseException:
        if made:
            with suppress(OSError):
                folder.rmdir()
        raise
    return Profile(name, folder, Listed.LISTED)


def _name_fault(name: str) -> str | None:
    refused = next((letter for letter in _REFUSED_BY_ANKI if letter in name), "")
    device = _fold(name).partition(".")[0] in _RESERVED_ON_WINDOWS
    faults = (
        (not name.strip(), "it is empty"),
        (name != name.strip(), "it begins or ends with a space"),
        (refused, f"Anki takes no {refused} in names"),
        (name.startswith("."), "Anki takes no name that begins with a full stop"),
        (any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in name), "it holds what no name may hold"),
        (len(name.encode(errors="surrogatepass")) > _LONGEST_NAME, f"it is longer than {_LONGEST_NAME} bytes"),
        (_fold(name) in _RESERVED, "Anki uses it for something else"),
        (sys.platform == "win32" and (device or name.endswith(".")), "Windows can't make a folder of that name"),
    )
    return next((fault for found, fault in faults if found), None)


def _refuse_taken(base: Path, name: str, rows: tuple[Row, ...]) -> None:
    """Anki's list tells names apart by more than the capitals of ASCII; a folder's name often by less."""
    if taken := next((row.name for row in rows if _fold(row.name) == _fold(name)), None):
        raise ProfileNameUnusable(
            f"There is a profile “{printable(taken)}” already in Anki's list in {base}", "Choose another name"
        )
    for entry in base.iterdir():
        if _fold(entry.name) == _fold(name) and (not is_folder(entry) or entry.is_symlink() or _holds_anything(entry)):
            what = "holds files already" if is_folder(entry) and not entry.is_symlink() else "is no folder"
            if (entry / COLLECTION_FILE).is_file():
                what = "holds a collection already, though Anki does not list it"
            raise ProfileNameUnusable(f"{entry} {what}", "Choose another name, or move it away first")


def _holds_anything(folder: Path) -> bool:
    return any(entry.name not in _LITTER for entry in folder.iterdir())


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _sibling(base: Path, rows: tuple[Row, ...]) -> Path:
    """A folder to take owner and mode from: another profile's, or else the base folder itself."""
    folders = (base / row.name for row in rows if _name_fault(row.name) is None)
    return next((folder for folder in folders if is_folder(folder)), base)


def _make_folder(folder: Path, model: Path) -> bool:
    """Make the profile's folder before the row: an empty folder that a killed run leaves is in nobody's way."""
    with told_plainly(f"The profile's folder {folder} could not be made", then="try again"):
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            return False
        if sys.platform != "win32":
            wanted, own = model.stat(), folder.stat()
            if (own.st_uid, own.st_gid) != (wanted.st_uid, wanted.st_gid):
                with suppress(PermissionError):
                    os.chown(folder, wanted.st_uid, wanted.st_gid)
            folder.chmod(wanted.st_mode & 0o777)
        sync_folder(folder.parent)
    return True
