"""Damage to stored objects, as verifying finds it and repairing mends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from storage.errors import Damaged, ObjectMissing, SnapshotUnknown, UnsupportedFormat
from storage.format.blob import PackId

T = TypeVar("T")


class Kind(StrEnum):
    """What kind of object is damaged."""

    PACK = "pack"
    INDEX = "index"
    UNINDEXED = "unindexed"
    """A pack that is whole, and holds pieces that no index file tells of though one names the pack."""
    VERDICT = "verdict"
    CENSUS = "census"
    CHECK = "check"
    MANIFEST = "manifest"
    DELETIONS = "deletions"
    KEY_SLOT = "key-slot"
    AUDIT_ROW = "audit-row"


@dataclass(frozen=True, slots=True)
class Damage:
    """An object that is not what was stored: its name, and how that shows."""

    kind: Kind
    name: str
    how: str
    pack: PackId | None = None
    trouble: Damaged | None = field(default=None, compare=False)
    """What reading it raised."""

    def as_text(self) -> str:
        """The damage as a sentence without its full stop."""
        return f"{self.name}: {self.how}"


def read_or_why(read: Callable[[], T]) -> T | Damaged | UnsupportedFormat | None:
    """What `read` gives, or why it gives nothing; None when the object is not there any more.

    What seems damaged is read once more: a bit that flips on its way is no damage at rest.
    """
    try:
        try:
            return read()
        except Damaged:
            return read()
    except (Damaged, UnsupportedFormat) as trouble:
        return trouble
    except (ObjectMissing, SnapshotUnknown):
        return None


def counted(number: int, what: str) -> str:
    """A number with its noun."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def are(number: int) -> str:
    """The verb that goes with a number."""
    return "is" if number == 1 else "are"
