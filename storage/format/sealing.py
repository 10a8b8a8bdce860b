"""The one door that every stored byte goes through, on its way in and out. `docs/format.md` §2.

A seal binds bytes to the repository, to what they are for, and to the name under which they are stored: an index can't
pose as a manifest, nor one snapshot as another. The only seal so far, `OpenSeal`, hides nothing and finds every
accidental change; a seal that encrypts takes its place without anything else changing. The audit table alone is stored
unsealed, so that any Parquet tool can read it.
"""

from __future__ import annotations

import hmac
from enum import StrEnum
from typing import Protocol

from blake3 import blake3

from storage.errors import Damaged
from storage.format.blob import BlobId

TAG_BYTES = 16
SCHEME_OPEN = 0
_TAG_CONTEXT = "recollect 2026-11-22 open seal"


class Purpose(StrEnum):
    """What sealed bytes are for."""

    BLOB = "blob"
    PACK_TABLE = "pack table"
    INDEX = "index"
    MANIFEST = "manifest"
    DELETIONS = "deletions"


class Seal(Protocol):
    """How a repository protects its bytes."""

    def blob_id(self, plain: bytes) -> BlobId:
        """The id that these plain bytes are stored under."""

    def seal(self, purpose: Purpose, name: bytes, plain: bytes) -> bytes:
        """The bytes to store for `plain`."""

    def unseal(self, purpose: Purpose, name: bytes, sealed: bytes) -> bytes:
        """The bytes that were sealed; `Damaged` unless they are exactly those, for this purpose and name."""


class OpenSeal:
    """No secrecy: a scheme byte, the bytes as they are, and a 16-byte BLAKE3 tag over all that they are bound to."""

    def __init__(self, repository_id: bytes) -> None:
        self._key = blake3(repository_id, derive_key_context=_TAG_CONTEXT).digest()

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
        hasher = blake3(key=self._key)
        for part in (purpose.encode(), name):
            hasher.update(len(part).to_bytes(2, "little"))
            hasher.update(part)
        hasher.update(plain)
        return hasher.digest(TAG_BYTES)


def _damaged(purpose: Purpose, name: bytes, how: str) -> Damaged:
    shown = name.decode() if purpose in (Purpose.MANIFEST, Purpose.INDEX, Purpose.DELETIONS) else name.hex()
    return Damaged(
        f"Damage in the repository: the {purpose} {shown} {how}",
        "Other snapshots may be whole: list them with `recollect snapshots` and restore one of those",
    )
