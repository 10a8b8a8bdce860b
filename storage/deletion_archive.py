"""The deletion archive of a profile: every note that was ever seen to be deleted, each told once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import TypeVar

from storage.deletion_sightings import Sightings, each_note_once
from storage.errors import Damaged, ObjectMissing
from storage.format.deletion_table import (
    LARGEST_DELETIONS,
    ArchivedNote,
    deletions_name,
    is_deletions_name,
    read_deletions,
    read_sightings,
    write_deletions,
)
from storage.format.manifest import ProfileKey
from storage.format.sealing import Seal
from storage.object_cache import CachedStore
from storage.repository import Repository
from storage.side_by_side import side_by_side
from storage.store import StoredObject

T = TypeVar("T")

_FILE_BYTES = 32 * 1024 * 1024
"""A file is ended after so many bytes of text: far from what readers refuse, whatever one note adds."""

_ROW_BYTES = 256
"""What the rest of a row takes: ids, keys, times."""

_LOOKS = 3
"""A sweep seals files anew under other names; it would have to do so each time between listing and reading them."""


def archived_notes(
    repository: Repository, profile_key: ProfileKey, *, remarks: list[str] | None = None
) -> list[ArchivedNote]:
    """Every note of the archive once, with all that is known of it, in the order in which they were seen to go.

    A damaged file is passed over; `remarks` gets a sentence about each.
    """
    files = _told_by_files(repository, profile_key, read_deletions, remarks)
    return each_note_once(row for rows in files for row in rows)


def archive_notes(
    repository: Repository,
    profile_key: ProfileKey,
    notes: Iterable[ArchivedNote],
    *,
    now: datetime,
    remarks: list[str] | None = None,
) -> set[int]:
    """Add those of `notes` that tell the archive something new; returns the ids of the notes that they tell of.

    They are taken one by one, so that many need no room at once; for none at all the archive is not even looked at.
    `remarks` gets a sentence about each damaged file of the archive.
    """
    notes = iter(notes)
    first = next(notes, None)
    if first is None:
        return set()
    # Not the notes themselves: all that were ever deleted may be more than memory holds.
    told = _told_by_files(repository, profile_key, read_sightings, remarks)
    held = Sightings(sighting for file in told for sighting in file)
    added: set[int] = set()
    for part in _parts(note for note in chain([first], notes) if held.takes(note)):
        name = deletions_name(profile_key, now, os.urandom(4))
        content = write_deletions(repository.seal, name, part)
        repository.store.write(name, content)
        repository.cache.put(name, content)
        added.update(note.note_id for note in part)
    return added


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
            "profile's deleted.txt is archived again, and `recollect deleted PROFILE --rescan` finds what snapshots "
            "still hold; move that file away to hear no more of it"
            for name, told in found.items()
            if isinstance(told, Damaged)
        ]
    return [told for told in found.values() if told is not None and not isinstance(told, Damaged)]


def _look_into_files(
    repository: Repository, profile_key: ProfileKey, read: Callable[[Seal, str, bytes], T]
) -> dict[str, T | Damaged | None]:
    """What each file of an archive holds, or why it can't be read; None for one that has another name by now.

    They never change, and each is fetched once.
    """
    folder = f"deletions/{profile_key}"
    items = [item for item in repository.store.list(folder) if is_deletions_name(item.name)]
    source = CachedStore(repository.store, repository.cache)
    repository.cache.keep_only(folder, [item.name for item in items])

    def look(item: StoredObject) -> T | Damaged | None:
        try:
            return source.fetched(
                item.name,
                lambda content: read(repository.seal, item.name, content),
                size=item.size,
                largest=LARGEST_DELETIONS,
            )
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
        texts = (*note.field_names, *note.fields, *(note.tags or ()), note.note_type or "", note.deck or "")
        size += _ROW_BYTES + sum(4 * len(text) for text in texts)  # a character takes up to 4 bytes
        if size >= _FILE_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
