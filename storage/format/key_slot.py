"""Key slots: the keyring of a repository, wrapped under one secret each. `docs/format.md` §2.3.

A slot is JSON, so that people can see what there is. All of it is bound to what it wraps: a store can't move a slot to
another repository, relabel it, or make its passphrase cheaper to guess. The checksum hides nothing and proves nothing;
it tells a slot that was damaged from a passphrase that is wrong.
"""

from __future__ import annotations

import base64
import json
import os
import re
import struct
from dataclasses import dataclass, field, replace
from typing import Any, Final

from blake3 import blake3
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.errors import Damaged, SecretRefused, UnsupportedFormat
from storage.format.keyring import Keyring, decode_keyring, encode_keyring
from storage.format.secret import Secret, SecretKind

SLOT_FORMAT: Final = 1
LONGEST_SLOT: Final = 128 * 1024
"""Bytes of a slot's object; a thousand generations fit into it."""

LONGEST_LABEL: Final = 100
ARGON2: Final = "argon2id"
HKDF_SHA256: Final = "hkdf-sha256"
SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_WRAP_CONTEXT: Final = b"recollect 2026-11-22 key slot"
_NAME: Final = re.compile(r"keys/([0-9a-f]{16})")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
_LENGTH: Final = struct.Struct("<H")
_KEYS: Final = {
    "format",
    "id",
    "repository",
    "kind",
    "label",
    "created_at",
    "generation",
    "kdf",
    "keyring",
    "checksum",
}


@dataclass(frozen=True, slots=True)
class GuessingCost:
    """What each guess at a passphrase costs: the parameters of Argon2id (RFC 9106)."""

    time: int
    memory_kib: int
    lanes: int


USUAL_COST: Final = GuessingCost(time=3, memory_kib=64 * 1024, lanes=4)
"""RFC 9106, section 4, second recommended option."""

LEAST_COST: Final = GuessingCost(time=2, memory_kib=19 * 1024, lanes=1)
"""What readers accept at least: OWASP's minimum for Argon2id. A store must not make passphrases cheap to guess."""

MOST_COST: Final = GuessingCost(time=10, memory_kib=256 * 1024, lanes=8)
"""What readers accept at most: a store must not make them run for hours, or out of memory."""


@dataclass(frozen=True, slots=True)
class KeySlot:
    """A slot as it is stored. `cost` is for passphrases only; `generation` is the newest that the keyring holds."""

    id: str
    repository: str
    kind: SecretKind
    label: str
    created_at: str
    generation: int
    salt: bytes = field(repr=False)
    cost: GuessingCost | None
    wrapped: bytes = field(repr=False)

    @property
    def described(self) -> str:
        """How a person tells it from others."""
        return f"{self.id} ({self.kind.words}{f', {self.label}' if self.label else ''})"


def slot_name(slot_id: str) -> str:
    """The name of a slot in the store."""
    return f"keys/{slot_id}"


def slot_of_name(name: str) -> str | None:
    """The id of the slot that a stored object's name stands for, None when it is no slot's name."""
    found = _NAME.fullmatch(name)
    return found[1] if found else None


def wrap_keyring(
    secret: Secret, keyring: Keyring, *, repository: str, label: str, created_at: str, cost: GuessingCost = USUAL_COST
) -> KeySlot:
    """A new slot that `secret` opens. Every call makes another salt, nonce and id."""
    empty = KeySlot(
        id=os.urandom(8).hex(),
        repository=repository,
        kind=secret.kind,
        label=label,
        created_at=created_at,
        generation=keyring.newest,
        salt=os.urandom(SALT_BYTES),
        cost=cost if secret.kind is SecretKind.PASSPHRASE else None,
        wrapped=b"",
    )
    return wrapped_in(empty, secret, keyring, nonce=os.urandom(_NONCE_BYTES))


def wrapped_in(empty: KeySlot, secret: Secret, keyring: Keyring, *, nonce: bytes) -> KeySlot:
    """`empty` with the keyring in it. `nonce` must be new for every salt."""
    sealed = AESGCM(_slot_key(empty, secret)).encrypt(nonce, encode_keyring(keyring), _bound(empty))
    return replace(empty, wrapped=nonce + sealed)


def unwrap_keyring(slot: KeySlot, secret: Secret) -> Keyring | None:
    """The keys in a slot, None when `secret` does not open it."""
    if slot.kind is not secret.kind:
        return None
    nonce, sealed = slot.wrapped[:_NONCE_BYTES], slot.wrapped[_NONCE_BYTES:]
    try:
        keyring = decode_keyring(AESGCM(_slot_key(slot, secret)).decrypt(nonce, sealed, _bound(slot)))
    except (InvalidTag, ValueError):
        return None
    return keyring if keyring.newest == slot.generation else None


