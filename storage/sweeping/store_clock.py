"""What time it is by the store's own clock: ages of stored objects are judged by nothing else."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from storage.errors import ClockUntrusted, StorageError
from storage.store import Listings, Store

PROBES = "probe"
MOST_SKEW = timedelta(minutes=5)
"""Where this computer's clock and the store's differ by more, one of them is wrong, and nothing is removed."""


class Clock(Protocol):
    """This computer's clocks."""

    def now(self) -> datetime:
        """The time of day in UTC; it may be set back and forth."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; they never go back, but may stand still while the computer sleeps."""
        ...


class SystemClock:
    """The clocks of the system."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class Stopwatch:
    """How long something has been going on, asleep or awake."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.now()
        self._began_monotonic = clock.monotonic()

    def elapsed(self) -> timedelta:
        """The longer of what the two clocks say: the one stands still in sleep, the other may be set back."""
        awake = timedelta(seconds=self._clock.monotonic() - self._began_monotonic)
        return max(awake, self._clock.now() - self._began)


def store_time(store: Store, clock: Clock, folders: Sequence[str] = ()) -> tuple[datetime, Listings]:
    """The time by the store's clock (UTC), and what lies in `folders`.

    An object that is written, listed and removed again tells the time; the folders are listed after it, or with it, as
    `Store.list_together` does. Raises ClockUntrusted when this computer's own clock differs from the store's by more
    than `MOST_SKEW`.
    """
    name = f"{PROBES}/{os.urandom(16).hex()}"
    store.write(name, b"What time is it?\n")
    try:
        listed = store.list_together((PROBES, *folders))
    finally:
        # A probe that stays behind is swept by a later one.
        with contextlib.suppress(StorageError):
            store.remove(name)
    seen = {item.name: item.modified for item in listed[PROBES]}
    if name not in seen:
        raise ClockUntrusted(
            f"{store.url} does not list an object that was just written",
            "Try again in a minute; if it stays so, this place can't be relied on for backups",
        )
    now = seen[name]
    if abs(clock.now() - now) > MOST_SKEW:
        raise ClockUntrusted(
            f"The clock of {store.url} says {now:%Y-%m-%d %H:%M:%S} UTC, and this computer's "
            f"{clock.now():%Y-%m-%d %H:%M:%S} UTC",
            "Set the one that is wrong right, then try again; until then nothing is removed",
        )
    store.remove_all(stale for stale, modified in seen.items() if now - modified > timedelta(days=1))
    return now, listed
