"""Which profiles there are: what Anki's list says, held against the folders that lie on the disk."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from profiles.base_folder import (
    COLLECTION_FILE,
    OLD_PREFERENCES_FILE,
    PREFERENCES_FILE,
    absolute,
    is_file,
    is_folder,
    reason,
)
from profiles.errors import BaseFolderMissing, CollectionMissing, ProfileError, ProfileUnknown, SourceUnreadable
from profiles.preferences import printable, profile_names

# Where add-ons live; Anki refuses it as a profile's name.
_ADDON_FOLDER = "addons21"


class Listed(StrEnum):
    """How a profile came to be known."""

    LISTED = "listed by Anki"
    FOLDER_MISSING = "in Anki's list, but its folder is missing"
    NOT_LISTED = "a folder with a collection, but not in Anki's list"
    BARE = "a folder named by the user"


@dataclass(frozen=True, slots=True)
class Profile:
    """One Anki user: a name, and the folder that holds (or ought to hold) the collection and its media."""

    name: str
    folder: Path
    listed: Listed

    @property
    def collection(self) -> Path:
        return self.folder / COLLECTION_FILE

    @property
    def wal(self) -> Path:
        """What Anki has not yet written back to the collection; only there while Anki is open, or after a crash."""
        return self.folder / f"{COLLECTION_FILE}-wal"

    @property
    def media_folder(self) -> Path:
        return self.folder / "collection.media"

    @property
    def deletion_log(self) -> Path:
        return self.folder / "deleted.txt"

    @property
    def can_be_backed_up(self) -> bool:
        """Whether the folder holds a collection right now.

        Also true when the system refuses to say: a backup that fails aloud is better than one that leaves out a
        profile without a word.
        """
        try:
            return is_file(self.collection)
        except OSError:
            return True


@dataclass(frozen=True, slots=True)
class Found:
    """What a base folder holds: profiles by name, and sentences about whatever looked odd."""

    base: Path
    profiles: tuple[Profile, ...]
    remarks: tuple[str, ...]


def discover(base: Path) -> Found:
    """Every profile in `base`: a base folder, a profile's own folder, or AnkiDroid's folder.

    Odd names and unreadable entries become remarks, and are not followed.

    Raises BaseFolderMissing when there is no such folder, SourceUnreadable when it can't be read at all.
    """
    base = absolute(base)
    remarks: list[str] = []
    try:
        if not is_folder(base):
            raise BaseFolderMissing(f"The folder {base} does not exist", "Name Anki's data folder with --base")
        prefs = next((base / name for name in (PREFERENCES_FILE, OLD_PREFERENCES_FILE) if is_file(base / name)), None)
        collection_here = is_file(base / COLLECTION_FILE)
        children = sorted(child.name for child in base.iterdir())
    except OSError as error:
        raise SourceUnreadable(
            f"The folder {base} can't be read: {reason(error)}",
            "Check that the disk is connected, and that you may read the folder",
        ) from error
    if collection_here and prefs is None:
        profile = Profile(_bare_name(base), base, Listed.BARE)
        return Found(base, (profile,), tuple(_doubts(profile)))
    if collection_here:
        remarks.append(f"A collection lies in {base} itself, outside of any profile: it is not backed up")

    names = _listed_names(base, prefs, remarks)
    profiles = [_listed_profile(base, name, remarks) for name in names or () if _usable(name, "name", remarks)]
    known = {identity for profile in profiles if (identity := _identity(profile.folder)) is not None}
    for name in children:
        if not _holds_collection(base / name, remarks):
            continue
        identity = _identity(base / name)
        if identity in known or not _usable(name, "folder name", remarks):
            continue
        if identity is not None:
            known.add(identity)
        if names is not None:
            remarks.append(f"The folder {base / name} holds a collection, but is not in Anki's list of profiles")
        profiles.append(Profile(name, base / name, Listed.NOT_LISTED))
    for profile in profiles:
        remarks.extend(_doubts(profile))
    return Found(
        base, tuple(sorted(profiles, key=lambda profile: (profile.name.casefold(), profile.name))), tuple(remarks)
    )


def choose(found: Found, names: Sequence[str]) -> tuple[Profile, ...]:
    """The profiles of those names, each once, in the order asked for; all that can be backed up when none is named.

    A name counts as it is spelled; else whatever its capitals, if only one profile answers to it.

    Raises ProfileUnknown, naming those that exist, and CollectionMissing when a chosen one holds nothing to back up,
    or when nothing at all could be backed up.
    """
    if not names:
        everything = tuple(profile for profile in found.profiles if profile.can_be_backed_up)
        if not everything:
            raise CollectionMissing(
                f"No profile in {found.base} holds a collection", "Open a profile in Anki once, or name another --base"
            )
        return everything
    chosen: dict[Profile, None] = {}
    for name in names:
        profile = named(found, name)
        if not profile.can_be_backed_up:
            raise CollectionMissing(
                f"The profile {_quoted(profile.name)} has no collection in {profile.folder}",
                "Open it in Anki once, or restore it from a snapshot",
            )
        chosen[profile] = None
    return tuple(chosen)


def named(found: Found, name: str) -> Profile:
    """The one profile of that name, by the rule of `choose`, also when it has no collection. Raises ProfileUnknown."""
    for spelled in (str, _fold):
        matches = [profile for profile in found.profiles if spelled(profile.name) == spelled(name)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise ProfileUnknown(
                f"The name {_quoted(name)} could mean {_enumeration(matches)}",
                "Spell it with the capitals it has in Anki",
            )
    if not found.profiles:
        raise ProfileUnknown(f"There is no profile in {found.base}", "Open Anki once, or name another --base")
    raise ProfileUnknown(
        f"There is no profile {_quoted(name)} in {found.base}", f"These exist: {_enumeration(found.profiles)}"
    )


def _enumeration(profiles: Sequence[Profile]) -> str:
    return ", ".join(_quoted(profile.name) for profile in profiles)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _quoted(name: str) -> str:
    return f"“{printable(name)}”"


def _bare_name(folder: Path) -> str:
    # The root of a drive has no name, and a folder's name may hold what no name of ours may hold.
    return folder.name if folder.name and _name_fault(folder.name) is None else "collection"


def _listed_names(base: Path, prefs: Path | None, remarks: list[str]) -> tuple[str, ...] | None:
    """The names in Anki's list; None when there is no list to go by."""
    if prefs is None:
        remarks.append(f"{base} holds no {PREFERENCES_FILE}: every folder with a collection is taken for a profile")
        return None
    try:
        return profile_names(prefs)
    except ProfileError as error:
        remarks.append(f"{error.problem}: every folder with a collection is taken for a profile")
        return None


