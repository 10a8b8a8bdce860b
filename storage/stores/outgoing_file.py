"""A file that leaves for anywhere: written as a stream, there whole in the end, or not at all.

Whatever may lie in a repository lies in a store, whose writes take bytes. What is made of a repository for other
programs may be larger than memory, and its name is a person's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, TypeVar, cast

from storage.errors import StorageError, StoreUnreachable, TargetUnreachable, TargetUnwritable
from storage.stores.medium import UPLOAD_PART_BYTES, Medium, Upload
from storage.stores.trouble import RetryRule, in_words

_Result = TypeVar("_Result")


class OutgoingFile:
    """One file at an address. Made by `storage.stores.address.open_outgoing_file`.

    Methods raise TargetUnreachable, and TargetUnwritable for all other trouble that it is written to.
    """

    def __init__(self, medium: Medium, name: str, url: str, retries: RetryRule) -> None:
        self._medium = medium
        self._name = name
        self._url = url
        self._retries = retries

    def __repr__(self) -> str:
        return f"OutgoingFile({self._url!r})"

    @property
    def url(self) -> str:
        """Where the file is, safe to print."""
        return self._url

    def is_there(self) -> bool:
        """Whether there is such a file already."""

        def look() -> bool:
            try:
                self._medium.size(self._name)
            except FileNotFoundError:
                return False
            return True

        return self._tried("look at", look)

    @contextmanager
    def written(self, *, replace: bool = False) -> Iterator[BinaryIO]:
        """What the file is to hold, to `write` to. It is there once the context has ended, and only if that ended well.

        Unless `replace`, a file that is there is left alone, whenever it came. A file that is replaced stays as it is
        until then, wherever a filesystem can do that. At most a few times UPLOAD_PART_BYTES are held in memory.
        """
        verb = "write" if replace else "create"
        upload = self._tried(verb, lambda: self._medium.begin(self._name, replace=replace))
        parts = _Parts(lambda part: self._tried(verb, lambda: upload.send(part)))
        try:
            yield cast("BinaryIO", parts)
            self._tried(verb, lambda: upload.finish(parts.rest()))
        except BaseException:
            _abandon(upload)
            raise

    def _tried(self, verb: str, act: Callable[[], _Result]) -> _Result:
        def act_in_words(_: int) -> _Result:
            with in_words(verb, "", self._url):
                return act()

        with told_of_a_target():
            return self._retries.run(act_in_words)


@contextmanager
def told_of_a_target() -> Iterator[None]:
    """Let trouble with a store be told as trouble with what is written outside of the repository."""
    try:
        yield
    except (TargetUnreachable, TargetUnwritable):
        raise
    except StoreUnreachable as trouble:
        raise TargetUnreachable(trouble.problem, trouble.advice) from trouble
    except StorageError as trouble:
        raise TargetUnwritable(trouble.problem, trouble.advice) from trouble


class _Parts:
    """Gathers what is written into parts of one size."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._held = bytearray()

    def write(self, data: bytes | memoryview) -> int:
        self._held += data
        while len(self._held) > UPLOAD_PART_BYTES:
            with memoryview(self._held) as held:
                part = bytes(held[:UPLOAD_PART_BYTES])
            del self._held[:UPLOAD_PART_BYTES]
            self._send(part)
        return len(data)

    def rest(self) -> bytes:
        return bytes(self._held)


def _abandon(upload: Upload) -> None:
    # The trouble that came first is the one to tell of, and where it was the connection, this fails too.
    with suppress(Exception):
        upload.abandon()
