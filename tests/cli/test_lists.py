"""`profiles`, `audit`, `prune` and `sample`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from storage.format.audit_row import AUDIT_COLUMNS
from tests.cli.desk import Desk


def test_profiles_are_listed_with_their_folders(desk: Desk) -> None:
    listed = desk.call("profiles", "--json").json
    assert set(listed) == {"base", "profiles", "remarks"}
    assert [profile["name"] for profile in listed["profiles"]] == ["Ada", "Ben"]
    assert set(listed["profiles"][0]) == {"name", "folder", "state", "can_be_backed_up", "collection_bytes"}
    assert str(desk.base / "Ada") in desk.call("profiles").out


def test_a_profile_with_a_hostile_name_is_shown_harmless(desk: Desk) -> None:
    (desk.base / "Ben").rename(desk.base / "[red]\u202eneB[nope]")
    ran = desk.run("profiles")
    assert ran.code == 0
    assert "[red]\\u202eneB[nope]" in ran.out
    ran = desk.run("backup")
    assert ran.code == 0
    assert "\u202e" not in ran.out + ran.err


def test_the_audit_table_is_read_newest_first_and_by_profile_and_action(stocked: Desk) -> None:
    stocked.call("prune")
    rows = stocked.call("audit", "--json").json
    assert [set(row) for row in rows] == [{column.name for column in AUDIT_COLUMNS}] * 5
    assert [row["action"] for row in rows] == ["sweep", "prune", "prune", "backup", "backup"]
    assert [row["profile"] for row in stocked.call("audit", "Ben", "--json").json] == ["Ben", "Ben"]
    assert len(stocked.call("audit", "--limit", "1", "--action", "backup", "--json").json) == 1
    nothing = stocked.call("audit", "Zed")
    assert (nothing.code, nothing.out) == (0, "")
    assert "no row of that kind" in nothing.err


def test_a_damaged_row_of_the_audit_table_is_named(stocked: Desk) -> None:
    row = next((stocked.repository / "audit").glob("*/*/*.parquet"))
    row.write_bytes(b"PAR1")
    ran = stocked.call("audit", "--json")
    assert len(ran.json) == 1
    assert row.name in ran.err


def test_a_dry_run_of_prune_shows_what_stays_and_why(stocked: Desk) -> None:
    plans = stocked.call("prune", "Ada", "--daily", "3", "--dry-run", "--json").json
    assert [plan["profile"] for plan in plans["profiles"]] == ["Ada"]
    assert plans["sweep"] is None
    assert stocked.call("prune", "--dry-run", "--json").json["sweep"]["snapshots"] == 2
    shown = stocked.call("prune", "--daily", "3", "--dry-run")
    assert "3 daily" in shown.out
    assert "stays" in shown.out
    assert "There is nothing to sweep" in shown.out
    assert stocked.call("audit", "--action", "prune", "--json").json == []


def test_prune_holds_still_after_a_loss_until_a_person_takes_it_as_right(desk: Desk) -> None:
    assert desk.call("backup").code == 0
    for picture in (desk.base / "Ada" / "collection.media").iterdir():
        picture.unlink()
    assert desk.call("backup", "Ada").code == 0
    shown = desk.call("prune", "--dry-run")
    assert "Nothing is let go while the suspect snapshot" in shown.err
    ran = desk.call("prune", "--json")
    assert [row["outcome"] for row in ran.json][:2] == ["skipped", "completed"]
    assert "prune with --accept" in ran.err
    assert [row["outcome"] for row in desk.call("prune", "--accept", "--json").json][:2] == ["completed", "completed"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("restore", "Ada", "--to", "~nobody-here/x"),
        ("deleted", "Ada", "--to", "~nobody-here/x"),
        ("sample", "~nobody-here/x"),
        ("init", "--key-file", "~nobody-here/x"),
        ("key", "add", "--key-file", "~nobody-here/x"),
    ],
)
def test_a_home_that_nobody_has_is_told_in_a_sentence(stocked: Desk, arguments: tuple[str, ...]) -> None:
    ran = stocked.call(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "a user who is not known here" in " ".join(ran.err.replace("│", " ").split())


def test_a_list_of_the_trash_is_only_a_list(stocked: Desk) -> None:
    ran = stocked.call("forget", "Ada", "20261122T195644Z-1a2b3c4d", "--list")
    assert (ran.code, "--list only lists" in ran.err) == (2, True)


def test_prune_tells_of_each_profile(stocked: Desk) -> None:
    ran = stocked.call("prune")
    assert ran.code == 0
    assert [line.partition(":")[0] for line in ran.out.splitlines()] == ["Ada", "Ben", "Repository"]
    assert [row["action"] for row in stocked.call("prune", "--json").json] == ["prune", "prune", "sweep"]
    assert [row["action"] for row in stocked.call("prune", "Ada", "--json").json] == ["prune"]


def test_a_sample_can_be_listed_and_needs_an_empty_place(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    made = desk.call("sample", "try out")
    assert made.code == 0
    assert f'--base "{tmp_path / "try out"}"' in made.out
    assert len(desk.call("profiles", "--base", "try out", "--json").json["profiles"]) == 2
    again = desk.call("sample", "try out")
    assert (again.code, again.out) == (1, "")
    assert "not empty" in again.err


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such name")
def test_a_folder_whose_name_is_no_text_is_shown_and_backed_up(desk: Desk) -> None:
    odd = desk.base.rename(desk.home / os.fsdecode(b"odd\xff"))
    ran = desk.run("profiles", "--base", str(odd))
    assert ran.code == 0
    assert "odd\\udcff" in ran.out
    assert desk.run("profiles", "--base", str(odd), "--json").json["base"] == str(odd)
    assert desk.run("backup", "--base", str(odd)).code == 0
    assert desk.run("snapshots", "--json").json[0]["source"] == str(odd / "Ada")
