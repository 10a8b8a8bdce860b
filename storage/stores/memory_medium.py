"""Objects in the memory of this process, for tests and trials (fsspec's `memory://`, one for the whole process)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from storage.store import StoredObject

_TURN = threading.Lock()
"""One for all stores: fsspec's memory filesystem is one for all of them too, and looks before it writes."""


class MemoryMedium:
    """Objects below one folder of fsspec's memory filesystem. `create` is exclusive within the process."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")

    def read(self, name: str) -> bytes:
        content: bytes = self._filesystem.cat_file(self._path(name))
        return content

    def read_range(self, name: str, start: int, length: int) -> bytes:
        content: bytes = self._filesystem.cat_file(self._path(name), start=start, end=start + length)
        return content

    def write(self, name: str, data: bytes) -> None:
        with _TURN:
            self._filesystem.pipe_file(self._path(name), bytes(data))

    def create(self, name: str, data: bytes) -> None:
        with _TURN:
            self._filesystem.pipe_file(self._path(name), bytes(data), mode="create")

    def begin(self, name: str, *, replace: bool) -> MemoryUpload:
        return MemoryUpload(self.write if replace else self.create, name)

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        folder = f"{self._path(prefix) if prefix else self._root}/"
        with _TURN:
            found = self._filesystem.find(folder, detail=True)
        for path, details in found.items():
            if path.startswith(folder):
                modified = datetime.fromtimestamp(details["created"], UTC)
                yield StoredObject(path[len(self._root) + 1 :], details["size"], modified)

    def remove(self, name: str) -> None:
        with _TURN:
            self._filesystem.rm_file(self._path(name))

    def size(self, name: str) -> int:
        # Not `info`, which goes through all objects to find out that a path is no folder.
        held = self._filesystem.store.get(self._path(name))
        if held is None:
            raise FileNotFoundError(self._path(name))
        return int(held.size)

    def exists(self) -> bool:
        return next(self.objects(""), None) is not None

    def sweep(self, older_than: timedelta) -> int:  # noqa: ARG002 -- a killed process leaves no memory behind
        return 0

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


class MemoryUpload:
    """Parts of an object; what it will lie in is memory anyway."""

    def __init__(self, put: Callable[[str, bytes], None], name: str) -> None:
        self._put = put
        self._name = name
        self._parts: list[bytes] = []

    def send(self, part: bytes) -> None:
        self._parts.append(part)

    def finish(self, last: bytes) -> None:
        self._put(self._name, b"".join([*self._parts, last]))

    def abandon(self) -> None:
        self._parts.clear()
