from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import Damaged, WrittenUnderNewerKey
from storage.format.keyring import KEY_BYTES, Keyring, with_new_generation
from storage.format.sealing import HEADER_BYTES, NONCE_BYTES, TAG_BYTES, AesSeal, OpenSeal, Purpose, Seal

REPOSITORY = bytes(range(16))
KEYRING = Keyring(b"i" * KEY_BYTES, ((1, b"1" * KEY_BYTES), (4, b"4" * KEY_BYTES)))
OPEN = OpenSeal(REPOSITORY)
AES = AesSeal(REPOSITORY, KEYRING)
SEALS = st.sampled_from([OPEN, AES])
PURPOSES = st.sampled_from(Purpose)
# Names of blobs and pack tables are bytes of any kind, those of the rest are text.
NAMES = st.text("abc/0123", max_size=40).map(str.encode)


@given(SEALS, PURPOSES, st.binary(max_size=300), st.binary(max_size=2000))
def test_what_was_sealed_comes_back(seal: Seal, purpose: Purpose, name: bytes, plain: bytes) -> None:
    sealed = seal.seal(purpose, name, plain)
    assert seal.unseal(purpose, name, sealed) == plain
    assert len(sealed) == len(plain) + TAG_BYTES + (1 if seal is OPEN else 3 + NONCE_BYTES)


@given(SEALS, PURPOSES, NAMES, st.binary(max_size=200), st.data())
def test_one_flipped_bit_anywhere_is_found(
    seal: Seal, purpose: Purpose, name: bytes, plain: bytes, data: st.DataObject
) -> None:
    sealed = bytearray(seal.seal(purpose, name, plain))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Damaged):
        seal.unseal(purpose, name, bytes(sealed))


@given(SEALS, PURPOSES, NAMES, st.binary(max_size=200), st.data())
def test_bytes_cut_off_or_added_are_found(
    seal: Seal, purpose: Purpose, name: bytes, plain: bytes, data: st.DataObject
) -> None:
    sealed = seal.seal(purpose, name, plain)
    for spoiled in (sealed[: data.draw(st.integers(0, len(sealed) - 1))], sealed + data.draw(st.binary(min_size=1))):
        with pytest.raises(Damaged):
            seal.unseal(purpose, name, spoiled)


@given(SEALS, PURPOSES, PURPOSES, NAMES, NAMES, st.binary(max_size=50))
def test_sealed_bytes_can_not_pose_as_another_object(
    seal: Seal, purpose: Purpose, other: Purpose, name: bytes, other_name: bytes, plain: bytes
) -> None:
    sealed = seal.seal(purpose, name, plain)
    if (purpose, name) != (other, other_name):
        with pytest.raises(Damaged):
            seal.unseal(other, other_name, sealed)


@given(st.binary(max_size=20), st.binary(min_size=1, max_size=20))
def test_a_name_can_not_run_into_the_bytes_behind_it(name: bytes, plain: bytes) -> None:
    """The tag covers lengths too: moving the border between name and content makes another tag."""
    one, other = OPEN.seal(Purpose.BLOB, name, plain), OPEN.seal(Purpose.BLOB, name + plain[:1], plain[1:])
    assert one[-TAG_BYTES:] != other[-TAG_BYTES:]


@pytest.mark.parametrize(("seal", "other"), [(OPEN, OpenSeal(bytes(16))), (AES, AesSeal(bytes(16), KEYRING))])
def test_bytes_of_another_repository_are_refused(seal: Seal, other: Seal) -> None:
    sealed = other.seal(Purpose.MANIFEST, b"snapshots/x/y", b"{}")
    with pytest.raises(Damaged, match="snapshots/x/y"):
        seal.unseal(Purpose.MANIFEST, b"snapshots/x/y", sealed)


@given(st.binary(max_size=200))
def test_neither_seal_takes_what_the_other_one_sealed(plain: bytes) -> None:
    for seal, other in ((OPEN, AES), (AES, OPEN)):
        with pytest.raises(Damaged):
            seal.unseal(Purpose.BLOB, b"n", other.seal(Purpose.BLOB, b"n", plain))


def test_an_unknown_scheme_is_refused_even_with_a_right_tag() -> None:
    sealed = OPEN.seal(Purpose.BLOB, b"n", b"plain, and long enough for the other seal")
    for seal in (OPEN, AES):
        with pytest.raises(Damaged, match="sealed in a way"):
            seal.unseal(Purpose.BLOB, b"n", b"\x07" + sealed[1:])


@given(st.binary(min_size=16, max_size=200))
def test_nothing_of_the_plain_bytes_shows_and_no_two_seals_are_alike(plain: bytes) -> None:
    sealed = {AES.seal(Purpose.BLOB, b"n", plain) for _ in range(3)}
    assert len(sealed) == 3
    assert not any(plain[:16] in one for one in sealed)


def test_ids_of_an_encrypted_repository_tell_nothing_to_whoever_has_the_same_picture() -> None:
    picture = b"a picture of a shared deck"
    others = AesSeal(REPOSITORY, Keyring(b"j" * KEY_BYTES, KEYRING.generations))
    assert len({seal.blob_id(picture) for seal in (OPEN, AES, others)}) == 3


@given(PURPOSES, NAMES, st.binary(max_size=50))
def test_a_rotation_keeps_ids_and_what_was_written_and_writes_under_the_new_key(
    purpose: Purpose, name: bytes, plain: bytes
) -> None:
    newer = AesSeal(REPOSITORY, with_new_generation(KEYRING))
    assert newer.blob_id(plain) == AES.blob_id(plain)
    assert newer.unseal(purpose, name, AES.seal(purpose, name, plain)) == plain
    with pytest.raises(WrittenUnderNewerKey, match=r"generation 5.*open the repository again"):
        AES.unseal(purpose, name, newer.seal(purpose, name, plain))


def test_one_generations_bytes_can_not_pose_as_anothers() -> None:
    sealed = bytearray(
        AesSeal(REPOSITORY, Keyring(KEYRING.id_key, KEYRING.generations[:1])).seal(Purpose.BLOB, b"n", b"p")
    )
    sealed[1] = 4
    with pytest.raises(Damaged, match="does not match"):
        AES.unseal(Purpose.BLOB, b"n", bytes(sealed))


def test_a_seal_tells_under_which_key_bytes_were_sealed_by_the_first_of_them() -> None:
    newer = AesSeal(REPOSITORY, with_new_generation(KEYRING))
    sealed = [seal.seal(Purpose.INDEX, b"n", b"p")[:HEADER_BYTES] for seal in (AES, newer, OPEN)]
    assert [newer.generation_of(sealed[0]), newer.generation_of(sealed[1]), OPEN.generation_of(sealed[2])] == [4, 5, 0]


def test_only_what_hides_content_hides_lengths() -> None:
    assert (OPEN.pads, OPEN.generation, AES.pads, AES.generation) == (False, 0, True, 4)


def test_a_seal_shows_no_key() -> None:
    secret = os.urandom(KEY_BYTES)
    seal = AesSeal(REPOSITORY, Keyring(secret, ((1, secret),)))
    assert repr(seal) == "AesSeal(newest generation 1)"
    assert repr(secret)[2:10] not in repr(Keyring(secret, ((1, secret),)))
