"""How much of a long list a person is told."""

from __future__ import annotations

from collections.abc import Sequence

_TOLD = 20


def first(sentences: Sequence[str]) -> list[str]:
    """As many sentences as a person reads, and how many more there are; whoever lists them puts all into the log."""
    more = len(sentences) - _TOLD
    return [*sentences[:_TOLD], *([f"... and {more} more, which the log names"] if more > 0 else [])]
