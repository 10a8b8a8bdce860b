"""Anki's list of profiles is changed in one row, in one step, and never while Anki runs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from anki.db import DB

from profiles import preferences_change, replacing
from profiles.errors import AnkiIsOpen, PreferencesUnusable, SourceBusy, SourceUnreadable, TargetUnusable
from profiles.preferences_change import Row, change_row, read_rows
from tests.profiles.preferences_base import (
    LINUX_OR_MAC,
    OTHER_ANKI,
    make_base,
    make_hot_journal,
    make_wal,
    profile,
    rows_in,
)

POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="owners, modes and signals of POSIX")
OLD = {"_global": profile(firstRun=False), "Ada": profile(), "Ben": profile(autoSync=False)}
OLD |= {f"Pupil {number}": profile(notes="x" * 500) for number in range(30)}
NEW_ROW = Row("Ada", b"whatever Anki may make of this")
NEW = OLD | {"Ada": NEW_ROW.data}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_base(tmp_path / "Anki2", OLD)


def change(base: Path, before_swap: Callable[[str], None] = replacing.go_on) -> None:
    change_row(base, lambda _: NEW_ROW, before_swap=before_swap)


def files_in(base: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in base.iterdir() if path.is_file()}


def steps_of(base: Path) -> list[str]:
    taken: list[str] = []
    change(base, taken.append)
    return taken


# What changes, and what does not


def test_one_row_changes_and_the_others_do_not(base: Path) -> None:
    change(base)
    assert rows_in(base) == NEW
    assert list(rows_in(base)) == list(OLD)


def test_a_row_of_another_name_is_added(base: Path) -> None:
    change_row(base, lambda _: Row("Cleo", b"data"))
    assert rows_in(base) == OLD | {"Cleo": b"data"}


@pytest.mark.parametrize("wanted", [None, Row("Ada", OLD["Ada"])])
def test_where_there_is_nothing_to_change_the_file_is_left_alone(base: Path, wanted: Row | None) -> None:
    before, inode = files_in(base), (base / "prefs21.db").stat().st_ino
    change_row(base, lambda _: wanted)
    assert files_in(base) == before
    assert (base / "prefs21.db").stat().st_ino == inode


def test_rows_that_no_anki_wrote_are_not_shown_and_stay_as_they_are(base: Path) -> None:
    odd: list[tuple[object, object]] = [(None, b"1"), (b"\xff\xfe", "text"), (7, b"3"), ("text for data", "ö")]
    with closing(sqlite3.connect(base / "prefs21.db")) as db, db:
        db.executemany("insert into profiles values (?, ?)", odd)
    seen: list[Row] = []

    def decide(rows: tuple[Row, ...]) -> Row:
        seen.extend(rows)
        return NEW_ROW

    change_row(base, decide)
    assert seen == [
        *(Row(name, data) for name, data in OLD.items()),
        Row("7", b"3"),
        Row("text for data", "ö".encode()),
    ]
    with closing(sqlite3.connect(base / "prefs21.db")) as db:
        assert set(odd[:2] + odd[3:]) <= set(db.execute("select name, data from profiles").fetchall())


def test_what_the_decision_raises_comes_out_and_nothing_has_changed(base: Path) -> None:
    before = files_in(base)

    def refuse(_: tuple[Row, ...]) -> Row:
        raise PreferencesUnusable("no", "no")

    with pytest.raises(PreferencesUnusable, match="no"):
        change_row(base, refuse)
    assert files_in(base) == before


@POSIX_ONLY
def test_the_new_list_has_the_mode_of_the_old_one_at_every_step(base: Path) -> None:
    (base / "prefs21.db").chmod(0o640)
    modes: dict[str, int] = {}
    change(base, lambda step: modes.update({step: (base / "prefs21.db").stat().st_mode & 0o777}))
    assert set(modes.values()) == {0o640}
    assert (base / "prefs21.db").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_root_leaves_the_list_to_its_owner(base: Path) -> None:
    os.chown(base / "prefs21.db", 12345, 23456)
    change(base)
    status = (base / "prefs21.db").stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)


@POSIX_ONLY
def test_the_private_copy_is_for_its_owner_only(base: Path) -> None:
    (base / "prefs21.db").chmod(0o644)
    modes: list[int] = []

    def look(step: str) -> None:
        if step == "change":
            modes.extend(path.stat().st_mode & 0o777 for path in base.glob(".recollect-*"))

    change(base, look)
    assert modes == [0o600]


@POSIX_ONLY
def test_a_list_that_lies_elsewhere_behind_a_link_is_replaced_there(base: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "synced"
    elsewhere.mkdir()
    (base / "prefs21.db").rename(elsewhere / "list.db")
    (base / "prefs21.db").symlink_to(elsewhere / "list.db")
    change(base)
    assert (base / "prefs21.db").is_symlink()
    assert rows_in(base) == NEW
    assert [path.name for path in elsewhere.iterdir()] == ["list.db"]


# Killed at any moment


LEFT_BY_OTHERS: Mapping[str, Callable[[Path], None]] = {
    "closed": lambda _: None,
    "hot journal": make_hot_journal,
    "wal": make_wal,
}


class _Stopped(Exception):
    pass


@pytest.mark.parametrize("left", LEFT_BY_OTHERS)
def test_stopped_before_any_step_there_is_the_old_list_or_the_new_one_and_the_next_try_works(
    base: Path, left: str
) -> None:
    LEFT_BY_OTHERS[left](base)
    old = rows_in(base)
    new = old | {"Ada": NEW_ROW.data}
    copy = base.with_name("whole")
    shutil.copytree(base, copy)
    steps = steps_of(copy)
    assert rows_in(copy) == new
    assert ("swap-folded" in steps) == (left != "closed")
    for number, name in enumerate(steps):
        copy = base.with_name(str(number))
        shutil.copytree(base, copy)

        def stop(step: str, at: str = name) -> None:
            if step == at:
                raise _Stopped

        with pytest.raises(_Stopped):
            change(copy, stop)
        assert rows_in(copy) == (new if number > steps.index("swap-prepared") else old), name
        assert not list(copy.glob(".recollect-*")), name
        change(copy)
        assert rows_in(copy) == new
        assert files_in(copy).keys() == {"prefs21.db"}


# As in test_install.py: one forked child after the other dies by SIGKILL before the 1st, 2nd, ... line of our code.
_KILLED_CHANGES = """
import itertools, os, shutil, signal, sys
from pathlib import Path
from profiles.preferences_change import Row, change_row

