"""The word for what became of one thing."""

from __future__ import annotations

from enum import StrEnum


class Change(StrEnum):
    """What became of something between two states: it came, is not what it was, or went."""

    ADDED = "added"
    CHANGED = "changed"
    DELETED = "deleted"
