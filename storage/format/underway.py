"""Uploads under way: packs that a writer has sent or relies on, before any snapshot names them. `docs/format.md` §14.

    underway/<32 hex digits>   a sealed JSON object, never changed once it is there

They save a long upload from being sent again, and nothing more: no snapshot's safety rests on them. So what can't be
read is passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from storage.errors import Damaged, UnsupportedFormat
from storage.format.blob import PACK_ID_BYTES, PackId
from storage.format.compression import compress, decompress
from storage.format.sealing import MOST_ADDED_BYTES, Purpose, Seal

UNDERWAY = "underway"
UNDERWAY_FORMAT = 1
MAX_PACKS = 100_000
"""More packs than one object may name: writers store another one."""

_MAX_BYTES = 128 + MAX_PACKS * (2 * PACK_ID_BYTES + 8)
LARGEST_UNDERWAY = _MAX_BYTES + MOST_ADDED_BYTES
"""Bytes of one as it is stored."""

_NAME = re.compile(r"underway/[0-9a-f]{32}")
_PACK = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Underway:
    """The packs that an upload counts on."""

    name: str
    packs: frozenset[PackId]


def is_underway_name(name: str) -> bool:
    """Whether a stored object's name is that of an upload under way."""
    return _NAME.fullmatch(name) is not None


def underway_name(random_bytes: bytes) -> str:
    """The name of such an object; `random_bytes` are 16."""
    return f"{UNDERWAY}/{random_bytes.hex()}"


def write_underway(seal: Seal, underway: Underway) -> bytes:
    """The bytes of such an object."""
    if not 0 < len(underway.packs) <= MAX_PACKS:
        raise ValueError(f"An upload of {len(underway.packs)} packs is none that a reader accepts")
    content = {"format": UNDERWAY_FORMAT, "packs": sorted(pack.hex() for pack in underway.packs)}
    plain = json.dumps(content, separators=(",", ":")).encode()
    return seal.seal(Purpose.UNDERWAY, underway.name.encode(), len(plain).to_bytes(4, "little") + compress(plain))


def read_underway(seal: Seal, name: str, stored: bytes) -> Underway:
    """What is stored as `name`, every field checked. Raises UnsupportedFormat for a newer version's: no damage."""
    packed = seal.unseal(Purpose.UNDERWAY, name.encode(), stored)
    length = int.from_bytes(packed[:4], "little")
    if len(packed) < 4 or length > _MAX_BYTES:
        raise _damaged(name)
    try:
        content = json.loads(decompress(packed[4:], length))
        if not isinstance(content, dict) or type(version := content.get("format")) is not int:
            raise ValueError("format")
        if version != UNDERWAY_FORMAT:
            raise UnsupportedFormat(
                f"{name} was written by another version of Recollect", "Update Recollect and try again"
            )
        return Underway(name, _packs_of(content))
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        raise _damaged(name) from fault


def parts_of(packs: Set[PackId]) -> list[frozenset[PackId]]:
    """The packs in as many parts as objects are needed for them."""
    ordered = sorted(packs)
    return [frozenset(ordered[start : start + MAX_PACKS]) for start in range(0, len(ordered), MAX_PACKS)]


def _packs_of(content: dict[str, Any]) -> frozenset[PackId]:
    if set(content) != {"format", "packs"}:
        raise ValueError("keys")
    packs = content["packs"]
    if not isinstance(packs, list) or not 0 < len(packs) <= MAX_PACKS:
        raise ValueError("packs")
    if not all(isinstance(pack, str) and _PACK.fullmatch(pack) for pack in packs):
        raise ValueError("packs")
    return frozenset(PackId(bytes.fromhex(pack)) for pack in packs)


def _damaged(name: str) -> Damaged:
    return Damaged(
        f"Damage in the repository: {name} tells of no upload under way", "Nothing need be done: sweeps remove it"
    )
