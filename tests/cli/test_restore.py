from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from anki.collection import Collection

from profiles.media_sync_record import MEDIA_SYNC_RECORD
from storage.format.audit_row import AUDIT_COLUMNS
from tests.cli.desk import Desk


def test_a_restore_into_a_folder_needs_no_anki(stocked: Desk, tmp_path: Path) -> None:
    ran = stocked.having(RECOLLECT_BASE="").run("restore", "Ada", "--to", "restored")
    assert ran.code == 0
    assert f"is restored in {tmp_path / 'restored'}" in ran.out
    assert "229 notes" in ran.err
    assert (tmp_path / "restored" / "collection.anki2").exists()
    assert any((tmp_path / "restored" / "collection.media").iterdir())


def test_json_is_the_row_of_the_audit_table(stocked: Desk) -> None:
    row = stocked.call("restore", "Ada", "--to", "restored", "--json").json
    assert set(row) == {column.name for column in AUDIT_COLUMNS} | {"remarks"}
    assert row["outcome"] == "completed"


def test_a_plan_touches_nothing(stocked: Desk) -> None:
    plan = stocked.call("restore", "Ada", "--to", "restored", "--plan", "--json").json
    assert (plan["notes"], plan["media_add"], plan["in_place"]) == (229, 20, False)
    assert not (stocked.home / "restored").exists()
    ran = stocked.call("restore", "Ada", "--in-place", "--plan")
    assert ran.code == 0
    assert "safety snapshot" in ran.out


def test_a_folder_with_a_collection_is_not_restored_into(stocked: Desk) -> None:
    ran = stocked.call("restore", "Ada", "--to", str(stocked.base / "Ada"))
    assert ran.code == 1
    assert "already holds a collection" in ran.err


def test_without_a_terminal_a_restore_in_place_needs_yes(stocked: Desk) -> None:
    ran = stocked.run("restore", "Ada", "--in-place")
    assert (ran.code, ran.out) == (2, "")
    assert "--yes" in ran.err
    ran = stocked.run("restore", "Ada", "--in-place", "--yes")
    assert ran.code == 0
    assert "Upload to AnkiWeb" in ran.err


def test_a_snapshot_goes_by_the_end_of_its_id(stocked: Desk) -> None:
    (snapshot,) = stocked.call("snapshots", "Ada", "--json").json
    end = snapshot["snapshot"][-8:]
    assert stocked.call("restore", "Ada", "--snapshot", end, "--to", "restored").code == 0
    ran = stocked.call("restore", "Ada", "--snapshot", "nope", "--to", "other")
    assert ran.code == 1
    assert "recollect snapshots" in ran.err


def test_a_damaged_pack_is_told_in_a_sentence(stocked: Desk) -> None:
    for pack in (stocked.repository / "packs").glob("*/*"):
        content = pack.read_bytes()
        pack.write_bytes(content[:100] + bytes(len(content) - 200) + content[-100:])
    ran = stocked.run("restore", "Ada", "--to", "restored")
    assert (ran.code, ran.out) == (1, "")
    assert "amage" in ran.err
    assert "Traceback" not in ran.err
    assert not (stocked.home / "restored" / "collection.anki2").exists()


def test_the_plan_of_exact_media_names_all_that_would_go(stocked: Desk) -> None:
    (stocked.base / "Ada" / "collection.media" / "mine alone.png").write_bytes(b"mine alone")
    plan = stocked.call("restore", "Ada", "--in-place", "--media", "exact", "--plan", "--json").json
    assert plan["media_trashed"] == ["mine alone.png"]
    ran = stocked.call("restore", "Ada", "--in-place", "--media", "exact", "--yes")
    assert ran.code == 0
    assert "'mine alone.png'" in ran.err
    assert (stocked.base / "Ada" / "media.trash" / "mine alone.png").exists()


def test_the_plan_tells_programs_what_the_next_media_sync_deletes(stocked: Desk) -> None:
    ada = stocked.base / "Ada"
    asked = ("restore", "Ada", "--in-place", "--plan", "--json")
    with closing(Collection(str(ada / "collection.anki2"))) as anki:
        anki.media.write_data("gone.png", b"gone")
    (ada / "collection.media" / "gone.png").unlink()
    with closing(sqlite3.connect(ada / MEDIA_SYNC_RECORD, isolation_level=None)) as record:
        record.execute("update meta set lastUsn = 1")
    plan = stocked.call(*asked).json
    assert (plan["media_deleted_by_next_sync"], plan["media_sync_unclear"]) == (["gone.png"], None)
    (ada / MEDIA_SYNC_RECORD).write_bytes(b"no database")
    plan = stocked.call(*asked).json
    assert plan["media_deleted_by_next_sync"] == []
    assert MEDIA_SYNC_RECORD in plan["media_sync_unclear"]


def test_a_part_is_restored_by_its_pattern(stocked: Desk) -> None:
    assert stocked.call("restore", "Ada", "--to", "restored", "--only", "red.*").code == 0
    assert [path.name for path in (stocked.home / "restored" / "collection.media").iterdir()] == ["red.png"]


def test_a_snapshot_goes_by_the_time_until_which_it_is_the_newest(stocked: Desk) -> None:
    (snapshot,) = stocked.call("snapshots", "Ada", "--json").json
    taken = datetime.fromisoformat(snapshot["taken_at"]).astimezone()
    ran = stocked.call("restore", "Ada", f"{taken:%Y-%m-%d %H:%M}", "--to", "restored")
    assert ran.code == 0, ran.err
    assert snapshot["snapshot"] in ran.out
    ran = stocked.call("restore", "Ada", f"{taken - timedelta(minutes=2):%Y-%m-%d %H:%M}", "--to", "other")
    assert ran.code == 1
    assert "no snapshot of" in " ".join(ran.err.split())
    ran = stocked.call("restore", "Ada", "latest", "--snapshot", "latest", "--to", "other")
    assert (ran.code, ran.out) == (2, "")
