"""Which packs were last read whole, and when: what to read next, and by when every byte has been read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

from storage.checking.damage import read_or_why
from storage.errors import Damaged, StorageError, UnsupportedFormat
from storage.format.blob import PackId
from storage.format.check_record import (
    CHECKS,
    LARGEST_CHECK,
    MAX_CHECKED,
    Checked,
    check_name,
    is_check_name,
    read_check,
    write_check,
)
from storage.format.sealing import Seal
from storage.store import Store, StoredObject
from storage.stored_size import read_listed

_CLOCKS_DIFFER = timedelta(days=1)
"""A reading dated further in the future was noted under a clock that was wrong, and counts for nothing."""

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CheckHistory:
    """The last reading of each pack, and the records that tell it."""

    packs: Mapping[PackId, Checked]
    names: tuple[str, ...] = ()
    unreadable: Mapping[str, Damaged | UnsupportedFormat] = field(default_factory=dict)
    """Why other records can't be read, by name."""

    def found_damaged(self) -> frozenset[PackId]:
        """The packs that held damage when they were last read."""
        return frozenset(pack for pack, checked in self.packs.items() if not checked.whole)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a repository was read back since it was stored. Sizes in bytes, moments in UTC."""

    packs: int
    bytes: int
    unread_packs: int
    unread_bytes: int
    oldest: datetime | None
    """When the pack was read that was not read for the longest time; None when none was ever read."""
    newest: datetime | None
    days: float | None
    """At the rate so far everything is read once in so many days; None where there is no rate yet."""

    def as_text(self) -> str:
        """The coverage as a sentence or two."""
        if self.oldest is None or self.newest is None:
            return "No pack was ever read back; `recollect verify --read-data` does it, or a part with `--share`"
        oldest, newest = (f"{moment.astimezone():%Y-%m-%d %H:%M}" for moment in (self.oldest, self.newest))
        span = f"between {oldest} and {newest}" if oldest != newest else f"on {newest}"
        if not self.unread_packs:
            told = f"Every byte was last read {span}"
        else:
            told = f"Last read {span}: {self.packs - self.unread_packs} of {self.packs} packs; the others never were"
        return told + (f"; at this rate all is read every {_days(self.days)}" if self.days is not None else "")

    def as_json(self) -> dict[str, Any]:
        """The coverage as values that JSON can hold."""
        return {
            "packs": self.packs,
            "bytes": self.bytes,
            "unread_packs": self.unread_packs,
            "unread_bytes": self.unread_bytes,
            "oldest": self.oldest.isoformat() if self.oldest else None,
            "newest": self.newest.isoformat() if self.newest else None,
            "days": self.days,
        }


def read_history(store: Store, seal: Seal, now: datetime) -> CheckHistory:
    """What the records in a repository say; one that can't be read says nothing."""
    records = [item for item in store.list(CHECKS) if is_check_name(item.name)]
    packs: dict[PackId, Checked] = {}
    unreadable: dict[str, Damaged | UnsupportedFormat] = {}
    read = []
    for item in records:
        found = read_or_why(partial(_record, store, seal, item))
        if isinstance(found, Damaged | UnsupportedFormat):
            unreadable[item.name] = found
        elif found is not None:  # else another run has taken it into its own record
            read.append(item.name)
            for pack, checked in found.items():
                if checked.at <= now + _CLOCKS_DIFFER:
                    packs[pack] = _later(packs.get(pack), checked)
    return CheckHistory(packs, tuple(read), unreadable)


def _record(store: Store, seal: Seal, item: StoredObject) -> dict[PackId, Checked]:
    return read_check(seal, item.name, read_listed(store, item, LARGEST_CHECK))


def keep_history(
    store: Store, seal: Seal, before: CheckHistory, readings: Mapping[PackId, Checked], present: Iterable[PackId]
) -> None:
    """Note down `readings` beside what was known of the packs that are `present`, in a record of its own.

    The records it makes superfluous are removed after it is stored: at no moment is anything forgotten.
    """
    packs = {pack: before.packs[pack] for pack in present if pack in before.packs}
    packs.update(readings)
    for part in _parts(packs):
        name = check_name(os.urandom(16))
        store.write(name, write_check(seal, name, part))
    # What stays behind says the same once more.
    with contextlib.suppress(StorageError):
        for name in before.names:
            store.remove(name)


def least_recently_read(packs: Mapping[PackId, StoredObject], history: CheckHistory) -> list[PackId]:
    """The packs in the order in which they should be read: never read first, oldest first."""

    def key(pack: PackId) -> tuple[datetime, datetime, PackId]:
        checked = history.packs.get(pack)
        return checked.at if checked else _NEVER, packs[pack].modified, pack

    return sorted(packs, key=key)


def first_of(
    order: Iterable[PackId],
    packs: Mapping[PackId, StoredObject],
    *,
    share: float | None = None,
    most: int | None = None,
) -> list[PackId]:
    """The first of `order`: all, at most `most`, or as many as make up a `share` (0 to 1) of all bytes, and one."""
    chosen = list(islice(order, most))
    if share is None:
        return chosen
    wanted = share * sum(found.size for found in packs.values())
    got = 0
    for number, pack in enumerate(chosen):
        if got >= wanted and number:
            return chosen[:number]
        got += packs[pack].size
    return chosen


def coverage(packs: Mapping[PackId, StoredObject], readings: Mapping[PackId, Checked]) -> Coverage:
    """How much of `packs` was read, and at what rate."""
    read = {pack: readings[pack].at for pack in packs if pack in readings}
    total = sum(found.size for found in packs.values())
    read_bytes = sum(packs[pack].size for pack in read)
    oldest, newest = min(read.values(), default=None), max(read.values(), default=None)
    days = None
    if oldest is not None and newest is not None and newest > oldest:
        # What was read last began the next round: it does not count for the time that the others took.
        before = sum(packs[pack].size for pack, at in read.items() if at < newest)
        days = (newest - oldest).total_seconds() / 86400 * total / max(before, 1)
    return Coverage(len(packs), total, len(packs) - len(read), total - read_bytes, oldest, newest, days)


def _later(one: Checked | None, other: Checked) -> Checked:
    """The later of two readings; of two at the same moment the one that found damage."""
    if one is None:
        return other
    return max(one, other, key=lambda checked: (checked.at, not checked.whole))


def _parts(packs: Mapping[PackId, Checked]) -> Iterator[dict[PackId, Checked]]:
    rows = iter(packs.items())
    while part := dict(islice(rows, MAX_CHECKED)):
        yield part


def _days(days: float) -> str:
    return f"{days:.0f} days" if days >= 1.5 else "day" if days >= 0.75 else f"{days * 24:.1f} hours"
