from __future__ import annotations

import json

import pytest

import tasks.upload
from tests.cli.desk import Desk


def test_json_tells_what_a_person_asks_of_a_snapshot(stocked: Desk) -> None:
    snapshots = stocked.call("snapshots", "--json").json
    assert [snapshot["profile"] for snapshot in snapshots] == ["Ada", "Ben"]
    assert {"snapshot", "profile_key", "host", "taken_at", "parent", "bytes", "notes", "cards", "reviews",
            "media_files", "purpose"} <= set(snapshots[0])  # fmt: skip


def test_the_table_is_whole_in_a_pipe(stocked: Desk) -> None:
    ran = stocked.run("snapshots", "ada")
    title, heading, _, *rows = ran.out.splitlines()
    assert title == f"Snapshots in {stocked.repository}"
    assert heading.split()[0] == "Snapshot"
    assert len(rows) == 1
    assert " Ada " in rows[0]


def test_an_unknown_profile_is_told_with_those_that_are_known(stocked: Desk) -> None:
    ran = stocked.call("snapshots", "Zed", "--json")
    assert (ran.code, ran.out) == (1, "")
    assert "Ada, Ben" in ran.err


def test_a_folder_that_is_no_repository_is_told(desk: Desk) -> None:
    for command in ("snapshots",), ("audit",), ("prune",), ("deleted", "Ada"):
        ran = desk.call(*command, "--repo", str(desk.base))
        assert (ran.code, ran.out) == (1, "")
        assert f"{desk.base} is no repository" in ran.err


def test_a_damaged_manifest_is_told_and_hides_no_other_snapshot(stocked: Desk) -> None:
    (manifest,) = (stocked.repository / "snapshots").glob("Ada-*/*")
    manifest.write_bytes(manifest.read_bytes()[:-9] + b"\0" * 9)
    ran = stocked.call("snapshots", "--json")
    assert [snapshot["profile"] for snapshot in ran.json] == ["Ben"]
    assert manifest.name.partition(".")[0] in ran.err


def test_a_repository_of_another_format_is_refused(stocked: Desk) -> None:
    configuration = stocked.repository / "recollect.json"
    content = json.loads(configuration.read_text())
    configuration.write_text(json.dumps(content | {"format": 99}))
    ran = stocked.call("snapshots")
    assert (ran.code, ran.out) == (1, "")
    assert "Traceback" not in ran.err


def test_a_snapshot_of_a_profile_that_shrank_is_marked_as_suspect(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.call("backup", "Ben")
    monkeypatch.setattr(tasks.upload, "suspicion", lambda *_: "half of the notes are gone")
    desk.call("backup", "Ben", "--force")
    ran = desk.call("snapshots", "Ben")
    assert ran.code == 0
    assert ran.out.count("routine, suspect") == 1
    assert "half of the notes are gone" in ran.err


def test_namesakes_from_two_computers_are_listed_together_and_told_apart(stocked: Desk) -> None:
    stocked.call("backup", "Ben")
    ran = stocked.call("snapshots", "ben", "--json")
    keys = [snapshot["profile_key"] for snapshot in ran.json]
    assert len(set(keys)) == 2
    assert all(key in ran.err for key in keys)
    assert [snapshot["profile_key"] for snapshot in stocked.call("snapshots", keys[0], "--json").json] == [keys[0]]
