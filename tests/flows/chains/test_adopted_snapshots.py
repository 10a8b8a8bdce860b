"""Snapshots made of Anki's own backups, beside those that a backup made: they stand for none, and push out none."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from flows.chains.adopt import adopt
from flows.chains.backup import back_up
from flows.chains.forget import forget
from flows.chains.prune import prune
from flows.chains.restore import restore
from flows.chains.restore_plan import Wanted, plan_restore
from recollect.errors import RecollectError
from storage.format.audit_row import Outcome
from storage.format.manifest import new_snapshot_id
from tasks.catalog import ADOPTED, SAFETY, choose_profile, read_catalog
from tasks.compare import compare_states
from tests.flows.chains.house import House, add_note, back_up_well, digests
from tests.flows.chains.packages import PACKAGED, automatic, content, exported, manifests, well


def adopted_newest(house: House) -> str:
    """A package without media, dated a little ahead of every snapshot that was made by now."""
    # Of one second, chance decides which of two comes last.
    soon = datetime.now().astimezone() + timedelta(minutes=2, seconds=len(house.snapshots()))
    add_note(house.collection(), f"note of {soon}")
    (snapshot,) = well(adopt([automatic(house, f"backup-{soon:%Y-%m-%d-%H.%M.%S}.colpkg")]))
    assert house.snapshots()[-1].id == snapshot
    return snapshot


def test_an_adopted_snapshot_is_latest_only_where_there_is_no_backup(house: House) -> None:
    def latest() -> str:
        return choose_profile(read_catalog(house.repository), "Ada").latest.id

    automatic(house)
    (adopted,) = well(adopt())
    assert latest() == adopted
    back_up_well(purpose=SAFETY, force=True)
    assert latest() == adopted
    routine = back_up_well(force=True)
    adopted_newest(house)
    assert latest() == routine


def test_missing_media_of_adopted_snapshots_make_no_backup_suspect(house: House) -> None:
    for number in range(30):
        (house.media() / f"{number}.txt").write_text(str(number))
    back_up_well()
    adopted_newest(house)
    add_note(house.collection(), "another")
    report = back_up("Ada")
    assert report.outcome is Outcome.COMPLETED
    assert "suspect" not in report.message
    shutil.rmtree(house.media())
    house.media().mkdir()
    add_note(house.collection(), "and another")
    adopted_newest(house)
    assert "marked as suspect" in back_up("Ada").message


def test_a_profile_that_did_not_change_since_its_backup_is_still_unchanged_after_adopting(house: House) -> None:
    path = automatic(house, f"backup-{datetime.now().astimezone() + timedelta(minutes=2):%Y-%m-%d-%H.%M.%S}.colpkg")
    routine = back_up_well()
    (adopted,) = well(adopt([path]))
    assert house.snapshots()[-1].id == adopted
    report = back_up("Ada")
    assert (report.outcome, report.row.snapshot) == (Outcome.UNCHANGED, routine)
    shutil.rmtree(house.cache)
    with house.set():
        report = back_up("Ada")
    assert (report.outcome, report.row.snapshot) == (Outcome.UNCHANGED, routine)


def test_an_adopted_snapshot_with_the_same_media_is_no_stand_in_for_the_first_backup(
    house: House, tmp_path: Path
) -> None:
    well(adopt([exported(house, tmp_path / PACKAGED, media=True, legacy=False)], "Ada"))
    routine = back_up_well()
    assert [manifest.facts["purpose"] for manifest in manifests(house)] == [ADOPTED, "routine"]
    assert choose_profile(read_catalog(house.repository), "Ada").latest.id == routine


def backed_up_on(house: House, moment: datetime) -> str:
    """A backup with the media, as if it had been made then."""
    back_up_well(force=True)
    now = manifests(house)[-1]
    then = replace(now, id=new_snapshot_id(moment, os.urandom(4)), taken_at=moment)
    house.repository.commit(then, known=False)
    assert forget("Ada", [now.id]).outcome is Outcome.COMPLETED
    return then.id


def test_a_prune_lets_go_of_no_backup_for_the_sake_of_an_adopted_snapshot(house: House) -> None:
    """Of one day: a backup with the media, and two of Anki's own, one before and one after it."""
    month_before = automatic(house, "backup-2026-02-09-20.00.00.colpkg")
    after = automatic(house, "backup-2026-03-09-20.00.00.colpkg")
    # Last of all, for Anki itself keeps one a day.
    before = Path(shutil.copyfile(after, after.with_name("backup-2026-03-09-08.00.00.colpkg")))
    routine = backed_up_on(house, datetime(2026, 3, 9, 12).astimezone())
    well(adopt())
    assert [report.outcome for report in prune(names=["Ada"])] == [Outcome.COMPLETED]
    left = {manifest.facts.get("package"): manifest.id for manifest in manifests(house)}
    assert left.keys() == {None, after.name, month_before.name}
    assert left[None] == routine
    # Its file is still there, but what was let go does not come back by itself.
    assert before.exists()
    assert {report.outcome for report in adopt().reports} == {Outcome.UNCHANGED}


def test_the_last_backup_can_not_be_forgotten_for_there_being_adopted_snapshots(house: House) -> None:
    automatic(house)
    routine = back_up_well()
    (adopted,) = well(adopt())
    with pytest.raises(RecollectError, match="would have no good snapshot left"):
        forget("Ada", [routine])
    assert forget("Ada", [adopted]).outcome is Outcome.COMPLETED


# Restoring without media


def test_a_restore_in_place_says_that_there_are_no_media_and_leaves_those_of_the_profile(house: House) -> None:
    automatic(house)
    before, media = content(house.collection()), digests(house.media())
    (snapshot,) = well(adopt())
    add_note(house.collection(), "a mistake")
    plan = plan_restore(house.repository, "Ada", snapshot)
    assert "this snapshot holds none, as Anki's automatic backups don't, so those there stay" in plan.as_text()
    assert PACKAGED in plan.as_text()

    report = restore("Ada", snapshot)

    assert report.outcome is Outcome.COMPLETED, report.message
    assert any("Of media nothing was restored" in remark for remark in report.remarks)
    assert not any("lost" in remark or "damaged" in remark for remark in report.remarks)
    assert content(house.collection()) == before
    assert digests(house.media()) == media


def test_media_alone_or_exactly_can_not_be_restored_of_a_snapshot_without_any(house: House) -> None:
    automatic(house)
    (snapshot,) = well(adopt())
    media = digests(house.media())
    for wanted in (Wanted(only=("media",)), Wanted(only=("*.png",)), Wanted(exact_media=True)):
        report = restore("Ada", snapshot, wanted=wanted)
        assert report.outcome is Outcome.FAILED
        assert "holds no media" in report.message
    assert digests(house.media()) == media


def test_comparing_with_a_snapshot_without_media_tells_of_the_collection_alone(house: House) -> None:
    automatic(house)
    (snapshot,) = well(adopt())
    add_note(house.collection(), "new")
    routine = back_up_well()
    repository = house.repository
    before, after = (next(m for m in manifests(house) if m.id == one) for one in (snapshot, routine))
    difference = compare_states(repository, before, after)
    assert not difference.media
    assert difference.before.endswith("which holds no media")
