"""Every tool does the same on the same data, as often as was asked, and what is measured is what it did."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest

import bench.__main__ as program
from bench.conditions import Conditions
from bench.course import Course
from bench.generate import COLLECTION, generate
from bench.measure import Command, CommandFailedError
from bench.peers.peer import Commands, Peer, Unable
from bench.place import Kind, Place, far_away
from bench.results import Scenario
from bench.sizes import SIZES

SIZE = replace(SIZES["tiny"], increments=1, snapshots=3, kept=1)

Says = list[tuple[str, str, str]]


class Copier:
    """A tool that keeps a copy of the collection for each backup, and notes what it was asked for."""

    def __init__(self, name: str, place: Place, asked: Says, *, prunes: bool = True) -> None:
        self.name = name
        self.place = place
        self._asked = asked
        self._prunes = prunes

    def prepare(self) -> Commands:
        self.place.repository.mkdir(parents=True)
        return []

    def backup(self, profile: Path, moment: datetime | None = None) -> Commands | Unable:
        stored = len(list(self.place.repository.iterdir()))
        digest = str(hash((profile / COLLECTION).read_bytes()))
        self._asked.append((self.name, "backup" if moment is None else f"backup of {moment:%Y-%m-%d}", digest))
        return [python(f"shutil.copy({str(profile / COLLECTION)!r}, {str(self.place.repository / f'{stored:04}')!r})")]

    def restore(self, target: Path) -> Commands | Unable:
        assert not target.exists()
        self._asked.append((self.name, "restore", str(len(list(self.place.repository.iterdir())))))
        return [python(f"shutil.copytree({str(self.place.repository)!r}, {str(target)!r})")]

    def prune_to(self, kept: int) -> Commands | Unable:
        if not self._prunes:
            return Unable("It keeps everything")
        goes = sorted(self.place.repository.iterdir())[:-kept]
        return [python(f"[os.unlink(path) for path in {[str(path) for path in goes]!r}]")]


def python(code: str) -> Command:
    return Command([sys.executable, "-I", "-S", "-c", f"import os, shutil; {code}"])


@contextmanager
def prepared(folder: Path) -> Iterator[tuple[Course, Says]]:
    """A course of two rounds with two such tools, ready to go."""
    asked: Says = []
    generate(folder / "base", SIZE, seed=1)
    work = folder / "work"
    work.mkdir()

    def peers_at(_course: Course, kind: Kind, stored: Path, *, every: bool) -> Iterator[Peer]:
        for name, prunes in (("one", True), ("two", False)):
            yield Copier(name, Place(kind, name, stored / name / "home", stored / name / "kept"), asked, prunes=prunes)

    with pytest.MonkeyPatch.context() as patched, far_away(folder / "far", folder, 0.0) as far:
        patched.setattr(Course, "_peers_at", peers_at)
        conditions = Conditions(work, free=lambda: 0)
        yield Course(SIZE, 1, 2, [Kind.LOCAL], folder / "base", work, far, None, lambda _: None, conditions), asked


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Course, Says]]:
    """A course that was gone to its end."""
    with prepared(tmp_path_factory.mktemp("course")) as (running, asked):
        running.go()
        yield running, asked


def test_the_tools_take_turns_on_the_same_data_in_every_round(course: tuple[Course, Says]) -> None:
    _, asked = course
    first, second = asked[:10], asked[10:20]
    assert [name for name, _, _ in first] == ["one", "two"] * 5
    assert [what for _, what, _ in first[::2]] == ["backup"] * 4 + ["restore"]
    # Nothing changed, then a study session, then pictures, which are none of the collection's business.
    contents = [content for _, _, content in first[:8:2]]
    assert contents == [content for _, _, content in first[1:8:2]]
    assert contents[0] == contents[1] != contents[2] == contents[3]
    assert second == first


def test_the_history_is_as_long_as_the_size_says_with_a_day_between(course: tuple[Course, Says]) -> None:
    _, asked = course
    history = asked[20:]
    days = [what.removeprefix("backup of ") for name, what, _ in history if name == "one" and what != "restore"]
    moments = [datetime.fromisoformat(day) for day in days]
    assert [(later - earlier).days for earlier, later in pairwise(moments)] == [1, 1]
    assert len({content for name, what, content in history if name == "one" and what != "restore"}) == 3
    assert [stored for name, what, stored in history if name == "one" and what == "restore"] == ["2", "2"]


def test_every_round_is_measured_and_prunes_the_whole_history_again(course: tuple[Course, Says]) -> None:
    running, _ = course
    by = {
        scenario: [one for one in running.measurements if one.scenario is scenario and one.peer == "one"]
        for scenario in Scenario
    }
    assert {scenario: [one.round for one in found] for scenario, found in by.items()} == {
        every: [1, 2] for every in Scenario
    }
    first, again = (one.stored_bytes for one in by[Scenario.PRUNE])
    assert first == again < 0
    assert all(one.stored_bytes > 0 for one in by[Scenario.FIRST])
    assert all(one.stored_bytes == 0 for one in by[Scenario.RESTORE])
    assert running.unable == {"two, prune": "It keeps everything"}
    assert not (running.work / "stored").exists()


def test_a_tool_that_fails_ends_the_run_and_leaves_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Copier, "restore", lambda *_: [python("raise SystemExit('no room')")])
    with prepared(tmp_path) as (running, _):
        with pytest.raises(CommandFailedError, match="no room"):
            running.go()
        assert {one.scenario for one in running.measurements} == set(list(Scenario)[:4])


def test_missing_tools_are_named_in_one_sentence_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--size", "tiny"])
    monkeypatch.setattr(shutil, "which", lambda name: None if name in ("borg", "restic") else f"/bin/{name}")
    assert program.main() == 1
    assert capsys.readouterr().err == (
        "Missing to measure against: restic, borg. Install with: sudo apt-get install restic borgbackup\n"
    )
