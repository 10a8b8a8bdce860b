from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

import tasks.snapshot
from profiles.errors import SourceBusy
from storage.format.audit_row import AUDIT_COLUMNS
from tests.cli.desk import RECOLLECT, Desk, Ran
from tests.flows.chains.house import opened

ROW_KEYS = {column.name for column in AUDIT_COLUMNS} | {"remarks"}


def outcomes(rows: list[dict[str, str]]) -> dict[str, str]:
    return {row["profile"]: row["outcome"] for row in rows}


def outcomes_shown(ran: Ran) -> dict[str, str]:
    """What the table says of each profile."""
    return {profile: outcome for profile, outcome, *_ in map(str.split, ran.out.splitlines()[3:])}


def test_all_profiles_are_backed_up_when_none_is_named(desk: Desk) -> None:
    ran = desk.run("backup")
    assert ran.code == 0
    assert [line.split()[:2] for line in ran.out.splitlines()[3:]] == [["Ada", "completed"], ["Ben", "completed"]]
    again = desk.run("backup")
    assert again.code == 0
    assert [line.split()[:2] for line in again.out.splitlines()[3:]] == [["Ada", "unchanged"], ["Ben", "unchanged"]]


def test_only_the_profile_named_is_backed_up_whatever_its_capitals(desk: Desk) -> None:
    assert outcomes(desk.call("backup", "ben", "--json").json) == {"Ben": "completed"}


def test_json_is_a_row_for_each_profile(desk: Desk) -> None:
    rows = desk.call("backup", "--json").json
    assert [set(row) for row in rows] == [ROW_KEYS, ROW_KEYS]


def test_force_makes_a_snapshot_of_what_has_not_changed(stocked: Desk) -> None:
    stocked.call("backup")
    assert outcomes(stocked.call("backup", "--force", "--json").json) == {"Ada": "completed", "Ben": "completed"}


def test_a_damaged_profile_fails_with_a_sentence_and_stops_no_other(desk: Desk) -> None:
    collection = desk.base / "Ada" / "collection.anki2"
    content = collection.read_bytes()
    collection.write_bytes(content[:8192] + bytes(len(content) - 8192))
    ran = desk.call("backup", "--json")
    assert ran.code == 1
    assert outcomes(ran.json) == {"Ada": "failed", "Ben": "completed"}
    ran = desk.run("backup", "Ada")
    assert ran.code == 1
    assert "Ada: " in ran.err
    assert "Check Database" in ran.err
    assert "Traceback" not in ran.err


def test_a_suspect_backup_is_called_so_with_what_shrank_and_what_to_do_until_somebody_does_it(desk: Desk) -> None:
    assert desk.call("backup", "Ada").code == 0
    with opened(desk.base / "Ada" / "collection.anki2") as anki:
        anki.remove_notes(anki.find_notes(""))

    for outcome in ("suspect", "unchanged"):
        ran = desk.call("backup", "Ada")
        assert ran.code == 0
        assert outcomes_shown(ran) == {"Ada": outcome}
        (told,) = (line for line in ran.err.splitlines() if "suspect" in line and "notes fell from 229 to 0" in line)
        assert told.startswith("Ada: ")
        assert "`recollect backup 'Ada' --accept`" in told
        assert "`recollect restore 'Ada' --in-place`" in told
    assert "suspect" in desk.call("audit", "Ada").out

    status = desk.call("status")
    assert status.code == 1
    (told,) = (line for line in status.err.splitlines() if "notes fell from 229 to 0" in line)
    assert told.startswith("Ada: ")

    assert desk.call("backup", "Ada", "--accept").code == 0
    assert "suspect" not in desk.call("status").err


