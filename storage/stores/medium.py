"""What differs between the kinds of places that a store can lie on.

A medium does the work for names that were checked already, and raises whatever its library raises;
`storage.stores.fsspec_store` puts the checks, the retries and the sentences around it, once for all kinds.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final, Protocol, runtime_checkable

from storage.store import StoredObject

UPLOAD_PART_BYTES: Final = 16 * 2**20
"""S3 takes 10 000 parts, and so 156 GiB of these."""


class Upload(Protocol):
    """An object on its way that may be too large for memory: there once it is finished, and not before.

    For one thread at a time. A call that failed may be made again with the same part.
    """

    def send(self, part: bytes) -> None:
        """Take the next part, of UPLOAD_PART_BYTES."""
        ...

    def finish(self, last: bytes) -> None:
        """Take the rest, of at most UPLOAD_PART_BYTES, and put the object under its name, durably and in one step."""
        ...

    def abandon(self) -> None:
        """Remove what was sent."""
        ...


class Medium(Protocol):
    """One kind of filesystem below one root. Safe to use from several threads at once."""

    def read(self, name: str) -> bytes:
        """Return the whole object. Raises FileNotFoundError, also for a folder."""
        ...

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """Return `length` bytes (at least 1), fewer only where the object ends. Raises FileNotFoundError."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Replace the object, durably and in one step."""
        ...

    def create(self, name: str, data: bytes) -> None:
        """As `write`. Raises FileExistsError when the object is there."""
        ...

    def begin(self, name: str, *, replace: bool) -> Upload:
        """Begin to send an object part by part. Unless `replace`, its end raises FileExistsError when one is there."""
        ...

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """Go through everything below a folder, in any order and under any name; raise at the first failure."""
        ...

    def remove(self, name: str) -> None:
        """Remove the object. Raises FileNotFoundError where the kind tells."""
        ...

    def size(self, name: str) -> int:
        """Return the size in bytes. Raises FileNotFoundError, also for a folder."""
        ...

    def exists(self) -> bool:
        """Tell whether the root is there: as a folder, or as the prefix of an object where there are no folders."""
        ...

    def sweep(self, older_than: timedelta) -> int:
        """Remove what killed writers left, if older than that by the store's clock; return how many there were."""
        ...


@runtime_checkable
class AnswersForSeveral(Protocol):
    """What a medium has besides where one request can be about many objects."""

    @property
    def removals_at_once(self) -> int:
        """How many objects one request removes at most."""
        ...

    def objects_together(self, folders: Sequence[str]) -> list[StoredObject] | None:
        """Return what lies in these folders as they were at one moment, and maybe more; None where it can't tell."""
        ...

    def remove_together(self, names: Iterable[str]) -> None:
        """Make sure that none of these objects is there."""
        ...


def temporary_beside(name: str) -> str:
    """Return a new name in the same folder for a write under way; `TEMPORARY_NAME` recognises it."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}.{last}.{secrets.token_hex(8)}.tmp"
