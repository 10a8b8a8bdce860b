"""The one door that every stored byte goes through, on its way in and out. `docs/format.md` §2.

A seal binds bytes to the repository, to what they are for, and to the name under which they are stored: an index can't
pose as a manifest, nor one snapshot as another. `OpenSeal` hides nothing and finds every accidental change; `AesSeal`
encrypts, and finds every change. The audit table alone is stored unsealed, so that any Parquet tool can read it.
"""

from __future__ import annotations

import hmac
import os
import struct
from enum import StrEnum
from typing import Protocol

from blake3 import blake3

from storage.errors import Damaged, WrittenUnderNewerKey
from storage.format.blob import BlobId
from storage.format.configuration import FORMAT
from storage.format.keyring import Keyring

TAG_BYTES = 16
NONCE_BYTES = 12
SCHEME_OPEN = 0
SCHEME_AES = 1
_TAG_CONTEXT = "recollect 2026-11-22 open seal"
_OBJECT_KEYS_LABEL = "recollect 2026-11-22 object keys"

_HEADER = struct.Struct("<BH")
HEADER_BYTES = _HEADER.size
"""From so many of its first bytes `Seal.generation_of` knows the key of a sealed object."""

MOST_ADDED_BYTES = 1024
"""Sealing, compression and what stands in front of compressed bytes never add more than this to plain ones."""

_LENGTH = struct.Struct("<H")
_LEAST_AES_BYTES = _HEADER.size + NONCE_BYTES + TAG_BYTES


class Purpose(StrEnum):
    """What sealed bytes are for."""

    BLOB = "blob"
    PACK_TABLE = "pack table"
    INDEX = "index"
    MANIFEST = "manifest"
    DELETIONS = "deletions"
    VERDICT = "verdict"
    CENSUS = "census"
    CHECK = "check"
    UNDERWAY = "underway"


class Seal(Protocol):
    """How a repository protects its bytes. Safe to use from several threads at once."""

    @property
    def pads(self) -> bool:
        """Whether lengths are to be hidden: packs are padded then."""

    @property
    def generation(self) -> int:
        """The number of the newest key that is known, under which everything is written; 0 without a key."""

    def generation_of(self, sealed: bytes, /) -> int:
        """The number of the key under which these bytes, of which the first will do, say that they were sealed.

        Only unsealing them proves it. 0 without a key.
        """

    def blob_id(self, plain: bytes) -> BlobId:
        """The id that these plain bytes are stored under."""

    def seal(self, purpose: Purpose, name: bytes, plain: bytes) -> bytes:
        """The bytes to store for `plain`."""

    def unseal(self, purpose: Purpose, name: bytes, sealed: bytes) -> bytes:
        """The bytes that were sealed; `Damaged` unless they are exactly those, for this purpose and name."""


class OpenSeal:
    """No secrecy: a scheme byte, the bytes as they are, and a 16-byte BLAKE3 tag over all that they are bound to."""

    pads = False
    generation = 0

    def __init__(self, repository_id: bytes) -> None:
        self._key = blake3(repository_id, derive_key_context=_TAG_CONTEXT).digest()

    def generation_of(self, _sealed: bytes, /) -> int:
        return 0

    def blob_id(self, plain: bytes) -> BlobId:
        return BlobId(blake3(plain).digest())

    def seal(self, purpose: Purpose, name: bytes, plain: bytes) -> bytes:
        return b"".join((bytes((SCHEME_OPEN,)), plain, self._tag(purpose, name, plain)))

    def unseal(self, purpose: Purpose, name: bytes, sealed: bytes) -> bytes:
        if len(sealed) < 1 + TAG_BYTES:
            raise _damaged(purpose, name, "is cut short")
        if sealed[0] != SCHEME_OPEN:
            raise _damaged(purpose, name, "is sealed in a way that this repository does not use")
        plain, tag = sealed[1:-TAG_BYTES], sealed[-TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(purpose, name, plain)):
            raise _damaged(purpose, name, "does not match its seal")
        return plain

    def _tag(self, purpose: Purpose, name: bytes, plain: bytes) -> bytes:
        hasher = blake3(_bound_to(purpose, name), key=self._key)
        hasher.update(plain)
        return hasher.digest(TAG_BYTES)


