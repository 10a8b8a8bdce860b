"""Putting a collection back, against the real Anki: the old state or the new one, and nothing in between."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from anki.collection import Collection
from anki.errors import DBError

from profiles import install, replacing
from profiles.collection_copy import copy_collection, stamp
from profiles.errors import AnkiIsOpen, CollectionDamaged, SourceBusy, TargetUnusable
from profiles.install import install_collection, stamp_for_one_way_sync

POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="owners, modes and signals of POSIX")
NOW_MS = 1_900_000_000_000

# argv: folder. Leaves earlier.anki2 (cleanly closed), then a collection.anki2 whose newest notes are only in its -wal.
_CRASHING_ANKI = """
import os, shutil, signal, sys
from pathlib import Path
from anki.collection import Collection

folder = Path(sys.argv[1])
path = folder / "collection.anki2"

def add(col, *fronts):
    for front in fronts:
        note = col.new_note(col.models.by_name("Basic"))
        note["Front"], note["Back"] = front, front * 400
        col.add_note(note, 1)

col = Collection(str(path))
add(col, *(f"first {number}" for number in range(30)))
col.close()
shutil.copyfile(path, folder / "earlier.anki2")
col = Collection(str(path))
add(col, *(f"second {number}" for number in range(10)))
col.close()
col = Collection(str(path))
col.remove_notes(col.find_notes("front:first*")[:5])
add(col, *(f"only in the wal {number}" for number in range(10)))
os.kill(os.getpid(), signal.SIGKILL)
"""

# Reads one path a line and answers whether Anki can open it; "hold PATH" keeps it open.
_OPENING_ANKI = """
import sys
from anki.collection import Collection
held = []
for line in sys.stdin:
    order, _, path = line.rstrip("\\n").partition(" ")
    try:
        col = Collection(path)
    except Exception as error:
        print(type(error).__name__, flush=True)
        continue
    if order == "hold":
        held.append(col)
    else:
        col.close()
    print("opened", flush=True)
