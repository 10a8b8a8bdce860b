"""When flows run by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2s

_HALF_HOUR = timedelta(minutes=30)
_FIRST = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron line, or an interval that is counted from `first`, or from when it is deployed."""

    slug: str
    """By this name a redeployment knows it again, so that one that somebody switched off stays off."""
    said: str
    """As a person would say it."""
    cron: str | None = None
    interval: timedelta | None = None
    first: datetime | None = None


# The hours do not matter. At these a clock that is put forward or back comes by exactly once, nearly everywhere.
DAILY = Schedule("daily", "daily at 3:15", cron="15 3 * * *")
WEEKLY = Schedule("weekly", "on Sundays at 4:45", cron="45 4 * * 0")
EVERY_HALF_HOUR = Schedule("every-half-hour", "every half hour", interval=_HALF_HOUR)


def every_half_hour(name: str) -> Schedule:
    """Every half hour, from a minute on that follows from the name: many profiles don't all begin at once."""
    minute = int.from_bytes(blake2s(name.encode("utf-8", "surrogatepass"), digest_size=4).digest()) % 30
    return Schedule(
        EVERY_HALF_HOUR.slug,
        EVERY_HALF_HOUR.said,
        interval=_HALF_HOUR,
        first=_FIRST + timedelta(minutes=minute),
    )
