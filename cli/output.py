"""What a person or a program reads: tables, JSON, sizes with units. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 200
"""Columns when nobody watches: a table in a file or a pipe must not be cut to a screen's width."""

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


def console() -> Console:
    """Where results go."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def side_console() -> Console:
    """Where everything goes that is not the result."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else _WIDE, highlight=False)


def say(message: str) -> None:
    """Tell a person something beside the result."""
    side_console().print(Text(message), soft_wrap=True)


def say_trouble(message: str) -> None:
    """Tell a person what went wrong."""
    side_console().print(Text(message, style="red"), soft_wrap=True)


def show_table(title: str, columns: Mapping[str, str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table; `columns` maps headings to `left` or `right`."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for heading, side in columns.items():
        table.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console().print(table)


def show_text(text: str) -> None:
    """Print text as it is."""
    console().print(Text(text), soft_wrap=True)


def show_json(content: Any) -> None:
    """Print JSON; moments in ISO 8601."""
    sys.stdout.write(json.dumps(content, indent=2, ensure_ascii=True, default=_plain) + "\n")


def size(amount: int | float | None) -> str:
    """Bytes with a unit."""
    if amount is None:
        return ""
    value = float(amount)
    for unit in _UNITS:
        if value < _STEP or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= _STEP
    raise AssertionError("unreachable")


def seconds(amount: float | None) -> str:
    """A duration with its unit."""
    return "" if amount is None else f"{amount:.1f} s"


def count(number: object) -> str:
    """A whole number with its thousands apart."""
    return f"{number:,}".replace(",", " ") if isinstance(number, int) else ""


def moment(when: datetime) -> str:
    """A moment by the clock it was noted by."""
    return when.strftime("%Y-%m-%d %H:%M")


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)
