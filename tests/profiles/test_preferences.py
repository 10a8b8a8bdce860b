"""Anki's list of profiles is read as bytes, from a steady moment, and nothing in it is ever run."""

from __future__ import annotations

import os
import pickle
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles import preferences
from profiles.errors import ProfileError, SourceBusy, SourceUnreadable
from profiles.preferences import printable, profile_names

SCHEMA = "create table profiles (name text primary key collate nocase, data blob not null)"


class Explodes:
    """Unpickling this makes a file; Anki's own lists can hold such calls (sip._unpickle_type)."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def make_prefs(prefs: Path, rows: Mapping[str, bytes] | Mapping[object, bytes]) -> Path:
    prefs.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(prefs)) as db, db:
        db.execute(SCHEMA)
        db.executemany("insert into profiles values (?, ?)", rows.items())
    return prefs


@pytest.fixture
def prefs(tmp_path: Path) -> Path:
    plain = pickle.dumps({"syncKey": None}, protocol=4)
    return make_prefs(tmp_path / "prefs21.db", {"_global": plain, "Ada": plain, "Ben": plain})


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


def test_the_names_are_those_in_ankis_list_without_the_global_row(prefs: Path) -> None:
    assert sorted(profile_names(prefs)) == ["Ada", "Ben"]


def test_no_list_means_no_names(tmp_path: Path) -> None:
    assert profile_names(tmp_path / "prefs21.db") == ()
    assert profile_names(tmp_path / "no folder" / "prefs21.db") == ()


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "exploded"
    bomb = pickle.dumps({"window": Explodes(mark)}, protocol=4)
    prefs = make_prefs(
        tmp_path / "prefs21.db", {"_global": bomb, "Ada": bomb, "Old": b"csip\n_unpickle_type\n.", "Torn": b"\x80"}
    )

    assert sorted(profile_names(prefs)) == ["Ada", "Old", "Torn"]
    assert not mark.exists()
    pickle.loads(bomb)
    assert mark.exists(), "the bomb must work, or this test proves nothing"


def test_the_live_file_is_left_as_it_was_and_nothing_appears_beside_it(prefs: Path) -> None:
    before = (prefs.read_bytes(), prefs.stat().st_mtime_ns, sorted(prefs.parent.iterdir()))

    profile_names(prefs)

    assert (prefs.read_bytes(), prefs.stat().st_mtime_ns, sorted(prefs.parent.iterdir())) == before


def test_a_lock_held_by_anki_is_no_obstacle(prefs: Path) -> None:
    with closing(sqlite3.connect(prefs, isolation_level=None)) as anki:
        anki.execute("begin exclusive")
        anki.execute("delete from profiles where name = 'Ada'")

        assert sorted(profile_names(prefs)) == ["Ada", "Ben"]


MANY = tuple(sorted(f"Pupil {number:03} of the school by the sea" for number in range(300)))


@pytest.fixture
def half_written(tmp_path: Path) -> Iterator[Path]:
    """A list in the midst of a transaction that SQLite has begun to write into the main file, its journal hot."""
    prefs = make_prefs(tmp_path / "school" / "prefs21.db", dict.fromkeys(MANY, b"x" * 500))
    with closing(sqlite3.connect(prefs, isolation_level=None)) as anki:
        anki.execute("pragma cache_size = 1")
        anki.execute("begin exclusive")
        anki.execute("update profiles set name = 'Renamed ' || name")
        assert prefs.with_name("prefs21.db-journal").stat().st_size > 4096
        yield prefs
        anki.execute("rollback")


def copied(prefs: Path, folder: Path, *suffixes: str) -> Path:
    folder.mkdir()
    for suffix in suffixes:
        shutil.copyfile(f"{prefs}{suffix}", folder / f"{prefs.name}{suffix}")
    return folder / prefs.name


def test_a_half_written_transaction_is_rolled_back_in_the_copy(half_written: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable):
        profile_names(copied(half_written, tmp_path / "without its journal", ""))

    assert tuple(sorted(profile_names(half_written))) == MANY


def test_a_journal_left_by_a_crash_is_rolled_back_in_the_copy_only(half_written: Path, tmp_path: Path) -> None:
    crashed = copied(half_written, tmp_path / "crashed", "", "-journal")
    before = {file: file.read_bytes() for file in crashed.parent.iterdir()}

    assert tuple(sorted(profile_names(crashed))) == MANY

    assert {file: file.read_bytes() for file in crashed.parent.iterdir()} == before


def test_what_another_tool_left_in_a_wal_counts(prefs: Path) -> None:
    with closing(sqlite3.connect(prefs, isolation_level=None)) as other:
        other.execute("pragma journal_mode = wal")
        other.execute("insert into profiles values ('Cleo', x'00')")

        assert sorted(profile_names(prefs)) == ["Ada", "Ben", "Cleo"]


def test_a_file_that_changes_while_it_is_read_is_read_again(prefs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_look = preferences._look
    writes: Iterator[str] = iter(["Cleo", "Dora"])

    def look_while_anki_writes(path: Path) -> preferences._Look:
        seen = real_look(path)
        if name := next(writes, None):
            with closing(sqlite3.connect(path)) as db, db:
                db.execute("insert into profiles values (?, x'00')", (name,))
        return seen

    monkeypatch.setattr(preferences, "_look", look_while_anki_writes)

    assert sorted(profile_names(prefs)) == ["Ada", "Ben", "Cleo", "Dora"]


def test_a_file_that_never_rests_is_reported_as_busy(prefs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_look = preferences._look
    ticks = iter(range(1, 1000))

    def look_and_touch(path: Path) -> preferences._Look:
        seen = real_look(path)
        os.utime(path, ns=(0, next(ticks)))
        return seen

    monkeypatch.setattr(preferences, "_look", look_and_touch)

    with pytest.raises(SourceBusy, match=r"prefs21\.db"):
        profile_names(prefs)


def test_a_damaged_list_is_reported(prefs: Path) -> None:
    content = bytearray(prefs.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    prefs.write_bytes(content)

    with pytest.raises(SourceUnreadable) as caught:
        profile_names(prefs)

    assert str(prefs) in caught.value.problem
    assert "Start Anki once" in caught.value.advice


def test_a_list_that_disagrees_with_its_own_index_is_reported_as_anki_would(prefs: Path) -> None:
    content = prefs.read_bytes()
    table = content.index(b"Ada", 4096)
    prefs.write_bytes(content[:table] + b"Eve" + content[table + 3 :])

    with pytest.raises(SourceUnreadable, match="structure is broken"):
        profile_names(prefs)


@pytest.mark.parametrize(
    "content", [b"", b"not a database, but long enough to have a header" * 20, b"SQLite format 3\0"]
)
def test_what_is_no_list_is_reported(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "prefs21.db").write_bytes(content)

    with pytest.raises(SourceUnreadable, match="is damaged"):
        profile_names(tmp_path / "prefs21.db")


def test_a_folder_or_a_pipe_in_the_lists_place_is_reported(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceUnreadable, match="is not a file"):
        profile_names(tmp_path / "folder")

    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(SourceUnreadable, match="is not a file"):
            profile_names(tmp_path / "pipe")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_in_the_journals_place_does_not_hang_the_reader(prefs: Path) -> None:
    os.mkfifo(prefs.with_name("prefs21.db-journal"))

    assert sorted(profile_names(prefs)) == ["Ada", "Ben"]


def test_a_list_of_absurd_size_is_not_loaded(prefs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preferences, "LARGEST_LIST", 4096)

    with pytest.raises(SourceUnreadable, match="larger than"):
        profile_names(prefs)


@pytest.mark.parametrize(("number", "said"), [(13, "permission denied"), (5, "input/output error")])
def test_a_list_that_may_not_be_read_is_reported(
    prefs: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(number, said.capitalize())

    monkeypatch.setattr(Path, "open", refuse)

    with pytest.raises(SourceUnreadable, match=said):
        profile_names(prefs)


def test_a_full_temporary_disk_is_reported_as_such(prefs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)

    with pytest.raises(SourceUnreadable, match="temporary"):
        profile_names(prefs)


def test_a_query_that_would_never_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preferences, "_STEPS_ALLOWED", 3)
    prefs = tmp_path / "prefs21.db"
    with closing(sqlite3.connect(prefs)) as db, db:
        db.execute(f"{SCHEMA[:-1]}, check (length(data) >= 0))")
        db.executemany("insert into profiles values (?, x'00')", [(f"Profile {number}",) for number in range(5000)])

    with pytest.raises(SourceUnreadable, match="interrupted"):
        profile_names(prefs)


def test_a_view_in_the_tables_place_is_refused(tmp_path: Path) -> None:
    prefs = tmp_path / "prefs21.db"
    with closing(sqlite3.connect(prefs)) as db, db:
        endless = "with recursive n(name) as (values(1) union all select name + 1 from n) select name from n"
        db.execute(f"create view profiles as {endless}")

    with pytest.raises(SourceUnreadable, match="no table of profiles"):
        profile_names(prefs)


def test_hostile_names_come_out_as_text(tmp_path: Path) -> None:
    rows: dict[object, bytes] = {"../up": b"", b"\xff\xfe": b"", "new\nline": b"", None: b""}
    prefs = make_prefs(tmp_path / "prefs21.db", rows)

    assert sorted(profile_names(prefs)) == ["../up", "\\xff\\xfe", "new\nline"]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_the_bytes_the_answer_is_names_or_an_error_of_ours(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prefs = make_prefs(Path(folder) / "prefs21.db", {"_global": b"x" * 40, "Ada": b"y" * 5000})
        content = bytearray(prefs.read_bytes())
        for _ in range(data.draw(st.integers(1, 20))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        prefs.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        prefs.with_name("prefs21.db-journal").write_bytes(data.draw(st.binary(max_size=600)))

        try:
            outcome: object = profile_names(prefs)
        except ProfileError as error:
            outcome = error.problem

        assert isinstance(outcome, tuple) or str(prefs) in str(outcome)


@given(st.text(max_size=300))
def test_a_printable_text_is_one_short_line(text: str) -> None:
    shown = printable(text)

    assert shown.isprintable()
    assert len(shown) <= 1001
    if text.isprintable() and len(text) <= 100:
        assert shown == text
