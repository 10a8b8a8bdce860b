"""Markdown that shows what it is given, and nothing else.

Names of profiles, decks and files are written by anyone, and a repository may be too. As Markdown they could be links,
and pictures that the reader's browser fetches from somewhere: the UI shows what Markdown and HTML ask for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_MOST_REMARKS = 50
_STEP = 2
"""Spaces: below `- ` that is an item of the item above (https://spec.commonmark.org/0.31.2/#list-items)."""
_EXACT_BELOW_S = 10


def plain(text: str) -> str:
    """`text` so that it is shown letter by letter, on one line.

    A backslash before every ASCII punctuation character takes its meaning away, be it Markdown's or HTML's, and that of
    addresses, which would become links by themselves (https://spec.commonmark.org/0.31.2/#backslash-escapes). What
    would turn the writing direction or can't be seen is shown as a code.
    """
    line = " ".join(text.split())
    seen = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
    return _PUNCTUATION.sub(r"\\\1", seen)


def heading(text: str, level: int = 1) -> str:
    """A heading that shows `text`."""
    return f"{'#' * level} {plain(text)}"


def outline(text: str) -> str:
    """A text whose lines stand two spaces further in for each step down, as paragraphs with lists below them."""
    lines, depth = [], 0
    for line in text.split("\n"):
        words = line.lstrip(" ")
        # There is no item below one that is not there.
        depth = min((len(line) - len(words)) // _STEP, depth + 1)
        lines.append(f"{' ' * _STEP * (depth - 1)}- {plain(words)}" if depth else f"\n{plain(words)}\n")
    return "\n".join(lines).strip() + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that shows the rows' texts; empty without any. Columns without a head are numbers, and aligned so."""
    lines = [f"| {' | '.join(map(plain, row))} |" for row in rows]
    if not lines:
        return ""
    rule = ["---" if name else "---:" for name in head]
    return "\n".join([f"| {' | '.join(map(plain, head))} |", f"| {' | '.join(rule)} |", *lines])


def bullets(texts: Sequence[str]) -> str:
    """A list that shows the texts, as far as a person reads them."""
    more = len(texts) - _MOST_REMARKS
    left_out = [f"… and {more} more, which the log names"] if more > 0 else []
    return "\n".join(f"- {plain(text)}" for text in [*texts[:_MOST_REMARKS], *left_out])


def count(number: int) -> str:
    """A whole number with its thousands apart."""
    return f"{number:,}".replace(",", " ")


def seconds(amount: float) -> str:
    """A duration with its unit."""
    return f"{amount:.1f} s" if amount >= _EXACT_BELOW_S else f"{amount:.2f} s"


def moment(time: datetime) -> str:
    """A moment by the clock on its own wall, to the minute."""
    return f"{time:%Y-%m-%d %H:%M}"