def write_slot(slot: KeySlot) -> bytes:
    """The bytes of a slot's object, readable for people."""
    content = {
        "format": SLOT_FORMAT,
        "id": slot.id,
        "repository": slot.repository,
        "kind": slot.kind.value,
        "label": slot.label,
        "created_at": slot.created_at,
        "generation": slot.generation,
        "kdf": _kdf_content(slot),
        "keyring": _base64(slot.wrapped),
        "checksum": _checksum(slot),
    }
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def read_slot(name: str, stored: bytes) -> KeySlot:
    """The slot stored under `name`. Raises UnsupportedFormat for a newer one, Damaged for anything else amiss."""
    try:
        if len(stored) > LONGEST_SLOT:
            raise ValueError("too long")
        content = json.loads(stored)
        if type(content["format"]) is int and content["format"] > SLOT_FORMAT:
            raise UnsupportedFormat(
                f"The key slot {name} was made by a newer version of Recollect", "Update Recollect and try again"
            )
        slot = _slot(content)
        whole = slot_name(slot.id) == name and content["checksum"] == _checksum(slot)
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise Damaged(
            f"Damage in the repository: the key slot {name} is not what was stored",
            "Use another secret, such as the recovery key, and make a new slot with `recollect key add`",
        )
    return slot


def _slot(content: dict[str, Any]) -> KeySlot:
    """The slot that parsed JSON tells of. Raises ValueError, KeyError or TypeError."""
    kind = SecretKind(content["kind"])
    generation, label, created_at = content["generation"], content["label"], content["created_at"]
    salt, cost = _kdf(content["kdf"], kind)
    if (
        set(content) != _KEYS
        or type(content["format"]) is not int
        or content["format"] != SLOT_FORMAT
        or not re.fullmatch(r"[0-9a-f]{16}", content["id"])
        or not re.fullmatch(r"[0-9a-f]{32}", content["repository"])
        or not isinstance(label, str)
        or len(label.encode()) > LONGEST_LABEL
        or not _TIME.fullmatch(created_at)
        or type(generation) is not int
        or not 1 <= generation <= 0xFFFF
    ):
        raise ValueError("A key slot makes no sense")
    return KeySlot(
        id=content["id"],
        repository=content["repository"],
        kind=kind,
        label=label,
        created_at=created_at,
        generation=generation,
        salt=salt,
        cost=cost,
        wrapped=base64.b64decode(content["keyring"], validate=True),
    )


def _kdf(content: dict[str, Any], kind: SecretKind) -> tuple[bytes, GuessingCost | None]:
    salt = base64.b64decode(content["salt"], validate=True)
    if len(salt) != SALT_BYTES:
        raise ValueError("A salt has another length")
    if kind is not SecretKind.PASSPHRASE:
        if content.keys() != {"name", "salt"} or content["name"] != HKDF_SHA256:
            raise ValueError("A key slot is of another kind than it says")
        return salt, None
    cost = GuessingCost(content["time"], content["memory_kib"], content["lanes"])
    bounded = all(
        type(value) is int and least <= value <= most
        for value, least, most in (
            (cost.time, LEAST_COST.time, MOST_COST.time),
            (cost.memory_kib, LEAST_COST.memory_kib, MOST_COST.memory_kib),
            (cost.lanes, LEAST_COST.lanes, MOST_COST.lanes),
        )
    )
    if content.keys() != {"name", "salt", "time", "memory_kib", "lanes"} or content["name"] != ARGON2 or not bounded:
        raise ValueError("A passphrase would be too cheap to guess, or too dear to try")
    return salt, cost


def _kdf_content(slot: KeySlot) -> dict[str, object]:
    if slot.cost is None:
        return {"name": HKDF_SHA256, "salt": _base64(slot.salt)}
    return {
        "name": ARGON2,
        "salt": _base64(slot.salt),
        "time": slot.cost.time,
        "memory_kib": slot.cost.memory_kib,
        "lanes": slot.cost.lanes,
    }


def _slot_key(slot: KeySlot, secret: Secret) -> bytes:
    """The key that wraps the keyring. A salt is never used twice, so neither is this key."""
    if slot.cost is None:
        info = _WRAP_CONTEXT + b" " + slot.kind.encode()
        return HKDF(SHA256(), _KEY_BYTES, salt=slot.salt, info=info).derive(secret.value)
    cost = slot.cost
    try:
        return Argon2id(
            salt=slot.salt, length=_KEY_BYTES, iterations=cost.time, lanes=cost.lanes, memory_cost=cost.memory_kib
        ).derive(secret.value)
    except (UnsupportedAlgorithm, MemoryError) as fault:
        raise SecretRefused(
            f"This computer can't try a passphrase ({type(fault).__name__}): Argon2id with {cost.memory_kib // 1024} "
            "MiB of memory is needed",
            "Free some memory, or install the package `cryptography` with its own OpenSSL",
        ) from fault


def _bound(slot: KeySlot) -> bytes:
    """Everything that a slot says, each with its length: the associated data of what it wraps."""
    kdf = _kdf_content(slot)
    told = (
        SLOT_FORMAT,
        slot.id,
        slot.repository,
        slot.kind.value,
        slot.label,
        slot.created_at,
        slot.generation,
        *kdf.values(),
    )
    parts = [str(value).encode() for value in told]
    return _WRAP_CONTEXT + b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def _checksum(slot: KeySlot) -> str:
    return blake3(_bound(slot) + slot.wrapped).hexdigest(8)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
