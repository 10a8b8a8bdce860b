from __future__ import annotations

import json
import tracemalloc

import pytest
from anki.import_export_pb2 import MediaEntries
from hypothesis import given
from hypothesis import strategies as st

from profiles.packages.media_map import LARGEST_SIZE, Listed, entry, latest_entries, legacy_entries
from profiles.packages.unreadable import Unreadable

MOST = 1_000

NAMES = st.text(max_size=60)
ENTRIES = st.lists(st.tuples(NAMES, st.integers(0, LARGEST_SIZE), st.binary(min_size=20, max_size=20)))


@given(ENTRIES)
def test_the_list_that_anki_writes_is_read(entries: list[tuple[str, int, bytes]]) -> None:
    theirs = MediaEntries(
        entries=[MediaEntries.MediaEntry(name=name, size=size, sha1=sha1) for name, size, sha1 in entries]
    )
    assert list(latest_entries(theirs.SerializeToString(), MOST)) == [
        Listed(place, name, size or None, sha1) for place, (name, size, sha1) in enumerate(entries)
    ]


@given(ENTRIES)
def test_the_list_that_is_written_is_read_by_anki(entries: list[tuple[str, int, bytes]]) -> None:
    ours = MediaEntries.FromString(b"".join(entry(*written) for written in entries))
    assert [(read.name, read.size, read.sha1) for read in ours.entries] == entries


def test_the_size_of_what_is_larger_than_a_size_can_be_is_left_open_as_anki_does() -> None:
    ours = MediaEntries.FromString(entry("large", LARGEST_SIZE + 1, bytes(20)))
    assert ours.entries[0].size == 0
    assert next(latest_entries(entry("large", LARGEST_SIZE + 1, bytes(20)), MOST)).size is None


def test_a_name_that_is_no_text_costs_no_other_file() -> None:
    spoilt = entry("good", 1, bytes(20)) + entry("bad!", 2, bytes(20)).replace(b"bad!", b"b\xffd!")
    assert [read.name for read in latest_entries(spoilt, MOST)] == ["good", b"b\xffd!"]


def test_fields_that_are_not_known_yet_are_passed_over() -> None:
    theirs = MediaEntries.MediaEntry(name="name", size=3, sha1=bytes(20), legacy_zip_filename=77)
    listing = MediaEntries(entries=[theirs]).SerializeToString() + b"\x7a\x02xx"
    assert list(latest_entries(listing, MOST)) == [Listed(0, "name", 3, bytes(20))]


@pytest.mark.parametrize(
    "listing",
    [
        b"{}",
        b"\x08\x01",  # an entry that is a number
        b"\x0a\x02\x08\x01",  # a name that is a number
        b"\x0a\x03\x12\x01x",  # a size that is text
        b"\x0a\x02\x18\x01",  # a checksum that is a number
        b"\x0a\x7f",
    ],
)
def test_what_is_no_list_is_told(listing: bytes) -> None:
    with pytest.raises(Unreadable, match="makes no sense"):
        list(latest_entries(listing, MOST))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_or_told_to_be_none(listing: bytes) -> None:
    for read in (latest_entries, legacy_entries):
        try:
            list(read(listing, 10))
        except Unreadable:
            continue


def test_a_list_of_more_entries_than_allowed_is_refused_before_they_are_made() -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable, match="more than 1,000 entries"):
            list(latest_entries(b"\x0a\x00" * 1_000_000, MOST))
        with pytest.raises(Unreadable, match="more than 1,000 entries"):
            list(legacy_entries(b"{" + b'"0":"",' * 1_000_000 + b'"0":""}', MOST))
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30 << 20


@given(st.dictionaries(st.integers(0, 10_000), NAMES, max_size=30), st.booleans(), st.sampled_from([None, 2, "\t"]))
def test_json_is_read_however_it_is_spelt(names: dict[int, str], ascii_only: bool, indent: int | str | None) -> None:
    listing = json.dumps(names, ensure_ascii=ascii_only, indent=indent)
    try:
        spelt = listing.encode()
    except UnicodeEncodeError:
        return
    assert list(legacy_entries(spelt, MOST)) == [Listed(number, name) for number, name in names.items()]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | NAMES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)
    )
)
def test_other_json_is_told_to_be_no_list(value: object) -> None:
    if isinstance(value, dict) and all(isinstance(name, str) for name in value.values()):
        return
    with pytest.raises(Unreadable, match="makes no sense"):
        list(legacy_entries(json.dumps(value).encode(), MOST))


@pytest.mark.parametrize(
    "listing",
    [
        b"",
        b" ",
        b"{",
        b"{}x",
        b'{"0":"a"',
        b'{"0":"a",}',
        b'{"0":"a"}x',
        b'{"0":"a" "1":"b"}',
        b'{"0":"a\\"}',
        b'{"0":"\\q"}',
        b'{"0":"\\u12"}',
        b'{"0":"\xff"}',
        b'{0:"a"}',
        b'{"0":"' + b"a" * 3_000 + b'"}',
        b"[" * 100_000,
    ],
    ids=range(15),
)
def test_what_is_no_json_of_names_is_told(listing: bytes) -> None:
    with pytest.raises(Unreadable, match="makes no sense"):
        list(legacy_entries(listing, MOST))


@pytest.mark.parametrize("empty", [b"{}", b" { } ", b"{\n}\n"])
def test_an_empty_list_is_one(empty: bytes) -> None:
    assert list(legacy_entries(empty, MOST)) == []


def test_the_longest_name_is_read_even_if_each_character_is_spelt_out() -> None:
    name = "ü" * 255
    assert list(legacy_entries(json.dumps({"0": name}).encode(), MOST)) == [Listed(0, name)]


@pytest.mark.parametrize("key", ["x", "", "-1", "1.0", "٣", "1234567890", " 1"])
def test_a_key_that_is_no_number_is_kept_apart(key: str) -> None:
    assert list(legacy_entries(json.dumps({key: "name", "7": "good"}).encode(), MOST)) == [
        Listed(None, "name"),
        Listed(7, "good"),
    ]
