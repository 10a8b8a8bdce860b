"""Anki's collation `unicase`: the order in which it keeps the names of tags, decks, note types and fields.

Anki compares names with the Rust crate `unicase` 2.6, that is by full Unicode case folding, code point by code point
(rslib/src/storage/sqlite.rs, `unicase_compare`). Python's `str.casefold` does the same but for two differences, both
found by asking Anki about every code point:

* ROTATED: the sixteen characters that fold to three come out with the third of them in front;
* UNFOLDED: capitals that Unicode gained after the crate's table was made stand for themselves.

Without the second, or with `str.casefold` alone, SQLite would report a sound collection as damaged.
"""

from __future__ import annotations

import sqlite3
from typing import Final

ROTATED: Final[str] = "\u0390\u03b0\u1f52\u1f54\u1f56\u1fb7\u1fc7\u1fd2\u1fd3\u1fd7\u1fe2\u1fe3\u1fe7\u1ff7\ufb03\ufb04"
"""The characters whose three-character fold Anki keeps as third, first, second."""

UNFOLDED: Final[tuple[tuple[int, int], ...]] = (
    (0x1C89, 0x1C89),  # Cyrillic, Unicode 16
    (0x2C2F, 0x2C2F),  # Glagolitic, Unicode 14
    (0xA7C0, 0xA7C0),  # Latin, Unicode 14
    (0xA7C7, 0xA7DC),  # Latin, Unicode 13 to 17
    (0xA7F5, 0xA7F5),  # Latin, Unicode 13
    (0x10570, 0x10595),  # Vithkuqi, Unicode 14
    (0x10D50, 0x10D65),  # Garay, Unicode 16
    (0x16EA0, 0x16EB8),  # Beria Erfe, Unicode 17
)
"""First and last code point of the ranges that Anki leaves as they are though Unicode folds letters there today."""


def _exceptions() -> dict[int, str]:
    table = {code: chr(code) for first, last in UNFOLDED for code in range(first, last + 1)}
    for character in ROTATED:
        in_order = character.casefold()
        table[ord(character)] = in_order[2:] + in_order[:2]
    return table


_EXCEPTIONS: Final = _exceptions()


def folded(text: str) -> str:
    """`text` as Anki's `unicase` sees it: two names are the same to Anki if and only if these are equal."""
    if text.isascii():
        return text.lower()
    return "".join(_EXCEPTIONS.get(ord(character)) or character.casefold() for character in text)


def unicase(a: str, b: str) -> int:
    """Negative, zero or positive as `a` stands before, with or after `b` in Anki's order."""
    left, right = folded(a), folded(b)
    return (left > right) - (left < right)


def register(connection: sqlite3.Connection) -> None:
    """Teach `connection` the collation, without which SQLite can neither check nor sort an Anki collection."""
    connection.create_collation("unicase", unicase)
