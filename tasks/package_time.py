"""The moment that a package of Anki's shows: what its name says, else when its collection was changed last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from profiles.packages.backup_names import time_in_name
from profiles.packages.reading import Package
from tasks.catalog import CLOCK_TOLERANCE
from tasks.packaged_collection import unpacked_collection

_FIRST_ANKI: Final = datetime(2006, 1, 1, tzinfo=UTC)
"""No package is older than Anki itself."""


class TimeFrom(StrEnum):
    """What told a package's time."""

    NAME = "name"
    COLLECTION = "collection"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class PackageTime:
    """The moment that a package shows, in this computer's own offset, and what told it."""

    moment: datetime
    told_by: TimeFrom


def said_by_name(file_name: str, now: datetime) -> datetime | None:
    """The time that a file's name says, in this computer's own zone, for a name says none; None without one."""
    wall = time_in_name(file_name)
    try:
        return _plausible(wall.astimezone() if wall is not None else None, now)
    except (OverflowError, ValueError, OSError):
        return None


def time_inside(package: Package, path: Path, mtime_ns: int, now: datetime) -> PackageTime:
    """The time of a package whose name says none: when its collection was changed last, which travels inside it.

    The file's own time comes after that, for most ways of copying set it anew; and the zip's times are out of the
    question, for they name no zone: Anki notes UTC there, and before 2.1.50 noted local time.
    """
    with unpacked_collection(package, path, path.name) as collection:
        changed_ms = collection.proven.facts.modified_ms
    if moment := _plausible(_from_timestamp(changed_ms / 1000), now):
        return PackageTime(moment, TimeFrom.COLLECTION)
    return PackageTime(_plausible(_from_timestamp(mtime_ns / 1e9), now) or now, TimeFrom.FILE)


def _from_timestamp(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return None


def _plausible(moment: datetime | None, now: datetime) -> datetime | None:
    """The moment, if it can be true: a clock that was wrong must not tell when something was."""
    return moment if moment is not None and _FIRST_ANKI <= moment <= now + CLOCK_TOLERANCE else None
