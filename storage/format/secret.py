"""What opens an encrypted repository, and how it is written down for people. `docs/format.md` §2.5."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum

from storage.errors import SecretRefused

LEAST_PASSPHRASE_LETTERS = 8
"""A shorter passphrase is refused when a slot is made for it; a longer one is no promise that it is a good one."""

RECOVERY_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32: none of its letters looks like another one or like a digit."""

RECOVERY_BYTES = 20
RECOVERY_GROUPS = 9
_GROUP = 4
_CHECK_BITS = 20
_RECOVERY_LETTERS = RECOVERY_GROUPS * _GROUP
_RECOVERY_CONTEXT = b"recollect 2026-11-22 recovery key"
_LOOK_ALIKES = str.maketrans("OIL", "011")
_BETWEEN_LETTERS = re.compile(r"[\s\-\N{EN DASH}\N{EM DASH}_.,]+")

KEY_FILE_BYTES = 32
KEY_FILE_HEAD = "RECOLLECT KEY FILE 1"
_KEY_FILE_CONTEXT = b"recollect 2026-11-22 key file"
_KEY_FILE = re.compile(rf"{KEY_FILE_HEAD}\s+([0-9a-f]{{{2 * KEY_FILE_BYTES}}})\s+([0-9a-f]{{8}})\s*")
_LONGEST_KEY_FILE = 4096
_LONGEST_PASSPHRASE = 4096


class SecretKind(StrEnum):
    """The kinds of secrets, and of the slots that they open."""

    PASSPHRASE = "passphrase"  # noqa: S105 -- a kind, not one of them
    KEY_FILE = "key-file"
    RECOVERY = "recovery"

    @property
    def words(self) -> str:
        """What a person calls it."""
        return _WORDS[self]


_WORDS = {
    SecretKind.PASSPHRASE: "passphrase",
    SecretKind.KEY_FILE: "key file",
    SecretKind.RECOVERY: "recovery key",
}


@dataclass(frozen=True, slots=True)
class Secret:
    """A passphrase, or what a key file or a recovery key stands for. Never shown."""

    kind: SecretKind
    value: bytes = field(repr=False)


def typed_secret(text: str) -> Secret:
    """The secret that a person typed or kept in a setting: a recovery key if it is one, else a passphrase.

    Raises SecretRefused for what can be neither.
    """
    if (recovery := _recovery_bytes(text)) is not None:
        return Secret(SecretKind.RECOVERY, recovery)
    if not text:
        raise SecretRefused("The passphrase is empty", "Give the one that the repository was made with")
    try:
        # The same letters come as other bytes from another keyboard or system: RFC 8265, section 4.2.
        encoded = unicodedata.normalize("NFC", text).encode()
    except UnicodeEncodeError:
        encoded = b""
    if not 0 < len(encoded) <= _LONGEST_PASSPHRASE:
        raise SecretRefused("That can't be a passphrase: it is too long, or is no text", "Give another one")
    return Secret(SecretKind.PASSPHRASE, encoded)


def refuse_weak(secret: Secret) -> None:
    """Raise SecretRefused for a passphrase that nobody should begin to use."""
    if secret.kind is SecretKind.PASSPHRASE and len(secret.value.decode()) < LEAST_PASSPHRASE_LETTERS:
        raise SecretRefused(
            f"A passphrase of fewer than {LEAST_PASSPHRASE_LETTERS} letters is guessed too quickly",
            "Take a longer one: a few words that have nothing to do with each other are a good one",
        )


def new_recovery_key(random_bytes: bytes | None = None) -> tuple[Secret, str]:
    """A fresh recovery key, and how to write it down."""
    value = os.urandom(RECOVERY_BYTES) if random_bytes is None else random_bytes
    number = int.from_bytes(value, "big") << _CHECK_BITS | _recovery_check(value)
    digits = [RECOVERY_ALPHABET[number >> 5 * place & 0x1F] for place in reversed(range(_RECOVERY_LETTERS))]
    groups = ("".join(digits[at : at + _GROUP]) for at in range(0, _RECOVERY_LETTERS, _GROUP))
    return Secret(SecretKind.RECOVERY, value), "-".join(groups)


def looks_like_a_recovery_key(text: str) -> bool:
    """Whether `text` was rather meant for a recovery key than for a passphrase."""
    groups = _BETWEEN_LETTERS.split(text[: 4 * _RECOVERY_LETTERS].strip())
    return len(groups) in range(RECOVERY_GROUPS - 1, RECOVERY_GROUPS + 2) and all(
        re.fullmatch(r"[0-9A-Za-z]{3,5}", group) for group in groups
    )


def _recovery_bytes(text: str) -> bytes | None:
    letters = _BETWEEN_LETTERS.sub("", text[: 4 * _RECOVERY_LETTERS]).upper().translate(_LOOK_ALIKES)
    if len(letters) != _RECOVERY_LETTERS or any(letter not in RECOVERY_ALPHABET for letter in letters):
        return None
    number = 0
    for letter in letters:
        number = number << 5 | RECOVERY_ALPHABET.index(letter)
    value = (number >> _CHECK_BITS).to_bytes(RECOVERY_BYTES, "big")
    return value if _recovery_check(value) == number & (1 << _CHECK_BITS) - 1 else None


def _recovery_check(value: bytes) -> int:
    """The first 20 bits of a hash: what tells a typo from a key that opens nothing."""
    return int.from_bytes(hashlib.sha256(_RECOVERY_CONTEXT + value).digest()[:3], "big") >> 24 - _CHECK_BITS


def new_key_file(random_bytes: bytes | None = None) -> tuple[Secret, bytes]:
    """A fresh key, and the content of the file that holds it."""
    value = os.urandom(KEY_FILE_BYTES) if random_bytes is None else random_bytes
    content = f"{KEY_FILE_HEAD}\n{value.hex()}\n{_key_file_check(value)}\n"
    return Secret(SecretKind.KEY_FILE, value), content.encode()


def key_file_secret(shown: str, content: bytes) -> Secret:
    """The key in a key file; `shown` names the file. Raises SecretRefused when it is none, or damaged."""
    found = _KEY_FILE.fullmatch(content.decode("ascii", "replace")) if len(content) <= _LONGEST_KEY_FILE else None
    if found is None:
        raise SecretRefused(
            f"{shown} is no key file of Recollect's", "Name the file that `recollect init` or `recollect key add` made"
        )
    value = bytes.fromhex(found[1])
    if found[2] != _key_file_check(value):
        raise SecretRefused(
            f"The key file {shown} is damaged", "Use a copy of it, or another secret, such as the recovery key"
        )
    return Secret(SecretKind.KEY_FILE, value)


def _key_file_check(value: bytes) -> str:
    return hashlib.sha256(_KEY_FILE_CONTEXT + value).hexdigest()[:8]
