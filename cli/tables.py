"""Tables for people: as wide as they need to be in a file or a pipe, and never wider than a terminal's window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from cli.output import console, harmless, show_text

_BETWEEN = 2
"""Blanks from one column to the next."""
_LONGEST_UNFOLDED = 30
"""What is longer is folded in any column, for it may be a hostile name."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. Of those with a `rank`, the highest is left out first where the window is too narrow.

    One that `folds` holds names or sentences, which may take several lines of at least that many letters.
    """

    heading: str
    right: bool = False
    rank: int = 0
    folds: int | None = None


def show_table(title: str, columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Print a table under its title; None is an empty cell, Text keeps its colour."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [
        max([cell_len(column.heading), *(cell_len(row[place].plain) for row in cells)])
        for place, column in enumerate(columns)
    ]
    where = console(needed_width(columns, widths, range(len(columns)), folded=False))
    shown = fitting(columns, widths, where.width)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for place in shown:
        column = columns[place]
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=column.folds is None and widths[place] <= _LONGEST_UNFOLDED,
        )
    for row in cells:
        table.add_row(*(row[place] for place in shown))
    show_text(title)
    where.print(table)


def fitting(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """The places of the columns that are shown in a window of `room` letters; those without a rank always are."""
    shown = list(range(len(columns)))
    while needed_width(columns, widths, shown, folded=True) > room:
        place = max(shown, key=lambda place: columns[place].rank)
        if columns[place].rank == 0:
            break
        shown.remove(place)
    return shown


def needed_width(columns: Sequence[Column], widths: Sequence[int], shown: Sequence[int], *, folded: bool) -> int:
    """Letters that the columns take side by side; those that fold count with little when `folded`."""
    needed = _BETWEEN * max(len(shown) - 1, 0)
    for place in shown:
        least = columns[place].folds
        needed += widths[place] if least is None or not folded else min(widths[place], least)
    return needed


def _cell(value: object) -> Text:
    if isinstance(value, Text):
        return value
    return Text("" if value is None else harmless(" ".join(str(value).splitlines())))
