"""What Anki's media sync remembers, `collection.media.db2`, and what it will take for deleted because of that.

The rule is that of rslib/src/sync/media (changetracker.rs, database/client): a name that the record holds with a
checksum, and at which a scan of the media folder finds no file, was deleted here; so it is deleted on the server, and
from there on every device, unless the server has got a newer file of that name since. A scan passes over what is
empty, larger than 100 MiB, a folder or a link: at such a name it finds nothing. Before the first media sync there is
nothing that a server could be told of.
"""

from __future__ import annotations

import sqlite3
import sys
import unicodedata
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from profiles.collection_copy import copy_collection
from profiles.errors import CollectionDamaged, MediaSyncUnclear, ProfileError, SourceBusy
from profiles.media import list_media

MEDIA_SYNC_RECORD = "collection.media.db2"
"""The desktop's name for it, beside the media folder: pylib/anki/collection.py."""

_LARGEST_SYNCED = 100 << 20
_VERSION = 0
"""Its `user_version` has never been set. One that is may mean anything."""
_ATTEMPTS = 3


def taken_for_deleted(record: Path, folder: Path, coming: Mapping[str, int], scratch: Path) -> tuple[str, ...]:
    """The names that the next media sync takes for deleted, when the files that are `coming` (sizes in bytes by name)
    have been written to the media folder; sorted. None where there is no record.

    The record is read in a copy, which is made in the private folder `scratch`: Anki may have it open. Raises
    MediaSyncUnclear, when it or the media folder can't be read, or is of an Anki with other rules.
    """
    if not record.exists():
        return ()
    copy = scratch / "media-sync-record"
    try:
        copy_collection(record, copy, attempts=_ATTEMPTS)
        found = {file.name: file.size for file in list_media(folder).files}
    except SourceBusy as trouble:
        raise MediaSyncUnclear(f"{record} is being written to", "Close Anki, then look again") from trouble
    except CollectionDamaged as trouble:
        raise _unclear(record, "it is damaged") from trouble
    except ProfileError as trouble:
        raise MediaSyncUnclear(trouble.problem, trouble.advice) from trouble
    synced = _synced_names(copy, record)
    there = {_as_recorded(name) for name, size in {**found, **coming}.items() if 0 < size <= _LARGEST_SYNCED}
    return tuple(sorted(synced - there))


def _synced_names(copy: Path, record: Path) -> set[str]:
    try:
        with closing(sqlite3.connect(copy)) as database:
            database.execute("pragma trusted_schema = off")
            if database.execute("pragma user_version").fetchone() != (_VERSION,):
                raise _unclear(record, "it is of a newer Anki")
            ((last_usn,),) = database.execute("select lastUsn from meta").fetchall()
            if last_usn == 0:
                return set()
            # A null stands for what was deleted, and sent, or is about to be.
            return {_text(name) for (name,) in database.execute("select fname from media where csum is not null")}
    except (sqlite3.Error, ValueError) as error:
        raise _unclear(record, f"it is not as Anki writes it ({error})") from error


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise ValueError("a name is no text")  # noqa: TRY004 - SQLite's types, not those of a caller
    return name


def _as_recorded(name: str) -> str:
    # On macOS Anki takes a name for its composed form; elsewhere a file of another form is none to it.
    return unicodedata.normalize("NFC", name) if sys.platform == "darwin" else name


def _unclear(record: Path, why: str) -> MediaSyncUnclear:
    return MediaSyncUnclear(
        f"{record} can't be read: {why}",
        "With Anki closed, move it out of the profile's folder: the next media sync then makes a new one, and deletes "
        "nothing",
    )