made, copies, stride = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
OURS = ("preferences_change.py", "preferences.py", "replacing.py", "collection_copy.py", "durable.py")

def change(base, kill_before_line):
    lines = itertools.count()
    def on_line(frame, event, argument):
        if event == "line" and next(lines) == kill_before_line:
            os.kill(os.getpid(), signal.SIGKILL)
        return on_line
    def on_call(frame, event, argument):
        path = Path(frame.f_code.co_filename)
        return on_line if path.parent.name == "profiles" and path.name in OURS else None
    sys.settrace(on_call)
    change_row(base, lambda rows: Row("Ada", b"whatever Anki may make of this"))

for number in itertools.count():
    base = copies / str(number)
    shutil.copytree(made, base)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            change(base, number * stride)
            status = 0
        finally:
            os._exit(status)
    status = os.waitpid(pid, 0)[1]
    if status == 0:
        break
    assert os.WIFSIGNALED(status), status
print(number + 1)
"""


@POSIX_ONLY
@pytest.mark.parametrize("left", ["closed", "hot journal"])
def test_killed_at_any_line_there_is_the_old_list_or_the_new_one(base: Path, tmp_path: Path, left: str) -> None:
    LEFT_BY_OTHERS[left](base)
    old = rows_in(base)
    (tmp_path / "killed").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", _KILLED_CHANGES, str(base), str(tmp_path / "killed"), "31"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(replacing.__file__).parent.parent)},
    )
    states = [rows_in(tmp_path / "killed" / str(number)) for number in range(int(done.stdout))]
    assert all(state in (old, old | {"Ada": NEW_ROW.data}) for state in states)
    assert states[0] == old
    assert states[-1] == old | {"Ada": NEW_ROW.data}
    assert len(states) > 20


def test_what_a_killed_run_left_is_removed_by_the_next(base: Path) -> None:
    for name in (".recollect-list-0123.tmp", ".recollect-list-0123.tmp-journal", ".recollect-folded-0123.tmp"):
        (base / name).write_bytes(b"half a list, with secrets")
    change(base)
    assert files_in(base).keys() == {"prefs21.db"}


@pytest.mark.parametrize(
    ("left", "events"),
    [
        ("closed", ["sync list", "sync folder", "swap-prepared", "sync folder"]),
        (
            "hot journal",
            ["sync list", "sync folded", "swap-folded", "sync folder", "sync folder", "swap-prepared", "sync folder"],
        ),
    ],
)
def test_each_change_is_on_the_disk_before_the_next_one_relies_on_it(
    base: Path, monkeypatch: pytest.MonkeyPatch, left: str, events: list[str]
) -> None:
    LEFT_BY_OTHERS[left](base)
    seen: list[str] = []
    monkeypatch.setattr(replacing, "sync_folder", lambda _folder: seen.append("sync folder"))
    monkeypatch.setattr(replacing, "sync_file", lambda path: seen.append(f"sync {path.name.split('-')[1]}"))
    change(base, lambda step: seen.append(step) if step.startswith("swap") else None)
    assert seen == events


# Anki, and others, at the same time


@dataclass(frozen=True)
class Other:
    pid: int
    orders: IO[str]
    answers: IO[str]

    def opens(self, kind: str, path: Path) -> None:
        self.orders.write(f"{kind} {path}\n")
        self.orders.flush()
        assert self.answers.readline().strip() == "open"


@pytest.fixture
def other_anki() -> Iterator[Other]:
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_ANKI], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Other(process.pid, process.stdin, process.stdout)
        finally:
            process.kill()


def test_nothing_is_changed_while_anki_has_any_profile_open(base: Path, other_anki: Other) -> None:
    other_anki.opens("collection", base / "Ben" / "collection.anki2")
    before = files_in(base)
    with pytest.raises(AnkiIsOpen, match=f"Ben.*{other_anki.pid}"):
        change(base)
    assert files_in(base) == before


@pytest.mark.skipif(not LINUX_OR_MAC, reason="only Linux and macOS tell who has a file open")
def test_nothing_is_changed_while_anki_shows_its_list_of_profiles(base: Path, other_anki: Other) -> None:
    other_anki.opens("list", base / "prefs21.db")
    before = files_in(base)
    with pytest.raises(AnkiIsOpen, match=str(other_anki.pid)):
        change(base)
    assert files_in(base) == before


@pytest.mark.skipif(not LINUX_OR_MAC, reason="only Linux and macOS tell who has a file open")
@pytest.mark.parametrize("step", ["copy", "change", "sync-prepared", "fold", "lock", "remove-journal", "sync-removed"])
def test_an_anki_that_starts_meanwhile_is_noticed(base: Path, other_anki: Other, step: str) -> None:
    def start(taken: str) -> None:
        if taken == step:
            other_anki.opens("list", base / "prefs21.db")

    with pytest.raises(AnkiIsOpen, match=str(other_anki.pid)):
        change(base, start)
    assert rows_in(base) == OLD
    assert files_in(base).keys() == {"prefs21.db"}


@pytest.mark.parametrize("left", ["closed", "wal"])
def test_an_anki_that_starts_at_any_step_finds_a_whole_list_and_no_lock(base: Path, left: str) -> None:
    """It would delete a list that it can't read at once."""
    LEFT_BY_OTHERS[left](base)
    found: dict[str, object] = {}

    def start(step: str) -> None:
        folder = base.with_name(f"at {step}")
        shutil.copytree(base, folder)
        # The file itself where looking changes nothing: its locks are what matters.
        db = DB(str((base if left == "closed" else folder) / "prefs21.db"))
        try:
            assert db.scalar("pragma integrity_check") == "ok"
            found[step] = db.scalar("select cast(data as blob) from profiles where name = 'Ada'")
        finally:
            db.close()

    change(base, start)
    assert found.pop("sync-installed") == found.pop("done") == NEW_ROW.data
    assert set(found.values()) == {OLD["Ada"]}
    assert len(found) > 7