def test_a_profile_without_a_collection_is_told_and_stops_no_other(desk: Desk) -> None:
    (desk.base / "Ada" / "collection.anki2").unlink()
    ran = desk.call("backup", "--json")
    assert "holds no collection" in ran.err
    assert outcomes(ran.json)["Ben"] == "completed"
    ran = desk.call("backup", "Ada")
    assert ran.code == 1
    assert "“Ada” has no collection" in ran.err


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"RECOLLECT_BASE": "/nowhere/at/all"}, 1, "does not exist"),
        ({"RECOLLECT_BASE": "", "ANKI_BASE": "/nowhere/at/all"}, 1, "ANKI_BASE"),
        ({"RECOLLECT_BASE": ""}, 1, "was not found"),
        ({"RECOLLECT_REPO": "nosuch"}, 2, "no repository nosuch"),
        ({"RECOLLECT_REPO": "nothing://x"}, 1, "nothing://"),
        ({"RECOLLECT_REPO": "/dev/null/x"}, 1, "/dev/null/x"),
        ({"RECOLLECT_CACHE": "/dev/null/x"}, 1, "/dev/null/x"),
        ({"RECOLLECT_DAILY": "-1"}, 2, "RECOLLECT_DAILY"),
    ],
)
def test_what_can_not_be_is_told_in_a_sentence(settings: dict[str, str], code: int, words: str, desk: Desk) -> None:
    ran = desk.having(**settings).call("backup", "--json")
    assert ran.code == code
    assert words in ran.err
    assert ran.out == "" or isinstance(ran.json, list)


def test_a_profile_that_is_not_there_is_told_with_those_that_are(desk: Desk) -> None:
    ran = desk.call("backup", "Zoë")
    assert ran.code == 1
    assert "failed" in ran.out
    assert "“Zoë”" in ran.err
    assert "“Ada”, “Ben”" in ran.err


def test_a_folder_that_holds_something_else_is_not_made_a_repository(desk: Desk) -> None:
    desk.repository.mkdir()
    (desk.repository / "recollect.json").write_text("{}")
    ran = desk.call("backup")
    assert (ran.code, ran.out) == (1, "")
    assert str(desk.repository) in ran.err


@pytest.mark.skipif(os.name == "nt", reason="Windows limits no file's size")
def test_a_full_repository_is_told_in_a_sentence(desk: Desk) -> None:
    (desk.base / "Ada" / "collection.media" / "noise.mp3").write_bytes(random.Random(1).randbytes(2_000_000))
    # A disk without room, as far as the command can tell: no file grows beyond the size of the collection.
    narrow = (
        "import os, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", narrow, str(RECOLLECT), "backup", "--json"],
        env=desk.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    rows = json.loads(ended.stdout)
    assert {row["profile"]: row["reason"] for row in rows} == {"Ada": "repository-full", "Ben": None}
    assert "Traceback" not in ended.stderr


def test_a_busy_profile_is_skipped_with_code_75(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> NoReturn:
        raise SourceBusy("Anki was writing all the time", "Try again in a minute")

    monkeypatch.setattr(tasks.snapshot, "copy_collection", busy)
    ran = desk.call("backup", "Ada", "--json")
    assert ran.code == 75
    assert outcomes(ran.json) == {"Ada": "skipped"}
    assert "Ada: Anki was writing all the time." in desk.call("backup", "Ada").err


def test_where_there_is_no_anki_a_sample_is_made_once_and_backed_up(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {"RECOLLECT_BASE": "", "RECOLLECT_REPO": ""})
    first = desk.run("backup", "--or-sample")
    assert first.code == 0
    assert "was not found" in first.err
    assert "on this computer" in first.err
    assert [line.split()[:2] for line in first.out.splitlines()[3:]] == [["Ada", "completed"], ["Ben", "completed"]]
    second = desk.run("backup", "--or-sample")
    assert [line.split()[:2] for line in second.out.splitlines()[3:]] == [["Ada", "unchanged"], ["Ben", "unchanged"]]


@pytest.mark.parametrize("why", ["a repository is named", "it was backed up before"])
def test_where_there_must_be_an_anki_no_sample_stands_in_for_it(tmp_path: Path, why: str) -> None:
    """A run that backs up a sample in the place of ten years of cards would look like success."""
    desk = Desk(tmp_path, {"RECOLLECT_BASE": "", "RECOLLECT_REPO": ""})
    if why == "a repository is named":
        desk = desk.having(RECOLLECT_REPO=str(tmp_path / "repository"))
    else:
        made = desk.having(RECOLLECT_BASE=str(tmp_path / "Anki2"))
        assert made.run("sample", str(tmp_path / "Anki2")).code == 0
        assert made.run("backup").code == 0
    ran = desk.run("backup", "--or-sample")
    assert (ran.code, ran.out) == (1, "")
    assert "was not found" in ran.err


def test_where_there_is_an_anki_no_sample_is_made(desk: Desk) -> None:
    shutil.rmtree(desk.base / "Ben")
    real = desk.having(RECOLLECT_BASE="", ANKI_BASE=str(desk.base))
    assert outcomes(real.call("backup", "--or-sample", "--json").json) == {"Ada": "completed"}
