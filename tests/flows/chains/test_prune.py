"""Pruning through the whole chain, without Prefect: what was planned is what is done, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flows.chains.backup import back_up
from flows.chains.prune import plan_prune, prune
from storage.errors import NotARepository, SnapshotUnknown, StoreReadOnly
from storage.format.audit_row import Outcome
from storage.retention import RetentionLimits
from tasks.catalog import ADOPTED
from tasks.limits import NOTHING_CHOSEN, ChosenLimits
from tests.faults.faulty_store import WRITING
from tests.flows.chains.backdating import backdate
from tests.flows.chains.house import House, add_note, back_up_well, through_faults

OLD = [3, 4, 5, 40, 41, 400]


def ids(house: House, profile: str = "Ada") -> list[str]:
    return [ref.id for ref in house.snapshots(profile)]


def spoil(house: House, snapshot: str) -> None:
    (manifest,) = Path(house.repo, "snapshots").rglob(snapshot)
    manifest.write_bytes(b"spoiled")
    shutil.rmtree(house.cache / "repositories", ignore_errors=True)


def test_what_was_planned_is_what_is_done(house: House) -> None:
    backdate(house, "Ada", days=OLD)
    backdate(house, "Ben", days=OLD)
    with house.set(daily=2, weekly=1, monthly=0):
        plans = plan_prune(house.repository)
        going = {candidate.snapshot for planned in plans for candidate in planned.plan.goes}
        staying = {candidate.snapshot for planned in plans for candidate in planned.plan.keeps}
        reports = prune()

    assert [report.profile for report in reports] == ["Ada", "Ben"]
    assert len(going) == sum(report.row.snapshots_pruned or 0 for report in reports) == 6
    assert {*ids(house, "Ada"), *ids(house, "Ben")} == staying
    trash = {item.name.rpartition("/")[2] for item in house.repository.store.list("trash")}
    assert trash == going
    rows = house.rows("prune")
    assert [(row.profile, row.outcome, row.snapshots_pruned) for row in rows] == [
        ("Ada", Outcome.COMPLETED, 3),
        ("Ben", Outcome.COMPLETED, 3),
    ]
    assert rows[0].profile_key == house.snapshots("Ada")[0].profile_key
    assert "3 of 6" in reports[0].message


def test_a_plan_alone_writes_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    backdate(house, "Ada", days=OLD)
    store = through_faults(monkeypatch)
    with house.set(daily=0, weekly=0, monthly=0):
        (planned,) = plan_prune(house.repository)
    assert len(planned.plan.goes) == 5
    assert store.count(*WRITING) == 0
    assert len(ids(house)) == 6


def test_a_second_prune_finds_nothing_to_do(house: House) -> None:
    backdate(house, "Ada", days=OLD)
    with house.set(daily=1, weekly=0, monthly=0):
        assert [report.row.snapshots_pruned for report in prune() + prune()] == [5, 0]


def test_each_profile_is_pruned_by_the_limits_that_its_owner_chose(house: House) -> None:
    backdate(house, "Ada", days=OLD, limit_daily=1, limit_weekly=0, limit_monthly=0)
    backdate(house, "Ben", days=OLD, limit_daily=50, limit_weekly=0, limit_monthly=0)
    ada, ben = plan_prune(house.repository)
    assert (ada.plan.limits.daily, ben.plan.limits.daily) == (1, 50)
    assert [report.row.snapshots_pruned for report in prune()] == [5, 0]


@pytest.mark.parametrize("noted", ["many", -1, True, 2.5, None])
def test_a_limit_that_can_be_none_counts_as_ankis_default(house: House, noted: object) -> None:
    backdate(house, "Ada", days=OLD, limit_daily=noted)
    (planned,) = plan_prune(house.repository)
    assert planned.plan.limits.daily == 12


def test_the_owners_limits_are_known_though_the_newest_manifest_is_damaged(house: House) -> None:
    made = backdate(house, "Ada", days=OLD, limit_daily=50, limit_weekly=50, limit_monthly=50)
    spoil(house, made[0])
    (planned,) = plan_prune(house.repository)
    assert planned.plan.limits.daily == 50


def test_a_snapshot_that_cannot_be_judged_stays(house: House) -> None:
    made = backdate(house, "Ada", days=OLD)
    spoil(house, made[2])
    with house.set(daily=0, weekly=0, monthly=0):
        (report,) = prune()
    assert set(ids(house)) == {made[0], made[2]}
    assert any(made[2] in remark for remark in report.remarks)
    assert report.outcome is Outcome.COMPLETED


def test_only_the_profiles_named_are_pruned(house: House) -> None:
    backdate(house, "Ada", days=OLD)
    backdate(house, "Ben", days=OLD)
    with house.set(daily=0, weekly=0, monthly=0):
        (report,) = prune(names=["ben"])
    assert report.profile == "Ben"
    assert (len(ids(house, "Ada")), len(ids(house, "Ben"))) == (6, 1)


def test_an_unknown_name_stops_everything_before_anything_goes(house: House) -> None:
    backdate(house, "Ada", days=OLD)
    with house.set(daily=0, weekly=0, monthly=0), pytest.raises(SnapshotUnknown, match="Nobody"):
        prune(names=["Ada", "Nobody"])
    assert len(ids(house)) == 6


def test_a_profile_that_is_no_longer_on_this_computer_is_pruned_too(house: House) -> None:
    backdate(house, "Ada", days=OLD)
    shutil.rmtree(house.base)
    with house.set(daily=1, weekly=0, monthly=0):
        (report,) = prune()
    assert report.row.snapshots_pruned == 5


def test_a_prune_that_fails_halfway_is_told_and_loses_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    backdate(house, "Ada", days=OLD)
    backdate(house, "Ben", days=OLD)
    before = {*ids(house, "Ada"), *ids(house, "Ben")}
    store = through_faults(monkeypatch)
    store.fail(frozenset({"remove"}), folder="snapshots/", nth=2, error=StoreReadOnly)
    with house.set(daily=0, weekly=0, monthly=0):
        ada, ben = prune()
        assert (ada.outcome, ada.row.reason) == (Outcome.FAILED, "repository-read-only")
        assert ben.outcome is Outcome.COMPLETED
        trash = {item.name.rpartition("/")[2] for item in house.repository.store.list("trash")}
        assert {*ids(house, "Ada"), *ids(house, "Ben"), *trash} == before
        assert all(report.outcome is Outcome.COMPLETED for report in prune())
    assert (len(ids(house, "Ada")), len(ids(house, "Ben"))) == (1, 1)


def test_what_stays_can_still_be_restored(house: House, tmp_path: Path) -> None:
    backdate(house, "Ada", days=OLD)
    newest = back_up("Ada", force=True).row.snapshot
    with house.set(daily=1, weekly=0, monthly=0):
        prune()
    assert len(ids(house)) == 2
    for number, snapshot in enumerate(ids(house)):
        house.restored(tmp_path / str(number), "Ada", snapshot)
    assert newest in ids(house)


def test_a_suspect_snapshot_holds_a_run_back_but_not_a_person(house: House) -> None:
    backdate(house, "Ada", days=OLD)
    for picture in house.media().iterdir():
        picture.unlink()
    with house.set(daily=0, weekly=0, monthly=0):
        report = back_up("Ada")
        assert report.outcome is Outcome.COMPLETED
        assert house.manifest(house.snapshots()[-1]).facts["suspect"]
        assert report.row.snapshots_pruned == 0
        assert any("suspect" in remark for remark in report.remarks)
        assert len(ids(house)) == 7
        (held,) = prune()
        assert (held.outcome, held.row.reason, len(ids(house))) == (Outcome.SKIPPED, "suspect", 7)
        (pruned,) = prune(despite_suspects=True)
        assert pruned.row.snapshots_pruned == 5
        # The suspect one, and the last good one.
        assert len(ids(house)) == 2


def test_what_was_lost_stays_suspect_until_it_comes_back_or_a_person_takes_it_as_it_is(house: House) -> None:
    back_up_well()
    pictures = {path: path.read_bytes() for path in house.media().iterdir()}
    for path in pictures:
        path.unlink()
    with house.set(daily=0, weekly=0, monthly=0):
        for number in range(2):
            house.media().joinpath("late.png").write_bytes(bytes([number]))
            assert any("suspect" in remark for remark in back_up("Ada").remarks)
            assert house.manifest(house.snapshots()[-1]).facts["suspect"]
        accepted = back_up("Ada", accept=True)
        assert not house.manifest(house.snapshots()[-1]).facts["suspect"]
        assert not any("is let go" in remark for remark in accepted.remarks)
        house.media().joinpath("late.png").write_bytes(b"later")
        back_up_well()
        assert not house.manifest(house.snapshots()[-1]).facts["suspect"]


def test_what_is_back_holds_nothing_up_any_more(house: House) -> None:
    back_up_well()
    pictures = {path: path.read_bytes() for path in house.media().iterdir()}
    for path in pictures:
        path.unlink()
    back_up("Ada")
    (planned,) = plan_prune(house.repository)
    assert planned.held is not None
    for path, content in pictures.items():
        path.write_bytes(content)
    back_up_well()
    (planned,) = plan_prune(house.repository)
    assert planned.held is None


def test_the_limits_of_this_computer_are_not_meant_for_the_profiles_of_another(house: House) -> None:
    backdate(house, "Ada", days=OLD)
    everything = ids(house)
    with house.set(host="another computer", daily=0, weekly=0, monthly=0):
        plans = plan_prune(house.repository)
        assert [plan.plan.limits for plan in plans] == [RetentionLimits()]
        for meant in (
            plan_prune(house.repository, ["Ada"]),
            plan_prune(house.repository, limits=ChosenLimits(0, 0, 0)),
        ):
            assert [plan.plan.limits for plan in meant] == [RetentionLimits(0, 0, 0)]
    assert ids(house) == everything


def test_what_a_deployment_says_to_keep_is_kept_by_whoever_prunes_until_it_says_otherwise(house: House) -> None:
    said = ChosenLimits(daily=50, weekly=0)
    backdate(house, "Ada", days=OLD)
    first = back_up("Ada", limits=said)
    assert first.outcome is Outcome.COMPLETED, "it is noted though nothing else has changed"
    assert first.row.snapshots_pruned == 0
    assert back_up("Ada", limits=said).outcome is Outcome.UNCHANGED
    assert back_up("Ada").outcome is Outcome.UNCHANGED
    backdate(house, "Ada", days=[0], purpose=ADOPTED, keep_daily=None, keep_weekly=None)

    # Neither another kind of run nor the settings of this or another computer let go of more.
    add_note(house.collection(), "by hand")
    with house.set(daily=1, weekly=0, monthly=0):
        assert back_up("Ada").row.snapshots_pruned == 0
        assert [report.row.snapshots_pruned for report in prune()] == [0]
    with house.set(host="another computer", daily=1):
        (planned,) = plan_prune(house.repository, ["Ada"])
        assert planned.plan.limits == RetentionLimits(50, 0, 9)
        (planned,) = plan_prune(house.repository, limits=ChosenLimits(daily=2))
        assert planned.plan.limits == RetentionLimits(2, 0, 9)

    add_note(house.collection(), "on schedule")
    with house.set(daily=1, weekly=0, monthly=0):
        assert back_up("Ada", limits=NOTHING_CHOSEN).row.snapshots_pruned == 5


@pytest.mark.parametrize("noted", ["many", -1, True, 2.5])
def test_what_no_deployment_can_have_said_counts_as_nothing(house: House, noted: object) -> None:
    backdate(house, "Ada", days=OLD, keep_daily=noted)
    (planned,) = plan_prune(house.repository)
    assert planned.plan.limits == RetentionLimits()


def test_an_empty_repository_has_nothing_to_prune(house: House) -> None:
    with pytest.raises(NotARepository):
        prune()
    back_up_well()
    assert [report.row.snapshots_pruned for report in prune()] == [0]
