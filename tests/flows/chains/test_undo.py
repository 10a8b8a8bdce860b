"""What undoing puts back after what a bad day can hold: restores that are broken off, done again, undone, and so on.

Each case is a row of a table: what a person did, and which of the states on the way `recollect undo` must give back.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.chains.backup import back_up
from flows.chains.forget import forget
from flows.chains.recover import recover
from flows.chains.restore import restore
from flows.chains.restore_plan import RestorePlan, Wanted, plan_restore
from flows.chains.undo import undo
from recollect.settings import load_settings
from storage.format.audit_row import Outcome
from tasks import restore_media, settings_in_force
from tasks.audit import Report
from tasks.catalog import SAFETY, choose_profile, read_catalog
from tasks.find_notes import Wanted as WantedNotes
from tests.flows.chains.house import House, add_note, back_up_well, copy_base, digests, never, opened, tables_of

PAINTED = ("blue.png", "brown.png", "grey.png", "orange.png", "red.png", "violet.png")
ONLY_MEDIA = Wanted(only=("media",))


class BrokenOffError(BaseException):
    """What a restore dies of here."""


@dataclass(frozen=True, slots=True)
class State:
    """The notes, cards and reviews of a profile, and its media files."""

    rows: dict[str, list[tuple[Any, ...]]]
    media: dict[bytes, str]

    def is_again_in(self, found: State) -> bool:
        """Media that came meanwhile may be there too: no undo takes any away."""
        return self.rows == found.rows and self.media.items() <= found.media.items()


def state_of(house: House) -> State:
    tables = tables_of(house.collection())
    return State({name: tables[name] for name in ("notes", "cards", "revlog")}, digests(house.media()))


@contextmanager
def broken_off(name: str, of: Callable[..., Any], *, after: int) -> Iterator[None]:
    """Calls beyond the first so many end what makes them, as a kill does. (Real kills are in test_killed_restore.)"""
    calls, turn = 0, threading.Lock()

    def breaking(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        with turn:
            calls += 1
            if calls > after:
                raise BrokenOffError
        return of(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name, breaking)
        try:
            yield
        except BrokenOffError:
            return
    raise AssertionError("nothing was broken off")


def in_the_middle(written: int) -> Any:
    """The collection is there, and so many media files."""
    return broken_off("tasks.restore_media.write_media_file", restore_media.write_media_file, after=written)


def at_the_beginning() -> Any:
    """The present state is kept, and nothing is changed."""
    return broken_off("flows.chains.restore.restore_collection", never, after=0)


def well(report: Report) -> None:
    assert report.outcome is Outcome.COMPLETED, report.message


class Day:
    """A profile that has changed since its snapshot, and what a person can do with it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.snapshot = back_up_well()
        with opened(house.collection()) as anki:
            geography = anki.find_notes("deck:Geography")
            self.lost = geography[0]
            anki.remove_notes(geography)
        add_note(house.collection(), "written since")
        for name in PAINTED:
            (house.media() / name).write_bytes(b"painted over")
        self.studied = 0

    def restore(self) -> None:
        well(restore("Ada", self.snapshot))

    def restore_media(self) -> None:
        well(restore("Ada", self.snapshot, wanted=ONLY_MEDIA))

    def undo(self) -> None:
        well(undo("Ada"))

    def recover(self) -> None:
        report, _ = recover(WantedNotes(notes=(self.lost,)), profile="Ada", snapshot=self.snapshot, overwriting=True)
        well(report)

    def study(self) -> None:
        self.studied += 1
        add_note(self.house.collection(), f"studied {self.studied}")

    def lose_the_mark(self) -> None:
        shutil.rmtree(self.house.state / "restores")

    def does(self, what: str) -> None:
        name, _, moment = what.partition(", ")
        act = getattr(self, name.replace(" ", "_"))
        if moment == "killed":
            # What is half done can be left half undone.
            with in_the_middle(written=1 if name == "undo" else 2):
                act()
        elif moment == "killed at once":
            with at_the_beginning():
                act()
        else:
            act()


