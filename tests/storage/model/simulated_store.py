"""A store in memory with a clock of its own, and the ways in which actors reach it: slow, faulty, late, out of date.

What can go wrong is what the contract of `storage.store.Store` leaves open. A request may fail before it does anything,
fail after it has been done, be done long after it was reported as failed, or be done twice; a listing may show some
objects as they were a while ago; and a server may keep less of a pack than it says. What the contract excludes (a torn
object after a write that was reported as failed, a listing that ends early) does not happen here: the stores' own tests
hold that.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

from storage.errors import Damaged, ObjectExists, ObjectMissing, StorageError, StoreUnreachable
from storage.store import Listings, StoredObject, checked_name
from tests.storage.model.world import Died, LocalClock, World

T = TypeVar("T")

GRACE = timedelta(hours=24)
_REMOVALS_AT_ONCE = 3


class Watcher:
    """Hears of every change as it happens."""

    def stored(self, name: str, sent: bytes, kept: bytes) -> None:
        """An object is there now; of what was `sent`, `kept` is what the store kept."""

    def removed(self, name: str) -> None:
        """An object is gone."""


@dataclass(slots=True)
class _Change:
    """What an object was like before it changed; `before` is None when it was not there."""

    at: datetime
    before: StoredObject | None


_Objects = list[StoredObject]
_Changes = list[_Change]


class SimulatedStore:
    """The store itself: every request is answered at once, and with the truth."""

    url = "simulated://store"

    def __init__(
        self, world: World, watcher: Watcher, *, lag: timedelta, behind: float = 1.0, is_exclusive: bool = True
    ) -> None:
        """A share `behind` of the late listings show each object as it was at some moment of the last `lag`.

        Where the store `is_exclusive`, it decides itself between two who create the same object.
        """
        self._world = world
        self._watcher = watcher
        self._lag = lag
        self._behind = behind
        self.is_exclusive = is_exclusive
        self._objects: dict[str, tuple[bytes, StoredObject]] = {}
        self._changes: dict[str, list[_Change]] = {}
        self.hidden: Callable[[str], bool] = lambda _: False
        """Names that listings leave out, though they are there: a share that was mounted wrongly."""

    def read(self, name: str) -> bytes:
        return self._object(name)[0]

    def read_range(self, name: str, start: int, length: int) -> bytes:
        found = self._object(name)[0][start : start + length]
        if len(found) != length:
            raise Damaged(f"{name} ends too early", "This is a test")
        return found

    def write(self, name: str, data: bytes, *, keep: int | None = None) -> None:
        """Store an object; with `keep`, only that many bytes of it."""
        checked_name(name)
        kept = data if keep is None else data[:keep]
        self._note_change(name)
        self._objects[name] = kept, StoredObject(name, len(kept), self._world.now)
        self._watcher.stored(name, data, kept)

    def create(self, name: str, data: bytes) -> None:
        if name in self._objects:
            raise ObjectExists(f"{name} is there already", "This is a test")
        self.write(name, data)

    def list(self, prefix: str) -> list[StoredObject]:
        folder = f"{prefix}/" if prefix else ""
        return [found for name, (_, found) in sorted(self._objects.items()) if name.startswith(folder)]

    def remove(self, name: str) -> None:
        if name in self._objects:
            self._note_change(name)
            del self._objects[name]
            self._watcher.removed(name)

    removals_at_once = 1

    def list_together(self, folders: Sequence[str]) -> Listings:
        return {folder: self.list(folder) for folder in folders}

    def remove_all(self, names: Iterable[str]) -> None:
        for name in names:
            self.remove(name)

    def size(self, name: str) -> int | None:
        return len(self._objects[name][0]) if name in self._objects else None

    def list_late(self, prefix: str, *, share: float | None = None) -> _Objects:
        """A listing that shows each object as it was at some moment of the last while; `share` of that while ago."""
        folder = f"{prefix}/" if prefix else ""
        seen = {found.name: found for found in self.list(prefix)}
        is_late = bool(self._lag) and (share is not None or self._world.chance.random() < self._behind)
        for name in sorted(self._changes) if is_late else ():
            if not name.startswith(folder):
                continue
            moment = self._world.now - self._lag * (self._world.chance.random() if share is None else share)
            after = [change for change in self._recent(name) if change.at > moment]
            if after and after[0].before is not None:
                seen[name] = after[0].before
            elif after:
                seen.pop(name, None)
        return [seen[name] for name in sorted(seen) if not self.hidden(name)]

    def _recent(self, name: str) -> _Changes:
        recent = [change for change in self._changes[name] if change.at > self._world.now - self._lag]
        if recent:
            self._changes[name] = recent
        else:
            del self._changes[name]
        return recent

    def _note_change(self, name: str) -> None:
        if self._lag:
            before = self._objects[name][1] if name in self._objects else None
            self._changes.setdefault(name, []).append(_Change(self._world.now, before))

    def _object(self, name: str) -> tuple[bytes, StoredObject]:
        if name not in self._objects:
            raise ObjectMissing(f"{name} is not there", "This is a test")
        return self._objects[name]


@dataclass(frozen=True, slots=True)
class Weather:
    """How an actor's requests fare, each figure the chance that a request meets with it."""

    pace: float = 1.0
    """Seconds that a request takes on average."""
    refused: float = 0.0
    unheard: float = 0.0
    """Done, and reported as failed."""
    late: float = 0.0
    """Reported as failed, and done later."""
    twice: float = 0.0
    """Done, and done once more later."""
    short: float = 0.0
    """A pack of which the store keeps less than it says."""
    sleep: float = 0.0
    longest_sleep: timedelta = GRACE
    sleep_before: str = ""
    """The one verb before which computers fall asleep; without it, before all."""
    death: float = 0.0
    latest: timedelta = GRACE / 2
    """How much later a late request may be done."""


