from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import Damaged, UnsupportedFormat
from storage.format.blob import PackId
from storage.format.compression import compress
from storage.format.pack_list import MAX_PACKS, parts_of
from storage.format.sealing import OpenSeal, Purpose
from storage.format.underway import (
    LARGEST_UNDERWAY,
    Underway,
    is_underway_name,
    read_underway,
    underway_name,
    write_underway,
)

SEAL = OpenSeal(bytes(16))
NAME = underway_name(bytes(range(16)))
PACKS = st.frozensets(st.binary(min_size=16, max_size=16).map(PackId), min_size=1, max_size=40)
GOOD = {"format": 1, "packs": ["00" * 16]}


def stored(content: object) -> bytes:
    plain = json.dumps(content).encode()
    return SEAL.seal(Purpose.UNDERWAY, NAME.encode(), len(plain).to_bytes(4, "little") + compress(plain))


@given(PACKS)
def test_it_reads_back_as_it_was_written(packs: frozenset[PackId]) -> None:
    underway = Underway(NAME, packs)
    assert read_underway(SEAL, NAME, write_underway(SEAL, underway)) == underway


@given(PACKS, st.data())
def test_any_changed_byte_is_damage(packs: frozenset[PackId], data: st.DataObject) -> None:
    content = bytearray(write_underway(SEAL, Underway(NAME, packs)))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Damaged):
        read_underway(SEAL, NAME, bytes(content))


@pytest.mark.parametrize(
    "content",
    [
        [],
        {**GOOD, "more": 1},
        {**GOOD, "format": True},
        {**GOOD, "packs": []},
        {**GOOD, "packs": "00" * 16},
        {**GOOD, "packs": ["FF" * 16]},
        {**GOOD, "packs": [7]},
        {"format": 1},
    ],
)
def test_what_makes_no_sense_is_damage(content: object) -> None:
    read_underway(SEAL, NAME, stored(GOOD))
    with pytest.raises(Damaged, match="no upload"):
        read_underway(SEAL, NAME, stored(content))


def test_another_version_is_told_from_damage() -> None:
    with pytest.raises(UnsupportedFormat, match="another version"):
        read_underway(SEAL, NAME, stored({"format": 2}))


def test_a_bomb_is_refused_before_it_unpacks() -> None:
    plain = (2**31).to_bytes(4, "little") + compress(b" " * 1000)
    with pytest.raises(Damaged, match="no upload"):
        read_underway(SEAL, NAME, SEAL.seal(Purpose.UNDERWAY, NAME.encode(), plain))


def test_more_packs_than_a_reader_takes_go_into_several_objects() -> None:
    packs = {PackId(number.to_bytes(16, "big")) for number in range(MAX_PACKS + 1)}
    parts = parts_of(packs)
    assert [len(part) for part in parts] == [MAX_PACKS, 1]
    content = write_underway(SEAL, Underway(NAME, parts[0]))
    assert len(content) <= LARGEST_UNDERWAY
    assert read_underway(SEAL, NAME, content).packs == parts[0]
    with pytest.raises(ValueError, match="packs"):
        write_underway(SEAL, Underway(NAME, frozenset(packs)))


def test_only_its_own_names_are_its_own() -> None:
    assert is_underway_name(NAME)
    assert not any(map(is_underway_name, ("underway/x", NAME + "0", "a/" + NAME)))
