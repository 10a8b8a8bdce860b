"""Blobs: the smallest stored pieces, and where they lie. `docs/format.md` §3."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import NewType

BlobId = NewType("BlobId", bytes)
"""BLAKE3 of a blob's plain bytes (32 bytes), keyed when the repository is encrypted."""

PackId = NewType("PackId", bytes)
"""16 random bytes that name a pack; never used for a second one."""

BLOB_ID_BYTES = 32
PACK_ID_BYTES = 16

PART_BYTES = 8 * 1024 * 1024
"""Files other than a collection are cut into parts of this many bytes, so that memory stays bounded."""

MAX_BLOB_BYTES = PART_BYTES
"""No blob is longer when plain; a reader refuses a longer one before it makes room for it."""


_PACK_NAME = re.compile(r"packs/([0-9a-f]{2})/(\1[0-9a-f]{30})\.pack")


class BlobKind(IntEnum):
    """What a blob is a piece of. It steers compression and packing; what a blob means is said by who names it."""

    PAGE = 1
    DATA = 2
    NODE = 3


@dataclass(frozen=True, slots=True)
class Location:
    """Where a blob lies: `stored` bytes at `offset` of a pack, `length` bytes once unsealed and decompressed."""

    kind: BlobKind
    pack: PackId
    offset: int
    stored: int
    length: int


def pack_name(pack: PackId) -> str:
    """The name of a pack in the store."""
    digits = pack.hex()
    return f"packs/{digits[:2]}/{digits}.pack"


def pack_of_name(name: str) -> PackId | None:
    """The pack that a stored object's name stands for, None when it is no pack's name."""
    found = _PACK_NAME.fullmatch(name)
    return PackId(bytes.fromhex(found[2])) if found else None
