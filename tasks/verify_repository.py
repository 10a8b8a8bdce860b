"""The step *verify*: whether all is there that snapshots need, and what this computer still has of what is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from profiles.discovery import Profile
from profiles.errors import MediaLeftOut, SourceUnreadable
from profiles.install_media import checked_media_name
from profiles.media import FileChanged, FileVanished, MediaFile, read_parts
from recollect.errors import RecollectError
from storage.checking.losses import Loss
from storage.checking.verification import Scope, Verification, verify
from storage.format.blob import PART_BYTES
from storage.format.listing import FolderEntry
from storage.format.sealing import Seal
from storage.repository import Repository
from storage.retrieval import holds_entry
from tasks.media import MEDIA_FOLDER
from tasks.profiles_here import found_profiles, key_of
from tasks.step import step


@step("verify", retried=True)
def verify_repository(repository: Repository, scope: Scope) -> Verification:
    """Look at everything that is stored, and read back as much of it as `scope` says."""
    return verify(repository, scope)


def own_profiles(repository: Repository) -> list[Profile]:
    """The profiles of this computer that the repository holds snapshots of, and that can be backed up now."""
    try:
        found = found_profiles().profiles
    except RecollectError:  # no Anki here
        return []
    stored = {ref.profile_key for ref in repository.snapshots()}
    return [profile for profile in found if profile.can_be_backed_up and key_of(profile) in stored]


def healing_hints(losses: Sequence[Loss], profiles: Iterable[Profile], seal: Seal) -> list[str]:
    """What of the losses the profiles on this computer can make good, a sentence for each profile."""
    hints = []
    for profile in profiles:
        own = [loss for loss in losses if loss.profile_key == key_of(profile)]
        if not own:
            continue
        files = [loss.entry for loss in own if loss.entry is not None]
        here = sum(still_has(profile, entry, seal) for entry in files)
        told = [f"{here} of {len(files)} lost media files are still as they were"] if files else []
        if len(own) > len(files):
            told.append("what the collection still has of the rest is not lost either")
        hints.append(f"On this computer, in the profile {profile.name}, {' and '.join(told)}")
    return hints


def still_has(profile: Profile, entry: FolderEntry, seal: Seal) -> bool:
    """Whether a profile's media folder holds exactly the file that a snapshot lost."""
    try:
        # Names come from a repository: one that leads elsewhere is not followed.
        path = profile.folder / MEDIA_FOLDER / checked_media_name(entry.name.decode())
        found = path.lstat()
        there = MediaFile(path.name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        return found.st_size == entry.size and holds_entry(seal, entry, read_parts(path, there, PART_BYTES))
    except (MediaLeftOut, UnicodeDecodeError, FileChanged, FileVanished, SourceUnreadable, OSError):
        return False
