"""One run at a time: who comes later is skipped, or waits, and a run that was killed stands in nobody's way."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import flows.chains.backup
import flows.chains.restore
from flows.chains.backup import back_up
from flows.chains.recover import recover
from flows.chains.restore import restore
from flows.chains.restore_plan import NewProfile
from flows.chains.undo import undo
from recollect.progress import SILENT, Stage, listening
from recollect.settings import Settings
from storage.format.audit_row import Outcome
from tasks import under_way
from tasks.audit import Report
from tasks.find_notes import Wanted
from tasks.machine_lock import MachineLock
from tasks.profiles_here import found_profiles, key_of
from tasks.settings_in_force import using
from tests.flows.chains.house import House, back_up_well, tree_of

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Run:
    """A run in another process that is under way."""

    process: subprocess.Popen[str]

    @property
    def shown(self) -> str:
        return f"(process {self.process.pid})"

    def ends(self) -> str:
        """Let it go on; how it ended."""
        out, _ = self.process.communicate("\n")
        return out.strip()

    def is_killed(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def run_under_way(house: House, what: str) -> Iterator[Run]:
    """A run of Ada's in another process, in the middle of what it does."""
    arguments = [str(house.base), house.repo, str(house.cache), str(house.config), what]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.flows.chains.under_way_process", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "under way\n"
            yield Run(process)
        finally:
            process.kill()


class Ending:
    """Hears of the work, and lets another run end as soon as it is waited for."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.heard: list[str] = []

    @contextmanager
    def stage(self, what: str, total: int | None, files: int | None = None) -> Iterator[Stage]:
        self.heard.append(what)
        if "waiting" in what:
            assert self.run.ends() == "completed"
        with SILENT.stage(what, total, files) as stage:
            yield stage


def assert_skipped(report: Report, *words: str) -> None:
    assert (report.outcome, report.row.reason) == (Outcome.SKIPPED, "under-way")
    for word in words:
        assert word in report.message


def recovery(profile: str = "Ada") -> Report:
    return recover(Wanted(decks=("Chemistry",)), profile=profile)[0]


def test_the_later_of_two_backups_is_skipped_and_says_what_runs_since_when_and_that_nothing_is_to_be_done(
    house: House,
) -> None:
    with run_under_way(house, "backup") as run:
        report = back_up("Ada")
        assert_skipped(report, run.shown, "does the work of this run. There is nothing to do.")
        assert re.match(r"A backup of Ada has been under way since ([0-9-]{10} )?\d\d:\d\d \(process", report.message)
        assert house.snapshots() == []
        assert_skipped(back_up("Ada", force=True), run.shown, "Run this again once that has ended.")
        assert back_up("Ben").outcome is Outcome.COMPLETED
        assert run.ends() == "completed"
    assert [(row.profile, row.outcome) for row in house.rows("backup")] == [
        ("Ada", Outcome.COMPLETED),  # which began first
        ("Ada", Outcome.SKIPPED),
        ("Ada", Outcome.SKIPPED),
        ("Ben", Outcome.COMPLETED),
    ]
    assert back_up("Ada").outcome is Outcome.UNCHANGED


def test_a_run_that_was_killed_stands_in_nobodys_way(house: House) -> None:
    with run_under_way(house, "backup") as run:
        run.is_killed()
    back_up_well()
    with run_under_way(house, "restore") as run:
        run.is_killed()
    assert back_up("Ada", force=True).outcome is Outcome.COMPLETED
    assert restore("Ada").outcome is Outcome.COMPLETED


def test_a_backup_to_another_repository_does_other_work_and_neither_is_skipped(house: House, tmp_path: Path) -> None:
    with run_under_way(house, "backup") as run:
        with house.set(repo=str(tmp_path / "second")):
            back_up_well()
        assert run.ends() == "completed"


@pytest.mark.parametrize(("what", "words"), [("restore", "A restore of Ada"), ("recover", "A recovery of notes into")])
def test_nothing_is_backed_up_while_a_profile_is_changed_into_whichever_repository(
    house: House, tmp_path: Path, what: str, words: str
) -> None:
    back_up_well()
    with run_under_way(house, what) as run:
        assert_skipped(back_up("Ada"), words, run.shown, "nothing was backed up")
        with house.set(repo=str(tmp_path / "second")):
            assert_skipped(back_up("Ada"), words, run.shown)
        assert back_up("Ben").outcome is Outcome.COMPLETED
        assert run.ends() == "completed"
    assert back_up("Ada").outcome is not Outcome.SKIPPED


@pytest.mark.parametrize("asked", [lambda: restore("Ada"), lambda: undo("Ada"), recovery])
def test_who_wants_a_profile_changed_waits_for_a_backup_of_it_and_hears_of_that(house: House, asked: Any) -> None:
    back_up_well()
    restore("Ada")
    with run_under_way(house, "backup") as run:
        ending = Ending(run)
        with listening(ending):
            report = asked()
    assert report.outcome is Outcome.COMPLETED
    assert any(run.shown in told and "waited for its end" in told for told in report.remarks)
    (waited,) = [heard for heard in ending.heard if "waiting" in heard]
    assert waited.startswith("A backup of Ada has been under way since ")


def test_a_restore_waits_for_another_one(house: House) -> None:
    back_up_well()
    with run_under_way(house, "restore") as run, listening(Ending(run)):
        report = restore("Ada")
    assert report.outcome is Outcome.COMPLETED
    assert any("A restore of Ada" in told for told in report.remarks)


@pytest.mark.parametrize("asked", [lambda: restore("Ada"), lambda: undo("Ada"), recovery])
def test_who_has_waited_too_long_gives_up_in_a_sentence_and_has_changed_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, asked: Any
) -> None:
    back_up_well()
    restore("Ada")
    with run_under_way(house, "backup") as run:
        monkeypatch.setattr(under_way, "_PATIENCE_S", 0.0)
        before, snapshots = tree_of(house.folder()), house.snapshots()
        assert_skipped(asked(), run.shown, "did not end within", "nothing was changed. Try again once it has ended.")
        assert (tree_of(house.folder()), house.snapshots()) == (before, snapshots)


def test_a_restore_into_an_empty_folder_or_a_new_profile_waits_for_nobody(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up_well()
    monkeypatch.setattr(under_way, "_PATIENCE_S", 0.0)
    with run_under_way(house, "backup"):
        house.restored(tmp_path / "out")
        assert restore("Ada", to=NewProfile("Cara")).outcome is Outcome.COMPLETED


def backed_up_apart(settings: Settings, profile: str = "Ada") -> Report:
    """A backup in a thread that is no part of what this one does."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_back_up_with, settings, profile).result()


