"""The one store: names checked, faults tried again, errors said in words, over whichever medium the address names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import TypeVar

from storage.errors import Damaged
from storage.store import Listings, Store, StoredObject, checked_name
from storage.stores.medium import AnswersForSeveral, Medium
from storage.stores.trouble import MISSING_ADVICE, RetryRule, in_words

_Result = TypeVar("_Result")

DEFAULT_RETRIES = RetryRule()


class FsspecStore:
    """A `Store` on any filesystem that fsspec reaches. Made by `storage.stores.address.open_store`."""

    def __init__(self, medium: Medium, url: str, *, retries: RetryRule = DEFAULT_RETRIES) -> None:
        self._medium = medium
        self._url = url
        self._retries = retries

    def __repr__(self) -> str:
        return f"FsspecStore({self._url!r})"

    @property
    def url(self) -> str:
        return self._url

    def read(self, name: str) -> bytes:
        checked_name(name)
        return self._tried("read", name, lambda _: self._medium.read(name))

    def read_range(self, name: str, start: int, length: int) -> bytes:
        checked_name(name)
        if start < 0 or length < 0:
            raise ValueError("A range starts at 0 or later, and its length isn't negative")
        if length == 0:
            size = self._tried("read", name, lambda _: self._medium.size(name))
            return self._whole_range(name, start, length, b"", ends_before_start=size < start)
        data = self._tried("read", name, lambda _: self._medium.read_range(name, start, length))
        return self._whole_range(name, start, length, data, ends_before_start=False)

    def write(self, name: str, data: bytes) -> None:
        checked_name(name)
        self._tried("write", name, lambda _: self._medium.write(name, data))

    def create(self, name: str, data: bytes) -> None:
        checked_name(name)

        def attempt(number: int) -> None:
            try:
                self._medium.create(name, data)
            except FileExistsError:
                # The answer to an earlier try may have been lost after the store had carried it out.
                if number == 1 or self._medium.read(name) != data:
                    raise

        self._tried("create", name, attempt)

    def list(self, prefix: str) -> list[StoredObject]:
        if prefix:
            checked_name(prefix)

        return self._tried("list", prefix, lambda _: _ours(self._medium.objects(prefix)))

    def list_together(self, folders: Sequence[str]) -> Listings:
        for folder in folders:
            checked_name(folder)
        medium = self._medium
        if isinstance(medium, AnswersForSeveral):
            together = self._tried("list", folders[0], lambda _: medium.objects_together(folders))
            if together is not None:
                return {
                    folder: _ours(found for found in together if found.name.startswith(f"{folder}/"))
                    for folder in folders
                }
        return {folder: self.list(folder) for folder in folders}

    def remove(self, name: str) -> None:
        checked_name(name)

        def attempt(_: int) -> None:
            try:
                self._medium.remove(name)
            except FileNotFoundError:
                return

        self._tried("remove", name, attempt)

    def remove_all(self, names: Iterable[str]) -> None:
        going = [checked_name(name) for name in names]
        medium = self._medium
        if isinstance(medium, AnswersForSeveral) and len(going) > 1:
            self._tried("remove", going[0], lambda _: medium.remove_together(going))
            return
        for name in going:
            self.remove(name)

    @property
    def removals_at_once(self) -> int:
        return self._medium.removals_at_once if isinstance(self._medium, AnswersForSeveral) else 1

    def size(self, name: str) -> int | None:
        checked_name(name)

        def attempt(_: int) -> int | None:
            try:
                return self._medium.size(name)
            except FileNotFoundError:
                return None

        return self._tried("look at", name, attempt)

    def exists(self) -> bool:
        """Tell whether there is anything at the store's address: a folder, or an object below the prefix."""
        return self._tried("open", "", lambda _: self._medium.exists())

    def sweep(self, older_than: timedelta) -> int:
        """See `sweep_leftovers`."""
        return self._tried("tidy up", "", lambda _: self._medium.sweep(older_than))

    def _tried(self, verb: str, name: str, attempt: Callable[[int], _Result]) -> _Result:
        def attempt_in_words(number: int) -> _Result:
            with in_words(verb, name, self._url):
                return attempt(number)

        return self._retries.run(attempt_in_words)

    def _whole_range(self, name: str, start: int, length: int, data: bytes, *, ends_before_start: bool) -> bytes:
        if len(data) == length and not ends_before_start:
            return data
        raise Damaged(
            f"The object {name} in {self._url} is shorter than it should be: it ends before byte {start + length}",
            MISSING_ADVICE,
        )


def sweep_leftovers(store: Store, older_than: timedelta = timedelta(days=1)) -> int:
    """Remove the temporary files that killed writers left, if older than that by the store's clock; return how many.

    Only local folders and servers that store a file in place have any; on object stores an upload under way is no
    object.
    """
    return store.sweep(older_than) if isinstance(store, FsspecStore) else 0


def _ours(found: Iterable[StoredObject]) -> list[StoredObject]:
    return sorted((one for one in found if _can_be_ours(one.name)), key=lambda one: one.name)


def _can_be_ours(name: str) -> bool:
    """Tell whether an object of that name can have come from us; foreign files there are not our business."""
    try:
        checked_name(name)
    except ValueError:
        return False
    return True