def _listed_profile(base: Path, name: str, remarks: list[str]) -> Profile:
    folder = base / name
    try:
        if not is_folder(folder):
            remarks.append(f"The profile {_quoted(name)} is in Anki's list, but its folder {folder} is missing")
            return Profile(name, folder, Listed.FOLDER_MISSING)
        if not is_file(folder / COLLECTION_FILE):
            remarks.append(
                f"The profile {_quoted(name)} is in Anki's list, but its folder {folder} holds no collection"
            )
    except OSError as error:
        remarks.append(f"The profile {_quoted(name)} can't be read: {folder}: {reason(error)}")
    return Profile(name, folder, Listed.LISTED)


def _holds_collection(folder: Path, remarks: list[str]) -> bool:
    if folder.name == _ADDON_FOLDER:
        return False
    try:
        return is_file(folder / COLLECTION_FILE)
    except OSError as error:
        remarks.append(
            f"The folder {_quoted(folder.name)} in {folder.parent} can't be read ({reason(error)}): "
            "it is not known whether it holds a collection"
        )
        return False


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells folders apart, whatever capitals or Unicode form the file system lets one name be spelled in."""
    try:
        status = folder.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _usable(name: str, what: str, remarks: list[str]) -> bool:
    fault = _name_fault(name)
    if fault is not None:
        remarks.append(f"The {what} {_quoted(name)} {fault}: it is not followed, and not backed up")
    return fault is None


def _name_fault(name: str) -> str | None:
    """Why `name` can't be a profile's name. Anki's own check (qt/aqt/utils.py, invalid_filename) is stricter still."""
    if not name.strip():
        return "is empty"
    if name in {".", ".."} or "/" in name or "\\" in name or name == _ADDON_FOLDER:
        return "does not name a profile's folder"
    if os.name == "nt" and (":" in name or name.endswith((".", " "))):
        return "means another place on Windows"
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in name):
        return "holds characters that no name may hold"
    return None


def _doubts(profile: Profile) -> Iterator[str]:
    # A self-hosted sync server keeps media in `media`, beside media.db (rslib/src/sync/http_server/user.rs).
    try:
        if is_file(profile.folder / "media.db") and not is_folder(profile.media_folder):
            yield (
                f"{profile.folder} looks like a user of a self-hosted sync server: "
                "its collection is backed up, the media of the server are not"
            )
    except OSError:
        return