class AesSeal:
    """AES-256-GCM under a key for each object: scheme, generation of the key, nonce, ciphertext and tag.

    A key of its own for each object keeps every one of them far from the 2^32 messages that random nonces allow
    (NIST SP 800-38D, section 8.3), however large the repository grows.
    """

    pads = True

    def __init__(self, repository_id: bytes, keyring: Keyring) -> None:
        self._id_key = keyring.id_key
        self.generation = keyring.newest
        # Whoever encrypts nothing does not wait for it to be loaded.
        from storage.format import aes  # noqa: PLC0415

        self._aes = aes
        # The keys from which those of all objects of a generation are made. Nothing else is made of either.
        self._keys = {
            number: aes.derived(key, salt=repository_id, info=_OBJECT_KEYS_LABEL.encode())
            for number, key in keyring.generations
        }
        self._place = repository_id + _LENGTH.pack(FORMAT)

    def __repr__(self) -> str:
        return f"AesSeal(newest generation {self.generation})"

    def generation_of(self, sealed: bytes, /) -> int:
        return int.from_bytes(sealed[1:HEADER_BYTES], "little")

    def blob_id(self, plain: bytes) -> BlobId:
        return BlobId(blake3(plain, key=self._id_key).digest())

    def seal(self, purpose: Purpose, name: bytes, plain: bytes) -> bytes:
        nonce, bound = os.urandom(NONCE_BYTES), _bound_to(purpose, name)
        header = _HEADER.pack(SCHEME_AES, self.generation)
        key = hmac.digest(self._keys[self.generation], bound, "sha256")
        return b"".join((header, nonce, self._aes.encrypt(key, nonce, plain, self._place + header + bound)))

    def unseal(self, purpose: Purpose, name: bytes, sealed: bytes) -> bytes:
        if len(sealed) < _LEAST_AES_BYTES:
            raise _damaged(purpose, name, "is cut short")
        header = sealed[: _HEADER.size]
        scheme, generation = _HEADER.unpack(header)
        if scheme != SCHEME_AES:
            raise _damaged(purpose, name, "is sealed in a way that this repository does not use")
        key = self._keys.get(generation)
        if key is None:
            raise WrittenUnderNewerKey(
                f"The {_described(purpose, name)} was written under a key that this one does not know "
                f"(generation {generation})",
                "The keys were rotated: open the repository again, with a secret that still counts; if it stays so, "
                "it is damage",
            )
        nonce, body = sealed[_HEADER.size :][:NONCE_BYTES], memoryview(sealed)[_HEADER.size + NONCE_BYTES :]
        bound = _bound_to(purpose, name)
        try:
            key = hmac.digest(key, bound, "sha256")
            return self._aes.decrypt(key, nonce, body, self._place + header + bound)
        except self._aes.TagWrong:
            raise _damaged(purpose, name, "does not match its seal") from None


def _bound_to(purpose: Purpose, name: bytes) -> bytes:
    """What an object is for and its name, each with its length, so that neither can run into what follows."""
    told = purpose.encode()
    return b"".join((_LENGTH.pack(len(told)), told, _LENGTH.pack(len(name)), name))


def _described(purpose: Purpose, name: bytes) -> str:
    return f"{purpose} {name.decode() if purpose in _NAMED_IN_TEXT else name.hex()}"


_NAMED_IN_TEXT = frozenset(set(Purpose) - {Purpose.BLOB, Purpose.PACK_TABLE})


def _damaged(purpose: Purpose, name: bytes, how: str) -> Damaged:
    return Damaged(
        f"Damage in the repository: the {_described(purpose, name)} {how}",
        "Other snapshots may be whole: list them with `recollect snapshots` and restore one of those",
    )
