"""As much of Protocol Buffers as packages need: https://protobuf.dev/programming-guides/encoding.

A reader of its own, because these messages come from anywhere: it never makes more than it is given.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MOST_VARINT_BYTES = 10
_LARGEST_FIELD_NUMBER = (1 << 29) - 1


class MalformedMessage(Exception):
    """These bytes are no message, or not the expected one. A signal, never shown to a person."""


def fields(message: bytes | memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield each field's number and value: an int of up to 64 bits, or the bytes where they lie.

    Fields of fixed width, which packages don't use, are given as bytes. Raises MalformedMessage, after whatever came
    before the fault.
    """
    view = memoryview(message)
    position = 0
    while position < len(view):
        key, position = _varint(view, position)
        number, kind = key >> 3, key & 7
        if not 1 <= number <= _LARGEST_FIELD_NUMBER:
            raise MalformedMessage(f"no field has number {number}")
        if kind == _VARINT:
            value, position = _varint(view, position)
            yield number, value
            continue
        if kind == _BYTES:
            length, position = _varint(view, position)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise MalformedMessage(f"kind {kind} of field is unknown")
        end = position + length
        if end > len(view):
            raise MalformedMessage("it ends in the middle of a field")
        yield number, view[position:end]
        position = end


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(view[position : position + _MOST_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value & ((1 << 64) - 1), position + index + 1
    raise MalformedMessage("a number has no end")


def number_field(number: int, value: int) -> bytes:
    """A field that holds a number of at least 0; nothing for 0, which is what an absent field means."""
    return _encoded(number << 3 | _VARINT) + _encoded(value) if value else b""


def bytes_field(number: int, value: bytes) -> bytes:
    """A field that holds bytes, also none."""
    return _encoded(number << 3 | _BYTES) + _encoded(len(value)) + value


def _encoded(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
