"""Verdicts: what was found out about packs, for every other writer and every sweep to see. `docs/format.md` §11.

    verdicts/<32 hex digits>   a sealed JSON object, never changed once it is there

A pack that any verdict names, be it with a pardon or without, is *distrusted*: readers use it when there is nothing
better, and no writer relies on it. How old a verdict is, the store's own clock says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storage.errors import Damaged, UnsupportedFormat
from storage.format.blob import PACK_ID_BYTES, PackId
from storage.format.compression import compress, decompress
from storage.format.sealing import MOST_ADDED_BYTES, Purpose, Seal

VERDICTS = "verdicts"
VERDICT_FORMAT = 1
MAX_PACKS = 100_000
"""More packs than one verdict may name: writers begin another one."""

_MAX_BYTES = 128 + MAX_PACKS * (2 * PACK_ID_BYTES + 8)
LARGEST_VERDICT = _MAX_BYTES + MOST_ADDED_BYTES
"""Bytes of one as it is stored."""

_NAME = re.compile(r"verdicts/[0-9a-f]{32}")
_PACK = re.compile(r"[0-9a-f]{32}")


class Finding(StrEnum):
    """What a verdict says of its packs."""

    CONDEMNED = "condemned"
    """Nothing needs it, or all that is needed lies elsewhere too: it may be removed once the grace is over."""
    PARDONED = "pardoned"
    """Condemned by an older verdict, and needed all the same: no sweep may remove it on that one's account."""
    REMOVED = "removed"
    """Just removed, or about to be: a listing that is late may show it still."""
    QUARANTINED = "quarantined"
    """It holds damage: what is needed of it must be stored anew. Never removed on this verdict's account."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one sweep or repair found of some packs."""

    name: str
    finding: Finding
    packs: frozenset[PackId]


def is_verdict_name(name: str) -> bool:
    """Whether a stored object's name is a verdict's."""
    return _NAME.fullmatch(name) is not None


def verdict_name(random_bytes: bytes) -> str:
    """The name of a verdict; `random_bytes` are 16."""
    return f"{VERDICTS}/{random_bytes.hex()}"


def write_verdict(seal: Seal, verdict: Verdict) -> bytes:
    """The bytes of a verdict."""
    if not 0 < len(verdict.packs) <= MAX_PACKS:
        raise ValueError(f"A verdict on {len(verdict.packs)} packs is none that a reader accepts")
    packs = sorted(pack.hex() for pack in verdict.packs)
    content = {"format": VERDICT_FORMAT, "finding": verdict.finding.value, "packs": packs}
    plain = json.dumps(content, separators=(",", ":")).encode()
    return seal.seal(Purpose.VERDICT, verdict.name.encode(), len(plain).to_bytes(4, "little") + compress(plain))


def read_verdict(seal: Seal, name: str, stored: bytes) -> Verdict:
    """The verdict stored as `name`, every field checked. Raises UnsupportedFormat for a newer version's: no damage."""
    packed = seal.unseal(Purpose.VERDICT, name.encode(), stored)
    length = int.from_bytes(packed[:4], "little")
    if len(packed) < 4 or length > _MAX_BYTES:
        raise _damaged(name)
    try:
        content = json.loads(decompress(packed[4:], length))
        if not isinstance(content, dict) or type(version := content.get("format")) is not int:
            raise ValueError("format")
        if version != VERDICT_FORMAT:
            raise UnsupportedFormat(
                f"{name} was written by another version of Recollect", "Update Recollect and try again"
            )
        packs = _packs_of(content)
        return Verdict(name, Finding(content["finding"]), packs)
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        raise _damaged(name) from fault


def parts_of(packs: Iterable[PackId]) -> list[frozenset[PackId]]:
    """The packs in as many parts as verdicts are needed for them."""
    ordered = sorted(packs)
    return [frozenset(ordered[start : start + MAX_PACKS]) for start in range(0, len(ordered), MAX_PACKS)]


def _packs_of(content: dict[str, Any]) -> frozenset[PackId]:
    if set(content) != {"format", "finding", "packs"}:
        raise ValueError("keys")
    packs = content["packs"]
    if not isinstance(packs, list) or not 0 < len(packs) <= MAX_PACKS:
        raise ValueError("packs")
    if not all(isinstance(pack, str) and _PACK.fullmatch(pack) for pack in packs):
        raise ValueError("packs")
    return frozenset(PackId(bytes.fromhex(pack)) for pack in packs)


def _damaged(name: str) -> Damaged:
    return Damaged(
        f"Damage in the repository: {name} is no verdict on packs",
        "Run `recollect repair`; until then no pack is removed",
    )
