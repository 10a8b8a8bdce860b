"""The deletion archive of a profile: every deleted note that a backup ever saw, each kept once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from storage.format.deletion_table import (
    ArchivedNote,
    deletions_name,
    is_deletions_name,
    read_deletions,
    write_deletions,
)
from storage.format.manifest import ProfileKey
from storage.repository import Repository

_READS_AT_ONCE = 8
_NEVER = datetime.max.replace(tzinfo=UTC)


def archived_notes(repository: Repository, profile_key: ProfileKey) -> list[ArchivedNote]:
    """Every note of the archive, in the order in which they were archived, each deletion once."""
    names = [item.name for item in repository.store.list(f"deletions/{profile_key}") if is_deletions_name(item.name)]

    def read(name: str) -> list[ArchivedNote]:
        return read_deletions(repository.seal, name, repository.store.read(name))

    with ThreadPoolExecutor(_READS_AT_ONCE, thread_name_prefix="deletions") as pool:
        files = list(pool.map(read, names))
    files.sort(key=lambda notes: min((note.archived_at for note in notes), default=_NEVER))
    # Two runs at once may both archive a note; the first one counts.
    once: dict[bytes, ArchivedNote] = {}
    for note in (note for notes in files for note in notes):
        once.setdefault(note.key, note)
    return list(once.values())


def archive_notes(
    repository: Repository, profile_key: ProfileKey, notes: Iterable[ArchivedNote], archived_at: datetime
) -> int:
    """Add those of `notes` that the archive does not hold yet; returns how many those were."""
    held = {note.key for note in archived_notes(repository, profile_key)}
    new: dict[bytes, ArchivedNote] = {}
    for note in notes:
        if note.key not in held:
            new.setdefault(note.key, note)
    if new:
        name = deletions_name(profile_key, archived_at, os.urandom(4))
        repository.store.write(name, write_deletions(repository.seal, name, new.values()))
    return len(new)
