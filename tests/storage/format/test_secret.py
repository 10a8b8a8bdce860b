from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from storage.errors import SecretRefused
from storage.format.secret import (
    KEY_FILE_BYTES,
    RECOVERY_ALPHABET,
    RECOVERY_BYTES,
    Secret,
    SecretKind,
    key_file_secret,
    looks_like_a_recovery_key,
    new_key_file,
    new_recovery_key,
    refuse_weak,
    typed_secret,
)


def refusal(make: Callable[[], Secret]) -> str | None:
    """The sentence that refuses a secret, None when it is taken."""
    try:
        make()
    except SecretRefused as refused:
        return str(refused)
    return None


RECOVERIES = st.binary(min_size=RECOVERY_BYTES, max_size=RECOVERY_BYTES).map(new_recovery_key)


@given(RECOVERIES, st.data())
def test_a_recovery_key_is_taken_in_any_case_and_spacing_and_with_look_alike_letters(
    made: tuple[Secret, str], data: st.DataObject
) -> None:
    secret, text = made
    between = st.sampled_from(["", " ", "-", "\n", "\N{EN DASH}", " - "])
    typed = "".join(
        data.draw(st.sampled_from([letter, letter.lower(), *{"0": "Oo", "1": "IlL"}.get(letter, "")]))
        + data.draw(between)
        for letter in text
        if letter != "-"
    )
    assert typed_secret(typed) == secret


@given(RECOVERIES, st.data())
def test_a_mistyped_recovery_key_is_told_from_a_wrong_one(made: tuple[Secret, str], data: st.DataObject) -> None:
    """Twenty bits of checksum: one typo in a million gets through, and then opens nothing."""
    _, text = made
    place = data.draw(st.sampled_from([place for place, letter in enumerate(text) if letter != "-"]))
    letter = data.draw(st.sampled_from(RECOVERY_ALPHABET))
    mistyped = data.draw(st.sampled_from([text[:place] + letter + text[place + 1 :], text[:place] + text[place + 1 :]]))
    assume(mistyped != text)
    taken = typed_secret(mistyped)
    assert taken != made[0]
    if taken.kind is not SecretKind.RECOVERY:
        assert looks_like_a_recovery_key(mistyped)


def test_no_letter_of_a_recovery_key_looks_like_another() -> None:
    assert len(RECOVERY_ALPHABET) == len(set(RECOVERY_ALPHABET)) == 32
    assert not set(RECOVERY_ALPHABET) & set("OIL" + string.ascii_lowercase)


def test_recovery_keys_and_key_files_are_random_and_long() -> None:
    for make in (new_recovery_key, new_key_file):
        values = {make()[0].value for _ in range(20)}
        assert len(values) == 20
        assert all(8 * len(value) >= 160 for value in values)


@given(st.text(max_size=300))
def test_any_text_is_a_passphrase_a_recovery_key_or_refused_in_a_sentence(text: str) -> None:
    assert refusal(lambda: typed_secret(text)) or typed_secret(text).kind is SecretKind.PASSPHRASE


def test_the_same_letters_from_another_keyboard_are_the_same_passphrase() -> None:
    composed, decomposed = (unicodedata.normalize(form, "Müsli à la carte") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert typed_secret(composed) == typed_secret(decomposed)


@pytest.mark.parametrize("text", ["", "\ud800 alone", "x" * 5000])
def test_what_can_not_be_a_passphrase_is_refused(text: str) -> None:
    with pytest.raises(SecretRefused):
        typed_secret(text)


def test_a_short_passphrase_is_refused_for_a_new_slot_only() -> None:
    short = typed_secret("1234567")
    with pytest.raises(SecretRefused, match="guessed too quickly"):
        refuse_weak(short)
    refuse_weak(typed_secret("äöüäöüäö"))
    refuse_weak(new_recovery_key()[0])


@pytest.mark.parametrize(
    ("text", "so"),
    [
        ("ABCD-EFGH-JKMN-PQRS-TVWX-YZ01-2345-6789-ABC", True),
        ("abcd efgh jkmn pqrs tvwx yz01 2345 6789", True),
        ("correct horse battery staple", False),
        ("550e8400-e29b-41d4-a716-446655440000", False),
        ("", False),
    ],
)
def test_what_was_meant_for_a_recovery_key_is_recognized(text: str, so: bool) -> None:
    assert looks_like_a_recovery_key(text) is so


@given(st.binary(min_size=KEY_FILE_BYTES, max_size=KEY_FILE_BYTES), st.sampled_from(["", "\n", "\r\n\r\n"]))
def test_a_key_file_comes_back_also_when_its_line_breaks_were_changed(value: bytes, end: str) -> None:
    secret, content = new_key_file(value)
    assert secret == key_file_secret("k", content) == key_file_secret("k", content.replace(b"\n", b"\r\n"))
    assert secret == key_file_secret("k", content.rstrip() + end.encode())


@given(st.binary(max_size=200), st.integers(0, 97), st.integers(0, 7))
def test_a_key_file_that_is_none_or_damaged_is_refused_by_its_name(junk: bytes, place: int, bit: int) -> None:
    value, content = new_key_file()
    spoiled = bytearray(content)
    spoiled[place % len(spoiled)] ^= 1 << bit
    for wrong in (junk, content * 100, content[: min(place, len(content) - 2)]):
        with pytest.raises(SecretRefused, match=r"^/home/ada/key is no key file"):
            key_file_secret("/home/ada/key", wrong)
    refused = refusal(lambda: key_file_secret("k", bytes(spoiled)))
    # One kind of blank between the lines is as good as another.
    assert value.value.hex() not in refused if refused else key_file_secret("k", bytes(spoiled)) == value


def test_no_secret_is_shown() -> None:
    secret = typed_secret("correct horse battery staple")
    assert repr(secret) == "Secret(kind=<SecretKind.PASSPHRASE: 'passphrase'>)"
    assert "horse" not in str(secret)
