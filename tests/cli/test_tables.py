from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.tables import Column, fitting, needed_width, show_table

columns_with_widths = st.lists(
    st.tuples(
        st.builds(Column, heading=st.just("x"), rank=st.integers(0, 9), folds=st.none() | st.integers(1, 40)),
        st.integers(1, 200),
    ),
    max_size=12,
)


@given(columns_with_widths, st.integers(1, 300))
def test_columns_fit_the_window_or_none_that_could_go_is_left(described: list[tuple[Column, int]], room: int) -> None:
    columns, widths = [column for column, _ in described], [width for _, width in described]
    shown = fitting(columns, widths, room)
    fits = needed_width(columns, widths, shown, folded=True) <= room
    assert fits or all(columns[place].rank == 0 for place in shown)


@given(columns_with_widths, st.integers(1, 300))
def test_what_is_left_out_matters_less_than_what_is_shown(described: list[tuple[Column, int]], room: int) -> None:
    columns, widths = [column for column, _ in described], [width for _, width in described]
    shown = fitting(columns, widths, room)
    gone = set(range(len(columns))) - set(shown)
    assert all(columns[place].rank > 0 for place in gone)
    assert max((columns[place].rank for place in shown), default=0) <= min(
        (columns[place].rank for place in gone), default=9
    )


def test_a_table_for_a_file_is_never_cut_or_folded(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("Title", (Column("A", folds=4), Column("B")), [("word " * 100, "end")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[3].rstrip().endswith("end")


def test_a_cell_holds_one_line_without_escape_codes_or_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("T", (Column("Name"),), [("[red]a\nb\x1b[2J\u202e\udc80[/nope]",)])
    assert capsys.readouterr().out.splitlines()[3] == "[red]a b\\x1b[2J\\u202e\\udc80[/nope]"
