"""Copies of a collection that a real Anki has open and writes to without pause."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from anki.collection import Collection

from profiles.collection_copy import CopyEvidence, copy_collection
from profiles.errors import SourceBusy
from profiles.proof import prove
from profiles.source_stamp import first_bytes

WRITER = Path(__file__).with_name("live_writer.py")


class Lingering:
    """A slow reader: once in each copy it stops halfway until Anki has started its log afresh."""

    def __init__(self, wal: Path) -> None:
        self.wal = wal
        self.waits = True

    def advance(self, amount: int, files: int = 0) -> None:  # noqa: ARG002
        if amount == 0 or not self.waits:
            return
        self.waits = False
        before = first_bytes(self.wal)
        for _ in range(200_000):
            if first_bytes(self.wal) != before:
                return


@contextmanager
def anki_at_work(path: Path, seed: int, filler: int) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, str(WRITER), str(path), str(seed), str(filler)],
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


def stop(process: subprocess.Popen[str]) -> int:
    output, _ = process.communicate("stop\n")
    word, rounds = output.split()
    assert (process.returncode, word) == (0, "done")
    return int(rounds)


def round_of(copy: Path) -> int:
    """The round that the copy stands at, after Anki itself has found nothing wrong with it."""
    collection = Collection(str(copy))
    try:
        assert collection.db is not None
        assert collection.db.scalar("PRAGMA integrity_check") == "ok"
        fronts = {collection.get_note(note)["Front"] for note in collection.find_notes("tag:twin")}
        _, sound = collection.fix_integrity()
        assert sound
    finally:
        collection.close()
    assert len(fronts) == 1, f"notes that change together differ: {fronts}"
    return int(fronts.pop())


def take_copies(source: Path, folder: Path, wanted: int, *, lingering: bool) -> Counter[str]:
    """Take and check `wanted` copies; what they met on the way is counted."""
    met: Counter[str] = Counter()
    last_round = 0
    listener = Lingering(source.with_name(source.name + "-wal")) if lingering else None
    for number in range(wanted):
        target = folder / f"copy{number}.anki2"
        if listener is not None:
            listener.waits = True
        try:
            evidence: CopyEvidence = copy_collection(source, target, progress=listener)
        except SourceBusy:
            met["busy"] += 1
            assert not target.exists()
            continue
        met[evidence.how] += 1
        met["retried"] += evidence.attempts > 1
        facts = prove(target)
        assert (facts.page_size, facts.pages * facts.page_size) == (evidence.page_size, evidence.size)
        reached = round_of(target)
        assert reached >= last_round
        met["moved on"] += reached > last_round
        last_round = reached
        target.unlink()
    return met


@pytest.mark.parametrize("lingering", [False, True])
def test_every_copy_of_a_collection_in_full_use_is_sound_and_newer_than_the_last(
    tmp_path: Path, lingering: bool
) -> None:
    source = tmp_path / "profile" / "collection.anki2"
    source.parent.mkdir()
    with anki_at_work(source, seed=7, filler=6000) as process:
        met = take_copies(source, tmp_path, 40, lingering=lingering)
        rounds = stop(process)

    print(f"\n{rounds} rounds of Anki; {dict(met)}")
    assert met["wal-guarded"] + met["quiet"] >= 30
    assert met["moved on"] >= 20
    assert met["retried"] >= (20 if lingering else 0)


@pytest.mark.torture
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("filler", [300, 6000, 30000])
@pytest.mark.parametrize("lingering", [False, True])
def test_hundreds_of_copies_under_several_loads_are_all_sound(
    tmp_path: Path, seed: int, filler: int, lingering: bool
) -> None:
    source = tmp_path / "profile" / "collection.anki2"
    source.parent.mkdir()
    with anki_at_work(source, seed, filler) as process:
        met = take_copies(source, tmp_path, 150, lingering=lingering)
        rounds = stop(process)

    print(f"\n{rounds} rounds of Anki; {dict(met)}")
    assert met["wal-guarded"] + met["quiet"] >= 100
