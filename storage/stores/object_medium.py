"""Objects in any object store that fsspec reaches (Google Cloud Storage, Azure, ...), through its common methods only.

One put is one step there: an object appears whole or not at all, so no temporary names are needed. `create` is
exclusive where the library and the service honour a conditional put; elsewhere two writers at the same instant may both
succeed, and only the look beforehand keeps an object that was there already.
"""

from __future__ import annotations

import errno
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from storage.store import StoredObject
from storage.stores.file_upload import FileUpload
from storage.stores.medium import UPLOAD_PART_BYTES

_WHEN_WRITTEN: Final = ("LastModified", "last_modified", "updated", "mtime", "modify", "modified", "created")
"""What the libraries call the time of the last write, in details of an object."""


class ObjectMedium:
    """Objects below `root` ("bucket" or "bucket/prefix") of an fsspec filesystem whose put is one step."""

    def __init__(self, filesystem: Any, root: str) -> None:
        self._filesystem = filesystem
        self._root = root.strip("/")

    def read(self, name: str) -> bytes:
        content: bytes = self._filesystem.cat_file(self._path(name))
        return content

    def read_range(self, name: str, start: int, length: int) -> bytes:
        return cut_out(self._filesystem, self._path(name), start, length)

    def write(self, name: str, data: bytes) -> None:
        self._filesystem.pipe_file(self._path(name), data)
        self.confirm(name, len(data))

    def create(self, name: str, data: bytes) -> None:
        refuse_taken(self.size, name)
        path = self._path(name)
        condition = {"mode": "create"} if self._takes_mode() else {}
        with refuses_the_condition(path):
            self._filesystem.pipe_file(path, data, **condition)
        self.confirm(name, len(data))

    def begin(self, name: str, *, replace: bool) -> ObjectUpload:
        return ObjectUpload(
            self, self._filesystem.open(self._path(name), "wb", block_size=UPLOAD_PART_BYTES), name, replace
        )

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        folder = f"{self._path(prefix) if prefix else self._root}/"
        for path, details in self._filesystem.find(folder, detail=True).items():
            found = str(path).lstrip("/")
            # Some answer with the object itself when one has the name of the folder, or list the folder's marker.
            if found.startswith(folder) and found != folder and details.get("type") != "directory":
                yield StoredObject(found[len(self._root) + 1 :], int(details["size"]), when_written(details))

    def remove(self, name: str) -> None:
        self._filesystem.rm_file(self._path(name))

    def size(self, name: str) -> int:
        details = self._filesystem.info(self._path(name))
        if details["type"] == "directory":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return int(details["size"])

    def exists(self) -> bool:
        return next(self.objects(""), None) is not None

    def sweep(self, older_than: timedelta) -> int:  # noqa: ARG002 -- an upload that was cut off is no object
        return 0

    def confirm(self, name: str, size: int) -> None:
        """Raise OSError unless an object of that size is there now."""
        try:
            arrived = self.size(name)
        except FileNotFoundError as error:
            raise OSError(errno.EIO, "The object is not there after it was put", name) from error
        if arrived != size:
            raise OSError(errno.EIO, f"{arrived} of {size} bytes arrived", name)

    def _takes_mode(self) -> bool:
        put = getattr(self._filesystem, "_pipe_file", self._filesystem.pipe_file)
        return "mode" in inspect.signature(put).parameters

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


class ObjectUpload:
    """An object that such a service puts together of parts when it is closed (resumable uploads, blocks)."""

    def __init__(self, medium: ObjectMedium, file: Any, name: str, replace: bool) -> None:  # noqa: FBT001
        self._medium = medium
        self._upload = FileUpload(file)
        self._name = name
        self._replace = replace
        self._sent = 0

    def send(self, part: bytes) -> None:
        self._upload.send(part)
        self._sent += len(part)

    def finish(self, last: bytes) -> None:
        if not self._replace:
            refuse_taken(self._medium.size, self._name)
            self._replace = True  # from here on, what is there may be ours
        self._upload.close(last)
        self._medium.confirm(self._name, self._sent + len(last))

    def abandon(self) -> None:
        self._upload.discard()


def cut_out(filesystem: Any, path: str, start: int, length: int) -> bytes:
    """Return `length` bytes of an object from `start` on, as many of them as there are."""
    try:
        content: bytes = filesystem.cat_file(path, start=start, end=start + length)
    except OSError as error:
        if service_code(error) in {"InvalidRange", "416"}:
            return b""  # the object ends before `start`
        raise
    return content


def refuse_taken(size: Callable[[str], int], name: str) -> None:
    """Raise FileExistsError when `size` tells that there is an object of that name."""
    try:
        size(name)
    except FileNotFoundError:
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)


def when_written(details: Mapping[str, Any]) -> datetime:
    """Return when an object was last written, by the details that an fsspec filesystem gives of it."""
    for key in _WHEN_WRITTEN:
        value = details.get(key)
        if isinstance(value, str):
            # FTP's MLSD writes 20260131235959, with or without a fraction, in UTC (RFC 3659 2.3); the others write ISO
            # 8601.
            digits = re.match(r"\d{14}", value)
            value = (
                datetime.strptime(f"{digits[0]}+0000", "%Y%m%d%H%M%S%z") if digits else datetime.fromisoformat(value)
            )
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    raise OSError(errno.ENOSYS, "The store does not say when its objects were written")


@contextmanager
def refuses_the_condition(path: str) -> Iterator[None]:
    """Turn the refusal of a conditional put into FileExistsError."""
    try:
        yield
    except OSError as error:
        # Ceph and others don't name the failed condition in their answer, which s3fs takes for a bad argument.
        if service_code(error) in {"PreconditionFailed", "412", "ConditionalRequestConflict"}:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from error
        raise


def service_code(error: OSError) -> str:
    """Return the code that an S3 service answered with, "" if there is none."""
    response = getattr(error.__cause__, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""