@pytest.mark.parametrize("left", LEFT_BY_OTHERS)
def test_what_another_program_writes_meanwhile_is_never_lost(base: Path, left: str) -> None:
    LEFT_BY_OTHERS[left](base)
    copy = base.with_name("whole")
    shutil.copytree(base, copy)
    steps = steps_of(copy)
    for name in steps[1 : steps.index("swap-prepared") + 1]:
        copy = base.with_name(name)
        shutil.copytree(base, copy)

        def write(step: str, at: str = name, folder: Path = copy) -> None:
            if step == at:
                with closing(sqlite3.connect(folder / "prefs21.db")) as db, db:
                    db.execute("update profiles set data = x'99' where name = 'Ben'")

        with pytest.raises(SourceBusy, match="changed"):
            change(copy, write)
        assert rows_in(copy) == rows_in(base) | {"Ben": b"\x99"}, name


@POSIX_ONLY
def test_a_second_change_at_the_same_time_is_refused(base: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from profiles.errors import SourceBusy\n"
        "from profiles.preferences_change import Row, change_row\n"
        "try: change_row(Path(sys.argv[1]), lambda rows: Row('Ben', b'2'))\n"
        "except SourceBusy as busy: print(busy.problem)\n"
    )
    told: list[str] = []

    def change_too(step: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", script, str(base)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(replacing.__file__).parent.parent)},
        )
        told.append(done.stdout)

    change(base, lambda step: change_too(step) if step in ("copy", "lock") else None)
    assert len(told) == 2
    assert all("Another run of Recollect" in problem for problem in told)
    assert rows_in(base) == NEW


