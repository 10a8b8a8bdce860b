"""How large a profile the benchmark makes, and how long its history gets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """A profile in figures; `media_bytes` is the mean length of a media file in bytes.

    It is restored after so many `increments`, and pruned when it has so many `snapshots`, down to `kept`.
    """

    name: str
    notes: int
    reviews: int
    media: int
    media_bytes: int = 80_000
    increments: int = 60
    snapshots: int = 200
    kept: int = 20


SIZES = {
    size.name: size
    for size in (
        Size("tiny", 60, 600, 24, 6_000, increments=1, snapshots=3, kept=2),
        Size("small", 2_000, 50_000, 500, increments=10, snapshots=30, kept=10),
        Size("medium", 20_000, 500_000, 10_000),
        Size("large", 100_000, 5_000_000, 50_000),
    )
}
"""By name. `tiny` is for the tests: it measures nothing but the start of programs."""
