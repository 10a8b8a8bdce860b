"""One profile on its way into one repository: what the steps hand on beside their results.

A plain class, not a dataclass, so that Prefect passes it along without looking inside; nothing of it is ever persisted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from profiles.discovery import Profile
from storage.file_memory import FileMemory, RememberedFile
from storage.format.manifest import Manifest, ProfileKey
from storage.repository import Repository, SnapshotRef
from tasks.catalog import ADOPTED, backwards, by_age, is_of_a_backup
from tasks.known_notes import KnownNotes, known_in, remembered
from tasks.last_restore import is_whole_by_now
from tasks.limits import ChosenLimits, deployed_limits
from tasks.private_folder import private_folder
from tasks.profiles_here import key_of
from tasks.settings_in_force import active_settings

_LAST = "last run"
_LOG = "archived deletion log"


class Job:
    """A backup under way."""

    def __init__(
        self, profile: Profile, repository: Repository, staging: Path, limits: ChosenLimits | None = None
    ) -> None:
        self.profile = profile
        self.profile_key = key_of(profile)
        self.repository = repository
        self.settings = active_settings()
        self.staging = staging
        self.beside = ThreadPoolExecutor(1, thread_name_prefix="beside")
        """For what is done beside the steps. It has ended before the private folder goes."""
        self._limits = limits
        self._memory = memory_of(repository, self.profile_key)
        self._known: Mapping[bytes, RememberedFile] | None = None
        self._snapshots: list[SnapshotRef] | None = None
        self._last: tuple[SnapshotRef, Manifest | None] | None = None

    @property
    def staged_collection(self) -> Path:
        """Where the private copy of the collection lies."""
        return self.staging / "collection.anki2"

    @property
    def staged_deletion_log(self) -> Path:
        """Where the private copy of deleted.txt lies, if there is one."""
        return self.staging / "deleted.txt"

    def snapshots(self) -> list[SnapshotRef]:
        """The profile's snapshots in the repository as the run began, oldest first.

        Those dated in the future, by a clock that was wrong, come before all others: none of them is the last.
        """
        if self._snapshots is None:
            self._snapshots = by_age(self.repository.snapshots(self.profile_key))
        return self._snapshots

    def last_snapshot(self) -> SnapshotRef | None:
        """The last snapshot that was taken of the profile itself, and not of a package that Anki had written."""
        return self._last_taken()[0]

    def last_manifest(self) -> Manifest | None:
        """The last snapshot's manifest, read from the store itself; None when there is none, or it can't be read."""
        return self._last_taken()[1]

    def _last_taken(self) -> tuple[SnapshotRef | None, Manifest | None]:
        if self._last is None or self._last[1] is None:
            for ref, found in backwards(self.repository, self.snapshots()):
                if isinstance(found, Manifest) and found.facts.get("purpose") == ADOPTED:
                    continue
                self.repository.forget_manifest(ref)
                again = next(self.repository.manifests([ref]))
                self._last = ref, again if isinstance(again, Manifest) else None
                break
        return self._last or (None, None)

    def last_unsuspected(self) -> Manifest | None:
        """The manifest of the last routine snapshot that did not look wrong: what later ones are held against."""
        for _, found in backwards(self.repository, self.snapshots()):
            if isinstance(found, Manifest) and not found.facts.get("suspect") and is_of_a_backup(found):
                return found
        return None

    @property
    def limits(self) -> ChosenLimits:
        """What the deployment of the profile's backups says to keep; where this is no run of it, what it said last."""
        return deployed_limits(self.last_manifest()) if self._limits is None else self._limits

    def last_is_outdated(self) -> bool:
        """Whether the last snapshot notes what is so no longer, even if the profile did not change since."""
        last = self.last_manifest()
        return last is not None and (is_whole_by_now(last) or self.limits != deployed_limits(last))

    def known_files(self) -> Mapping[bytes, RememberedFile]:
        """The media files as this machine remembers them."""
        if self._known is None:
            self._known = self._memory.files()
        return self._known

    def remember_files(self, files: Mapping[bytes, RememberedFile]) -> None:
        """Remember media files, so that the next run reads only what changed."""
        self._memory.keep(self.known_files(), files, {})
        self._known = files

    def last_run(self) -> Mapping[str, object]:
        """What the last whole run noted down; empty when nothing is known."""
        try:
            note = json.loads(self._memory.note(_LAST) or "{}")
        except ValueError:
            return {}
        return note if isinstance(note, dict) else {}

    def remember_run(self, note: Mapping[str, object]) -> None:
        """Note down a run that went through to its end."""
        self._memory.keep(self.known_files(), self.known_files(), {_LAST: json.dumps(note)})

    def archived_deletion_log(self) -> str | None:
        """Which version of deleted.txt was archived last."""
        return self._memory.note(_LOG)

    def known_notes(self) -> KnownNotes | None:
        """The notes of the last snapshot that was held against the one before it; None when that is not known."""
        return known_in(self._memory)

    def remember_archived(self, log_version: str | None, notes: KnownNotes | None) -> None:
        """Remember which version of deleted.txt is archived, and the notes of the snapshot that was held against the
        one before it; None leaves what is remembered."""
        found = {} if log_version is None else {_LOG: log_version}
        if notes is not None:
            found |= remembered(notes)
        if found:
            self._memory.keep(self.known_files(), self.known_files(), found)


def memory_of(repository: Repository, profile_key: ProfileKey) -> FileMemory:
    """What this computer remembers of a profile and its backups in a repository."""
    return FileMemory(active_settings().cache / "memory" / repository.id / f"{profile_key}.sqlite")


@contextmanager
def job(profile: Profile, repository: Repository, limits: ChosenLimits | None = None) -> Iterator[Job]:
    """A backup of `profile` with a private folder for its copies, which is gone afterwards.

    `limits` are what its deployment says to keep, None where it is no run of one.
    """
    with private_folder() as staging:
        work = Job(profile, repository, staging, limits)
        with work.beside:
            yield work
