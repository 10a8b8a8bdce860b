"""Uploads under way: packs that a writer has sent or relies on, before any snapshot names them. `docs/format.md` §14.

    underway/<32 hex digits>   a sealed JSON object, never changed once it is there

They save a long upload from being sent again, and nothing more: no snapshot's safety rests on them. So what can't be
read is passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from storage.format.blob import PackId
from storage.format.pack_list import MAX_LIST_BYTES, hex_of, packs_of
from storage.format.sealed_json import RecordKind
from storage.format.sealing import Purpose, Seal

UNDERWAY = "underway"
UNDERWAY_RECORD = RecordKind(
    purpose=Purpose.UNDERWAY,
    version=1,
    keys=("packs",),
    max_bytes=MAX_LIST_BYTES,
    complaint="tells of no upload under way",
    advice="Nothing need be done: sweeps remove it",
)
LARGEST_UNDERWAY = UNDERWAY_RECORD.largest
"""Bytes of one as it is stored."""

_NAME = re.compile(r"underway/[0-9a-f]{32}")


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
    return UNDERWAY_RECORD.write(seal, underway.name, {"packs": hex_of(underway.packs)})


def read_underway(seal: Seal, name: str, stored: bytes) -> Underway:
    """What is stored as `name`, every field checked. Raises UnsupportedFormat for a newer version's: no damage."""
    packs = UNDERWAY_RECORD.read(seal, name, stored, lambda content: packs_of(content["packs"]))
    return Underway(name, packs)
