from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.format.keyring import (
    KEY_BYTES,
    MOST_GENERATIONS,
    Keyring,
    decode_keyring,
    encode_keyring,
    new_keyring,
    with_new_generation,
)

KEYS = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)
KEYRINGS = st.builds(
    lambda id_key, numbers, key: Keyring(id_key, tuple((number, key) for number in sorted(numbers))),
    KEYS,
    st.sets(st.integers(1, 0xFFFF), min_size=1, max_size=20),
    KEYS,
)


@given(KEYRINGS)
def test_a_keyring_comes_back_as_it_was(keyring: Keyring) -> None:
    assert decode_keyring(encode_keyring(keyring)) == keyring


@given(
    st.binary(max_size=300)
    | KEYRINGS.map(encode_keyring).flatmap(lambda whole: st.integers(0, len(whole) - 1).map(lambda end: whole[:end]))
)
def test_anything_else_is_no_keyring(plain: bytes) -> None:
    try:
        found = decode_keyring(plain)
    except ValueError:
        return
    assert encode_keyring(found) == plain


@pytest.mark.parametrize("numbers", [(), (0,), (2, 1), (1, 1), tuple(range(1, MOST_GENERATIONS + 2))])
def test_generations_are_some_and_ascend(numbers: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        Keyring(bytes(KEY_BYTES), tuple((number, bytes(KEY_BYTES)) for number in numbers))


@pytest.mark.parametrize(("id_key", "key"), [(b"short", bytes(KEY_BYTES)), (bytes(KEY_BYTES), b"short")])
def test_keys_of_another_length_are_refused(id_key: bytes, key: bytes) -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        Keyring(id_key, ((1, key),))


def test_new_keys_are_new_and_a_generation_more_keeps_the_others() -> None:
    one, other = new_keyring(), new_keyring()
    keys = {one.id_key, other.id_key, one.generations[0][1], other.generations[0][1]}
    assert len(keys) == 4
    more = with_new_generation(one)
    assert (more.id_key, more.generations[:1], more.newest) == (one.id_key, one.generations, 2)
    assert more.generations[1][1] not in keys
