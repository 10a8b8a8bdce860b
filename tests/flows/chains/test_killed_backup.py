"""A backup that is killed at any moment breaks nothing, and the next run goes on from there."""

from __future__ import annotations

import random
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flows.chains.backup import back_up
from storage.deletion_archive import archived_notes
from storage.format.audit_row import Outcome
from storage.format.deletion_table import How
from storage.format.manifest import ProfileKey
from tests.flows.chains.backdating import backdate
from tests.flows.chains.house import COLLECTION, MEDIA, House, add_note, back_up_well, digests, opened
from tests.flows.chains.killed_runs import Runs, runs_of

KILLS = 30
NEWEST = 12  # snapshots that are restored to see that they are whole; all of them would take ever longer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a snapshot must give back."""

    snapshot: str
    collection: bytes
    media: dict[bytes, str]


@pytest.fixture
def runs(house: House) -> Iterator[Runs]:
    arguments = [str(house.base), house.repo, str(house.cache), str(house.config)]
    with runs_of("tests.flows.chains.backing_up_process", *arguments) as made:
        yield made


def enlarge(house: House, seed: int, megabytes: int) -> None:
    """Media and notes that no earlier snapshot holds, so that a run has packs to send."""
    luck = random.Random(seed)
    for number in range(4):
        (house.media() / f"bulk {number}.bin").write_bytes(luck.randbytes(megabytes * 250_000))
    add_note(house.collection(), f"round {seed}", luck.randbytes(100_000).hex())
    with (house.folder() / "deleted.txt").open("ab") as log:
        log.write(b"%d\t1700000000001\tdeleted in round %d\tx\n" % (1_700_000_000_000 + seed, seed))


def remove_note(collection: Path, front: str) -> None:
    with opened(collection) as anki:
        anki.remove_notes(anki.find_notes(f'"front:{front}"'))


def keep(house: House, snapshot: str) -> Kept:
    return Kept(snapshot, house.collection().read_bytes(), digests(house.media()))


def assert_gives_back(house: House, kept: Kept, folder: Path) -> None:
    house.restored(folder, "Ada", kept.snapshot)
    assert (folder / COLLECTION).read_bytes() == kept.collection
    assert digests(folder / MEDIA) == kept.media
    shutil.rmtree(folder)


def assert_whole_again(house: House, earlier: Kept, folder: Path) -> Kept:
    """Whatever became of the killed run: earlier snapshots are whole, and so is what the next run makes."""
    assert_gives_back(house, earlier, folder)
    for ref in house.snapshots()[-NEWEST:]:
        house.restored(folder, "Ada", ref.id)
        shutil.rmtree(folder)
    report = back_up("Ada")
    assert report.outcome in {Outcome.COMPLETED, Outcome.UNCHANGED}, report.message
    assert report.row.snapshot == house.snapshots()[-1].id
    now = keep(house, str(report.row.snapshot))
    assert_gives_back(house, now, folder)
    assert list((house.cache / "staging").iterdir()) == []
    return now


def test_a_run_killed_at_any_of_its_writes_breaks_nothing(house: House, runs: Runs, tmp_path: Path) -> None:
    # Every round has packs, an index, a manifest, manifests on their way into the trash, deletions and a row to write.
    earlier = keep(house, back_up_well())
    key = ProfileKey(house.snapshots()[0].profile_key)
    for write in range(1, 40):
        backdate(house, "Ada", days=[40 + write])
        enlarge(house, seed=write, megabytes=1)
        remove_note(house.collection(), f"round {write - 1}")
        if not runs.killed_at(write):
            break
        earlier = assert_whole_again(house, earlier, tmp_path / "out")
        # Those of the log, and those that only a comparison sees go.
        archived = archived_notes(house.repository, key)
        assert [sum(note.how is how for note in archived) for how in How] == [4 + write, write - 1, 0]
    assert 7 <= write < 39


def test_a_run_killed_at_random_moments_breaks_nothing(house: House, runs: Runs, tmp_path: Path) -> None:
    luck = random.Random(20261122)
    earlier = keep(house, back_up_well())
    enlarge(house, seed=0, megabytes=10)
    began = time.monotonic()
    assert not runs.killed_after(60)
    length = time.monotonic() - began
    earlier = keep(house, house.snapshots()[-1].id)
    killed = 0
    for round_ in range(1, KILLS + 1):
        enlarge(house, seed=round_, megabytes=10)
        began = time.monotonic()
        if runs.killed_after(luck.uniform(0, length)):
            killed += 1
        else:
            length = min(length, time.monotonic() - began)
        if round_ % 6 == 0:
            earlier = assert_whole_again(house, earlier, tmp_path / "out")
        else:
            assert_gives_back(house, earlier, tmp_path / "out")
    assert killed >= KILLS // 3


@pytest.mark.torture
@pytest.mark.timeout(3000)
def test_hundreds_of_killed_runs_break_nothing(house: House, runs: Runs, tmp_path: Path) -> None:
    luck = random.Random(1)
    earlier = keep(house, back_up_well())
    killed = 0
    for round_ in range(200):
        enlarge(house, seed=round_, megabytes=luck.choice([1, 4, 16]))
        killed += runs.killed_after(luck.expovariate(4))
        earlier = assert_whole_again(house, earlier, tmp_path / "out")
    assert killed >= 60
