"""Backups through the whole chain while a real Anki writes without pause: every one of them is a moment that was."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.chains.backup import back_up
from storage.format.audit_row import Outcome
from tests.flows.chains.house import COLLECTION, House, opened
from tests.profiles import live_writer

WANTED = 15


@contextmanager
def anki_at_work(collection: Path, *, seed: int, filler: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, live_writer.__file__, str(collection), str(seed), str(filler)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def round_of(collection: Path) -> int:
    """The round of the writer that a restored collection stands at, after Anki's own checks."""
    with opened(collection) as anki:
        assert anki.db is not None
        assert anki.db.scalar("pragma integrity_check") == "ok"
        fronts = {anki.get_note(note)["Front"] for note in anki.find_notes("tag:twin")}
        problems, sound = anki.fix_integrity()
        assert sound, problems
    assert len(fronts) == 1, f"notes that change together differ: {fronts}"
    return int(fronts.pop())


def back_up_while_anki_writes(house: House, folder: Path, wanted: int) -> Counter[str]:
    shutil.rmtree(house.folder() / "backups")
    met: Counter[str] = Counter()
    with anki_at_work(house.collection(), seed=11, filler=6000) as process:
        while met["completed"] < wanted and met.total() < 6 * wanted:
            report = back_up("Ada")
            assert report.outcome in {Outcome.COMPLETED, Outcome.SKIPPED}, report.message
            met[report.outcome.value] += 1
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == 0

    rounds = []
    for ref in house.snapshots():
        house.restored(folder, "Ada", ref.id)
        rounds.append(round_of(folder / COLLECTION))
        shutil.rmtree(folder)
    assert len(rounds) == met["completed"]
    assert rounds == sorted(rounds)
    met["rounds seen"] = len(set(rounds))
    return met


def test_every_snapshot_of_an_anki_at_work_is_sound_and_a_moment_that_was(house: House, tmp_path: Path) -> None:
    met = back_up_while_anki_writes(house, tmp_path / "out", WANTED)
    print(f"\n{dict(met)}")
    assert met["completed"] >= WANTED
    assert met["rounds seen"] > WANTED // 2
    assert list((house.cache / "staging").iterdir()) == []


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_hundreds_of_snapshots_of_an_anki_at_work_are_sound(house: House, tmp_path: Path) -> None:
    met = back_up_while_anki_writes(house, tmp_path / "out", 300)
    assert met["completed"] >= 300