"""

EARLIER = frozenset(f"first {number}" for number in range(30))


@dataclass(frozen=True)
class Crashed:
    """A profile as a crashed Anki left it, with a prepared earlier state beside it."""

    folder: Path
    present: frozenset[str]

    @property
    def collection(self) -> Path:
        return self.folder / "collection.anki2"

    @property
    def wal(self) -> Path:
        return self.folder / "collection.anki2-wal"

    @property
    def prepared(self) -> Path:
        return self.folder / ".recollect-prepared.tmp"

    def copied_to(self, folder: Path) -> Crashed:
        shutil.copytree(self.folder, folder)
        return Crashed(folder, self.present)


def notes_in(collection: Path) -> frozenset[str]:
    """What the real Anki finds there, after its own check of the whole file."""
    col = Collection(str(collection))
    try:
        assert col.db is not None
        assert col.db.scalar("pragma integrity_check") == "ok"
        return frozenset(fields.split("\x1f")[0] for fields in col.db.list("select flds from notes"))
    finally:
        col.close()


def names_in(folder: Path) -> list[str]:
    """The files of a profile that belong to its collection."""
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("collection.media"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Crashed:
    folder = tmp_path_factory.mktemp("crashed") / "profile"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", _CRASHING_ANKI, str(folder)], check=False)
    earlier = folder / "earlier.anki2"
    stamp_for_one_way_sync(earlier, NOW_MS)
    crashed = Crashed(folder, frozenset())
    earlier.rename(crashed.prepared)
    seen = folder.with_name("seen")
    shutil.copytree(folder, seen)
    present = notes_in(seen / "collection.anki2")
    assert crashed.wal.stat().st_size > 0
    assert sum(note.startswith("only in the wal") for note in present) == 10
    assert EARLIER - present
    return Crashed(folder, present)


@pytest.fixture
def crashed(made: Crashed, tmp_path: Path) -> Crashed:
    return made.copied_to(tmp_path / "profile")


@pytest.fixture
def closed(crashed: Crashed) -> Crashed:
    """The same profile after Anki was started and closed again: no -wal."""
    notes_in(crashed.collection)
    assert not crashed.wal.exists()
    return crashed


@dataclass(frozen=True)
class Opener:
    pid: int
    orders: IO[str]
    answers: IO[str]

    def ask(self, order: str, collection: Path) -> str:
        self.orders.write(f"{order} {collection}\n")
        self.orders.flush()
        return self.answers.readline().strip()


@pytest.fixture
def other_anki() -> Iterator[Opener]:
    with subprocess.Popen(
        [sys.executable, "-c", _OPENING_ANKI], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Opener(process.pid, process.stdin, process.stdout)
        finally:
            process.kill()


def steps_of(crashed: Crashed) -> list[str]:
    taken: list[str] = []
    install_collection(crashed.prepared, crashed.collection, before_swap=taken.append)
    return taken


# The restored state


def test_a_stale_wal_of_a_crashed_anki_does_not_leak_into_the_restored_collection(crashed: Crashed) -> None:
    install_collection(crashed.prepared, crashed.collection)
    assert not crashed.wal.exists()
    assert notes_in(crashed.collection) == EARLIER


def test_without_removing_the_wal_the_restored_collection_would_be_a_mixture(crashed: Crashed) -> None:
    """Guards the power of the tests here: the naive restore must be seen to fail."""
    crashed.prepared.replace(crashed.collection)
    try:
        found = notes_in(crashed.collection)
    except (AssertionError, DBError):
        return
    assert found != EARLIER


def test_nothing_but_the_new_collection_is_left_in_the_profile(crashed: Crashed) -> None:
    crashed.folder.joinpath("collection.anki2-shm").write_bytes(b"\0" * 32768)
    crashed.folder.joinpath("collection.anki2-journal").touch()
    wanted = crashed.prepared.read_bytes()
    install_collection(crashed.prepared, crashed.collection)
    assert names_in(crashed.folder) == ["collection.anki2"]
    assert crashed.collection.read_bytes() == wanted


def test_a_restore_into_a_profile_without_a_collection_ignores_the_wal_of_the_lost_one(crashed: Crashed) -> None:
    crashed.collection.unlink()
    install_collection(crashed.prepared, crashed.collection)
    assert not crashed.wal.exists()
    assert notes_in(crashed.collection) == EARLIER


def test_an_empty_collection_file_is_replaced(crashed: Crashed) -> None:
    crashed.collection.write_bytes(b"")
    install_collection(crashed.prepared, crashed.collection)
    assert notes_in(crashed.collection) == EARLIER


def test_a_damaged_collection_is_replaced(closed: Crashed) -> None:
    closed.collection.write_bytes(b"no database at all" * 1000)
    install_collection(closed.prepared, closed.collection)
    assert notes_in(closed.collection) == EARLIER


def test_a_damaged_collection_with_a_wal_is_left_to_the_person_who_may_still_rescue_it(crashed: Crashed) -> None:
    crashed.collection.write_bytes(b"no database at all" * 4096)
    crashed.wal.write_bytes(crashed.wal.read_bytes()[:32])
    before = {name: (crashed.folder / name).read_bytes() for name in names_in(crashed.folder)}
    with pytest.raises(TargetUnusable, match="can't be read") as caught:
        install_collection(crashed.prepared, crashed.collection)
    assert "Move collection.anki2" in caught.value.advice
    assert {name: (crashed.folder / name).read_bytes() for name in names_in(crashed.folder)} == before


def test_what_a_killed_restore_left_is_removed_by_the_next_and_nothing_else(crashed: Crashed) -> None:
    digits = "0123456789abcdef"
    left = [f".recollect-{digits}.{ending}" for ending in ("tmp", "anki2", "anki2-wal", "anki2-journal", "anki2-shm")]
    kept = [".recollect-notes.tmp", f"a.recollect-{digits}.tmp", f".recollect-{digits}.tmp.jpg"]
    for name in [f".recollect-folded-{digits}.tmp", *left, *kept]:
        (crashed.folder / name).write_bytes(b"half a collection")
    install_collection(crashed.prepared, crashed.collection)
    assert names_in(crashed.folder) == sorted([*kept, "collection.anki2"])


# The one-way sync mark


def stamps(collection: Path) -> tuple[int, int, int]:
    with closing(sqlite3.connect(collection)) as connection:
        scm, mod, ls = connection.execute("select scm, mod, ls from col").fetchone()
    return scm, mod, ls


@pytest.fixture
def copy(made: Crashed, tmp_path: Path) -> Path:
    path = tmp_path / "copy.anki2"
    copy_collection(made.prepared, path)
    return path


def test_anki_sees_a_one_way_sync_pending_in_a_restored_collection(crashed: Crashed) -> None:
    with closing(sqlite3.connect(crashed.prepared)) as connection, connection:
        connection.execute("update col set scm = 1000, mod = 3000, ls = 2000")
    stamp_for_one_way_sync(crashed.prepared, NOW_MS)
    install_collection(crashed.prepared, crashed.collection)
    col = Collection(str(crashed.collection))
    try:
        assert col.schema_changed()
    finally:
        col.close()
    assert stamps(crashed.collection)[:2] == (NOW_MS, NOW_MS)


def test_without_the_mark_anki_would_see_none_pending(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("update col set scm = 1000, mod = 3000, ls = 2000")
    col = Collection(str(copy))
    try:
        assert not col.schema_changed()
    finally:
        col.close()


def test_the_mark_holds_where_the_clock_of_this_computer_is_behind(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("update col set scm = 1000, mod = 3000, ls = 9000")
    stamp_for_one_way_sync(copy, 5)
    assert stamps(copy) == (9001, 9001, 9000)


@pytest.mark.parametrize(("mode", "versions"), [("wal", b"\x02\x02"), ("delete", b"\x01\x01")])
def test_marking_keeps_the_journal_mode_and_leaves_one_file(copy: Path, mode: str, versions: bytes) -> None:
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute(f"pragma journal_mode = {mode}")
    stamp_for_one_way_sync(copy, NOW_MS)
    assert copy.read_bytes()[18:20] == versions
    assert [entry.name for entry in copy.parent.iterdir()] == [copy.name]


@pytest.mark.parametrize(
    "damage",
    [
        "delete from col",
        "drop table col",
        "update col set ls = 'yesterday'",
        "update col set scm = 9223372036854775807",
        "update col set mod = x'ff'",
        "create trigger odd before update on col begin select raise(ignore); end",
        "create trigger odd before update on col begin select load_extension('x'); end",
    ],
)
def test_a_copy_whose_col_row_makes_no_sense_is_refused_and_not_left_half_marked(copy: Path, damage: str) -> None:
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute(damage)
    before = copy.read_bytes()
    with pytest.raises(CollectionDamaged):
        stamp_for_one_way_sync(copy, NOW_MS)
    assert copy.read_bytes() == before
    assert [entry.name for entry in copy.parent.iterdir()] == [copy.name]


def test_marking_what_is_no_database_or_not_there_is_refused(tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    with pytest.raises(CollectionDamaged):
        stamp_for_one_way_sync(odd, NOW_MS)
    assert not odd.exists()
    odd.write_bytes(b"no database at all" * 100)
    with pytest.raises(CollectionDamaged):
        stamp_for_one_way_sync(odd, NOW_MS)


def test_marking_refuses_a_copy_with_a_wal_beside_it(crashed: Crashed) -> None:
    with pytest.raises(ValueError, match="not a finished file"):
        stamp_for_one_way_sync(crashed.collection, NOW_MS)


# Anki at the same time


def test_a_restore_is_refused_while_anki_has_the_collection_open_and_names_it(
    closed: Crashed, other_anki: Opener
) -> None:
    assert other_anki.ask("hold", closed.collection) == "opened"
    before = closed.collection.read_bytes()
    with pytest.raises(AnkiIsOpen, match=str(other_anki.pid)):
        install_collection(closed.prepared, closed.collection)
    assert closed.collection.read_bytes() == before
    assert closed.prepared.exists()


@POSIX_ONLY
def test_anki_can_not_be_started_between_the_steps_of_a_swap(crashed: Crashed, other_anki: Opener) -> None:
    answers: dict[str, str] = {}

    def try_to_open(step: str) -> None:
        if step not in ("sync-prepared", "fold", "lock", "done"):
            answers[step] = other_anki.ask("open", crashed.collection)

    install_collection(crashed.prepared, crashed.collection, before_swap=try_to_open)
    assert {"swap-folded", "remove-wal", "sync-removed", "swap-prepared", "sync-installed"} <= answers.keys()
    assert set(answers.values()) == {"DBError"}
    assert other_anki.ask("open", crashed.collection) == "opened"
    assert notes_in(crashed.collection) == EARLIER


@POSIX_ONLY
@pytest.mark.parametrize(("order", "error"), [("hold", AnkiIsOpen), ("open", SourceBusy)])
def test_an_anki_started_after_the_first_look_is_noticed_before_anything_is_touched(
    crashed: Crashed, other_anki: Opener, order: str, error: type[Exception]
) -> None:
    def start_anki(step: str) -> None:
        if step == "lock":
            assert other_anki.ask(order, crashed.collection) == "opened"

    with pytest.raises(error) as caught:
        install_collection(crashed.prepared, crashed.collection, before_swap=start_anki)
    assert (str(other_anki.pid) in str(caught.value)) == (error is AnkiIsOpen)
    assert crashed.prepared.exists()
    copy_collection(crashed.collection, crashed.folder / "seen.anki2")
    assert notes_in(crashed.folder / "seen.anki2") == crashed.present


@POSIX_ONLY
def test_a_wal_that_appears_after_the_first_look_is_noticed(closed: Crashed) -> None:
    def crash_anki(step: str) -> None:
        if step == "lock":
            closed.wal.write_bytes(b"something that nobody folded in")

    with pytest.raises(SourceBusy):
        install_collection(closed.prepared, closed.collection, before_swap=crash_anki)
    assert closed.wal.exists()
    assert closed.prepared.exists()


# Killed at any moment


class _Stopped(Exception):
    pass


def test_stopped_before_any_step_the_profile_opens_as_the_old_or_the_new_state(made: Crashed, tmp_path: Path) -> None:
    steps = steps_of(made.copied_to(tmp_path / "whole"))
    assert steps.index("swap-folded") < steps.index("remove-wal") < steps.index("swap-prepared")
    for number, name in enumerate(steps):
        crashed = made.copied_to(tmp_path / str(number))

        def stop(step: str, at: str = name) -> None:
            if step == at:
                raise _Stopped

        with pytest.raises(_Stopped):
            install_collection(crashed.prepared, crashed.collection, before_swap=stop)
        expected = EARLIER if number > steps.index("swap-prepared") else made.present
        assert notes_in(crashed.collection) == expected, name
        assert not list(crashed.folder.glob(".recollect-folded-*")), name


# Copies argv[1] into argv[2]/0, /1, ... and in each a forked child installs and dies by SIGKILL: the first ones
# before the 1st, 2nd, 3rd... line of our own code that runs, until one child gets to its end; then argv[3] more at
# moments chosen by chance. Prints how many copies there are.
_KILLED_RESTORES = """
import itertools, os, random, shutil, signal, sys, time
from pathlib import Path
from profiles.install import install_collection

