"""A restore in place that is killed at any moment leaves a profile that Anki opens, as it was or as it was to become.

Set TORTURE_SEED to have the long test kill at the moments of an earlier run, which prints the seed it used.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flows.chains.backup import back_up
from flows.chains.restore import restore
from flows.chains.restore_plan import Wanted
from flows.chains.undo import undo
from profiles.media_trash import MEDIA_TRASH
from storage.format.audit_row import Outcome
from tasks.catalog import SAFETY, choose_profile, read_catalog
from tests.flows.chains.house import (
    COLLECTION,
    MEDIA,
    House,
    add_note,
    answer_a_card,
    back_up_well,
    crash_anki,
    digests,
    opened,
)
from tests.flows.chains.killed_runs import Runs, runs_of

EVENLY_SPREAD, FEW = 8, 3
BY_CHANCE = 200
LARGE = 2_500_000  # bytes of a picture that is written in several parts

# The steps that change the profile; the safety snapshot before them is killed in test_killed_backup.py.
OF_THE_RESTORE = "tasks.restore"
CHANGES_OF_NAMES = ("replace", "rename", "link", "unlink")

DELETION_LOG = "deleted.txt"
DRAWN = ("large, drawn over.bin", "red.png", "since.png")  # the last is not in the snapshot
UNFINISHED = ("Ada/.recollect-", f"Ada/{MEDIA}/.recollect-")
COLLECTION_MODE, MEDIA_MODE = 0o640, 0o604

Rows = dict[str, list[list[Any]]]
Others = dict[str, tuple[int, int, int, bytes]]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@dataclass(frozen=True, slots=True)
class State:
    """What a profile holds, as Anki finds it."""

    rows: Rows
    media: dict[bytes, str]
    trash: dict[bytes, str]
    deletion_log: bytes | None


@dataclass(frozen=True, slots=True)
class BadDay:
    """A profile as it is, a snapshot that it shall go back to, and a copy of all of that to begin each round with."""

    house: House
    snapshot: str
    exactly: bool
    """Whether the restore takes media away that the snapshot lacks, into Anki's own trash for them."""
    present: State
    wanted: State
    others: Others
    """What no restore touches."""
    kept: Path
    scratch: Path

    def begin_anew(self) -> None:
        for kept in self.kept.iterdir():
            place = self.house.base.with_name(kept.name)
            shutil.rmtree(place)
            shutil.copytree(kept, place)

    @contextmanager
    def runs(self) -> Iterator[Runs]:
        house = self.house
        arguments = [str(house.base), house.repo, str(house.cache), str(house.config), self.snapshot]
        with runs_of("tests.flows.chains.restoring_process", *arguments, *["exactly"] * self.exactly) as runs:
            yield runs

    def moments(self) -> list[str]:
        """Every moment there is to be killed at in this restore, by kinds, in the order in which they first come."""
        with self.runs() as runs:
            self.begin_anew()
            seen: dict[str, int] = json.loads(runs.whole("moments"))
        return [f"{nth} {kind}" for kind, times in seen.items() for nth in range(1, times + 1)]


def rows_in(folder: Path, scratch: Path) -> Rows:
    """Every row that Anki finds in a copy of a profile's collection, after its own check of the whole file."""
    scratch.mkdir()
    for path in folder.glob(f"{COLLECTION}*"):
        shutil.copyfile(path, scratch / path.name)
    with opened(scratch / COLLECTION) as anki:
        assert anki.db is not None
        assert anki.db.scalar("pragma integrity_check") == "ok"
        names = anki.db.list("select name from sqlite_schema where type = 'table'")
        found = {name: sorted(anki.db.all(f'select * from "{name}"'), key=repr) for name in names}
    shutil.rmtree(scratch)
    return found


def others_in(base: Path) -> Others:
    """What else lies in the base folder than the state of Ada's profile: mode, owner, time and content."""
    ada = base / "Ada"
    own = {ada / COLLECTION, ada / f"{COLLECTION}-wal", ada / DELETION_LOG}
    own.update(*((ada / folder).glob("*") for folder in (MEDIA, MEDIA_TRASH)))
    return {
        str(path.relative_to(base)): (
            (status := path.stat()).st_mode,
            status.st_uid,
            status.st_mtime_ns,
            path.read_bytes(),
        )
        for path in base.rglob("*")
        if path.is_file() and path not in own
    }


