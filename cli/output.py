"""What a person or a program reads. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from io import TextIOWrapper
from typing import Any

from rich.console import Console
from rich.text import Text

_WIDE = 200
"""Columns when nobody watches: what goes to a file or a pipe must not be cut to a screen's width."""

_OUTCOME_STYLES: Mapping[str, str] = {
    "completed": "green",
    "unchanged": "cyan",
    "skipped": "yellow",
    "suspect": "bold yellow",
    "failed": "bold red",
}


def never_fail_on_odd_letters() -> None:
    """Let letters that the terminal's encoding lacks come out as escapes, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def console(width: int | None = None) -> Console:
    """Where results go; `width` is for when nobody watches."""
    return Console(width=None if sys.stdout.isatty() else width or _WIDE, highlight=False)


def side_console() -> Console:
    """Where everything goes that is not the result."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else _WIDE, highlight=False)


def say(message: str) -> None:
    """Tell a person something beside the result."""
    _print(side_console(), harmless(message))


def say_trouble(message: str) -> None:
    """Tell a person what went wrong."""
    _print(side_console(), harmless(message), style="red")


def show_text(text: str) -> None:
    """Print text as it is."""
    _print(console(), harmless(text))


def _print(where: Console, text: str, style: str = "") -> None:
    # On a terminal lines break between words; in a file a sentence stays on its line.
    where.print(Text(text, style=style), soft_wrap=not where.is_terminal)


def show_json(content: Any) -> None:
    """Print JSON; moments in ISO 8601."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=True, default=_plain) + "\n")


def harmless(text: str) -> str:
    """`text` so that nothing in it can move the cursor, colour the screen or turn the writing direction.

    Names come from disks and repositories that anyone may have written to. Line breaks stay.
    """
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text)


def outcome_text(outcome: str) -> Text:
    """The word for an outcome, in its colour."""
    return Text(outcome, style=_OUTCOME_STYLES.get(outcome, ""))


def seconds(amount: float | None) -> str:
    """A duration with its unit."""
    return "" if amount is None else f"{amount:.1f} s"


def count(number: object) -> str:
    """A whole number with its thousands apart."""
    return f"{number:,}".replace(",", " ") if isinstance(number, int) else ""


def moment(when: datetime) -> str:
    """A moment by the clock it was noted by."""
    return when.strftime("%Y-%m-%d %H:%M")


def moment_here(when: datetime) -> str:
    """A moment by this computer's clock."""
    try:
        return moment(when.astimezone())
    except (OverflowError, ValueError, OSError):
        # No zone has a time for the ends of the calendar, and Windows has none before 1970.
        return moment(when)


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)
