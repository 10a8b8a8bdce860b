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
from storage.format.verdict import (
    Finding,
    Verdict,
    is_verdict_name,
    read_verdict,
    verdict_name,
    write_verdict,
)

SEAL = OpenSeal(bytes(16))
NAME = verdict_name(bytes(range(16)))
PACKS = st.frozensets(st.binary(min_size=16, max_size=16).map(PackId), min_size=1, max_size=40)


def stored(content: object, name: str = NAME) -> bytes:
    plain = json.dumps(content).encode()
    return SEAL.seal(Purpose.VERDICT, name.encode(), len(plain).to_bytes(4, "little") + compress(plain))


@given(st.sampled_from(Finding), PACKS)
def test_a_verdict_reads_back_as_it_was_written(finding: Finding, packs: frozenset[PackId]) -> None:
    verdict = Verdict(NAME, finding, packs)
    assert read_verdict(SEAL, NAME, write_verdict(SEAL, verdict)) == verdict


@given(PACKS, st.data())
def test_any_changed_byte_is_damage(packs: frozenset[PackId], data: st.DataObject) -> None:
    content = bytearray(write_verdict(SEAL, Verdict(NAME, Finding.CONDEMNED, packs)))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Damaged):
        read_verdict(SEAL, NAME, bytes(content))


@given(st.binary(max_size=300))
def test_bytes_that_were_never_sealed_are_damage(content: bytes) -> None:
    with pytest.raises(Damaged):
        read_verdict(SEAL, NAME, content)


def test_a_verdict_can_not_pose_as_another() -> None:
    content = write_verdict(SEAL, Verdict(NAME, Finding.CONDEMNED, frozenset({PackId(bytes(16))})))
    with pytest.raises(Damaged):
        read_verdict(SEAL, verdict_name(bytes(16)), content)


GOOD = {"format": 1, "finding": "condemned", "packs": ["00" * 16]}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {**GOOD, "more": 1},
        {**GOOD, "format": True},
        {**GOOD, "finding": "guilty"},
        {**GOOD, "packs": []},
        {**GOOD, "packs": "00" * 16},
        {**GOOD, "packs": ["0" * 31]},
        {**GOOD, "packs": ["FF" * 16]},
        {**GOOD, "packs": [7]},
        {key: value for key, value in GOOD.items() if key != "packs"},
    ],
)
def test_a_sealed_verdict_that_makes_no_sense_is_damage(content: object) -> None:
    read_verdict(SEAL, NAME, stored(GOOD))
    with pytest.raises(Damaged, match="no verdict"):
        read_verdict(SEAL, NAME, stored(content))


@pytest.mark.parametrize("content", [{**GOOD, "format": 2}, {"format": 0}, {"format": 7, "packs": "all"}])
def test_a_verdict_of_another_version_is_told_from_damage(content: object) -> None:
    with pytest.raises(UnsupportedFormat, match="another version"):
        read_verdict(SEAL, NAME, stored(content))


def test_a_bomb_is_refused_before_it_unpacks() -> None:
    plain = (2**31).to_bytes(4, "little") + compress(b" " * 1000)
    with pytest.raises(Damaged, match="no verdict"):
        read_verdict(SEAL, NAME, SEAL.seal(Purpose.VERDICT, NAME.encode(), plain))


def test_more_packs_than_a_reader_takes_go_into_several_verdicts() -> None:
    packs = {PackId(number.to_bytes(16, "big")) for number in range(MAX_PACKS + 1)}
    parts = parts_of(packs)
    assert [len(part) for part in parts] == [MAX_PACKS, 1]
    verdict = Verdict(NAME, Finding.CONDEMNED, parts[0])
    assert read_verdict(SEAL, NAME, write_verdict(SEAL, verdict)) == verdict
    with pytest.raises(ValueError, match="packs"):
        write_verdict(SEAL, Verdict(NAME, Finding.CONDEMNED, frozenset(packs)))


@pytest.mark.parametrize(
    "name", ["verdicts/x", "verdicts/" + "0" * 33, "verdict/" + "0" * 32, "a/verdicts/" + "0" * 32]
)
def test_foreign_names_are_no_verdicts(name: str) -> None:
    assert is_verdict_name(NAME)
    assert not is_verdict_name(name)
