from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import Damaged, UnsupportedFormat
from storage.format import key_slot
from storage.format.key_slot import (
    LEAST_COST,
    LONGEST_SLOT,
    MOST_COST,
    USUAL_COST,
    GuessingCost,
    KeySlot,
    read_slot,
    slot_name,
    slot_of_name,
    unwrap_keyring,
    wrap_keyring,
    write_slot,
)
from storage.format.keyring import Keyring, new_keyring
from storage.format.secret import Secret, SecretKind, new_key_file, new_recovery_key, typed_secret

REPOSITORY = "00112233445566778899aabbccddeeff"
KEYRING = new_keyring()
PASSPHRASE = typed_secret("correct horse battery staple")
RECOVERY = new_recovery_key()[0]
SECRETS = {secret.kind: secret for secret in (PASSPHRASE, RECOVERY, new_key_file()[0])}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def made(secret: Secret = RECOVERY, keyring: Keyring = KEYRING, label: str = "Ada's laptop") -> KeySlot:
    return wrap_keyring(
        secret,
        keyring,
        repository=REPOSITORY,
        label=label,
        created_at="2026-11-22T19:56:44+00:00",
        cost=LEAST_COST,
    )


SLOT = made()
STORED = write_slot(SLOT)
NAME = slot_name(SLOT.id)


def changed(**values: Any) -> bytes:
    """The slot with other values, and a checksum that goes with them: what a hostile store could make."""
    content = json.loads(STORED) | values
    try:
        slot = KeySlot(
            id=content["id"],
            repository=content["repository"],
            kind=SecretKind(content["kind"]),
            label=content["label"],
            created_at=content["created_at"],
            generation=content["generation"],
            salt=base64.b64decode(content["kdf"]["salt"]),
            cost=GuessingCost(*list(content["kdf"].values())[2:]) if len(content["kdf"]) > 2 else None,
            wrapped=base64.b64decode(content["keyring"]),
        )
        content["checksum"] = key_slot._checksum(slot)
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    return json.dumps(content | {name: values[name] for name in values if name == "checksum"}).encode()


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_the_secret_that_a_slot_was_made_for_opens_it_and_no_other(secret: Secret) -> None:
    slot = made(secret)
    again = read_slot(slot_name(slot.id), write_slot(slot))
    assert again == slot
    assert unwrap_keyring(again, secret) == KEYRING
    for other in (*SECRETS.values(), replace(secret, value=secret.value + b"x"), typed_secret("another one")):
        if other != secret:
            assert unwrap_keyring(again, other) is None


def test_two_slots_for_one_secret_have_nothing_in_common() -> None:
    one, other = made(), made()
    assert one.id != other.id
    assert one.salt != other.salt
    assert one.wrapped[:40] != other.wrapped[:40]


def test_a_slot_holds_no_key_in_the_clear() -> None:
    for secret in SECRETS.values():
        slot = made(secret)
        shown = (repr(slot) + slot.described).encode() + write_slot(slot) + slot.wrapped
        for key in (secret.value, KEYRING.id_key, KEYRING.generations[0][1]):
            assert not any(form in shown for form in (key, key.hex().encode(), base64.b64encode(key)))


@pytest.mark.parametrize(
    "values",
    [
        {"repository": "f" * 32},
        {"label": "Ben's laptop"},
        {"created_at": "2026-11-22T19:56:45+00:00"},
        {"generation": 2},
        {"kind": "key-file"},
        {"kdf": {"name": "hkdf-sha256", "salt": base64.b64encode(bytes(16)).decode()}},
    ],
)
def test_nothing_that_a_slot_says_can_be_changed_without_losing_its_keys(values: dict[str, Any]) -> None:
    slot = read_slot(NAME, changed(**values))
    assert slot != SLOT
    secret = SECRETS[slot.kind] if slot.kind is not SLOT.kind else RECOVERY
    assert unwrap_keyring(slot, secret) is None
    assert unwrap_keyring(slot, replace(RECOVERY, kind=slot.kind)) is None


def test_a_slot_under_another_ones_name_is_damage() -> None:
    with pytest.raises(Damaged, match="keys/0123456789abcdef"):
        read_slot("keys/0123456789abcdef", STORED)
    other = "0123456789abcdef"
    assert unwrap_keyring(read_slot(slot_name(other), changed(id=other)), RECOVERY) is None


