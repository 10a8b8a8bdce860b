"""Check records: when each pack was last read whole, and what was found. `docs/format.md`, "Check records".

    checks/<32 hex digits>   a sealed JSON object, never changed once it is there

They lie in the repository so that any computer goes on where another one stopped. Whoever adds one takes in what those
before it said, and removes them; of two that speak of the same pack the later reading counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from storage.format.blob import PACK_ID_BYTES, PackId
from storage.format.pack_list import pack_of
from storage.format.sealed_json import RecordKind
from storage.format.sealing import Purpose, Seal

CHECKS = "checks"
MAX_CHECKED = 100_000
"""More packs than one record may name: writers begin another one."""

CHECK_RECORD = RecordKind(
    purpose=Purpose.CHECK,
    version=1,
    keys=("packs",),
    max_bytes=128 + MAX_CHECKED * (2 * PACK_ID_BYTES + 32),
    complaint="is no record of what was read when",
    advice="Run `recollect repair`; until then what it speaks of counts as never read",
)
LARGEST_CHECK = CHECK_RECORD.largest
"""Bytes of one as it is stored."""

_LATEST = int(datetime(9000, 1, 1, tzinfo=UTC).timestamp())
_NAME = re.compile(r"checks/[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Checked:
    """One reading of a whole pack: when (UTC, to the second), and whether all in it was as it was stored."""

    at: datetime
    whole: bool


def is_check_name(name: str) -> bool:
    """Whether a stored object's name is a check record's."""
    return _NAME.fullmatch(name) is not None


def check_name(random_bytes: bytes) -> str:
    """The name of a check record; `random_bytes` are 16."""
    return f"{CHECKS}/{random_bytes.hex()}"


def write_check(seal: Seal, name: str, packs: Mapping[PackId, Checked]) -> bytes:
    """The bytes of a check record stored as `name`."""
    if not 0 < len(packs) <= MAX_CHECKED:
        raise ValueError(f"A record of {len(packs)} packs is none that a reader accepts")
    rows = {pack.hex(): [int(checked.at.timestamp()), checked.whole] for pack, checked in sorted(packs.items())}
    return CHECK_RECORD.write(seal, name, {"packs": rows})


def read_check(seal: Seal, name: str, stored: bytes) -> dict[PackId, Checked]:
    """What the check record stored as `name` says, every field checked."""
    return CHECK_RECORD.read(seal, name, stored, _packs_of)


def _packs_of(content: dict[str, Any]) -> dict[PackId, Checked]:
    packs = content["packs"]
    if not isinstance(packs, dict) or not 0 < len(packs) <= MAX_CHECKED:
        raise ValueError("packs")
    return {pack_of(name): _checked(*row) for name, row in packs.items()}


def _checked(at: Any, whole: Any) -> Checked:
    if type(at) is not int or not 0 <= at < _LATEST or not isinstance(whole, bool):
        raise ValueError("row")
    return Checked(datetime.fromtimestamp(at, UTC), whole)
