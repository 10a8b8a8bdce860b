"""A census: which snapshots a sweep saw, so that the next one notices when some are gone. `docs/format.md` §12.

    census/<YYYYMMDDTHHMMSSZ>-<8 hex digits>   a sealed JSON object; the newest one counts

A listing that fails halfway, or a folder that somebody removed by hand, must never be taken for "no longer needed".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from storage.format.sealed_json import RecordKind
from storage.format.sealing import Purpose, Seal

CENSUS = "census"
CENSUS_RECORD = RecordKind(
    purpose=Purpose.CENSUS,
    version=1,
    keys=("snapshots",),
    max_bytes=64 * 1024 * 1024,
    complaint="is no census",
    advice="Run `recollect repair`; until then nothing is removed",
)
LARGEST_CENSUS = CENSUS_RECORD.largest
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
    return CENSUS_RECORD.write(seal, census.name, {"snapshots": sorted(census.snapshots)})


def read_census(seal: Seal, name: str, stored: bytes) -> Census:
    """The census stored as `name`, every field checked. Raises UnsupportedFormat for a newer version's: no damage."""
    return Census(name, CENSUS_RECORD.read(seal, name, stored, _snapshots_of))


def _snapshots_of(content: dict[str, Any]) -> frozenset[str]:
    snapshots = content["snapshots"]
    if not isinstance(snapshots, list) or not all(isinstance(name, str) for name in snapshots):
        raise ValueError("snapshots")
    return frozenset(snapshots)
