from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import Damaged
from storage.format.sealing import TAG_BYTES, OpenSeal, Purpose

SEAL = OpenSeal(bytes(range(16)))
PURPOSES = st.sampled_from(Purpose)
# Names of blobs and pack tables are bytes of any kind, those of the rest are text.
NAMES = st.text("abc/0123", max_size=40).map(str.encode)


@given(PURPOSES, st.binary(max_size=300), st.binary(max_size=2000))
def test_what_was_sealed_comes_back(purpose: Purpose, name: bytes, plain: bytes) -> None:
    sealed = SEAL.seal(purpose, name, plain)
    assert SEAL.unseal(purpose, name, sealed) == plain
    assert len(sealed) == 1 + len(plain) + TAG_BYTES


@given(PURPOSES, NAMES, st.binary(max_size=200), st.data())
def test_one_flipped_bit_anywhere_is_found(purpose: Purpose, name: bytes, plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(SEAL.seal(purpose, name, plain))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Damaged):
        SEAL.unseal(purpose, name, bytes(sealed))


@given(PURPOSES, NAMES, st.binary(max_size=200), st.data())
def test_bytes_cut_off_or_added_are_found(purpose: Purpose, name: bytes, plain: bytes, data: st.DataObject) -> None:
    sealed = SEAL.seal(purpose, name, plain)
    for spoiled in (sealed[: data.draw(st.integers(0, len(sealed) - 1))], sealed + data.draw(st.binary(min_size=1))):
        with pytest.raises(Damaged):
            SEAL.unseal(purpose, name, spoiled)


@given(PURPOSES, PURPOSES, NAMES, NAMES, st.binary(max_size=50))
def test_sealed_bytes_can_not_pose_as_another_object(
    purpose: Purpose, other: Purpose, name: bytes, other_name: bytes, plain: bytes
) -> None:
    sealed = SEAL.seal(purpose, name, plain)
    if (purpose, name) != (other, other_name):
        with pytest.raises(Damaged):
            SEAL.unseal(other, other_name, sealed)


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_a_name_can_not_run_into_the_bytes_behind_it(name: bytes, plain: bytes) -> None:
    """The tag covers lengths too: moving the border between name and content makes another tag."""
    if plain:
        one, other = SEAL.seal(Purpose.BLOB, name, plain), SEAL.seal(Purpose.BLOB, name + plain[:1], plain[1:])
        assert one[-TAG_BYTES:] != other[-TAG_BYTES:]


def test_bytes_of_another_repository_are_refused() -> None:
    sealed = OpenSeal(bytes(16)).seal(Purpose.MANIFEST, b"snapshots/x/y", b"{}")
    with pytest.raises(Damaged, match="snapshots/x/y"):
        SEAL.unseal(Purpose.MANIFEST, b"snapshots/x/y", sealed)


def test_an_unknown_scheme_is_refused_even_with_a_right_tag() -> None:
    sealed = SEAL.seal(Purpose.BLOB, b"n", b"plain")
    with pytest.raises(Damaged, match="sealed in a way"):
        SEAL.unseal(Purpose.BLOB, b"n", b"\x01" + sealed[1:])
