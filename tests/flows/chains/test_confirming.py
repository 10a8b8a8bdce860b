"""What becomes of a plan while its answer takes its time, and of one that nobody answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.chains.confirming import Unanswered
from flows.chains.recover import recover
from flows.chains.restore import decline_restore, restore
from flows.chains.restore_plan import NewProfile, RestorePlan, plan_restore
from storage.format.audit_row import Outcome
from storage.repository import Repository
from tasks.find_notes import Wanted
from tests.flows.chains.house import House, add_note, anki_open, back_up_well, fronts, tree_of


class Person:
    """Sees plans, and says yes to each; what happens before each answer is played."""

    def __init__(self, *meanwhile: Callable[[], object]) -> None:
        self.saw: list[str] = []
        self.meanwhile: Iterator[Callable[[], object]] = iter(meanwhile)

    def __call__(self, plan: RestorePlan) -> bool:
        self.saw.append(plan.as_text())
        next(self.meanwhile, lambda: None)()
        return True


def nobody(_: object) -> bool:
    raise Unanswered("Nothing was changed, for nobody answered", "Start it again")


def test_a_profile_that_changed_while_nobody_answered_is_shown_again(house: House) -> None:
    back_up_well()
    ada = Person(lambda: add_note(house.collection(), "written meanwhile"))
    report = restore("Ada", confirmed=ada, answer_takes_time=True)
    assert report.outcome is Outcome.COMPLETED, report.message
    first, second = ada.saw
    assert first != second
    assert "written meanwhile" not in fronts(house.collection())


def test_what_changed_is_not_restored_over_when_the_second_answer_is_a_no(house: House) -> None:
    back_up_well()
    asked = iter([lambda: add_note(house.collection(), "written meanwhile"), None])

    def answer(_: RestorePlan) -> bool:
        happens = next(asked)
        if happens is not None:
            happens()
        return happens is not None

    report = restore("Ada", confirmed=answer, answer_takes_time=True)
    assert (report.outcome, report.row.reason) == (Outcome.SKIPPED, "not-confirmed")
    assert "written meanwhile" in fronts(house.collection())


def test_a_picture_that_goes_while_nobody_answered_is_shown_again(house: House) -> None:
    back_up_well()
    ada = Person((house.media() / "red.png").unlink)
    assert restore("Ada", confirmed=ada, answer_takes_time=True).outcome is Outcome.COMPLETED
    assert ["1 to add" in plan for plan in ada.saw] == [False, True]


def test_the_snapshot_that_was_shown_comes_back_whatever_latest_means_by_then(house: House) -> None:
    shown = back_up_well()

    def back_up_what_is_wrong() -> None:
        add_note(house.collection(), "wrong")
        back_up_well()

    ada = Person(back_up_what_is_wrong)
    report = restore("Ada", confirmed=ada, answer_takes_time=True)
    assert report.outcome is Outcome.COMPLETED, report.message
    # The note is a change too, so there were two plans, both of the same snapshot.
    assert len(ada.saw) == 2
    assert all(shown in plan for plan in ada.saw)
    assert "wrong" not in fronts(house.collection())
    assert any(f"what is restored is {shown}, as shown" in remark for remark in report.remarks)


def test_a_plan_that_still_holds_is_shown_once(house: House, tmp_path: Path) -> None:
    back_up_well()
    for options in ({}, {"to": tmp_path / "out"}, {"to": NewProfile("Cara")}):
        ada = Person()
        report = restore("Ada", confirmed=ada, answer_takes_time=True, **options)  # type: ignore[arg-type]
        assert report.outcome is Outcome.COMPLETED, report.message
        assert len(ada.saw) == 1
        assert not any("as shown" in remark for remark in report.remarks)


def test_an_anki_that_was_opened_while_nobody_answered_is_named_and_nothing_changed(house: House) -> None:
    back_up_well()
    snapshots = house.snapshots()
    contexts = [anki_open(house.collection())]
    try:
        report = restore("Ada", confirmed=Person(contexts[0].__enter__), answer_takes_time=True)
    finally:
        contexts[0].__exit__(None, None, None)
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "anki-is-open")
    assert house.snapshots() == snapshots


def test_a_snapshot_that_was_let_go_while_nobody_answered_is_not_restored(house: House) -> None:
    snapshot = back_up_well()
    add_note(house.collection(), "newer")
    back_up_well()
    repository, gone = house.repository, house.snapshots()[0]
    ada = Person(lambda: repository.move_to_trash(gone))
    report = restore("Ada", snapshot, confirmed=ada, answer_takes_time=True)
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "snapshot-unknown"), report.message
    assert "newer" in fronts(house.collection())


@pytest.mark.parametrize("of_the_snapshot", [True, False])
def test_without_an_answer_nothing_is_touched_and_the_row_says_so(house: House, *, of_the_snapshot: bool) -> None:
    def which(repository: Repository) -> str:
        assert repository.snapshots()
        return str(nobody(None)) if of_the_snapshot else "latest"

    back_up_well()
    before = tree_of(house.base)
    report = restore("Ada", which, confirmed=nobody, answer_takes_time=True)
    assert tree_of(house.base) == before
    assert (report.outcome, report.row.reason) == (Outcome.SKIPPED, "not-answered")
    assert report.message == "Nothing was changed, for nobody answered. Start it again."
    assert house.rows("restore")[-1].reason == "not-answered"


def test_without_an_answer_no_note_is_added_and_the_row_says_so(house: House) -> None:
    back_up_well()
    before = tree_of(house.base)
    report, _ = recover(Wanted(decks=("Chemistry",)), profile="Ada", confirmed=nobody)
    assert tree_of(house.base) == before
    assert (report.outcome, report.row.reason) == (Outcome.SKIPPED, "not-answered")


def test_a_no_that_was_said_before_the_restore_began_has_its_row(house: House) -> None:
    snapshot = back_up_well()
    plan = plan_restore(house.repository, "Ada")
    report = decline_restore(plan)
    (row,) = house.rows("restore")
    assert (row.profile, row.outcome, row.reason) == ("Ada", Outcome.SKIPPED, "not-confirmed")
    assert (row.snapshot, row.message) == (snapshot, report.message)
