"""A package's list of media: which name and checksum the member with a number stands for.

Two forms: JSON, `{"0": "name", …}`, in the legacy layouts, and the message `MediaEntries` (proto/anki/
import_export.proto) in the latest one, where a member's number is the place in the list. Both are read piece by piece
into no more entries than allowed, because either could be made to fill all memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from profiles.packages.protobuf import MalformedMessage, bytes_field, fields, number_field
from profiles.packages.unreadable import COPY_AGAIN, NOT_ANKIS, Unreadable

SHA1_BYTES: Final = 20
LARGEST_SIZE: Final = (1 << 32) - 1
"""Sizes have 32 bits. Anki writes 0 for a larger file, and for an empty one."""

_ENTRY, _NAME, _SIZE, _SHA1 = 1, 1, 2, 3

# No file name is longer, even with each of its 255 units spelt as six characters.
_STRING = r'"((?:[^"\\]|\\.){0,2048})"'
_PAIR: Final = re.compile(rf"\s*{_STRING}\s*:\s*{_STRING}\s*([,}}])", re.DOTALL)
_OPENING: Final = re.compile(r"\s*\{(\s*\}\s*\Z)?")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


class Listed(NamedTuple):
    """One entry as the list has it, unchecked: a name that is not UTF-8 as it is, no number where there is none.

    `size` is None where the list does not say, as is `sha1`, which may have any length.
    """

    number: int | None
    name: str | bytes
    size: int | None = None
    sha1: bytes | None = None


def entry(name: str, size: int, sha1: bytes) -> bytes:
    """The next entry of a list in the latest layout: the list is nothing but all entries in a row."""
    message = bytes_field(_NAME, name.encode()) + number_field(_SIZE, size if size <= LARGEST_SIZE else 0)
    return bytes_field(_ENTRY, message + bytes_field(_SHA1, sha1))


def latest_entries(listing: bytes, most: int) -> Iterator[Listed]:
    """The entries of a list in the latest layout, at most `most`. Raises Unreadable."""
    count = 0
    try:
        for number, value in fields(listing):
            if number != _ENTRY:
                continue
            if isinstance(value, int):
                raise MalformedMessage("an entry is no message")
            if count == most:
                raise _too_long(most)
            yield _latest_entry(count, value)
            count += 1
    except MalformedMessage as error:
        raise _senseless() from error


def _latest_entry(place: int, message: memoryview) -> Listed:
    name, size, sha1 = b"", 0, b""
    for number, value in fields(message):
        if number == _SIZE:
            if not isinstance(value, int):
                raise MalformedMessage("a size is no number")
            size = value & LARGEST_SIZE
        elif number in (_NAME, _SHA1):
            if isinstance(value, int):
                raise MalformedMessage("a name or checksum is a number")
            if number == _NAME:
                name = bytes(value)
            else:
                sha1 = bytes(value)
    return Listed(place, _text(name), size or None, sha1 or None)


def _text(name: bytes) -> str | bytes:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name


def legacy_entries(listing: bytes, most: int) -> Iterator[Listed]:
    """The entries of a list in a legacy layout, at most `most`, in its own order. Raises Unreadable."""
    try:
        text = listing.decode()
    except UnicodeDecodeError as error:
        raise _senseless() from error
    opening = _OPENING.match(text)
    if opening is None:
        raise _senseless()
    if opening[1] is not None:
        return
    position, closing, count = opening.end(), ",", 0
    while closing == ",":
        pair = _PAIR.match(text, position)
        if pair is None:
            raise _senseless()
        if count == most:
            raise _too_long(most)
        key, name, closing = pair.groups()
        number = _unescaped(key)
        yield Listed(int(number) if _NUMBER.fullmatch(number) else None, _unescaped(name))
        position = pair.end()
        count += 1
    if text[position:].strip(" \t\r\n"):
        raise _senseless()


def _unescaped(content: str) -> str:
    try:
        return str(json.loads(f'"{content}"', strict=False))
    except ValueError as error:
        raise _senseless() from error


def _senseless() -> Unreadable:
    return Unreadable("its list of media makes no sense", COPY_AGAIN)


def _too_long(most: int) -> Unreadable:
    return Unreadable(f"its list of media has more than {most:,} entries", NOT_ANKIS)
