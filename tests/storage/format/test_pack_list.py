from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.format import pack_list
from storage.format.blob import PackId
from storage.format.pack_list import MAX_PACKS, hex_of, pack_of, packs_of, parts_of

PACKS = st.frozensets(st.binary(min_size=16, max_size=16).map(PackId), min_size=1, max_size=40)


@given(PACKS)
def test_a_list_names_the_packs_that_it_was_made_of_in_order(packs: frozenset[PackId]) -> None:
    listed = hex_of(packs)
    assert listed == sorted(listed)
    assert packs_of(listed) == packs
    assert {pack_of(one) for one in listed} == packs


@given(PACKS, st.integers(1, 10))
def test_parts_hold_each_pack_once_and_none_more_than_a_list_takes(packs: frozenset[PackId], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack_list, "MAX_PACKS", most)
        parts = parts_of(packs)
        assert {len(part) for part in parts[:-1]} <= {most}
        assert sum(map(len, parts)) == len(packs)
        assert frozenset().union(*parts) == packs
        assert [packs_of(hex_of(part)) for part in parts] == parts


def test_no_packs_need_no_record() -> None:
    assert parts_of([]) == []


@pytest.mark.parametrize(
    "found",
    [
        None,
        [],
        "00" * 16,
        {"00" * 16: 1},
        [7],
        [None],
        [["00" * 16]],
        ["0" * 31],
        ["0" * 33],
        ["FF" * 16],
        ["00" * 16 + "\n"],
        ["\N{ARABIC-INDIC DIGIT ZERO}" * 32],
        ["00" * 16] * (MAX_PACKS + 1),
    ],
    ids=lambda found: repr(found)[:50],
)
def test_what_is_no_list_of_packs_is_refused(found: Any) -> None:
    packs_of(["00" * 16] * MAX_PACKS)
    with pytest.raises(ValueError, match="pack"):
        packs_of(found)


@pytest.mark.parametrize("count", [0, MAX_PACKS + 1])
def test_no_list_is_made_that_no_reader_accepts(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} packs"):
        hex_of({PackId(number.to_bytes(16, "big")) for number in range(count)})
