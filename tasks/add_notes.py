"""The step *add-notes*: a package of notes into the closed collection of a profile."""

from __future__ import annotations

from pathlib import Path

from profiles.discovery import Profile
from profiles.recovery.adding import Added, add_to_collection
from recollect.progress import current_progress
from tasks.step import step


@step("add-notes", retried=False)
def add_notes(package: Path, profile: Profile, folder: Path, *, overwriting: bool) -> Added:
    """Add the notes of a package to the profile's collection; the work is done in the private `folder`."""
    with current_progress().stage(f"{profile.name}: adding notes", None):
        return add_to_collection(
            package, profile.collection, folder, media_folder=profile.media_folder, overwriting=overwriting
        )
