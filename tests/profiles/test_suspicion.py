"""What makes a sound profile suspect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.suspicion import COUNTED, suspicion

BEFORE = {"notes": 100, "cards": 200, "reviews": 3000, "media_files": 50, "modified_ms": 1000}


@pytest.mark.parametrize("key", COUNTED)
def test_losing_more_than_half_of_anything_is_suspect(key: str) -> None:
    half = BEFORE[key] // 2
    assert suspicion(BEFORE, BEFORE | {key: half}) is None
    told = suspicion(BEFORE, BEFORE | {key: half - 1})
    assert told is not None
    assert f"from {BEFORE[key]} to {half - 1}" in told


def test_a_collection_that_went_back_in_time_is_suspect() -> None:
    told = suspicion(BEFORE, BEFORE | {"modified_ms": 999})
    assert told is not None
    assert "older" in told


def test_a_small_collection_may_come_and_go() -> None:
    assert suspicion(BEFORE | {"notes": 19}, BEFORE | {"notes": 0}) is None


def test_what_is_not_known_is_not_judged() -> None:
    assert suspicion({}, BEFORE) is None
    assert suspicion(BEFORE, {}) is None
    assert suspicion(BEFORE | {"notes": "many"}, BEFORE | {"notes": 0}) is None


@given(st.fixed_dictionaries({key: st.integers(0, 10**6) for key in BEFORE}))
def test_a_profile_that_only_grows_is_never_suspect(before: dict[str, int]) -> None:
    assert suspicion(before, {key: value * 2 for key, value in before.items()}) is None
