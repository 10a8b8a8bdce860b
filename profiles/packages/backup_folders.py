"""Where the packages of whole collections lie: the folders of Anki's automatic backups, and any other."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiles.base_folder import is_folder, reason
from profiles.discovery import Profile
from profiles.errors import SourceUnreadable
from profiles.packages.reading import is_name_of_decks

_NAMES: Final = ("backups", "backup")
"""Anki's, and AnkiDroid's (BackupManager.kt)."""


@dataclass(frozen=True, slots=True)
class PackagesFound:
    """The packages directly in a folder, by name; `decks` are those that by their names hold some decks only."""

    packages: tuple[Path, ...]
    decks: tuple[Path, ...]


def backup_folders(profile: Profile) -> tuple[Path, ...]:
    """The folders of the profile's automatic backups that are there. Raises SourceUnreadable."""
    try:
        return tuple(folder for name in _NAMES if is_folder(folder := profile.folder / name))
    except OSError as error:
        raise SourceUnreadable(
            f"The folder {profile.folder} can't be read: {reason(error)}",
            "Check that the disk is connected, and that you may read the folder",
        ) from error


def packages_in(folder: Path) -> PackagesFound:
    """What lies directly in a folder and is a package by its name. Raises SourceUnreadable."""
    try:
        with os.scandir(folder) as entries:
            # Hidden ones are what macOS keeps beside a file on disks that are not its own (`._backup-….colpkg`).
            found = sorted(
                folder / entry.name
                for entry in entries
                if entry.name.lower().endswith((".colpkg", ".apkg"))
                and not entry.name.startswith(".")
                and entry.is_file()
            )
    except OSError as error:
        raise SourceUnreadable(
            f"The folder {folder} can't be read: {reason(error)}",
            "Check that it is there, and that you may read it",
        ) from error
    return PackagesFound(
        tuple(path for path in found if not is_name_of_decks(path.name)),
        tuple(path for path in found if is_name_of_decks(path.name)),
    )