def state_of(folder: Path, scratch: Path) -> State:
    log = folder / DELETION_LOG
    trash = folder / MEDIA_TRASH
    return State(
        rows=rows_in(folder, scratch),
        media=digests(folder / MEDIA),
        trash=digests(trash) if trash.exists() else {},
        deletion_log=log.read_bytes() if log.exists() else None,
    )


@pytest.fixture
def day(request: pytest.FixtureRequest, house: House, tmp_path: Path) -> BadDay:
    """Notes, cards and media have changed since the snapshot; by an Anki that crashed, and the deletion log is gone."""
    media, luck = house.media(), random.Random(1)
    for name in ("large, drawn over.bin", "large, gone.bin"):
        (media / name).write_bytes(luck.randbytes(LARGE))
    snapshot = back_up_well()
    wanted = state_of(house.folder(), tmp_path / "seen")

    with opened(house.collection()) as anki:
        anki.remove_notes(anki.find_notes("deck:Geography"))
    answer_a_card(house.collection())
    add_note(house.collection(), "written since")
    for name in ("large, gone.bin", "blue.png"):
        (media / name).unlink()
    for name in DRAWN:
        (media / name).write_bytes(luck.randbytes(LARGE if name.startswith("large") else 5000))
        (media / name).chmod(MEDIA_MODE)
        # A file that replaces one of the very same second is given a later time: one moment more, on some clocks only.
        os.utime(media / name, (time.time() - 60,) * 2)
    if request.param == "crashed":
        crash_anki(house.collection(), "only in the log", "and this")
        (house.folder() / DELETION_LOG).unlink()
    house.collection().chmod(COLLECTION_MODE)
    present = state_of(house.folder(), tmp_path / "seen")
    assert all(present.rows[table] != wanted.rows[table] for table in ("notes", "cards", "revlog"))

    kept = tmp_path / "kept"
    for place in (house.base, Path(house.repo), house.cache, house.state):
        shutil.copytree(place, kept / place.name)
    others = others_in(house.base)
    return BadDay(house, snapshot, request.param == "exactly", present, wanted, others, kept, tmp_path / "seen")


def latest(house: House) -> str:
    return choose_profile(read_catalog(house.repository), "Ada").latest.id


def assert_is(found: Rows, rows: Rows, *, restored: bool) -> None:
    """Row by row; what was restored differs in the two times that make the next sync ask."""
    assert found.keys() == rows.keys()
    for table in found.keys() - {"col"}:
        assert found[table] == rows[table], table
    (now,), (then,) = found["col"], rows["col"]
    if restored:
        # The first columns of rslib/src/storage/schema11.sql: id, crt, mod, scm, ver, dty, usn, ls.
        assert now[2] == now[3] > max(then[2], then[3], then[7])
        assert [*now[:2], *now[4:]] == [*then[:2], *then[4:]]
    else:
        assert now == then


def assert_nothing_is_half(day: BadDay) -> bool:
    """The collection is one of the two, each media file too, and nothing is lost; whether it is the restored one."""
    house, found = day.house, state_of(day.house.folder(), day.scratch)
    restored = found.rows["notes"] == day.wanted.rows["notes"]
    assert_is(found.rows, (day.wanted if restored else day.present).rows, restored=restored)
    if restored:
        assert_the_present_was_kept(day)

    # Not even what is unfinished lies where a media sync would find it.
    media = found.media
    assert day.present.media.keys() <= media.keys() | (found.trash.keys() if day.exactly else set())
    assert found.trash.items() <= day.present.media.items()
    for name, digest in media.items():
        assert digest in {day.present.media.get(name), day.wanted.media.get(name)}, name
    assert found.deletion_log in {day.present.deletion_log, day.present.deletion_log or day.wanted.deletion_log}
    others = {name: of for name, of in others_in(house.base).items() if not name.startswith(UNFINISHED)}
    assert_no_other_is_touched(day, others)
    return restored


