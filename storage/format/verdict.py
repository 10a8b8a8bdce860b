"""Verdicts: what was found out about packs, for every other writer and every sweep to see. `docs/format.md` §11.

    verdicts/<32 hex digits>   a sealed JSON object, never changed once it is there

A pack that any verdict names, be it with a pardon or without, is *distrusted*: readers use it when there is nothing
better, and no writer relies on it. How old a verdict is, the store's own clock says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storage.format.blob import PackId
from storage.format.pack_list import MAX_LIST_BYTES, hex_of, packs_of
from storage.format.sealed_json import RecordKind
from storage.format.sealing import Purpose, Seal

VERDICTS = "verdicts"
VERDICT_RECORD = RecordKind(
    purpose=Purpose.VERDICT,
    version=1,
    keys=("finding", "packs"),
    max_bytes=MAX_LIST_BYTES,
    complaint="is no verdict on packs",
    advice="Run `recollect repair`; until then no pack is removed",
)
LARGEST_VERDICT = VERDICT_RECORD.largest
"""Bytes of one as it is stored."""

_NAME = re.compile(r"verdicts/[0-9a-f]{32}")


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
    content = {"finding": verdict.finding.value, "packs": hex_of(verdict.packs)}
    return VERDICT_RECORD.write(seal, verdict.name, content)


def read_verdict(seal: Seal, name: str, stored: bytes) -> Verdict:
    """The verdict stored as `name`, every field checked. Raises UnsupportedFormat for a newer version's: no damage."""

    def parse(content: dict[str, Any]) -> Verdict:
        return Verdict(name, Finding(content["finding"]), packs_of(content["packs"]))

    return VERDICT_RECORD.read(seal, name, stored, parse)