made, copies, by_chance = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
numbers = itertools.count()
OURS = ("install.py", "replacing.py", "collection_copy.py", "wal.py", "durable.py")

def restore(kill_before_line):
    lines = itertools.count()
    def on_line(frame, event, argument):
        if event == "line" and next(lines) == kill_before_line:
            os.kill(os.getpid(), signal.SIGKILL)
        return on_line
    def on_call(frame, event, argument):
        path = Path(frame.f_code.co_filename)
        return on_line if path.parent.name == "profiles" and path.name in OURS else None
    if kill_before_line is not None:
        sys.settrace(on_call)
    install_collection(folder / ".recollect-prepared.tmp", folder / "collection.anki2")

def child(kill_before_line):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            restore(kill_before_line)
            status = 0
        finally:
            os._exit(status)
    return pid

def fresh_folder():
    global folder
    folder = copies / str(next(numbers))
    shutil.copytree(made, folder)

for line in itertools.count(0, int(sys.argv[4])):
    fresh_folder()
    status = os.waitpid(child(line), 0)[1]
    if status == 0:
        break
    assert os.WIFSIGNALED(status), status
fresh_folder()
started = time.monotonic()
assert os.waitpid(child(None), 0)[1] == 0
taken = time.monotonic() - started
for _ in range(by_chance):
    fresh_folder()
    pid = child(None)
    time.sleep(random.random() * taken)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
