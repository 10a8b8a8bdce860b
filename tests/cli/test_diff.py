"""`recollect diff`, and the difference that a plan of a restore shows."""

from __future__ import annotations

from tests.cli.desk import Desk
from tests.flows.chains.house import add_note


def test_a_snapshot_is_compared_with_the_present_in_words_and_for_programs(desk: Desk) -> None:
    assert desk.call("backup", "Ada").code == 0
    add_note(desk.base / "Ada" / "collection.anki2", "a new word", "its meaning")
    (desk.base / "Ada" / "collection.media" / "new.png").write_bytes(b"new")
    ran = desk.call("diff", "latest")
    assert ran.code == 0
    for part in ("Ada as it is now", "notes: 1 added", "a new word", "cards: 1 added", "new.png"):
        assert part in ran.out
    told = desk.call("diff", "latest", "now", "--profile", "ada", "--json").json
    (note,) = told["notes"]
    assert (note["change"], note["begins"], note["note_type"]) == ("added", "a new word", "Basic")
    assert (told["cards"]["added"], told["media"]["added"]) == (1, ["new.png"])
    plan = desk.call("restore", "Ada", "--in-place", "--plan", "--json").json
    assert [one["change"] for one in plan["difference"]["notes"]] == ["deleted"]
    assert "a new word" in desk.call("restore", "Ada", "--to", "elsewhere", "--plan").out


def test_what_there_is_not_is_told_in_a_sentence(desk: Desk, stocked: Desk) -> None:
    ran = stocked.call("diff", "20000101T000000Z-00000000")
    assert (ran.code, ran.out) == (1, "")
    assert "No snapshot" in ran.err
    ran = stocked.call("diff", "latest")
    assert (ran.code, "--profile" in ran.err) == (1, True)
    ran = desk.having(RECOLLECT_REPO=str(desk.home / "nowhere")).call("diff", "latest", "--profile", "Ada")
    assert (ran.code, ran.out) == (1, "")
    assert "holds no repository yet" in ran.err