# What was done, and what undoing gives back then: the state before the step of that number, from 0 on. Undoing that
# gives back the state of the number that follows; where none does, the one that there was after all these steps.
CASES: list[tuple[list[str], int] | tuple[list[str], int, int]] = [
    (["restore"], 0),
    (["restore, killed"], 0),
    (["restore, killed at once"], 0),
    # Done again
    (["restore, killed", "restore"], 0),
    (["restore, killed at once", "restore"], 0),
    (["restore, killed", "restore, killed", "restore"], 0),
    (["restore, killed", "restore, killed at once"], 0),
    (["restore, killed", "restore, killed at once", "restore"], 0),
    (["restore media, killed", "restore media"], 0),
    (["restore media, killed", "restore"], 0),
    # Undone once already
    (["restore, killed", "restore", "undo"], 2),
    (["restore, killed", "undo"], 1),
    (["restore, killed", "undo", "undo"], 2),
    # An undo that is killed is gone on with, and is one with what goes on with it
    (["restore", "undo, killed"], 0, 1),
    (["restore", "undo, killed", "undo, killed"], 0, 1),
    (["restore", "undo, killed", "undo"], 1),
    (["restore, killed", "undo, killed", "undo"], 1),
    (["restore, killed", "restore", "undo, killed"], 0, 2),
    (["restore", "undo, killed", "restore"], 1),
    # What came to nothing is none to undo
    (["restore", "restore, killed at once"], 0),
    (["restore", "undo, killed at once"], 0),
    (["restore", "undo", "undo, killed at once"], 1),
    (["restore", "study", "restore, killed at once"], 0),
    # Work on what was left is not passed over
    (["restore, killed", "study", "restore"], 2),
    (["restore, killed at once", "study", "restore"], 2),
    (["restore, killed", "study", "restore, killed", "restore"], 2),
    (["restore, killed", "recover"], 1),
    (["restore, killed", "recover", "restore"], 2),
    # What has an end has nothing to do with what comes later
    (["restore", "restore media"], 1),
    (["restore, killed", "restore", "restore"], 2),
    (["restore, killed", "restore", "study", "restore"], 3),
    # A mark that is lost costs the choice
    (["restore, killed", "lose the mark", "restore"], 2),
]


@pytest.mark.parametrize(
    ("steps", "given_back", "by_undoing_that"),
    [(steps, first, *(second or [len(steps)])) for steps, first, *second in CASES],
    ids=["; ".join(case[0]) for case in CASES],
)
def test_undoing_gives_back_what_a_person_means(
    house: House, steps: list[str], given_back: int, by_undoing_that: int
) -> None:
    day = Day(house)
    states = [state_of(house)]
    for step in steps:
        day.does(step)
        states.append(state_of(house))
    day.undo()
    assert states[given_back].is_again_in(state_of(house))
    day.undo()
    assert states[by_undoing_that].is_again_in(state_of(house))


def safety_snapshots(house: House) -> list[str]:
    return [ref.id for ref in house.snapshots() if house.manifest(ref).facts.get("purpose") == SAFETY]


def test_the_plan_tells_which_snapshot_it_is_and_why_and_where_the_other_one_is(house: House) -> None:
    day = Day(house)
    day.does("restore, killed")
    left = state_of(house)
    plan = plan_restore(house.repository, "Ada", day.snapshot)
    (original,) = safety_snapshots(house)
    assert "the last restore was broken off" in plan.as_text()
    assert f"`recollect undo 'Ada'` brings back what was there before it, {original}" in plan.as_text()
    report = restore("Ada", day.snapshot)
    assert any(f"brings back what was before it, {original}" in remark for remark in report.remarks)
    plans: list[RestorePlan] = []

    def seen(plan: RestorePlan) -> bool:
        plans.append(plan)
        return False

    undo("Ada", confirmed=seen)
    _, half = safety_snapshots(house)
    text = plans[0].as_text()
    assert plans[0].manifest.id == original
    assert "of what was there before the last restore, however often that was broken off" in text
    reached = f"recollect restore 'Ada' --in-place --snapshot {half}"
    assert reached in text
    well(restore("Ada", reached.rpartition(" ")[2]))
    assert left.is_again_in(state_of(house))


def test_a_restore_that_is_over_is_not_told_of(house: House) -> None:
    day = Day(house)
    day.does("restore")
    plan = plan_restore(house.repository, "Ada", day.snapshot)
    assert (
        "the present state is kept as a safety snapshot first: `recollect undo 'Ada'` brings it back" in plan.as_text()
    )
    assert "broken off" not in plan.as_text()


