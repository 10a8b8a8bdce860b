"""Cutting a stream into parts of one size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def in_parts(pieces: Iterable[bytes], part_bytes: int) -> Iterator[bytes]:
    """What `pieces` hold, in parts of exactly `part_bytes` but for the last one; none when there is nothing.

    No part is given before the piece after it has come, or the end: what goes wrong at the very end, where checksums
    are found to be wrong, goes wrong before the last part is out of hand.
    """
    held: list[bytes] = []
    length = 0
    for piece in pieces:
        rest = piece
        while length + len(rest) > part_bytes:
            cut = part_bytes - length
            held.append(rest[:cut])
            yield b"".join(held)
            rest, held, length = rest[cut:], [], 0
        held.append(rest)
        length += len(rest)
    if length:
        yield b"".join(held)
