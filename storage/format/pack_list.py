"""Lists of packs, as sealed records hold them: ids in hex, so many at most. `docs/format.md` §11."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from typing import Any

from storage.format.blob import PACK_ID_BYTES, PackId

MAX_PACKS = 100_000
"""More packs than one record may name: writers begin another one."""

MAX_LIST_BYTES = 128 + MAX_PACKS * (2 * PACK_ID_BYTES + 8)
"""Of the JSON text of a record that holds such a list and little else."""

_PACK = re.compile(rf"[0-9a-f]{{{2 * PACK_ID_BYTES}}}")


def parts_of(packs: Iterable[PackId]) -> list[frozenset[PackId]]:
    """The packs in as many parts as records are needed for them."""
    ordered = sorted(packs)
    return [frozenset(ordered[start : start + MAX_PACKS]) for start in range(0, len(ordered), MAX_PACKS)]


def hex_of(packs: Set[PackId]) -> list[str]:
    """The list of some packs, sorted. Raises ValueError for one that no reader would accept."""
    if not 0 < len(packs) <= MAX_PACKS:
        raise ValueError(f"A list of {len(packs)} packs is none that a reader accepts")
    return sorted(pack.hex() for pack in packs)


def packs_of(found: Any) -> frozenset[PackId]:
    """The packs that a list names. Raises ValueError for what is no such list."""
    if not isinstance(found, list) or not 0 < len(found) <= MAX_PACKS:
        raise ValueError("packs")
    return frozenset(map(pack_of, found))


def pack_of(found: Any) -> PackId:
    """The pack of an id in hex. Raises ValueError for what is none."""
    if not isinstance(found, str) or not _PACK.fullmatch(found):
        raise ValueError("pack")
    return PackId(bytes.fromhex(found))
