"""A store that goes wrong on order, around a real one: so that every way a disk or a network fails can be played."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from storage.errors import StorageError, StoreUnreachable
from storage.store import Listings, Store, StoredObject

WRITING = frozenset({"write", "create", "remove"})
READING = frozenset({"read", "read_range", "list", "size"})
ANY = WRITING | READING


@dataclass(frozen=True, slots=True)
class Request:
    """One request that the store answered; `size` in bytes of what was sent or received."""

    verb: str
    name: str
    size: int


@dataclass(slots=True)
class _Fault:
    """What happens to the n-th request (from 1, counted from the order on) of these verbs below this folder."""

    verbs: frozenset[str]
    folder: str
    nth: int
    every: bool
    refuses: bool
    effect: Callable[[FaultyStore, str, str, bytes], bytes | None]
    seen: int = field(default=0)

    def strikes(self, verb: str, name: str) -> bool:
        if verb not in self.verbs or not name.startswith(self.folder):
            return False
        self.seen += 1
        return self.seen == self.nth or (self.every and self.seen > self.nth)


class FaultyStore:
    """Passes requests on to `inner`, counts them, and lets the ordered faults strike."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.requests: list[Request] = []
        self._faults: list[_Fault] = []
        self._lock = threading.Lock()
        self._gate = threading.Event()
        self._gate.set()
        self.held = threading.Semaphore(0)
        """Released once for every write that waits at a closed gate."""

    def fail(
        self,
        verbs: frozenset[str] = ANY,
        *,
        nth: int = 1,
        every: bool = False,
        folder: str = "",
        error: type[StorageError] = StoreUnreachable,
    ) -> None:
        """Refuse the n-th request (and, with `every`, each one after it) with `error`, before it does anything."""

        def effect(store: FaultyStore, verb: str, name: str, data: bytes) -> None:
            raise error(f"Could not {verb} {name}: a fault was ordered", "This is a test")

        self._order(verbs, folder, nth, effect, every=every, refuses=True)

    def lose_the_answer(self, *, nth: int = 1, folder: str = "") -> None:
        """Carry the n-th write out, and report it as failed."""

        def effect(store: FaultyStore, verb: str, name: str, data: bytes) -> None:
            store.inner.write(name, data)
            raise StoreUnreachable(f"Could not write {name}: the answer was lost", "This is a test")

        self._order(frozenset({"write"}), folder, nth, effect)

    def tear(self, *, keep: int, nth: int = 1, folder: str = "", silently: bool = False) -> None:
        """Store only the first `keep` bytes of the n-th write, and report it as failed, or `silently` as done."""

        def effect(store: FaultyStore, verb: str, name: str, data: bytes) -> bytes:
            store.inner.write(name, data[:keep])
            if not silently:
                raise StoreUnreachable(f"Could not write {name}: it was cut short", "This is a test")
            return b""

        self._order(frozenset({"write"}), folder, nth, effect)

    def drop(self, *, nth: int = 1, folder: str = "") -> None:
        """Report the n-th write as done, and do nothing."""
        self._order(frozenset({"write"}), folder, nth, lambda *_: b"")

    def flip(self, *, at: int, nth: int = 1, folder: str = "", every: bool = False) -> None:
        """Change a bit of byte `at` (counted around the end) in what the n-th reading request brings."""

        def effect(store: FaultyStore, verb: str, name: str, data: bytes) -> bytes:
            spoiled = bytearray(data)
            spoiled[at % len(spoiled)] ^= 0x10
            return bytes(spoiled)

        self._order(frozenset({"read", "read_range"}), folder, nth, effect, every=every)

    def heal(self) -> None:
        """Call all faults off."""
        with self._lock:
            self._faults.clear()

    @contextmanager
    def writes_held(self) -> Iterator[None]:
        """Let every write wait until the context ends: a store that is slower than any profile is read."""
        self._gate.clear()
        try:
            yield
        finally:
            self._gate.set()

    def count(self, *verbs: str, folder: str = "") -> int:
        """How many requests of these verbs (all without any) came for names below this folder."""
        return sum(1 for one in self.requests if (not verbs or one.verb in verbs) and one.name.startswith(folder))

    def bytes_of(self, verb: str, folder: str = "") -> int:
        """How many bytes went over in requests of this verb."""
        return sum(one.size for one in self.requests if one.verb == verb and one.name.startswith(folder))

    @property
    def url(self) -> str:
        return self.inner.url

    def read(self, name: str) -> bytes:
        return self._reading("read", name, lambda: self.inner.read(name))

    def read_range(self, name: str, start: int, length: int) -> bytes:
        return self._reading("read_range", name, lambda: self.inner.read_range(name, start, length))

    def write(self, name: str, data: bytes) -> None:
        if not self._gate.is_set():
            self.held.release()
            self._gate.wait()
        fault = self._striking("write", name)
        if fault is None or fault.effect(self, "write", name, data) is None:
            self.inner.write(name, data)
        self._note("write", name, len(data))

    def create(self, name: str, data: bytes) -> None:
        self._plain("create", name, len(data))
        self.inner.create(name, data)

    def list(self, prefix: str) -> list[StoredObject]:
        self._plain("list", prefix, 0)
        return self.inner.list(prefix)

    def remove(self, name: str) -> None:
        self._plain("remove", name, 0)
        self.inner.remove(name)

    removals_at_once = 1

    def list_together(self, folders: Sequence[str]) -> Listings:
        return {folder: self.list(folder) for folder in folders}

    def remove_all(self, names: Iterable[str]) -> None:
        for name in names:
            self.remove(name)

    def size(self, name: str) -> int | None:
        self._plain("size", name, 0)
        return self.inner.size(name)

    def _order(
        self,
        verbs: frozenset[str],
        folder: str,
        nth: int,
        effect: Callable[[FaultyStore, str, str, bytes], bytes | None],
        *,
        every: bool = False,
        refuses: bool = False,
    ) -> None:
        with self._lock:
            self._faults.append(_Fault(verbs, folder, nth, every, refuses, effect))

    def _note(self, verb: str, name: str, size: int) -> None:
        with self._lock:
            self.requests.append(Request(verb, name, size))

    def _striking(self, verb: str, name: str) -> _Fault | None:
        with self._lock:
            return next((fault for fault in self._faults if fault.strikes(verb, name)), None)

    def _plain(self, verb: str, name: str, size: int) -> None:
        self._note(verb, name, size)
        fault = self._striking(verb, name)
        if fault is not None:
            fault.effect(self, verb, name, b"")

    def _reading(self, verb: str, name: str, read: Callable[[], bytes]) -> bytes:
        fault = self._striking(verb, name)
        if fault is not None and fault.refuses:
            fault.effect(self, verb, name, b"")
        content = read()
        self._note(verb, name, len(content))
        changed = fault.effect(self, verb, name, content) if fault is not None else None
        return content if changed is None else changed
