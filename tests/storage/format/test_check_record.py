from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import Damaged, UnsupportedFormat
from storage.format.blob import PackId
from storage.format.check_record import MAX_CHECKED, Checked, check_name, is_check_name, read_check, write_check
from storage.format.compression import compress
from storage.format.sealing import OpenSeal, Purpose
from storage.format.verdict import read_verdict

SEAL = OpenSeal(bytes(16))
NAME = check_name(bytes(16))
MOMENTS = st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
PACKS = st.dictionaries(
    st.binary(min_size=16, max_size=16).map(PackId), st.builds(Checked, MOMENTS, st.booleans()), min_size=1, max_size=40
)


def sealed(content: Any, name: str = NAME) -> bytes:
    plain = content if isinstance(content, bytes) else json.dumps(content).encode()
    return SEAL.seal(Purpose.CHECK, name.encode(), len(plain).to_bytes(4, "little") + compress(plain))


@given(PACKS)
def test_a_record_says_what_was_written(packs: dict[PackId, Checked]) -> None:
    assert read_check(SEAL, NAME, write_check(SEAL, NAME, packs)) == packs


@given(PACKS, st.data())
def test_any_change_to_a_record_is_damage(packs: dict[PackId, Checked], data: st.DataObject) -> None:
    stored = bytearray(write_check(SEAL, NAME, packs))
    at = data.draw(st.integers(0, len(stored) - 1))
    stored[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Damaged):
        read_check(SEAL, NAME, bytes(stored))
    with pytest.raises(Damaged):
        read_check(SEAL, NAME, bytes(stored[:at]))


def test_a_record_can_not_pose_as_another_nor_as_a_verdict() -> None:
    stored = write_check(SEAL, NAME, {PackId(bytes(16)): Checked(datetime(2026, 1, 1, tzinfo=UTC), whole=True)})
    with pytest.raises(Damaged):
        read_check(SEAL, check_name(b"x" * 16), stored)
    with pytest.raises(Damaged):
        read_verdict(SEAL, f"verdicts/{'00' * 16}", stored)
    with pytest.raises(Damaged):
        read_verdict(SEAL, NAME, stored)


ROW = {"00" * 16: [1_700_000_000, True]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nothing",
        b"[" * 100_000,
        [],
        {"format": 1},
        {"format": True, "packs": ROW},
        {"format": 1, "packs": {}},
        {"format": 1, "packs": ROW, "more": 1},
        {"format": 1, "packs": list(ROW)},
        {"format": 1, "packs": {"00" * 15: [1, True]}},
        {"format": 1, "packs": {"0G" * 16: [1, True]}},
        {"format": 1, "packs": {"00" * 16: [1]}},
        {"format": 1, "packs": {"00" * 16: [1, True, 2]}},
        {"format": 1, "packs": {"00" * 16: [-1, True]}},
        {"format": 1, "packs": {"00" * 16: [10**30, True]}},
        {"format": 1, "packs": {"00" * 16: [1.5, True]}},
        {"format": 1, "packs": {"00" * 16: [1, 1]}},
        {"format": 1, "packs": {"00" * 16: None}},
    ],
)
def test_what_is_no_record_is_damage(content: Any) -> None:
    with pytest.raises(Damaged):
        read_check(SEAL, NAME, sealed(content))


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(Damaged):
        read_check(SEAL, NAME, SEAL.seal(Purpose.CHECK, NAME.encode(), (2**32 - 1).to_bytes(4, "little") + b"\1"))


def test_a_record_of_a_newer_version_is_no_damage() -> None:
    with pytest.raises(UnsupportedFormat):
        read_check(SEAL, NAME, sealed({"format": 2, "anything": []}))


def test_no_record_is_written_that_no_reader_accepts() -> None:
    one = Checked(datetime(2026, 1, 1, tzinfo=UTC), whole=True)
    with pytest.raises(ValueError, match="0 packs"):
        write_check(SEAL, NAME, {})
    with pytest.raises(ValueError, match="packs"):
        write_check(SEAL, NAME, {PackId(n.to_bytes(16, "big")): one for n in range(MAX_CHECKED + 1)})
    full = {PackId((n * 2**100).to_bytes(17, "big")[1:]): one for n in range(2)}
    assert read_check(SEAL, NAME, write_check(SEAL, NAME, full)) == full


def test_names_are_told_from_others() -> None:
    assert is_check_name(NAME)
    assert not any(map(is_check_name, ("checks/", NAME + "0", NAME.upper(), f"verdicts/{'00' * 16}", f"x/{NAME}")))
