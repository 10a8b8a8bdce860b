"""Private copies that are read without being proven, as there may be a year of them: that would cost minutes.

Reading rows of them is safe all the same. SQLite checks each page before it follows it, so a damaged copy ends in an
error; and what a hostile one could draw out or blow up (a tree that leads into itself, a column that is computed) ends
at the bounds set here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from profiles.comparing.schema import schema_of
from profiles.proof import opened_copy

_LONGEST_VALUE: Final = 100 * 1024 * 1024
"""Bytes of a row: Anki syncs none that is longer."""
_MOST_STEPS: Final = 100_000_000
"""Of SQLite's machine, a few seconds: a thousand times what reading a note takes where a copy lacks every index, and
several times what reading each of a hundred thousand takes where it has them."""
_STEPS_AT_ONCE: Final = 100_000


@contextmanager
def opened_unproven(copy: Path, *, original: Path | None = None) -> Iterator[sqlite3.Connection]:
    """As `opened_copy`, for a copy that has all tables of Anki's, and that may be anything beside that.

    Raises CollectionDamaged, SourceUnreadable.
    """
    with opened_copy(copy, original=original) as connection:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        left = _MOST_STEPS // _STEPS_AT_ONCE

        def is_enough() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        connection.set_progress_handler(is_enough, _STEPS_AT_ONCE)
        schema_of(connection, original or copy)
        yield connection