print(next(numbers))
"""


def _states_after_kills(made: Crashed, copies: Path, by_chance: int, stride: int) -> list[frozenset[str]]:
    copies.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _KILLED_RESTORES, str(made.folder), str(copies), str(by_chance), str(stride)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(install.__file__).parent.parent)},
    )
    states = [notes_in(copies / str(number) / "collection.anki2") for number in range(int(done.stdout))]
    shutil.rmtree(copies)  # pytest would keep some hundred profiles
    return states


@POSIX_ONLY
def test_killed_at_any_line_or_moment_the_profile_opens_as_exactly_the_old_or_the_new_state(
    made: Crashed, tmp_path: Path
) -> None:
    states = _states_after_kills(made, tmp_path / "killed", by_chance=20, stride=97)
    assert set(states) == {made.present, EARLIER}
    assert states[0] == made.present
    assert len(states) > 40


@POSIX_ONLY
@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_killed_at_every_single_line_the_profile_opens_as_exactly_the_old_or_the_new_state(
    made: Crashed, tmp_path: Path
) -> None:
    states = _states_after_kills(made, tmp_path / "killed", by_chance=300, stride=1)
    assert set(states) == {made.present, EARLIER}


def test_a_damaged_state_that_is_kept_elsewhere_is_replaced_as_it_lies(made: Crashed, tmp_path: Path) -> None:
    damaged = made.copied_to(tmp_path / "damaged")
    damaged.collection.write_bytes(b"noise" * 9999)
    kept = stamp(damaged.collection)
    with damaged.wal.open("ab") as log:
        log.write(b"changed since")
    with pytest.raises(SourceBusy):
        install_collection(damaged.prepared, damaged.collection, kept_elsewhere=kept)
    assert damaged.collection.read_bytes() == b"noise" * 9999
    assert damaged.wal.read_bytes().endswith(b"changed since")
    install_collection(damaged.prepared, damaged.collection, kept_elsewhere=stamp(damaged.collection))
    assert notes_in(damaged.collection) == EARLIER
    assert not damaged.wal.exists()


def test_a_killed_restore_can_be_repeated(made: Crashed, tmp_path: Path) -> None:
    steps = steps_of(made.copied_to(tmp_path / "whole"))
    for name in steps[: steps.index("swap-prepared") + 1]:
        crashed = made.copied_to(tmp_path / name)

        def stop(step: str, at: str = name) -> None:
            if step == at:
                raise _Stopped

        with pytest.raises(_Stopped):
            install_collection(crashed.prepared, crashed.collection, before_swap=stop)
        install_collection(crashed.prepared, crashed.collection)
        assert notes_in(crashed.collection) == EARLIER, name


def test_each_change_is_on_the_disk_before_the_next_one_relies_on_it(
    crashed: Crashed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may keep any of the changes since the last sync of the folder and lose the others."""
    events: list[str] = []
    monkeypatch.setattr(replacing, "sync_folder", lambda _folder: events.append("sync folder"))
    monkeypatch.setattr(
        replacing, "sync_file", lambda path: events.append(f"sync {path.name.split('-')[1].split('.')[0]}")
    )

    def record(step: str) -> None:
        if step.startswith(("swap", "remove")):
            events.append(step)

    install_collection(crashed.prepared, crashed.collection, before_swap=record)
    assert events == [
        "sync prepared",
        "sync folded",
        "swap-folded",
        "sync folder",
        "remove-journal",
        "remove-wal",
        "remove-shm",
        "sync folder",
        "swap-prepared",
        "sync folder",
    ]


