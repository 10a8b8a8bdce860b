"""The keys of an encrypted repository: what every key slot wraps. `docs/format.md` §2.4."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from itertools import pairwise

KEY_BYTES = 32
MOST_GENERATIONS = 1000

_COUNT = struct.Struct("<H")
_GENERATION = struct.Struct(f"<H{KEY_BYTES}s")


@dataclass(frozen=True, slots=True)
class Keyring:
    """The id key, which never changes, and the keys of each generation, oldest first: number and key.

    Raises ValueError when that is no keyring.
    """

    id_key: bytes = field(repr=False)
    generations: tuple[tuple[int, bytes], ...] = field(repr=False)

    def __post_init__(self) -> None:
        numbers = [number for number, _ in self.generations]
        if (
            any(len(key) != KEY_BYTES for key in (self.id_key, *(key for _, key in self.generations)))
            or not 1 <= len(numbers) <= MOST_GENERATIONS
            or numbers[0] < 1
            or any(one >= other for one, other in pairwise(numbers))
        ):
            raise ValueError("A keyring makes no sense")

    @property
    def newest(self) -> int:
        """The number of the generation under which everything new is written."""
        return self.generations[-1][0]


def new_keyring() -> Keyring:
    """Fresh keys for a new repository."""
    return Keyring(os.urandom(KEY_BYTES), ((1, os.urandom(KEY_BYTES)),))


def with_new_generation(keyring: Keyring) -> Keyring:
    """The same keys and a fresh one, under which everything is written from now on."""
    return Keyring(keyring.id_key, (*keyring.generations, (keyring.newest + 1, os.urandom(KEY_BYTES))))


def encode_keyring(keyring: Keyring) -> bytes:
    """The plain bytes that a slot wraps."""
    rows = (_GENERATION.pack(number, key) for number, key in keyring.generations)
    return b"".join((keyring.id_key, _COUNT.pack(len(keyring.generations)), *rows))


def decode_keyring(plain: bytes) -> Keyring:
    """The keys in the plain bytes. Raises ValueError."""
    rows = plain[KEY_BYTES + _COUNT.size :]
    try:
        (count,) = _COUNT.unpack_from(plain, KEY_BYTES)
        if len(rows) != count * _GENERATION.size:
            raise ValueError("A keyring has another length than it says")
        return Keyring(plain[:KEY_BYTES], tuple(_GENERATION.iter_unpack(rows)))
    except struct.error as fault:
        raise ValueError("A keyring is cut short") from fault
