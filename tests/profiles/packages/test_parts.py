from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.packages.parts import in_parts


@given(st.lists(st.binary(min_size=1, max_size=30)), st.integers(1, 20))
def test_all_parts_but_the_last_have_exactly_their_size(pieces: list[bytes], part_bytes: int) -> None:
    parts = list(in_parts(pieces, part_bytes))
    assert b"".join(parts) == b"".join(pieces)
    assert all(len(part) == part_bytes for part in parts[:-1])
    assert all(0 < len(part) <= part_bytes for part in parts)


@pytest.mark.parametrize("last", [b"12", b"123", b"1234"])
def test_what_goes_wrong_at_the_end_goes_wrong_before_the_last_part_is_given(last: bytes) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"abcd"
        yield last
        raise LookupError

    parts = in_parts(pieces(), 4)
    assert next(parts) == b"abcd"
    with pytest.raises(LookupError):
        next(parts)