def _with_hot_journal(made: Crashed, folder: Path, *, keep_wal: bool) -> Crashed:
    """The profile with a transaction half written in rollback mode, as a collection of an old Anki may be left."""
    crashed = made.copied_to(folder)
    journal = folder / "collection.anki2-journal"
    wal = crashed.wal.read_bytes()
    if keep_wal:
        crashed.wal.unlink()
    else:
        notes_in(crashed.collection)
    with crashed.collection.open("r+b") as file:
        file.seek(18)
        file.write(b"\x01\x01")
    with closing(sqlite3.connect(crashed.collection, isolation_level=None)) as connection:
        connection.execute("pragma cache_size = 1")
        connection.execute("begin")
        connection.execute("update notes set flds = 'half done' || flds")
        half_done = {path: path.read_bytes() for path in (crashed.collection, journal)}
        connection.execute("rollback")
    for path, content in half_done.items():
        path.write_bytes(content)
    if keep_wal:
        crashed.wal.write_bytes(wal)
    assert b"half done" in crashed.collection.read_bytes()
    return crashed


@pytest.mark.parametrize("keep_wal", [False, True])
def test_a_hot_journal_is_undone_in_the_old_state_and_gone_from_the_new(
    tmp_path: Path, made: Crashed, keep_wal: bool
) -> None:
    """Left beside the restored file it would undo pages there; with a `-wal` as well, the order of removal matters."""
    steps = steps_of(_with_hot_journal(made, tmp_path / "whole", keep_wal=keep_wal))
    assert "swap-folded" in steps
    assert notes_in(tmp_path / "whole" / "collection.anki2") == EARLIER
    for name in steps:
        crashed = _with_hot_journal(made, tmp_path / name, keep_wal=keep_wal)

        def stop(step: str, at: str = name) -> None:
            if step == at:
                raise _Stopped

        with pytest.raises(_Stopped):
            install_collection(crashed.prepared, crashed.collection, before_swap=stop)
        after_swap = steps.index(name) > steps.index("swap-prepared")
        assert notes_in(crashed.collection) == (EARLIER if after_swap else made.present), name


