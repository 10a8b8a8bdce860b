"""Copies on this machine of stored objects that never change. Losing them costs time, never data."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from storage.errors import Damaged
from storage.store import Store
from storage.stored_size import refuse_too_large

T = TypeVar("T")


class ObjectCache:
    """Objects by name in a folder that only its owner may read. Every fault of the cache counts as a miss."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(self, name: str) -> bytes | None:
        """The copy, None when there is none."""
        if self._folder is None:
            return None
        try:
            return self._path(name).read_bytes() or None
        except OSError:
            return None

    def put(self, name: str, content: bytes) -> bytes:
        """Keep a copy; returns `content`."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._write(self._path(name), content)
        return content

    def drop(self, name: str) -> bool:
        """Throw a copy away; True when there was one."""
        if self._folder is None:
            return False
        try:
            self._path(name).unlink()
        except OSError:
            return False
        return True

    def keep_only(self, prefix: str, names: Iterable[str]) -> None:
        """Throw away what is cached below `prefix`, at any depth, and not among `names`."""
        if self._folder is None:
            return
        wanted = {self._path(name) for name in names}
        with contextlib.suppress(OSError):
            for path in self._path(prefix).rglob("*"):
                if path not in wanted and path.is_file():
                    path.unlink()

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / name

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


@dataclass(frozen=True, slots=True)
class CachedStore:
    """A store with a cache for those of its objects that never change."""

    store: Store
    cache: ObjectCache

    def fetched(
        self, name: str, read: Callable[[bytes], T], *, size: int | None, largest: int, lies_at: str | None = None
    ) -> T:
        """What `read` makes of an object, from the cache if it can; a damaged copy there is thrown away.

        `size` is what a listing said it takes, None where none did: Damaged if that is more than `largest`, which no
        object of its kind takes. `lies_at` is where it was moved to, if it was.
        """
        cached = self.cache.get(name)
        if cached is not None:
            try:
                return read(cached)
            except Damaged:
                self.cache.drop(name)
        refuse_too_large(lies_at or name, size, largest)
        content = self.store.read(lies_at or name)
        found = read(content)
        self.cache.put(name, content)
        return found
