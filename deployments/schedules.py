"""When flows run by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2s

_HALF_HOUR = timedelta(minutes=30)
_FIRST = datetime(2020, 1, 1, tzinfo=UTC)
_FIRST_HOUR = 5
_DAYS = ("Sundays", "Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays")
"""As cron counts them."""


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
    return Schedule(
        EVERY_HALF_HOUR.slug,
        EVERY_HALF_HOUR.said,
        interval=_HALF_HOUR,
        first=_FIRST + timedelta(minutes=_number_of(name) % 30),
    )


def once_a_day(name: str) -> Schedule:
    """Once a day, at a time that follows from the name."""
    hour, minute = _time_of(name)
    return Schedule(DAILY.slug, f"daily at {hour}:{minute:02}", cron=f"{minute} {hour} * * *")


def once_a_week(name: str) -> Schedule:
    """Once a week, on a day and at a time that follow from the name."""
    (hour, minute), day = _time_of(name), _number_of(f"day of {name}") % len(_DAYS)
    return Schedule(WEEKLY.slug, f"on {_DAYS[day]} at {hour}:{minute:02}", cron=f"{minute} {hour} * * {day}")


def _time_of(name: str) -> tuple[int, int]:
    """An hour and a minute between five in the morning and midnight, when no clock is put forward or back."""
    minutes = _number_of(name) % ((24 - _FIRST_HOUR) * 60)
    return _FIRST_HOUR + minutes // 60, minutes % 60


def _number_of(name: str) -> int:
    return int.from_bytes(blake2s(name.encode("utf-8", "surrogatepass"), digest_size=4).digest())
