"""What a restore changes in Anki's own list of profiles: a new profile, and automatic sync that is held off."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flows.chains.restore import restore
from flows.chains.restore_plan import NewProfile, Wanted, plan_restore
from profiles.automatic_sync import NO_AUTOMATIC_SYNC, AutomaticSync
from profiles.discovery import Listed, Profile, named
from recollect.errors import RecollectError
from storage.format.audit_row import Outcome
from tasks.held_sync import held_sync, hold_sync, release_sync
from tasks.profiles_here import found_profiles
from tests.flows.chains.house import (
    COLLECTION,
    MEDIA,
    House,
    add_note,
    anki_open,
    back_up_well,
    digests,
    opened,
    tables_of,
    tree_of,
)

HELD = Wanted(hold_sync=True)


def row_of(house: House, profile: str) -> dict[str, Any]:
    """What Anki keeps of a profile."""
    with closing(sqlite3.connect(house.base / "prefs21.db")) as preferences:
        ((data,),) = preferences.execute("select data from profiles where name = ?", (profile,)).fetchall()
    found: dict[str, Any] = pickle.loads(data)
    return found


def set_row(house: House, profile: str, **values: Any) -> None:
    with closing(sqlite3.connect(house.base / "prefs21.db")) as preferences, preferences:
        data = pickle.dumps(row_of(house, profile) | values, protocol=4)
        preferences.execute("update profiles set data = ? where name = ?", (data, profile))


def ada() -> Profile:
    return named(found_profiles(), "Ada")


# A new profile


def test_a_new_profile_is_listed_and_opens_as_what_was_backed_up(house: House) -> None:
    back_up_well()
    before, media = tables_of(house.collection()), digests(house.media())
    report = restore("Ada", to=NewProfile("Ada before the exam"))
    assert report.outcome is Outcome.COMPLETED, report.message
    assert any("Anki lists the new profile 'Ada before the exam'" in remark for remark in report.remarks)
    (found,) = [one for one in found_profiles().profiles if one.name == "Ada before the exam"]
    assert found.listed is Listed.LISTED
    assert tables_of(found.collection) | {"col": before["col"]} == before
    assert digests(found.media_folder) == media
    assert row_of(house, "Ada before the exam")["syncKey"] is None
    with opened(found.collection) as anki:
        assert anki.schema_changed()
    assert tables_of(house.collection()) == before
    assert [one for one in house.snapshots() if house.manifest(one).facts["purpose"] == "safety"] == []


def test_a_restore_into_a_new_profile_that_was_broken_off_is_done_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up_well()
    with monkeypatch.context() as broken:
        broken.setattr("flows.chains.restore.restore_collection", _fail)
        assert restore("Ada", to=NewProfile("Again")).outcome is Outcome.FAILED
    assert restore("Ada", to=NewProfile("Again")).outcome is Outcome.COMPLETED
    assert tables_of(house.base / "Again" / COLLECTION)["notes"] == tables_of(house.collection())["notes"]


def _fail(*_: object, **__: object) -> None:
    raise RecollectError("It was broken off", "Try again")


@pytest.mark.parametrize("name", ["Ben", "ben", "a/b", "addons21", ""])
def test_a_name_that_can_not_be_a_new_profile_is_refused_and_nothing_is_touched(house: House, name: str) -> None:
    back_up_well()
    before = tree_of(house.base)
    report = restore("Ada", to=NewProfile(name))
    assert report.outcome is Outcome.FAILED
    assert tree_of(house.base) == before


def test_an_open_anki_adds_no_profile(house: House) -> None:
    back_up_well()
    with anki_open(house.collection("Ben")):
        report = restore("Ada", to=NewProfile("New"))
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "anki-is-open")
    assert not (house.base / "New").exists()


# Automatic sync


def test_automatic_sync_is_held_off_and_goes_on_as_it_was(house: House) -> None:
    set_row(house, "Ada", autoSync=True, syncMedia=False)
    before = row_of(house, "Ada")
    back_up_well()
    plan = plan_restore(house.repository, "Ada", wanted=HELD)
    assert "automatic sync is off from then on, until `recollect autosync 'Ada' on`" in plan.as_text()
    report = restore("Ada", wanted=HELD)
    assert report.outcome is Outcome.COMPLETED
    assert any("recollect autosync 'Ada' on" in remark for remark in report.remarks)
    assert row_of(house, "Ada") == before | {"autoSync": False, "syncMedia": False}
    assert held_sync(ada()).before == AutomaticSync(collection=True, media=False)

    restore("Ada", wanted=HELD)
    assert release_sync(ada()).before is None
    assert row_of(house, "Ada") == before
    assert release_sync(ada()).now == AutomaticSync(collection=True, media=False)


def test_one_profile_s_sync_is_held_off_and_no_other_s(house: House) -> None:
    hold_sync(ada())
    ben = named(found_profiles(), "Ben")
    assert held_sync(ben).now == AutomaticSync(collection=True, media=True)
    hold_sync(ben)
    release_sync(ben)
    assert held_sync(ada()).now == NO_AUTOMATIC_SYNC


def test_what_a_profile_synced_is_remembered_before_it_is_switched(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("tasks.held_sync.switch_automatic_sync", killed)
        with pytest.raises(KeyboardInterrupt):
            hold_sync(ada())
    assert held_sync(ada()).before == AutomaticSync(collection=True, media=True)


def test_nothing_is_switched_that_can_not_be_remembered(house: House) -> None:
    shutil.rmtree(house.state, ignore_errors=True)
    house.state.write_text("a file where the folder should be")
    before = row_of(house, "Ada")
    with pytest.raises(RecollectError, match="can't be noted"):
        hold_sync(ada())
    assert row_of(house, "Ada") == before


def test_a_restore_that_can_not_hold_sync_off_replaces_nothing(house: House) -> None:
    snapshot = back_up_well()
    add_note(house.collection(), "since then")
    (house.base / "prefs21.db").write_bytes(b"no list at all")
    before = tables_of(house.collection())
    report = restore("Ada", snapshot, wanted=HELD)
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "preferences-unusable")
    assert tables_of(house.collection()) == before


def test_nothing_is_held_off_for_a_folder_that_nothing_syncs(house: House, tmp_path: Path) -> None:
    back_up_well()
    assert restore("Ada", to=tmp_path / "out", wanted=HELD).row.reason == "target-unusable"
    assert MEDIA not in [path.name for path in tmp_path.iterdir()]
