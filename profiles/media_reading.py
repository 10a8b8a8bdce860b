"""Reading a media file that may be changing: again until it held still, and not for ever."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from profiles.media import FileChanged, FileVanished, MediaFile, read_parts

_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.05


class Sink(Protocol):
    """Takes a file in, part by part."""

    def restart(self) -> None:
        """Forget what was taken: the file is read from its beginning again."""

    def take(self, part: bytes) -> None:
        """Take the next part."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: the file as `stat` showed it before, and whether it held still meanwhile."""

    file: MediaFile
    settled: bool


def read_media(
    folder: Path,
    expected: MediaFile,
    sink: Sink,
    *,
    part_bytes: int,
    attempts: int = _ATTEMPTS,
    pause: Callable[[float], None] = time.sleep,
) -> Reading | None:
    """Read a listed file into `sink` in parts of `part_bytes`; None when it is gone, or no regular file any more.

    A file that changes under the reader is read again; what the last attempt gave is kept, and said not to be settled:
    a file of which that is all that can be had is better kept than lost, and must not hold up all others.
    """
    path = folder / expected.name
    version: MediaFile | None = expected
    for attempt in range(attempts):
        if attempt:
            pause(_FIRST_PAUSE_S * 2**attempt)
            version = _described(path, expected.name)
        if version is None:
            return None
        sink.restart()
        try:
            for part in read_parts(path, version, part_bytes):
                sink.take(part)
        except FileChanged:
            continue
        except FileVanished:
            return None
        return Reading(version, settled=True)
    return Reading(version, settled=False) if version else None


def _described(path: Path, name: str) -> MediaFile | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return MediaFile(name, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
