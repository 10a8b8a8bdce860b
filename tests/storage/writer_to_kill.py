"""A program that makes backups for `test_killed_writer.py`, to be killed in the middle of them.

Reads lines `<store url> <seed> <run> <last line>` from its input. For each it forks a process, which tells its id and
makes one backup that tells each request to the store before and after it is made; one line after the last it stands
still, so that whoever is to kill it is never too late. On the line `reap` it tells how that process ended; not before,
so that its id stays its own. Forking spares loading the libraries for every kill.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from storage import writing
from storage.opening import open_or_create_repository
from storage.store import Listings, Store, StoredObject
from storage.stores.address import open_store
from tests.storage.small_backup import back_up, source_of

T = TypeVar("T")

PACK_BYTES = 24 * 1024
PAGES, MEDIA = 80, 30


class TellingStore:
    """Tells of every request on the standard output."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.url = inner.url

    def read(self, name: str) -> bytes:
        return told(f"read {name}", lambda: self._inner.read(name))

    def read_range(self, name: str, start: int, length: int) -> bytes:
        return told(f"read {name}", lambda: self._inner.read_range(name, start, length))

    def write(self, name: str, data: bytes) -> None:
        told(f"write {name}", lambda: self._inner.write(name, data))

    def create(self, name: str, data: bytes) -> None:
        told(f"create {name}", lambda: self._inner.create(name, data))

    def list(self, prefix: str) -> list[StoredObject]:
        return told(f"list {prefix}", lambda: self._inner.list(prefix))

    removals_at_once = 1

    def list_together(self, folders: Sequence[str]) -> Listings:
        return {folder: self.list(folder) for folder in folders}

    def remove(self, name: str) -> None:
        told(f"remove {name}", lambda: self._inner.remove(name))

    def remove_all(self, names: Iterable[str]) -> None:
        for name in names:
            self.remove(name)

    def size(self, name: str) -> int | None:
        return told(f"size {name}", lambda: self._inner.size(name))


class _Teller:
    """Tells lines up to the last one; whoever has a line to tell after that waits for ever."""

    def __init__(self, last_line: int) -> None:
        self._left = last_line
        self._lock = threading.Lock()

    def tell(self, line: str) -> None:
        with self._lock:
            if self._left == 0:
                threading.Event().wait()
            self._left -= 1
            os.write(1, f"{line}\n".encode())


def told(what: str, request: Callable[[], T]) -> T:
    """Make a request between two lines about it."""
    _teller.tell(f"begin {what}")
    answer = request()
    _teller.tell(f"end {what}")
    return answer


_teller = _Teller(0)


def make_backup(url: str, seed: int, run: int, last_line: int) -> None:
    """One whole backup of made-up content, of many small packs."""
    global _teller  # noqa: PLW0603 -- the process is there for this one backup
    _teller = _Teller(last_line)
    writing.PACK_BYTES, writing._BATCH_BYTES, writing.PACKS_PER_INDEX = PACK_BYTES, 8 * 1024, 2
    repository = open_or_create_repository(TellingStore(open_store(url)))
    back_up(repository, source_of(seed, pages=PAGES, media=MEDIA), run=run)


def main() -> None:
    """Serve until the input ends."""
    while line := sys.stdin.readline():
        url, seed, run, last_line = line.rsplit(" ", 3)
        child = os.fork()
        if child == 0:
            os.write(1, f"process {os.getpid()}\n".encode())
            make_backup(url, int(seed), int(run), int(last_line))
            os.write(1, b"finished\n")
            os._exit(0)
        assert sys.stdin.readline() == "reap\n"
        _, status = os.waitpid(child, 0)
        os.write(1, f"ended {status}\n".encode())


if __name__ == "__main__":
    main()
