from __future__ import annotations

import pytest
from anki.import_export_pb2 import MediaEntries, PackageMetadata
from hypothesis import given
from hypothesis import strategies as st

from profiles.packages.protobuf import MalformedMessage, bytes_field, fields, number_field

NUMBERS = st.integers(1, (1 << 29) - 1)
FIELDS = st.lists(st.tuples(NUMBERS, st.one_of(st.integers(0, (1 << 64) - 1), st.binary(max_size=300))))


@given(FIELDS)
def test_what_is_written_is_read_back(written: list[tuple[int, int | bytes]]) -> None:
    message = b"".join(
        number_field(number, value) if isinstance(value, int) else bytes_field(number, value)
        for number, value in written
    )
    read = [(number, value if isinstance(value, int) else bytes(value)) for number, value in fields(message)]
    assert read == [(number, value) for number, value in written if value != 0]


@given(st.text(), st.integers(0, (1 << 32) - 1), st.binary(max_size=30))
def test_it_is_the_language_of_googles_library(name: str, size: int, sha1: bytes) -> None:
    theirs = MediaEntries.MediaEntry(name=name, size=size, sha1=sha1)
    read = dict(fields(theirs.SerializeToString()))
    assert read.get(2, 0) == size
    assert bytes(read.get(3, b"")) == sha1  # type: ignore[arg-type]
    ours = bytes_field(1, name.encode()) + number_field(2, size) + bytes_field(3, sha1)
    assert MediaEntries.MediaEntry.FromString(ours) == theirs


def test_fields_of_fixed_width_are_passed_over_at_their_width() -> None:
    message = bytes([1 << 3 | 1, *range(8), 2 << 3 | 5, *range(4)]) + number_field(3, 7)
    assert [(number, value if isinstance(value, int) else bytes(value)) for number, value in fields(message)] == [
        (1, bytes(range(8))),
        (2, bytes(range(4))),
        (3, 7),
    ]


@pytest.mark.parametrize(
    "message",
    [
        b"\x08",  # a number that does not come
        b"\x08\x80",  # a number without an end
        b"\x08" + b"\x80" * 10 + b"\x01",  # a number of more than ten bytes
        b"\x0a\x05four",  # fewer bytes than promised
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # bytes beyond all memory
        b"\x0b",  # a group
        b"\x0f",  # a kind that there is not
        b"\x00\x00",  # field 0
        b"\x09\x00",  # too few for a fixed width
    ],
)
def test_what_is_no_message_is_told(message: bytes) -> None:
    with pytest.raises(MalformedMessage):
        list(fields(message))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_told_to_be_none(message: bytes) -> None:
    try:
        read = list(fields(message))
    except MalformedMessage:
        return
    assert sum(len(value) for _number, value in read if isinstance(value, memoryview)) <= len(message)


def test_a_zero_is_not_written_as_proto3_has_it() -> None:
    assert number_field(1, 0) == b"" == PackageMetadata().SerializeToString()
