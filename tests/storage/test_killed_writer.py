from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.format.blob import pack_of_name
from storage.opening import open_or_create_repository, open_repository
from storage.reading import read_pack_table
from storage.repository import Repository
from storage.stores.address import open_store
from tests.storage.small_backup import Source, back_up, blobs_of, restore, source_of
from tests.storage.writer_to_kill import MEDIA, PAGES

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")

KILLS = 56
ROOT = Path(__file__).parents[2]


class Writer:
    """The program that makes backups, and is killed while it does."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def back_up(self, url: str, seed: int, run: int, *, kill_after: int = 10**6) -> list[str]:
        """Let it make a backup, and kill it when it told `kill_after` lines; returns what it told until its end."""
        told: list[str] = []
        child = int(self._ask(f"{url} {seed} {run} {kill_after + 1}").removeprefix("process "))
        while len(told) < kill_after and (line := self._hear()) != "finished":
            told.append(line)
        if len(told) == kill_after:
            os.kill(child, signal.SIGKILL)
        # What it told before it died is still to be heard.
        line = self._ask("reap")
        while not line.startswith("ended "):
            told.append(line)
            line = self._hear()
        self.was_killed = int(line.removeprefix("ended ")) == signal.SIGKILL
        return told

    def _ask(self, line: str) -> str:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the writer ended by itself"
        return line.removesuffix("\n")


@pytest.fixture
def writer() -> Iterator[Writer]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.storage.writer_to_kill"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Writer(process)
        assert process.stdin
        process.stdin.close()
        process.wait(timeout=30)


def content(seed: int) -> Source:
    return source_of(seed, pages=PAGES, media=MEDIA)


def assert_nothing_half_written_counts(repository: Repository) -> None:
    """Whatever goes by the name of a pack or an index file is whole, and what the index says can be read."""
    for item in repository.store.list("packs"):
        pack = pack_of_name(item.name)
        assert pack is not None
        read_pack_table(repository.store, repository.seal, pack, item.size)
    repository.index()
    assert repository.holdings().damaged_indexes == ()


def test_a_writer_killed_at_any_moment_breaks_nothing_and_the_next_run_succeeds(writer: Writer, tmp_path: Path) -> None:
    draw = random.Random(20261122)
    url = str(tmp_path / "repository")
    length = [len(writer.back_up(str(tmp_path / "trial"), 40 * run, run)) for run in range(2)][1]
    assert length > 40
    snapshots: dict[str, int] = {}
    killed = 0
    for run in range(KILLS):
        seed = 40 * run
        told = writer.back_up(url, seed, run, kill_after=draw.randrange(length))
        killed += writer.was_killed
        repository = open_or_create_repository(open_store(url))
        assert_nothing_half_written_counts(repository)
        refs = repository.snapshots()
        new = [ref for ref in refs if ref.id not in snapshots]
        # The manifest is there if its write ended, and is not if that never began.
        wrote = [line for line in told if "write snapshots/" in line]
        assert len(new) == 1 if any(line.startswith("end") for line in wrote) else len(new) <= len(wrote)
        snapshots |= {ref.id: seed for ref in new}
        assert {ref.id for ref in refs} == snapshots.keys()
        for ref in refs[-3:]:
            assert restore(repository, ref) == content(snapshots[ref.id])
        if run % 6 == 5:
            ref = back_up(open_repository(open_store(url)), content(seed), run=1000 + run)
            snapshots[ref.id] = seed
    assert killed >= 40
    repository = open_repository(open_store(url))
    assert len(snapshots) >= KILLS // 6
    for ref in repository.snapshots():
        assert restore(repository, ref) == content(snapshots[ref.id])


def test_what_a_killed_run_had_indexed_is_not_stored_again(writer: Writer, tmp_path: Path) -> None:
    url = str(tmp_path / "repository")
    told = writer.back_up(str(tmp_path / "trial"), 0, 0)
    indexed = [number for number, line in enumerate(told, 1) if line.startswith("end write index/")]
    writer.back_up(url, 0, 0, kill_after=indexed[len(indexed) // 2])
    assert writer.was_killed
    landed = len(open_repository(open_store(url)).index())
    assert landed > 20
    with (repository := open_repository(open_store(url))).write(uploads=2) as session:
        for kind, blob, plain in blobs_of(repository, content(0)):
            session.add(kind, blob, plain)
        blobs = {blob for _, blob, _ in blobs_of(repository, content(0))}
        assert session.close().blobs == len(blobs) - landed
