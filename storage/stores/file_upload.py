"""An object that is written part by part through a file of fsspec's, for filesystems without a way of our own."""

from __future__ import annotations

from contextlib import suppress
from typing import Any


class FileUpload:
    """Writes `path` on any filesystem of fsspec's.

    How its files buffer and send is theirs, and nothing tells how much of a write that failed got through: so a failure
    is final, and whoever tries again hears of it again.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._trouble: Exception | None = None

    def send(self, part: bytes) -> None:
        """Write a part."""
        self._once(lambda: self._file.write(part))

    def close(self, last: bytes) -> None:
        """Write the rest; where a file appears as a whole, it does so now."""
        if not self._file.closed:
            self.send(last)
            self._once(self._file.close)

    def discard(self) -> None:
        """Let the file go without its end. What the filesystem holds of it under its name stays there."""
        discard = getattr(self._file, "discard", None)
        with suppress(Exception):  # many a library has only half of what this takes; the first trouble is told
            if discard is not None:
                discard()
        with suppress(Exception):
            self._file.closed = True  # or it would be sent to its end when it is closed

    def _once(self, act: Any) -> None:
        if self._trouble is not None:
            raise self._trouble
        try:
            act()
        except Exception as trouble:
            self._trouble = trouble
            raise