def _back_up_with(settings: Settings, profile: str) -> Report:
    with using(settings):
        return back_up(profile)


def test_what_a_restore_keeps_first_is_a_part_of_it_and_what_another_thread_does_is_not(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up_well()
    restore_collection = flows.chains.restore.restore_collection
    within: list[Report] = []

    def restoring(*args: Any, **options: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            within.append(pool.submit(copy_context().run, back_up, "Ada").result())
        within.append(backed_up_apart(house.load()))
        return restore_collection(*args, **options)

    monkeypatch.setattr(flows.chains.restore, "restore_collection", restoring)
    report = restore("Ada")
    assert report.outcome is Outcome.COMPLETED
    assert any("safety snapshot" in told for told in report.remarks)
    assert within[0].outcome is Outcome.UNCHANGED
    assert_skipped(within[1], "A restore of Ada")
    assert back_up("Ada").outcome is Outcome.COMPLETED


def test_of_two_threads_that_back_up_the_same_profile_one_is_skipped(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = flows.chains.backup.snapshot
    within: list[Report] = []

    def taking(*args: Any, **options: Any) -> Any:
        if not within:
            within.append(backed_up_apart(house.load()))
        return snapshot(*args, **options)

    monkeypatch.setattr(flows.chains.backup, "snapshot", taking)
    back_up_well()
    assert_skipped(within[0], f"(process {os.getpid()})")


def test_where_nothing_can_be_locked_only_the_protection_is_lost_and_that_is_told(house: House) -> None:
    house.state.write_text("a file in the way")
    told = back_up("Ada"), restore("Ada")
    for report in told:
        assert report.outcome is Outcome.COMPLETED
        (remark,) = [remark for remark in report.remarks if "would not be noticed" in remark]
        assert str(house.state / "under-way") in remark
        assert "`state`" in remark


@pytest.mark.skipif(sys.platform == "win32", reason="flock is of POSIX")
def test_a_file_system_without_locks_costs_the_protection_only(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("tasks.machine_lock.fcntl.flock", unable)
    report = back_up("Ada")
    assert report.outcome is Outcome.COMPLETED
    assert any(os.strerror(errno.ENOLCK) in remark for remark in report.remarks)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b'{"doing": "BACKUP"}',
        b'{"doing": "BACKUP", "since": "yesterday", "process": 1}',
        b'{"doing": "BACKUP", "since": "0001-01-01T00:00:00+00:00", "process": 1e999}',
    ],
)
def test_a_holder_who_does_not_say_who_it_is_holds_the_lock_all_the_same(house: House, note: bytes) -> None:
    key = key_of(found_profiles().profiles[0])
    with MachineLock(house.state / "under-way" / key) as lock:
        lock.take(note, alone=True)
        assert_skipped(back_up("Ada"), "Another run for Ada is under way, so nothing was backed up")


def test_what_began_on_another_day_is_told_with_its_date(house: House) -> None:
    began = (datetime.now().astimezone() - timedelta(days=2)).replace(hour=12, minute=34)
    note = json.dumps({"doing": "RESTORE", "since": began.astimezone(UTC).isoformat(), "process": 4711})
    with MachineLock(house.state / "under-way" / key_of(found_profiles().profiles[0])) as lock:
        lock.take(note.encode(), alone=True)
        assert_skipped(back_up("Ada"), f"since {began:%Y-%m-%d} 12:34 (process 4711)")


def test_nothing_is_locked_in_the_repository(house: House) -> None:
    back_up_well()
    with run_under_way(house, "backup") as run:
        before = tree_of(Path(house.repo))
        with house.set(state=str(house.state.with_name("another computer"))):
            assert back_up("Ada").outcome is Outcome.UNCHANGED
        assert {name.partition("/")[0] for name in tree_of(Path(house.repo)).keys() - before.keys()} <= {"audit"}
        assert run.ends() == "unchanged"