def test_where_the_state_before_is_gone_undoing_says_so_and_gives_back_what_there_is(house: House) -> None:
    day = Day(house)
    day.does("restore, killed")
    left = state_of(house)
    day.does("restore")
    original, _ = safety_snapshots(house)
    forget("Ada", [original])
    plans: list[RestorePlan] = []
    undo("Ada", confirmed=lambda plan: bool(plans.append(plan)))
    assert f"for {original}, which is meant, can't be read or is no longer in the repository" in plans[0].as_text()
    day.undo()
    assert left.is_again_in(state_of(house))


def test_a_restore_that_fails_in_the_middle_is_undone_as_one_with_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = Day(house)
    before = state_of(house)
    folder = house.media()
    with monkeypatch.context() as patch:
        patch.setattr("flows.chains.restore.restore_media", failing_with(folder))
        assert restore("Ada", day.snapshot).outcome is Outcome.FAILED
    day.does("restore")
    day.undo()
    assert before.is_again_in(state_of(house))


def failing_with(folder: Path) -> Callable[..., Any]:
    def failing(*_: object, **__: object) -> Any:
        raise restore_media.SourceUnreadable(f"{folder} can't be read", "Mend it")

    return failing


def test_what_a_restore_had_left_that_was_broken_off_is_a_backup_like_others_once_that_was_done_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing was left to be done, so that no byte of the profile has changed since it was backed up."""

    def dies(*_: object) -> None:
        raise BrokenOffError

    back_up_well()
    next(path for path in house.media().iterdir() if path.suffix == ".png").unlink()
    with monkeypatch.context() as broken_off:
        broken_off.setattr("flows.chains.restore._remember_finished", dies)
        with pytest.raises(BrokenOffError):
            restore("Ada", wanted=ONLY_MEDIA)

    marked = back_up_well()
    assert house.manifest(house.snapshots()[-1]).facts["unfinished_restore"]
    assert restore("Ada", wanted=ONLY_MEDIA).outcome is Outcome.COMPLETED
    whole = back_up_well()
    assert whole != marked
    assert not house.manifest(house.snapshots()[-1]).facts["unfinished_restore"]
    assert choose_profile(read_catalog(house.repository), "Ada").latest.id == whole
    assert back_up("Ada").outcome is Outcome.UNCHANGED


def test_what_another_computer_restores_is_its_own_to_undo(house: House, sample_base: Path, tmp_path: Path) -> None:
    """One repository, a profile of the same name on two computers; each has a restore broken off and done again."""
    days = [Day(house)]
    elsewhere = House(tmp_path / "elsewhere" / "Anki2", house.repo, tmp_path / "elsewhere" / "cache", house.config)
    copy_base(sample_base, elsewhere.base)
    theirs = load_settings(
        {
            "base": elsewhere.base,
            "repo": house.repo,
            "cache": elsewhere.cache,
            "state": elsewhere.state,
            "host": "elsewhere",
        },
        config=house.config,
    )
    with settings_in_force.using(theirs):
        days.append(Day(elsewhere))
        add_note(elsewhere.collection(), "only elsewhere")
        before_there = state_of(elsewhere)
        days[1].does("restore, killed")
    before = state_of(house)
    days[0].does("restore")
    with settings_in_force.using(theirs):
        days[1].does("restore")
        days[1].undo()
        assert before_there.is_again_in(state_of(elsewhere))
    days[0].undo()
    assert before.is_again_in(state_of(house))


def test_a_memory_that_is_older_than_the_last_restore_is_not_believed(house: House, tmp_path: Path) -> None:
    """As after a home folder was put back: what it tells of is not what was done last."""
    day = Day(house)
    day.does("restore")
    shutil.copytree(house.state / "restores", tmp_path / "older")
    day.does("study")
    studied = state_of(house)
    day.does("restore")
    shutil.rmtree(house.state / "restores")
    shutil.copytree(tmp_path / "older", house.state / "restores")
    day.undo()
    assert studied.is_again_in(state_of(house))


def test_nothing_of_it_lies_in_ankis_folders(house: House) -> None:
    day = Day(house)
    there = {path.relative_to(house.base) for path in house.base.rglob("*")}
    day.does("restore, killed")
    day.does("restore")
    assert {path.relative_to(house.base) for path in house.base.rglob("*")} <= there