@given(st.integers(0, len(STORED) - 1), st.integers(0, 7))
def test_one_flipped_bit_is_damage_and_not_a_wrong_passphrase(place: int, bit: int) -> None:
    spoiled = bytearray(STORED)
    spoiled[place] ^= 1 << bit
    try:
        slot = read_slot(NAME, bytes(spoiled))
    except (Damaged, UnsupportedFormat):
        return
    assert slot == SLOT  # a blank became another blank


@given(st.binary(max_size=300) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_whatever_lies_in_the_place_of_a_slot_is_damage(stored: bytes) -> None:
    with pytest.raises((Damaged, UnsupportedFormat), match=NAME):
        read_slot(NAME, stored)


@given(st.sampled_from(sorted(json.loads(STORED))), JSON_VALUES)
@settings(max_examples=300)
def test_a_value_of_another_kind_is_damage_or_opens_nothing(key: str, value: Any) -> None:
    try:
        slot = read_slot(NAME, changed(**{key: value}))
    except (Damaged, UnsupportedFormat):
        return
    assert slot == SLOT or unwrap_keyring(slot, replace(RECOVERY, kind=slot.kind)) is None


@pytest.mark.parametrize(
    "stored",
    [b"[" * 60_000, b'{"format":' + b"9" * 5000 + b"}", STORED + b" " * LONGEST_SLOT, "\ufeff{}".encode("utf-16")],
)
def test_traps_for_the_json_parser_are_damage(stored: bytes) -> None:
    with pytest.raises(Damaged):
        read_slot(NAME, stored)


@pytest.mark.parametrize("key", sorted(json.loads(STORED)))
def test_a_missing_or_an_unknown_key_is_damage(key: str) -> None:
    content = json.loads(STORED)
    del content[key]
    for wrong in (content, json.loads(STORED) | {key + "s": 1}):
        with pytest.raises(Damaged):
            read_slot(NAME, json.dumps(wrong).encode())


def test_a_newer_slot_is_told_as_one() -> None:
    with pytest.raises(UnsupportedFormat, match="newer version"):
        read_slot(NAME, changed(format=2))


@pytest.mark.parametrize(
    "cost",
    [
        replace(LEAST_COST, time=LEAST_COST.time - 1),
        replace(LEAST_COST, memory_kib=LEAST_COST.memory_kib - 1),
        replace(LEAST_COST, lanes=0),
        replace(MOST_COST, time=MOST_COST.time + 1),
        replace(MOST_COST, memory_kib=100 * 2**20),
        replace(MOST_COST, lanes=MOST_COST.lanes + 1),
    ],
)
def test_a_store_can_neither_make_guessing_cheap_nor_ask_for_the_moon(
    cost: GuessingCost, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = replace(made(PASSPHRASE), cost=cost)
    with pytest.raises(Damaged):
        read_slot(slot_name(slot.id), write_slot(slot))


def test_the_bounds_themselves_are_accepted_and_what_is_written_lies_between() -> None:
    for cost in (LEAST_COST, USUAL_COST, MOST_COST):
        slot = replace(made(PASSPHRASE), cost=cost)
        assert read_slot(slot_name(slot.id), write_slot(slot)).cost == cost


def test_a_passphrase_needs_no_less_and_another_secret_no_more() -> None:
    for kind, kdf in (
        ("passphrase", {"name": "hkdf-sha256"}),
        ("recovery", {"name": "argon2id", "time": 2, "memory_kib": 19456, "lanes": 1}),
    ):
        salt = {"salt": base64.b64encode(bytes(16)).decode()}
        with pytest.raises(Damaged):
            read_slot(NAME, changed(kind=kind, kdf={"name": kdf.pop("name"), **salt, **kdf}))


@pytest.mark.parametrize(
    ("name", "slot_id"),
    [
        (slot_name("0123456789abcdef"), "0123456789abcdef"),
        ("keys/0123456789ABCDEF", None),
        ("keys/0123456789abcde", None),
        ("keys/x/0123456789abcdef", None),
        ("index/0123456789abcdef", None),
    ],
)
def test_only_names_of_slots_are_taken_for_such(name: str, slot_id: str | None) -> None:
    assert slot_of_name(name) == slot_id