def assert_no_other_is_touched(day: BadDay, others: Others) -> None:
    house = day.house
    assert others == day.others
    drawn = [path for name in DRAWN if (path := house.media() / name).exists() or not day.exactly]
    assert {stat.S_IMODE(path.stat().st_mode) for path in drawn} == {MEDIA_MODE}
    assert stat.S_IMODE(house.collection().stat().st_mode) == COLLECTION_MODE


def assert_the_present_was_kept(day: BadDay) -> None:
    """Nothing takes the place of a collection that can't be had back, with its media."""
    safety = [ref for ref in day.house.snapshots() if day.house.manifest(ref).facts.get("purpose") == SAFETY]
    folder = day.house.restored(day.scratch.with_name("safety"), "Ada", safety[-1].id)
    kept = state_of(folder, day.scratch)
    assert_is(kept.rows, day.present.rows, restored=False)
    assert kept.media == day.present.media
    shutil.rmtree(folder)


def assert_the_next_one_ends_it(day: BadDay) -> None:
    """Restored again, all is as if nothing had happened, and nothing of the killed run is left."""
    house = day.house
    report = restore("Ada", day.snapshot, wanted=Wanted(exact_media=day.exactly))
    assert report.outcome is Outcome.COMPLETED, report.message
    found = state_of(house.folder(), day.scratch)
    assert_is(found.rows, day.wanted.rows, restored=True)
    if day.exactly:
        assert found.media == day.wanted.media
        assert found.trash[b"since.png"] == day.present.media[b"since.png"]
    else:
        assert found.media == {**day.present.media, **day.wanted.media}
        assert found.trash == {}
    assert found.deletion_log == (day.present.deletion_log or day.wanted.deletion_log)
    assert_no_other_is_touched(day, others_in(house.base))
    assert list(house.base.rglob(".recollect-*")) == []
    assert list((house.cache / "staging").iterdir()) == []


@pytest.mark.parametrize("day", ["closed"], indirect=True)
def test_what_killed_runs_left_is_removed_though_nothing_is_left_to_restore(day: BadDay) -> None:
    house = day.house
    assert restore("Ada", day.snapshot).outcome is Outcome.COMPLETED
    for left in (".recollect-0123456789abcdef.anki2-wal", f"{MEDIA}/.recollect-0123456789abcdef.tmp"):
        (house.folder() / left).write_bytes(b"half")
    assert_the_next_one_ends_it(day)


@pytest.mark.parametrize("day", ["closed"], indirect=True)
def test_a_restore_that_was_killed_twice_and_done_again_is_undone_as_one(day: BadDay) -> None:
    """What the killed ones had left is in the newest safety snapshots, and is not what a person wants back."""
    moments = [one for one in day.moments() if one.endswith(": replace") and "tasks.restore_media" in one]
    day.begin_anew()
    with day.runs() as runs:
        for _ in range(2):
            assert runs.killed_at(moments[0])
    assert restore("Ada", day.snapshot).outcome is Outcome.COMPLETED
    assert undo("Ada").outcome is Outcome.COMPLETED
    found = state_of(day.house.folder(), day.scratch)
    assert_is(found.rows, day.present.rows, restored=True)
    assert day.present.media.items() <= found.media.items()


@pytest.mark.parametrize("day", ["closed"], indirect=True)
def test_a_backup_of_what_a_killed_restore_left_is_marked_and_is_not_the_latest(day: BadDay) -> None:
    house = day.house
    moments = [one for one in day.moments() if one.endswith(": replace") and "tasks.restore_media" in one]
    day.begin_anew()
    meant = latest(house)
    with day.runs() as runs:
        assert runs.killed_at(moments[0])

    scheduled = back_up("Ada")
    assert scheduled.outcome is Outcome.COMPLETED, scheduled.message
    (warning,) = scheduled.warnings
    assert day.snapshot in warning
    assert "`recollect undo 'Ada'`" in warning
    assert latest(house) == meant
    assert back_up("Ada").outcome is Outcome.UNCHANGED
    assert latest(house) == meant

    assert restore("Ada", day.snapshot).outcome is Outcome.COMPLETED
    after = back_up("Ada")
    assert (after.outcome, after.warnings) == (Outcome.COMPLETED, ())
    assert latest(house) == after.row.snapshot


