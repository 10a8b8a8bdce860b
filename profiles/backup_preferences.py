"""How many backups the owner of a collection wants kept: Anki's preference, which travels inside the collection."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from profiles.proof import opened_copy

_LARGEST: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class RetentionPreferences:
    """Anki > Preferences > Backups: how many daily, weekly and monthly ones stay, and how far apart they are made.

    The defaults are Anki's own (rslib/src/config/mod.rs, get_backup_limits).
    """

    daily: int = 12
    weekly: int = 10
    monthly: int = 9
    minimum_interval_minutes: int = 30


def backup_preferences(copy: Path) -> RetentionPreferences:
    """The preferences in a private copy of a collection; Anki's defaults where it would itself fall back to them.

    Raises CollectionDamaged or SourceUnreadable when the copy can't be read as a collection.
    """
    with opened_copy(copy) as connection:
        stored = _stored(connection)
    if not isinstance(stored, dict):
        return RetentionPreferences()
    values = [stored.get(key) for key in ("daily", "weekly", "monthly", "minimum_interval_mins")]
    # One value that Anki can't read as an unsigned 32 bit number makes it drop them all; true is no number to it.
    if not all(type(value) is int and 0 <= value <= _LARGEST for value in values):
        return RetentionPreferences()
    return RetentionPreferences(*(int(value) for value in values if value is not None))


def _stored(connection: sqlite3.Connection) -> object:
    """The value of the config key `backups`: a row of its own since schema 14, before that within the column `conf`."""
    has_table = connection.execute("SELECT 1 FROM sqlite_schema WHERE type='table' AND name='config'").fetchone()
    if has_table:
        row = connection.execute("SELECT val FROM config WHERE KEY='backups'").fetchone()
        return _parsed(row)
    settings = _parsed(connection.execute("SELECT conf FROM col").fetchone())
    return settings.get("backups") if isinstance(settings, dict) else None


def _parsed(row: tuple[object, ...] | None) -> object:
    if row is None or not isinstance(row[0], str | bytes):
        return None
    try:
        return json.loads(row[0])
    except (ValueError, RecursionError):
        return None
