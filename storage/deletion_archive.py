"""The deletion archive of a profile: every deleted note that a backup ever saw, each kept once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TypeVar

from storage.errors import Damaged, ObjectMissing
from storage.format.deletion_table import (
    LARGEST_DELETIONS,
    ArchivedNote,
    deletions_name,
    is_deletions_name,
    read_deletions,
    read_keys,
    write_deletions,
)
from storage.format.manifest import ProfileKey
from storage.format.sealing import Seal
from storage.repository import Repository
from storage.side_by_side import side_by_side
from storage.store import StoredObject
from storage.stored_size import read_listed

T = TypeVar("T")

_FILE_BYTES = 32 * 1024 * 1024
"""A file is ended after so many bytes of text: far from what readers refuse, whatever one note adds."""

_LOOKS = 3
"""A sweep seals files anew under other names; it would have to do so each time between listing and reading them."""

_NEVER = datetime.max.replace(tzinfo=UTC)


def archived_notes(
    repository: Repository, profile_key: ProfileKey, *, remarks: list[str] | None = None
) -> list[ArchivedNote]:
    """Every note of the archive, in the order in which they were archived, each deletion once.

    A damaged file is passed over; `remarks` gets a sentence about each.
    """
    files = _told_by_files(repository, profile_key, read_deletions, remarks)
    files.sort(key=lambda notes: min((note.archived_at for note in notes), default=_NEVER))
    # Two runs at once may both archive a note; the first one counts.
    once: dict[bytes, ArchivedNote] = {}
    for note in (note for notes in files for note in notes):
        once.setdefault(note.key, note)
    return list(once.values())


def archive_notes(
    repository: Repository,
    profile_key: ProfileKey,
    notes: Iterable[ArchivedNote],
    archived_at: datetime,
    *,
    remarks: list[str] | None = None,
) -> int:
    """Add those of `notes` that the archive does not hold yet; returns how many those were.

    `remarks` gets a sentence about each damaged file of the archive.
    """
    # Keys alone: all notes that were ever deleted may be more than memory holds.
    held = set[bytes]().union(*_told_by_files(repository, profile_key, read_keys, remarks))
    new: dict[bytes, ArchivedNote] = {}
    for note in notes:
        if note.key not in held:
            new.setdefault(note.key, note)
    for part in _parts(new.values()):
        name = deletions_name(profile_key, archived_at, os.urandom(4))
        repository.store.write(name, write_deletions(repository.seal, name, part))
    return len(new)


def _told_by_files(
    repository: Repository, profile_key: ProfileKey, read: Callable[[Seal, str, bytes], T], remarks: list[str] | None
) -> list[T]:
    """What `read` makes of each file of an archive; `remarks` gets a sentence about each damaged one."""
    for _ in range(_LOOKS):
        found = _look_into_files(repository, profile_key, read)
        if None not in found.values():
            break
    if remarks is not None:
        remarks += [
            f"The file {name} of the deletion archive is damaged and was passed over: what still stands in the "
            "profile's deleted.txt is archived again; move that file away to hear no more of it"
            for name, told in found.items()
            if isinstance(told, Damaged)
        ]
    return [told for told in found.values() if told is not None and not isinstance(told, Damaged)]


def _look_into_files(
    repository: Repository, profile_key: ProfileKey, read: Callable[[Seal, str, bytes], T]
) -> dict[str, T | Damaged | None]:
    """What each file of an archive holds, or why it can't be read; None for one that has another name by now."""
    items = [item for item in repository.store.list(f"deletions/{profile_key}") if is_deletions_name(item.name)]

    def look(item: StoredObject) -> T | Damaged | None:
        try:
            return read(repository.seal, item.name, read_listed(repository.store, item, LARGEST_DELETIONS))
        except Damaged as damage:
            return damage
        except ObjectMissing:
            return None

    return dict(zip((item.name for item in items), side_by_side(look, items), strict=True))


def _parts(notes: Iterable[ArchivedNote]) -> Iterator[list[ArchivedNote]]:
    """Cut the notes into what one file each takes."""
    part: list[ArchivedNote] = []
    size = 0
    for note in notes:
        part.append(note)
        size += sum(4 * len(text) for text in (*note.field_names, *note.fields))  # a character takes up to 4 bytes
        if size >= _FILE_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
