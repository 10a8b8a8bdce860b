"""The profiles of this computer, and how they are known in its backups."""

from __future__ import annotations

from profiles.base_folder import find_base_folder
from profiles.discovery import Found, Profile, discover
from storage.format.manifest import ProfileKey, profile_key
from tasks.settings_in_force import active_settings
from tasks.this_computer import this_host


def found_profiles() -> Found:
    """The profiles of this machine's base folder."""
    return discover(find_base_folder(active_settings().base))


def key_of(profile: Profile) -> ProfileKey:
    """The key under which this machine stores the profile."""
    return profile_key(profile.name, this_host(active_settings()), source_of(profile))


def source_of(profile: Profile) -> str:
    """Where the profile lies, as a manifest says it."""
    return str(profile.folder)
