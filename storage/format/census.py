"""A census: which snapshots a sweep saw, so that the next one notices when some are gone. `docs/format.md` §12.

    census/<YYYYMMDDTHHMMSSZ>-<8 hex digits>   a sealed JSON object; the newest one counts

A listing that fails halfway, or a folder that somebody removed by hand, must never be taken for "no longer needed".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from storage.errors import Damaged, UnsupportedFormat
from storage.format.compression import compress, decompress
from storage.format.sealing import MOST_ADDED_BYTES, Purpose, Seal

CENSUS = "census"
CENSUS_FORMAT = 1
_MAX_BYTES = 64 * 1024 * 1024
LARGEST_CENSUS = _MAX_BYTES + MOST_ADDED_BYTES
"""Bytes of one as it is stored."""

_NAME = re.compile(r"census/[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Census:
    """The snapshots that have to be there, in place or in the trash, as `<profile key>/<snapshot id>`."""

    name: str
    snapshots: frozenset[str]


def is_census_name(name: str) -> bool:
    """Whether a stored object's name is a census's."""
    return _NAME.fullmatch(name) is not None


def census_name(taken_at: datetime, random_bytes: bytes) -> str:
    """The name of a census taken at `taken_at` by the store's clock; names sort by time. `random_bytes` are 4."""
    return f"{CENSUS}/{taken_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{random_bytes.hex()}"


def write_census(seal: Seal, census: Census) -> bytes:
    """The bytes of a census."""
    content = {"format": CENSUS_FORMAT, "snapshots": sorted(census.snapshots)}
    plain = json.dumps(content, separators=(",", ":")).encode()
    return seal.seal(Purpose.CENSUS, census.name.encode(), len(plain).to_bytes(4, "little") + compress(plain))


def read_census(seal: Seal, name: str, stored: bytes) -> Census:
    """The census stored as `name`, every field checked. Raises UnsupportedFormat for a newer version's: no damage."""
    packed = seal.unseal(Purpose.CENSUS, name.encode(), stored)
    length = int.from_bytes(packed[:4], "little")
    if len(packed) < 4 or length > _MAX_BYTES:
        raise _damaged(name)
    try:
        content = json.loads(decompress(packed[4:], length))
        if not isinstance(content, dict) or type(version := content.get("format")) is not int:
            raise ValueError("format")
        if version != CENSUS_FORMAT:
            raise UnsupportedFormat(
                f"{name} was written by another version of Recollect", "Update Recollect and try again"
            )
        return Census(name, _snapshots_of(content))
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        raise _damaged(name) from fault


def _snapshots_of(content: dict[str, Any]) -> frozenset[str]:
    if set(content) != {"format", "snapshots"}:
        raise ValueError("keys")
    snapshots = content["snapshots"]
    if not isinstance(snapshots, list) or not all(isinstance(name, str) for name in snapshots):
        raise ValueError("snapshots")
    return frozenset(snapshots)


def _damaged(name: str) -> Damaged:
    return Damaged(
        f"Damage in the repository: {name} is no census", "Run `recollect repair`; until then nothing is removed"
    )
