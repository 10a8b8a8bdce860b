"""`recollect recover` and `recollect history`."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.format.audit_row import AUDIT_COLUMNS
from tests.cli.desk import Desk
from tests.cli.terminal import at_terminal, shown
from tests.flows.chains.house import add_note, fronts, opened


@pytest.fixture
def lost(desk: Desk) -> int:
    """A note of Ada's that a snapshot holds and her collection does not."""
    add_note(collection(desk), "lost by accident", '<img src="red.png">')
    assert desk.call("backup", "Ada").code == 0
    with opened(collection(desk)) as anki:
        (note,) = anki.find_notes('"front:lost by accident"')
        anki.remove_notes([note])
    assert desk.call("backup", "Ada").code == 0
    return note


def collection(desk: Desk) -> Path:
    return desk.base / "Ada" / "collection.anki2"


def test_a_package_is_written_and_what_to_tick_is_said(desk: Desk, lost: int) -> None:
    ran = desk.run("recover", str(lost), "--to", "lost.apkg")
    assert ran.code == 0
    (held, _) = desk.call("snapshots", "Ada", "--json").json
    assert str(desk.home / "lost.apkg") in ran.out
    assert f"the note {lost} of the snapshot {held['snapshot']}" in ran.out
    assert 'tick "Import any learning progress"' in ran.err
    assert (desk.home / "lost.apkg").read_bytes()[:2] == b"PK"
    assert 'choose "Always" for "Update notes"' not in ran.err


def test_json_tells_the_row_and_all_that_was_written(desk: Desk, lost: int) -> None:
    told = desk.call("recover", str(lost), "4711", "--to", "lost.apkg", "--json").json
    assert {column.name for column in AUDIT_COLUMNS} <= set(told)
    assert (told["outcome"], told["notes"], told["cards"]) == ("completed", 1, 1)
    assert (told["missing_notes"], told["media"], told["damaged_media"]) == ([4711], ["red.png"], [])
    assert told["files"] == [str(desk.home / "lost.apkg")]
    assert [one["notes"] for one in told["snapshots"]] == [[lost]]
    assert told["added"] is None


def test_notes_are_added_to_the_profile_without_a_question_only_when_that_is_said(desk: Desk, lost: int) -> None:
    ran = desk.call("recover", str(lost), "--into")
    assert (ran.code, ran.out) == (2, "")
    assert "--yes" in ran.err
    ran = desk.run("recover", str(lost), "--into", "--yes")
    assert ran.code == 0
    assert "1 added" in ran.out
    assert "the present state is kept as a safety snapshot first" in ran.err
    assert "The next sync carries on to other devices what was added" in ran.err
    assert "lost by accident" in fronts(collection(desk))
    told = desk.call("recover", str(lost), "--into", "--yes", "--json").json
    assert (told["added"]["new"], told["added"]["duplicates"]) == (0, 1)


def test_at_a_terminal_the_plan_is_shown_and_asked_about(desk: Desk, lost: int) -> None:
    code, out = at_terminal(desk, ["recover", str(lost), "--into"], typed="n\n", once="Add these notes? [y/N]")
    assert code == 1
    assert "Nothing was recovered" in shown(out)
    assert "lost by accident" not in fronts(collection(desk))
    code, out = at_terminal(desk, ["recover", str(lost), "--into"], typed="y\n", once="Add these notes? [y/N]")
    assert code == 0
    assert "lost by accident" in fronts(collection(desk))


def test_a_deck_is_written_as_text_files(desk: Desk) -> None:
    assert desk.call("backup", "Ada").code == 0
    told = desk.call("recover", "--deck", "Chemistry", "--text", "chemistry", "--json").json
    assert told["notes"] > 20
    assert [Path(path).parent for path in told["files"]] == [desk.home / "chemistry"]
    ran = desk.call("recover", "--deck", "Alchemy", "--text", "alchemy")
    assert (ran.code, ran.out) == (1, "")
    assert "the deck 'Alchemy'" in ran.err
    assert not (desk.home / "alchemy").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "a.apkg"], "Say which notes"),
        (["4711"], "Say where to"),
        (["4711", "--to", "a.apkg", "--into"], "Say where to"),
        (["4711", "--to", "a.apkg", "--text", "b"], "Say where to"),
        (["4711", "--to", "a.apkg", "--snapshot"], "requires an argument"),
        (["seven", "--to", "a.apkg"], "Invalid value for"),
    ],
)
def test_what_makes_no_sense_is_refused(desk: Desk, arguments: list[str], said: str) -> None:
    ran = desk.call("recover", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_the_history_of_a_note_is_shown_and_told_to_programs(desk: Desk, lost: int) -> None:
    held, gone = (one["snapshot"] for one in desk.call("snapshots", "Ada", "--json").json)
    ran = desk.run("history", str(lost))
    assert ran.code == 0
    for part in (f"{held}  first seen", "    Front: lost by accident", f"{gone}  gone", "Gone since: "):
        assert part in ran.out
    assert f"recollect recover {lost} --snapshot ID" in ran.err
    told = desk.call("history", str(lost), "--profile", "ada", "--json").json
    assert (told["note_id"], told["profile"], told["snapshots"]) == (lost, "Ada", 2)
    there, not_there = told["versions"]
    assert (there["first_seen"]["snapshot"], there["last_seen"]["snapshot"]) == (held, held)
    assert there["fields"][0] == {"name": "Front", "text": "lost by accident"}
    assert not_there["there"] is False
    assert told["gone_since"]["snapshot"] == gone
    ran = desk.call("history", "4711")
    assert (ran.code, ran.out) == (1, "")
    assert "None of 2 snapshots of Ada holds a note 4711" in ran.err
