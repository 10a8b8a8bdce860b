"""Media files on their way from Anki's folder into a repository."""

from __future__ import annotations

import os
from pathlib import Path

from profiles.errors import SourceUnreadable
from profiles.media import MediaFile
from profiles.media_reading import read_media
from storage.format.blob import PART_BYTES
from storage.intake import FileVersion, Sink


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