# Owner and mode


@POSIX_ONLY
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o660])
def test_the_new_collection_has_the_mode_of_the_old_one(crashed: Crashed, mode: int) -> None:
    crashed.collection.chmod(mode)
    install_collection(crashed.prepared, crashed.collection)
    assert crashed.collection.stat().st_mode & 0o7777 == mode


@POSIX_ONLY
def test_every_state_in_between_has_the_mode_of_the_old_one_too(crashed: Crashed) -> None:
    crashed.collection.chmod(0o640)
    modes: dict[str, int] = {}
    install_collection(
        crashed.prepared,
        crashed.collection,
        before_swap=lambda step: modes.update({step: crashed.collection.stat().st_mode & 0o777}),
    )
    assert set(modes.values()) == {0o640}


@POSIX_ONLY
def test_a_collection_where_there_was_none_is_for_its_owner_only(crashed: Crashed) -> None:
    crashed.collection.unlink()
    crashed.prepared.chmod(0o644)
    install_collection(crashed.prepared, crashed.collection)
    assert crashed.collection.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_root_gives_the_new_collection_to_the_owner_of_the_old_one(crashed: Crashed) -> None:
    os.chown(crashed.collection, 12345, 23456)
    install_collection(crashed.prepared, crashed.collection)
    status = crashed.collection.stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)


