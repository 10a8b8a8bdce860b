"""Media files as both sides know them: Anki's folder on one, stored entries on the other."""

from __future__ import annotations

import os
from collections.abc import Mapping

from profiles.media import MediaFile, surely_unchanged
from storage.file_memory import RememberedFile

MEDIA_FOLDER = "collection.media"
COLLECTION = "collection.anki2"
DELETION_LOG = "deleted.txt"


def reliable(files: tuple[MediaFile, ...], known: Mapping[bytes, RememberedFile]) -> dict[bytes, RememberedFile]:
    """Those of `files` that are remembered and surely did not change since."""
    found: dict[bytes, RememberedFile] = {}
    for file in files:
        name = os.fsencode(file.name)
        remembered = known.get(name)
        if remembered is None:
            continue
        before = MediaFile(file.name, remembered.size, remembered.mtime_ns, remembered.ctime_ns, remembered.inode)
        if surely_unchanged(before, file, remembered.remembered_at_ns):
            found[name] = remembered
    return found
