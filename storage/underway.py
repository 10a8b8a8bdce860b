"""Telling sweeps of an upload that takes longer than their grace, and hearing of such uploads.

A pack that no snapshot needs is condemned when it is a day old. An upload of several evenings would lose on each of
them what it sent before the last: so it says what it has sent, and what it found there and counts on. That saves
sending, and nothing rests on it: a writer looks at verdicts and packs before and after its manifest all the same.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from storage.errors import Damaged, ObjectMissing, StorageError, UnsupportedFormat
from storage.format.blob import PackId, pack_of_name
from storage.format.pack_list import parts_of
from storage.format.sealing import Seal
from storage.format.underway import (
    LARGEST_UNDERWAY,
    UNDERWAY,
    Underway,
    is_underway_name,
    read_underway,
    underway_name,
    write_underway,
)
from storage.store import Store, StoredObject
from storage.stored_size import read_listed

TOLD_EVERY = timedelta(minutes=15)
"""What was sent since it was last told has to be sent again, should the computer be off for more than a day then."""

_LONGEST_UPLOAD = timedelta(days=30)
"""Packs older than that are not taken over from upload to upload, or what nobody finishes would stay for ever."""


class UploadUnderWay:
    """What one upload tells of itself, from several threads. A store that fails to take it does no harm."""

    def __init__(self, store: Store, seal: Seal) -> None:
        self._store = store
        self._seal = seal
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._told_at = monotonic()
        self._trusted: Mapping[PackId, StoredObject] = {}
        self._packs: set[PackId] = set()
        self._names: list[str] = []
        self._knows_others = False

    def begin(self, trusted: Mapping[PackId, StoredObject], unindexed: Iterable[PackId]) -> None:
        """Begin to store, relying on `trusted` packs; `unindexed` ones among them say that a run was killed lately."""
        with self._lock:
            self._trusted = trusted
            found = trusted.keys() & set(unindexed)
            self._packs |= found
            if found:
                self._told_at = monotonic()
        if found:
            self._tell()

    def wrote(self, name: str) -> None:
        """An object was stored: if it is a pack, it belongs to this upload."""
        pack = pack_of_name(name)
        if pack is None:
            return
        with self._lock:
            self._packs.add(pack)
            is_due = monotonic() - self._told_at >= TOLD_EVERY.total_seconds()
            if is_due:
                self._told_at = monotonic()
        if is_due:
            self._tell()

    def end(self) -> None:
        """A snapshot names what was sent: nothing need be told any more."""
        with self._telling, contextlib.suppress(StorageError):
            names, self._names = self._names, []
            if names:
                self._store.remove_all(names)

    def _tell(self) -> None:
        """Say anew what this upload counts on, all of it; what was said before is taken away."""
        with self._telling, contextlib.suppress(StorageError):
            if not self._knows_others:
                taken_over = set(self._of_others())
                with self._lock:
                    self._packs |= taken_over
                self._knows_others = True
            with self._lock:
                parts = parts_of(self._packs)
            said_before, self._names = self._names, []
            try:
                for part in parts:
                    underway = Underway(underway_name(os.urandom(16)), part)
                    self._store.write(underway.name, write_underway(self._seal, underway))
                    self._names.append(underway.name)
            except StorageError:
                self._names += said_before
                raise
            self._store.remove_all(said_before)

    def _of_others(self) -> Iterator[PackId]:
        """What uploads before this one left, likely of the same profile: it would be gone before this one is done."""
        listed = [item for item in self._store.list(UNDERWAY) if is_underway_name(item.name)]
        for item in listed:
            try:
                underway = _read(self._store, self._seal, item)
            except ObjectMissing:
                continue
            for pack in underway.packs if underway is not None else ():
                found = self._trusted.get(pack)
                if found is not None and item.modified - found.modified < _LONGEST_UPLOAD:
                    yield pack


@dataclass(frozen=True, slots=True)
class UploadsSeen:
    """The uploads under way that a repository tells of."""

    packs: Mapping[str, frozenset[PackId]]
    """What each of them counts on, by the object that says so."""
    old: tuple[str, ...] = ()
    """Objects of uploads that were given up, to judge by their age."""
    unread: tuple[str, ...] = ()
    """Objects that can't be read, and are passed over."""

    def spared(self) -> frozenset[PackId]:
        """The packs that some upload counts on."""
        return frozenset().union(*self.packs.values())


NO_UPLOADS = UploadsSeen({})


def uploads_among(
    store: Store, seal: Seal, listed: Iterable[StoredObject], now: datetime, holds_for: timedelta
) -> UploadsSeen:
    """The uploads that a listing shows, `now` being the store's time; what one says holds for so long."""
    packs: dict[str, frozenset[PackId]] = {}
    old: list[str] = []
    unread: list[str] = []
    for item in listed:
        if not is_underway_name(item.name):
            continue
        if now - item.modified >= holds_for:
            old.append(item.name)
            continue
        try:
            underway = _read(store, seal, item)
        except ObjectMissing:
            continue  # done by now
        if underway is None:
            unread.append(item.name)
        else:
            packs[item.name] = underway.packs
    return UploadsSeen(packs, tuple(old), tuple(unread))


def _read(store: Store, seal: Seal, item: StoredObject) -> Underway | None:
    """What an object says, None when it can't be read. Raises ObjectMissing."""
    try:
        return read_underway(seal, item.name, read_listed(store, item, LARGEST_UNDERWAY))
    except (Damaged, UnsupportedFormat):
        return None
