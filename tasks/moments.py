"""Moments as people write them: `2026-11-22 18:00`, by the clock on their wall."""

from __future__ import annotations

import re
from datetime import datetime

from storage.errors import SnapshotUnknown

# No id of a snapshot looks like this: those have no - within the day.
_MOMENT = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})(?:[ T]+(?P<hour>\d{1,2}:\d{2})(?P<second>:\d{2})?\s?(?P<zone>Z|[+-]\d{2}:?\d{2})?)?"
)


def looks_like_a_moment(text: str) -> bool:
    """Whether `text` is written as a moment, be there such a day or not."""
    return _MOMENT.fullmatch(text.strip()) is not None


def moment(text: str) -> datetime:
    """The end of the day, the minute or the second that `text` names, in this computer's zone unless it names another.

    The end, for lists show snapshots to the minute, and who writes down what stands there means that one. Raises
    SnapshotUnknown where there is no such day or hour.
    """
    found = _MOMENT.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        hour = (found["hour"] or "23:59").zfill(len("00:00"))
        told = datetime.fromisoformat(f"{found['day']}T{hour}{found['second'] or ':59'}{found['zone'] or ''}")
        # Of an hour that a clock shows twice it is the later one: what was backed up in the earlier counts too.
        told = told if told.tzinfo is not None else told.replace(fold=1).astimezone()
    except (ValueError, OverflowError, OSError):
        raise SnapshotUnknown(
            f"There is no such moment as {text.strip()!r}", "Write a day and an hour, as in 2026-11-22 18:00"
        ) from None
    return told.replace(microsecond=999_999)
