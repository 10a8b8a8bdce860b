from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import Damaged, UnsupportedFormat
from storage.format.census import Census, census_name, is_census_name, read_census, write_census
from storage.format.compression import compress
from storage.format.sealing import OpenSeal, Purpose

SEAL = OpenSeal(bytes(16))
NAME = census_name(datetime(2026, 11, 22, 12, 0, tzinfo=UTC), bytes(4))
NAMES = st.frozensets(st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable()), max_size=30)


def stored(content: object) -> bytes:
    plain = json.dumps(content).encode()
    return SEAL.seal(Purpose.CENSUS, NAME.encode(), len(plain).to_bytes(4, "little") + compress(plain))


@given(NAMES)
def test_a_census_reads_back_as_it_was_taken(snapshots: frozenset[str]) -> None:
    census = Census(NAME, snapshots)
    assert read_census(SEAL, NAME, write_census(SEAL, census)) == census


@given(NAMES, st.data())
def test_any_changed_byte_is_damage(snapshots: frozenset[str], data: st.DataObject) -> None:
    content = bytearray(write_census(SEAL, Census(NAME, snapshots)))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Damaged):
        read_census(SEAL, NAME, bytes(content))


@given(st.binary(max_size=200))
def test_bytes_that_were_never_sealed_are_damage(content: bytes) -> None:
    with pytest.raises(Damaged):
        read_census(SEAL, NAME, content)


@pytest.mark.parametrize(
    "content",
    [
        None,
        {"format": 1},
        {"format": "2", "snapshots": []},
        {"format": True, "snapshots": []},
        {"format": 1, "snapshots": {}},
        {"format": 1, "snapshots": [1]},
        {"format": 1, "snapshots": [], "more": 0},
    ],
)
def test_a_sealed_census_that_makes_no_sense_is_damage(content: object) -> None:
    with pytest.raises(Damaged, match="no census"):
        read_census(SEAL, NAME, stored(content))


@pytest.mark.parametrize("content", [{"format": 2, "snapshots": []}, {"format": 0}])
def test_a_census_of_another_version_is_told_from_damage(content: object) -> None:
    with pytest.raises(UnsupportedFormat, match="another version"):
        read_census(SEAL, NAME, stored(content))


def test_a_bomb_is_refused_before_it_unpacks() -> None:
    plain = (2**31).to_bytes(4, "little") + compress(b" " * 1000)
    with pytest.raises(Damaged, match="no census"):
        read_census(SEAL, NAME, SEAL.seal(Purpose.CENSUS, NAME.encode(), plain))


def test_names_sort_by_the_time_of_the_store_whatever_its_zone() -> None:
    moment = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    later = (moment + timedelta(minutes=1)).astimezone(timezone(timedelta(hours=-9)))
    assert census_name(moment, b"\xff" * 4) < census_name(later, bytes(4))
    assert is_census_name(NAME)
    assert not is_census_name(NAME + "0")
