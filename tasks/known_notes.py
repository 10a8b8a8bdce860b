"""The ids of the notes of one snapshot, as this computer remembers them: so that a backup sees by itself what is gone.

They are kept as text, which is what the memory of a profile takes. Losing them costs that a snapshot is fetched, as far
as it differs; they are never believed about what a note was.
"""

from __future__ import annotations

import base64
import zlib
from array import array
from dataclasses import dataclass

from storage.file_memory import FileMemory
from storage.format.manifest import SnapshotId, is_snapshot_id

_KEY = "notes of the last snapshot"
_BYTES_OF_AN_ID = 8


@dataclass(frozen=True, slots=True)
class KnownNotes:
    """Which notes a snapshot holds, by id in ascending order."""

    snapshot: SnapshotId
    ids: array[int]


def remembered(notes: KnownNotes) -> dict[str, str]:
    """What a profile's memory is to keep: about five letters a note, and a checksum."""
    packed = zlib.compress(notes.ids.tobytes(), 1)
    return {_KEY: f"{notes.snapshot} {base64.b64encode(packed).decode()}"}


def known_in(memory: FileMemory) -> KnownNotes | None:
    """The notes that a profile's memory holds; None for nothing, and for what can't be that."""
    snapshot, _, packed = (memory.note(_KEY) or "").partition(" ")
    try:
        content = zlib.decompress(base64.b64decode(packed, validate=True))
    except (ValueError, zlib.error):
        return None
    if not is_snapshot_id(snapshot) or len(content) % _BYTES_OF_AN_ID:
        return None
    return KnownNotes(SnapshotId(snapshot), array("q", content))
