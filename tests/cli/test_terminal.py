"""What a person sees at a real terminal. There are none of the kind on Windows."""

from __future__ import annotations

import pytest

pytest.importorskip("pty", exc_type=ImportError)
pytest.importorskip("fcntl")

from tests.cli.desk import Desk
from tests.cli.terminal import at_terminal, shown


def table_lines(output: str) -> list[str]:
    lines = shown(output).splitlines()
    rule = next(number for number, line in enumerate(lines) if line.startswith("──"))
    return lines[rule - 1 :]


@pytest.mark.parametrize("columns", [80, 120])
def test_every_table_fits_the_window_with_a_line_for_each_profile(stocked: Desk, columns: int) -> None:
    for command in ("profiles", "backup", "snapshots"):
        _, output = at_terminal(stocked, [command], columns=columns)
        lines = table_lines(output)
        assert max(map(len, lines)) <= columns, output
        assert all(any(name in line.split() for line in lines) for name in ("Ada", "Ben"))
        assert "Profile" in lines[0].split()


def test_a_narrow_window_still_shows_whole_snapshot_ids_and_outcomes(stocked: Desk) -> None:
    snapshots = stocked.call("snapshots", "--json").json
    _, output = at_terminal(stocked, ["snapshots"], columns=72)
    assert all(snapshot["snapshot"] in shown(output) for snapshot in snapshots)
    _, output = at_terminal(stocked, ["audit"], columns=72)
    assert shown(output).count("completed") == len(snapshots)


def test_outcomes_are_coloured_on_a_terminal_and_not_with_no_color(stocked: Desk) -> None:
    _, coloured = at_terminal(stocked, ["audit"])
    assert "\x1b[32mcompleted" in coloured
    _, plain = at_terminal(stocked.having(NO_COLOR="1"), ["audit"])
    assert "\x1b[32m" not in plain
    assert "completed" in plain


def test_long_work_shows_a_bar_on_a_terminal_and_leaves_nothing_of_it_behind(desk: Desk) -> None:
    code, output = at_terminal(desk, ["backup"])
    assert code == 0
    assert "storing what is new ━" in shown(output)
    assert output.count("\x1b[?25l") == output.count("\x1b[?25h") > 0


def test_no_bar_goes_to_a_pipe(desk: Desk) -> None:
    ran = desk.run("backup")
    assert "━" not in ran.out + ran.err
    assert "\x1b" not in ran.out + ran.err


def test_a_restore_in_place_shows_its_plan_and_takes_no_for_an_answer(stocked: Desk) -> None:
    before = (stocked.base / "Ada" / "collection.anki2").read_bytes()
    code, output = at_terminal(stocked, ["restore", "Ada", "--in-place"], typed="n\n", once="[y/N]")
    assert code == 1
    assert "229 notes" in output
    assert "not confirmed" in output
    assert (stocked.base / "Ada" / "collection.anki2").read_bytes() == before
    assert stocked.call("audit", "--action", "restore", "--json").json[0]["reason"] == "not-confirmed"


def test_a_restore_in_place_that_is_confirmed_is_done(stocked: Desk) -> None:
    code, output = at_terminal(stocked, ["restore", "Ada", "--in-place"], typed="y\n", once="[y/N]")
    assert code == 0, output
    assert "is restored in" in " ".join(output.split())


def test_ctrl_c_at_the_question_is_an_interruption_and_not_a_no(stocked: Desk) -> None:
    code, output = at_terminal(stocked, ["restore", "Ada", "--in-place"], typed="\x03", once="[y/N]")
    assert code == 130
    assert "Stopped." in output
    assert stocked.call("audit", "--action", "restore", "--json").json[0]["reason"] == "interrupted"


def test_the_end_of_input_at_the_question_is_a_no(stocked: Desk) -> None:
    code, _ = at_terminal(stocked, ["restore", "Ada", "--in-place"], typed="\x04", once="[y/N]")
    assert code == 1
    assert stocked.call("audit", "--action", "restore", "--json").json[0]["reason"] == "not-confirmed"