class Link:
    """One run's way to the store, on one computer. It is a `Store`; each request is a turn for everybody else."""

    def __init__(
        self, world: World, store: SimulatedStore, clock: LocalClock, weather: Weather, seen: Counter[str], who: str
    ) -> None:
        self._who = who
        self._world = world
        self._store = store
        self._clock = clock
        self._weather = weather
        self._seen = seen
        self._is_dead = False

    @property
    def url(self) -> str:
        return self._store.url

    def read(self, name: str) -> bytes:
        return self._asked("read", lambda: self._store.read(name))

    def read_range(self, name: str, start: int, length: int) -> bytes:
        return self._asked("read_range", lambda: self._store.read_range(name, start, length))

    def list(self, prefix: str) -> list[StoredObject]:
        return self._asked("list", lambda: self._store.list_late(prefix))

    def list_together(self, folders: Sequence[str]) -> Listings:
        return {folder: self.list(folder) for folder in folders}

    @property
    def removals_at_once(self) -> int:
        return _REMOVALS_AT_ONCE

    def remove_all(self, names: Iterable[str]) -> None:
        left = iter(names)
        while some := list(islice(left, _REMOVALS_AT_ONCE)):
            self._changed("remove", " ".join(some), functools.partial(self._store.remove_all, some))

    def size(self, name: str) -> int | None:
        return self._asked("size", lambda: self._store.size(name))

    def write(self, name: str, data: bytes) -> None:
        keep = None
        if name.startswith("packs/") and self._happens(self._weather.short):
            self._seen["fault: short"] += 1
            keep = self._world.chance.randrange(len(data))
        self._changed("write", name, lambda: self._store.write(name, data, keep=keep))

    def create(self, name: str, data: bytes) -> None:
        """Where the store is not exclusive, the object is looked for first, and written whenever that is."""

        def write() -> None:
            self._store.write(name, data)

        def create() -> None:
            self._store.create(name, data)

        is_exclusive = self._store.is_exclusive or self._store.size(name) is not None
        self._changed("create", name, create if is_exclusive else write)

    def remove(self, name: str) -> None:
        self._changed("remove", name, lambda: self._store.remove(name))

    def _asked(self, verb: str, act: Callable[[], T]) -> T:
        self._arrive(verb)
        return act()

    def _changed(self, verb: str, name: str, act: Callable[[], None]) -> None:
        self._arrive(verb)
        self._world.note(f"{self._who} {verb} {name}")
        weather = self._weather
        if self._happens(weather.late):
            self._seen["fault: late"] += 1
            self._world.note("late")
            self._later(act)
            raise self._unreachable(verb)
        act()
        if self._happens(weather.twice):
            self._seen["fault: twice"] += 1
            self._later(act)
        if self._happens(weather.death):
            self._die()
        if self._happens(weather.unheard):
            self._seen["fault: unheard"] += 1
            raise self._unreachable(verb)

    def _arrive(self, verb: str) -> None:
        """Let the time go by that a request takes, and more."""
        if self._is_dead or self._world.is_over:
            raise Died
        self._seen["requests"] += 1
        weather = self._weather
        self._world.wait(self._world.chance.expovariate(1 / weather.pace))
        if weather.sleep_before in ("", verb) and self._happens(weather.sleep):
            self._seen["sleeps"] += 1
            longest = weather.longest_sleep.total_seconds()
            seconds = math.exp(self._world.chance.uniform(math.log(600), math.log(longest)))
            self._clock.sleep(seconds)
        if self._happens(weather.death):
            self._die()
        if self._happens(weather.refused):
            self._seen["fault: refused"] += 1
            self._world.note(f"{self._who} refused {verb}")
            raise self._unreachable(verb)

    def _die(self) -> None:
        self._seen["deaths"] += 1
        self._is_dead = True
        raise Died

    def _later(self, act: Callable[[], None]) -> None:
        def arrive() -> None:
            self._world.note("a late one arrives")
            try:
                act()
            except StorageError:
                self._seen["late and in vain"] += 1

        self._world.later(self._world.chance.uniform(60, self._weather.latest.total_seconds()), arrive)

    def _happens(self, share: float) -> bool:
        return share > 0 and self._world.chance.random() < share

    def _unreachable(self, verb: str) -> StoreUnreachable:
        return StoreUnreachable(f"No answer to a {verb}", "This is a test")