# What is refused


def test_without_a_list_it_is_said_how_anki_makes_one(tmp_path: Path) -> None:
    (tmp_path / "Anki2").mkdir()
    for base in (tmp_path / "Anki2", tmp_path / "missing"):
        with pytest.raises(PreferencesUnusable, match="no list") as caught:
            change(base)
        assert "Start Anki once" in caught.value.advice
        with pytest.raises(PreferencesUnusable, match="no list"):
            read_rows(base)
    assert not list((tmp_path / "Anki2").iterdir())


@pytest.mark.parametrize(
    "content",
    [b"", b"no database at all" * 1000, b"SQLite format 3\0" + b"\x10\0" + b"\xa5" * 9000],
    ids=["empty", "no database", "broken"],
)
def test_a_damaged_list_is_refused_and_left_alone(base: Path, content: bytes) -> None:
    (base / "prefs21.db").write_bytes(content)
    with pytest.raises(PreferencesUnusable, match="is damaged"):
        change(base)
    with pytest.raises(PreferencesUnusable, match="is damaged"):
        read_rows(base)
    assert files_in(base) == {"prefs21.db": content}


@pytest.mark.parametrize(
    "made_up",
    [
        "create trigger t after update on profiles begin delete from profiles where name = 'Ben'; end",
        "create view v as select 1",
        "drop table profiles",
        "alter table profiles rename column data to other",
    ],
)
def test_a_list_with_more_or_less_than_ankis_table_is_refused(base: Path, made_up: str) -> None:
    with closing(sqlite3.connect(base / "prefs21.db")) as db, db:
        db.execute(made_up)
    before = files_in(base)
    with pytest.raises(PreferencesUnusable, match="is damaged"):
        change(base)
    assert files_in(base) == before


def test_a_change_of_more_than_the_row_is_noticed(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def put_too_much(db: sqlite3.Connection, _before: object, row: Row) -> None:
        db.execute("update profiles set data = ? where name in ('Ada', 'Ben')", (row.data,))

    monkeypatch.setattr(preferences_change, "_put", put_too_much)
    before = files_in(base)
    with pytest.raises(PreferencesUnusable, match="another row"):
        change(base)
    assert files_in(base) == before


def test_a_list_of_absurd_size_is_not_copied(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preferences_change, "LARGEST_LIST", 4096)
    with pytest.raises(PreferencesUnusable, match="larger than"):
        change(base)


def test_a_folder_in_the_lists_place_is_refused(base: Path) -> None:
    (base / "prefs21.db").unlink()
    (base / "prefs21.db").mkdir()
    with pytest.raises(PreferencesUnusable):
        change(base)


def test_a_full_disk_is_told_as_such(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(replacing, "sync_file", full)
    with pytest.raises(TargetUnusable, match="no space left") as caught:
        change(base)
    assert caught.value.advice.endswith("then try again")
    assert files_in(base).keys() == {"prefs21.db"}
    assert rows_in(base) == OLD


def test_a_collection_whose_lock_can_not_be_asked_for_is_no_reason_to_go_on(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (base / "Ben" / "collection.anki2").touch()

    def unknown(_collection: Path) -> None:
        raise SourceUnreadable("can't be told", "")

    monkeypatch.setattr(preferences_change, "holder_of", unknown)
    with pytest.raises(SourceUnreadable):
        change(base)
    assert rows_in(base) == OLD


def test_rows_are_read_also_while_anki_holds_the_list(base: Path) -> None:
    with closing(sqlite3.connect(base / "prefs21.db", isolation_level=None)) as anki:
        anki.execute("begin exclusive")
        assert {row.name: row.data for row in read_rows(base)} == OLD
