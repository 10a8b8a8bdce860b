from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.cli.desk import Desk
from tests.flows.chains.house import opened

FIRST, SECOND = "backup-2026-03-09-12.30.45.colpkg", "backup-2026-03-10-12.30.45.colpkg"


@pytest.fixture
def ankis(desk: Desk) -> Desk:
    """A computer on which Anki has made two backups of Ada, the second of them empty as after a crash."""
    folder = desk.base / "Ada" / "backups"
    folder.mkdir(exist_ok=True)
    with opened(desk.base / "Ada" / "collection.anki2") as anki:
        assert anki.create_backup(backup_folder=str(folder), force=True, wait_for_completion=True)
    (made,) = folder.iterdir()
    made.rename(folder / FIRST)
    (folder / SECOND).touch()
    return desk


def test_what_was_adopted_is_shown_and_what_could_not_be_fails_the_command(ankis: Desk) -> None:
    ran = ankis.run("adopt")
    assert ran.code == 1
    title, heading, _, first, second, counts = ran.out.splitlines()
    assert title == f"Adopted into {ankis.repository}"
    assert heading.split()[:3] == ["Package", "Profile", "Taken"]
    assert re.match(rf"{FIRST}  Ada      2026-03-09 12:30  completed ", first)
    assert re.match(rf"{SECOND}  Ada      2026-03-10 12:30  failed ", second)
    assert counts == "1 adopted, 1 failed"
    assert f"{SECOND} can't be used: it is empty" in ran.err
    assert "Traceback" not in ran.err

    shown = ankis.call("snapshots").out
    assert "none held" in shown
    assert shown.rstrip().endswith("adopted")


def test_adopting_again_is_unchanged_and_ends_well(ankis: Desk) -> None:
    (ankis.base / "Ada" / "backups" / SECOND).unlink()
    assert ankis.call("adopt").code == 0
    ran = ankis.call("adopt", "--json")
    assert ran.code == 0
    (package,) = ran.json
    assert package["outcome"] == "unchanged"
    assert package["path"] == str(ankis.base / "Ada" / "backups" / FIRST)
    assert package["taken_at"].startswith("2026-03-09T12:30:45")
    assert package["time_from"] == "name"
    assert [row["action"] for row in ankis.call("audit", "--json").json] == ["adopt"]


def test_a_plan_lists_times_and_sizes_and_stores_nothing(ankis: Desk) -> None:
    ran = ankis.call("adopt", "--plan")
    assert ran.code == 1
    assert re.search(rf"{FIRST}  Ada      2026-03-09 12:30  name +[0-9.]+ KiB +none held  is adopted", ran.out)
    assert re.search(rf"{SECOND}  Ada .* can't be used", ran.out)
    assert "it is empty" in ran.err
    assert not ankis.repository.exists()
    planned = ankis.call("adopt", "--plan", "--json", str(ankis.base / "Ada" / "backups" / FIRST)).json
    assert [(one["profile"], one["size"] > 0, one["trouble"]) for one in planned] == [("Ada", True, None)]


def test_a_package_from_elsewhere_needs_the_name_of_its_profile(ankis: Desk) -> None:
    shutil.copyfile(ankis.base / "Ada" / "backups" / FIRST, ankis.home / "from elsewhere.colpkg")
    ran = ankis.call("adopt", "from elsewhere.colpkg")
    assert (ran.code, ran.out) == (1, "")
    assert "It can't be told whose package" in ran.err
    assert "--profile" in ran.err
    assert not Path(ankis.staging).exists() or list(Path(ankis.staging).iterdir()) == []
    assert ankis.call("adopt", "from elsewhere.colpkg", "--profile", "Ben").code == 0
    assert [one["profile"] for one in ankis.call("snapshots", "--json").json] == ["Ben"]


def test_nothing_to_adopt_is_said(desk: Desk) -> None:
    ran = desk.call("adopt")
    assert (ran.code, ran.out.strip()) == (0, "There was nothing to adopt")
    assert "nothing to adopt" in desk.call("adopt", "--plan").err


def test_a_restore_of_what_was_adopted_says_that_it_holds_no_media(ankis: Desk) -> None:
    ankis.call("adopt")
    ran = ankis.call("restore", "Ada", "--to", "out")
    assert ran.code == 0
    assert "this snapshot holds none" in ran.err
    assert "Of media nothing was restored" in ran.err
    assert ankis.call("restore", "Ada", "--to", "other", "--plan", "--json").json["holds_media"] is False