@pytest.mark.parametrize("day", ["closed"], indirect=True)
def test_what_a_killed_restore_left_is_the_latest_once_somebody_works_with_it_or_takes_it_as_it_is(
    day: BadDay,
) -> None:
    house = day.house
    moments = [one for one in day.moments() if one.endswith(": replace") and "tasks.restore_media" in one]
    day.begin_anew()
    with day.runs() as runs:
        assert runs.killed_at(moments[0])
    marked = back_up("Ada").row.snapshot

    accepted = back_up("Ada", accept=True).row.snapshot
    assert latest(house) == accepted != marked

    add_note(house.collection("Ada"), "written after it")
    worked = back_up("Ada")
    assert worked.warnings == ()
    assert latest(house) == worked.row.snapshot


def of_the_restore(moments: list[str]) -> list[str]:
    found = [moment for moment in moments if moment.split()[1].startswith(OF_THE_RESTORE)]
    assert len(found) > 40, found
    return found


def some_of_the_restore(moments: list[str]) -> list[str]:
    """What a test that many run can wait for: of each kind the first few."""
    return [moment for moment in of_the_restore(moments) if int(moment.split()[0]) <= FEW]


def kill_at_each(day: BadDay, moments: list[str]) -> set[bool]:
    """The states that the collection was found in, restored or not."""
    found = set()
    with day.runs() as runs:
        for moment in moments:
            day.begin_anew()
            assert runs.killed_at(moment), moment
            print(f"killed before {moment}")
            found.add(assert_nothing_is_half(day))
            assert_the_next_one_ends_it(day)
    return found


@pytest.mark.parametrize("day", ["crashed"], indirect=True)
def test_killed_at_any_change_of_names_a_restore_leaves_the_profile_that_was_or_the_one_that_shall_be(
    day: BadDay,
) -> None:
    moments = [one for one in some_of_the_restore(day.moments()) if one.rpartition(": ")[2] in CHANGES_OF_NAMES]
    assert kill_at_each(day, moments) == {False, True}


@pytest.mark.parametrize("day", ["closed"], indirect=True)
def test_killed_in_between_a_restore_leaves_the_profile_that_was_or_the_one_that_shall_be(day: BadDay) -> None:
    moments = some_of_the_restore(day.moments())
    assert kill_at_each(day, moments[:: -(-len(moments) // EVENLY_SPREAD)]) == {False, True}


@pytest.mark.parametrize("day", ["exactly"], indirect=True)
def test_killed_while_it_takes_media_away_a_restore_leaves_each_file_in_the_folder_or_the_trash(day: BadDay) -> None:
    moments = [moment for moment in day.moments() if " profiles.media_trash." in moment]
    assert kill_at_each(day, moments) == {True}


@pytest.mark.torture
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("day", ["closed", "crashed", "exactly"], indirect=True)
def test_killed_at_every_moment_a_restore_leaves_the_profile_that_was_or_the_one_that_shall_be(day: BadDay) -> None:
    moments = day.moments()
    own = set(of_the_restore(moments))
    # Of what goes before, each kind once: it changes nothing in the profile.
    chosen = [moment for moment in moments if moment in own or moment.startswith("1 ")]
    assert kill_at_each(day, chosen) == {False, True}


@pytest.mark.torture
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("day", ["closed", "crashed", "exactly"], indirect=True)
def test_killed_whenever_a_restore_leaves_the_profile_that_was_or_the_one_that_shall_be(day: BadDay) -> None:
    seed = int(os.environ.get("TORTURE_SEED") or time.time())
    print(f"TORTURE_SEED={seed}")
    luck, found, killed = random.Random(seed), set(), 0
    with day.runs() as runs:
        began = time.monotonic()
        assert not runs.killed_after(60)
        length = time.monotonic() - began
        for _ in range(BY_CHANCE):
            day.begin_anew()
            began = time.monotonic()
            if runs.killed_after(luck.uniform(0, length)):
                killed += 1
            else:
                length = min(length, time.monotonic() - began)
            found.add(assert_nothing_is_half(day))
            assert_the_next_one_ends_it(day)
    assert killed > BY_CHANCE // 2
    assert found == {False, True}
