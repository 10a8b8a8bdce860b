"""Media files as both sides know them: Anki's folder on one, stored entries on the other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from profiles.errors import SourceUnreadable
from profiles.media import MediaFile, surely_unchanged
from profiles.media_reading import read_media
from storage.file_memory import RememberedFile
from storage.format.blob import PART_BYTES
from storage.intake import FileVersion, Sink

MEDIA_FOLDER = "collection.media"
COLLECTION = "collection.anki2"
DELETION_LOG = "deleted.txt"


class MediaReader:
    """Reads the files of a media folder for `storage.intake`, and remembers those that it could not read as it should.

    One file that is forbidden, or lies on a bad sector, must not cost all others their backup: it is left out and told.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.unsettled: set[str] = set()
        self.unreadable: dict[str, str] = {}

    def __call__(self, version: FileVersion, sink: Sink) -> FileVersion | None:
        """Read the file into `sink`."""
        expected = MediaFile(os.fsdecode(version.name), version.size, version.mtime_ns, version.ctime_ns, version.inode)
        try:
            reading = read_media(self._folder, expected, sink, part_bytes=PART_BYTES)
        except SourceUnreadable as trouble:
            self.unreadable[expected.name] = trouble.problem
            return None
        if reading is None:
            return None
        if not reading.settled:
            self.unsettled.add(expected.name)
        return version_of(reading.file)

    def remarks(self) -> list[str]:
        """What a person should know of the files that could not be read as they should."""
        return [
            *(f"Left out: {problem}" for _, problem in sorted(self.unreadable.items())),
            *(
                f"The media file {name!r} kept changing while it was read; it is stored as it was read last"
                for name in sorted(self.unsettled)
            ),
        ]


def version_of(file: MediaFile) -> FileVersion:
    """A listed file in the words of `storage`."""
    return FileVersion(os.fsencode(file.name), file.size, file.mtime_ns, file.ctime_ns, file.inode)


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
