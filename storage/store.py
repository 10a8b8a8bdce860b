"""What every part of `storage` may ask of the place where a repository lies.

A store is named objects at rest, nothing more: no folders to make, no locks, no appending. The contract below is held
by one suite of tests that every kind of store passes (`tests/storage/stores/test_store_contract.py`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

LONGEST_PART: Final = 200
"""Bytes of UTF-8 in one part of a name: filesystems allow 255, and a temporary name needs some of them."""

LONGEST_NAME: Final = 900
"""Bytes of UTF-8 in a whole name: S3 allows 1024 for a key, and the repository's own prefix needs some of them."""

TEMPORARY_NAME: Final = re.compile(r"\..+\.[0-9a-f]{16}\.tmp", re.DOTALL)
"""The last part of a name that a half-finished write goes by. Never the name of an object."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as a listing shows it: its size in bytes, and when the store's own clock saw it written (UTC)."""

    name: str
    size: int
    modified: datetime


Listings = dict[str, list[StoredObject]]
"""What lies in several folders, by folder."""


class Store(Protocol):
    """Named objects at rest, safe to use from several threads at once.

    Names are relative and slash-separated, and go through `checked_name`, which raises ValueError. Every method raises
    a `StorageError` when the place can't be reached, refuses, is full or fails in another way; what stands with each
    method is what it raises besides.
    """

    @property
    def url(self) -> str:
        """Where the store lies, safe to print: no password and no options in it."""
        ...

    def read(self, name: str) -> bytes:
        """Return the whole object. Raises ObjectMissing."""
        ...

    def read_range(self, name: str, start: int, length: int) -> bytes:
        """Return exactly `length` bytes from byte `start` on.

        Raises ObjectMissing, and Damaged when the object ends before that.
        """
        ...

    def write(self, name: str, data: bytes) -> None:
        """Store `data` under `name`, in place of what may be there.

        Whoever reads meanwhile sees the object of before or the whole new one. After the return no crash can lose it.
        """
        ...

    def create(self, name: str, data: bytes) -> None:
        """Store `data` under a `name` that must be new. Raises ObjectExists.

        As exclusive as the place can be: where it can't decide between two writers at once (see the medium's own
        page), the object is looked for first, and both may believe that they made it. Nothing may rest its safety on
        this.
        """
        ...

    def list(self, prefix: str) -> list[StoredObject]:
        """Return every object below the folder `prefix` ("" for all), at any depth, sorted by name, never from a cache.

        A folder that isn't there has no objects. A listing that fails halfway raises; it is never short.
        """
        ...

    def list_together(self, folders: Sequence[str]) -> Listings:
        """Return what `list` tells of each of these folders, listed in this order or all at one moment.

        Where the place can answer for all of them at once, that is one request. None of them lies in another.
        """
        ...

    def remove(self, name: str) -> None:
        """Make sure that there is no object of that name, whether or not there was one."""
        ...

    def remove_all(self, names: Iterable[str]) -> None:
        """Do as `remove` does for each of these objects, in any order, with few requests where the place can.

        When it raises, some of them may be gone.
        """
        ...

    @property
    def removals_at_once(self) -> int:
        """How many objects one request of `remove_all` removes at most, as far as is known: ask before each."""
        ...

    def size(self, name: str) -> int | None:
        """Return the object's size in bytes, None when it isn't there."""
        ...


def checked_name(name: str) -> str:
    """Return `name` if it can name an object in every kind of store; raise ValueError with the reason if not.

    A name that fails comes from a mistake of ours or from a hostile repository; whoever read it from a repository
    calls that damage.
    """
    if len(name) > LONGEST_NAME:  # before anything that takes time in proportion
        raise ValueError("An object's name is too long")
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"The object name {name!r} is not valid Unicode") from None
    if len(encoded) > LONGEST_NAME:
        raise ValueError(f"The object name {name!r} is too long")
    if "\\" in name:
        raise ValueError(f"The object name {name!r} has a backslash in it")
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in name):
        raise ValueError(f"The object name {name!r} has a control character in it")
    parts = name.split("/")
    for part in parts:
        if part in {"", ".", ".."}:
            raise ValueError(f"The object name {name!r} has an empty or a relative part")
        if len(part.encode()) > LONGEST_PART:
            raise ValueError(f"The object name {name!r} has a part of more than {LONGEST_PART} bytes")
    if TEMPORARY_NAME.fullmatch(parts[-1]):
        raise ValueError(f"The object name {name!r} is kept for half-finished writes")
    return name
