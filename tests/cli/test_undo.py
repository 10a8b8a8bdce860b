from __future__ import annotations

from tests.cli.desk import Desk
from tests.flows.chains.house import add_note, fronts


def test_a_restore_is_undone_by_one_command(stocked: Desk) -> None:
    collection = stocked.base / "Ada" / "collection.anki2"
    add_note(collection, "written today")
    assert stocked.call("restore", "Ada", "--in-place", "--yes").code == 0
    assert "written today" not in fronts(collection)
    ran = stocked.run("undo", "Ada", "--yes")
    assert ran.code == 0
    assert "Compared with the present collection" in ran.err
    assert "is restored in" in ran.out
    assert "written today" in fronts(collection)


def test_undoing_asks_and_says_when_there_is_nothing_to_undo(stocked: Desk) -> None:
    ran = stocked.run("undo", "Ada")
    assert (ran.code, ran.out) == (2, "")
    ran = stocked.run("undo", "Ada", "--yes")
    assert ran.code == 1
    assert "nothing to undo" in ran.err