class _Foreign:
    """The old file as the stat of a file of other people."""

    def __init__(self, real: os.stat_result, uid: int, gid: int) -> None:
        self.st_mode = real.st_mode & ~0o777 | 0o660
        self.st_size = real.st_size
        self.st_uid = uid
        self.st_gid = gid


@POSIX_ONLY
@pytest.mark.parametrize("same_user", [True, False])
def test_an_owner_that_can_not_be_given_is_never_swapped_for_wider_access(
    crashed: Crashed, monkeypatch: pytest.MonkeyPatch, same_user: bool
) -> None:
    real = crashed.collection.stat()
    foreign = _Foreign(real, real.st_uid + (0 if same_user else 1), real.st_gid + 1)
    monkeypatch.setattr(replacing, "_checked_old", lambda _database, _guard: foreign)

    def refuse(path: Path, uid: int, gid: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    if same_user:
        install_collection(crashed.prepared, crashed.collection)
        assert crashed.collection.stat().st_mode & 0o777 == 0o600
    else:
        with pytest.raises(TargetUnusable, match="another user"):
            install_collection(crashed.prepared, crashed.collection)
        assert notes_in(crashed.collection) == crashed.present


# What is refused


def test_a_collection_that_is_a_link_or_a_folder_is_refused(crashed: Crashed) -> None:
    elsewhere = crashed.folder / "elsewhere"
    crashed.collection.rename(elsewhere)
    crashed.collection.symlink_to(elsewhere)
    with pytest.raises(TargetUnusable, match="a link"):
        install_collection(crashed.prepared, crashed.collection)
    crashed.collection.unlink()
    crashed.collection.mkdir()
    with pytest.raises(TargetUnusable, match="not a file"):
        install_collection(crashed.prepared, crashed.collection)
    assert crashed.prepared.exists()
    assert crashed.wal.exists()


def test_a_prepared_file_that_is_no_database_is_refused(crashed: Crashed) -> None:
    crashed.prepared.write_bytes(b"SQLite format 2\0")
    with pytest.raises(CollectionDamaged):
        install_collection(crashed.prepared, crashed.collection)
    assert notes_in(crashed.collection) == crashed.present


def test_a_prepared_file_that_is_missing_elsewhere_or_unfinished_is_refused(crashed: Crashed, tmp_path: Path) -> None:
    with pytest.raises(TargetUnusable):
        install_collection(crashed.folder / "missing", crashed.collection)
    elsewhere = tmp_path / "elsewhere.anki2"
    shutil.copyfile(crashed.prepared, elsewhere)
    with pytest.raises(ValueError, match="beside"):
        install_collection(elsewhere, crashed.collection)
    Path(f"{crashed.prepared}-wal").write_bytes(b"unfinished")
    with pytest.raises(ValueError, match="not a finished file"):
        install_collection(crashed.prepared, crashed.collection)
    assert notes_in(crashed.collection) == crashed.present


@POSIX_ONLY
def test_a_second_restore_at_the_same_time_is_refused(crashed: Crashed) -> None:
    script = (
        "import sys; from pathlib import Path; from profiles.install import install_collection\n"
        "from profiles.errors import AnkiIsOpen\n"
        "try: install_collection(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except AnkiIsOpen: print('refused')\n"
    )
    second = crashed.folder / "second.tmp"
    shutil.copyfile(crashed.prepared, second)
    told: list[str] = []

    def restore_too(step: str) -> None:
        if step == "remove-wal":
            done = subprocess.run(
                [sys.executable, "-c", script, str(second), str(crashed.collection)],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(Path(install.__file__).parent.parent)},
            )
            told.append(done.stdout.strip())

    install_collection(crashed.prepared, crashed.collection, before_swap=restore_too)
    assert told == ["refused"]
