from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.file_memory import FileMemory, RememberedFile
from storage.format.blob import PART_BYTES

INT64 = st.integers(-(2**63), 2**63 - 1)
SIZES_AND_PIECES = st.integers(0, 3).flatmap(
    lambda parts: st.tuples(
        st.integers((parts - 1) * PART_BYTES + 1 if parts else 0, parts * PART_BYTES),
        st.binary(min_size=32 * parts, max_size=32 * parts),
    )
)
FILES = st.dictionaries(
    st.binary(min_size=1, max_size=12),
    st.builds(
        lambda size_and_pieces, *rest: RememberedFile(size_and_pieces[0], *rest, size_and_pieces[1]),
        SIZES_AND_PIECES,
        INT64,
        INT64,
        st.integers(0, 2**64 - 1),
        INT64,
    ),
    max_size=6,
)
A_FILE = RememberedFile(5, 10, 11, 12, 13, bytes(32))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(FILES, st.dictionaries(st.text("abc"), st.text(max_size=5)), st.booleans()), max_size=4))
def test_the_memory_says_what_was_kept_last(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[tuple[dict[bytes, RememberedFile], dict[str, str], bool]]
) -> None:
    path = tmp_path_factory.mktemp("memory") / "files.db"
    for files, notes, anew in rounds:
        memory = FileMemory(path)
        known = memory.files()
        if anew:
            memory.forget()
            known = {}
        memory.keep(known, files, notes)
        readable = {key: value for key, value in notes.items() if value.isprintable()}
        assert FileMemory(path).files() == files
        assert {key: FileMemory(path).note(key) for key in readable} == readable


def test_a_new_memory_and_no_memory_know_nothing(tmp_path: Path) -> None:
    for memory in (FileMemory(None), FileMemory(tmp_path / "deep" / "files.db")):
        assert (memory.files(), memory.note("x")) == ({}, None)
    FileMemory(None).keep({}, {b"a": A_FILE}, {"x": "y"})
    FileMemory(None).forget()
    assert FileMemory(None).files() == {}


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_damaged_memory_is_never_an_error_and_works_again_after_the_next_run(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("memory") / "files.db"
    files = {b"picture %d.jpg" % n: A_FILE for n in range(80)}
    FileMemory(path).keep({}, files, {"seen": "yes"})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 30))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    memory = FileMemory(path)
    for found in memory.files().values():
        assert (type(found.size), type(found.inode), type(found.pieces)) == (int, int, bytes)
    memory.note("seen")
    # What was damaged without SQLite noticing can stay; whoever asks again after forgetting starts anew.
    memory.keep(memory.files(), files, {"seen": "again"})
    memory.forget()
    memory.keep({}, files, {"seen": "again"})
    assert (FileMemory(path).files(), FileMemory(path).note("seen")) == (files, "again")


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to be taken for one", bytes(8192)])
def test_something_else_in_the_place_of_the_memory_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "files.db"
    path.write_bytes(content)
    assert FileMemory(path).files() == {}
    FileMemory(path).keep({}, {b"a": A_FILE}, {})
    FileMemory(path).keep({}, {b"a": A_FILE}, {})
    assert FileMemory(path).files() == {b"a": A_FILE}


def test_a_memory_of_another_version_is_not_understood_but_replaced(tmp_path: Path) -> None:
    path = tmp_path / "files.db"
    FileMemory(path).keep({}, {b"a": A_FILE}, {"x": "y"})
    database = sqlite3.connect(path)
    database.execute("pragma user_version = 2")
    database.commit()
    database.close()
    memory = FileMemory(path)
    assert (memory.files(), memory.note("x")) == ({}, None)
    memory.keep({}, {b"b": A_FILE}, {})
    memory.keep({}, {b"b": A_FILE}, {})
    assert memory.files() == {b"b": A_FILE}


def test_a_folder_in_the_place_of_the_memory_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "files.db").mkdir()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "files.db", tmp_path / "file" / "files.db"):
        memory = FileMemory(path)
        memory.keep({}, {b"a": A_FILE}, {})
        assert (memory.files(), memory.note("x")) == ({}, None)


@pytest.mark.skipif(sys.platform == "win32", reason="a folder's mode forbids nothing on Windows")
def test_a_memory_that_can_not_be_written_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "files.db"
    FileMemory(path).keep({}, {b"a": A_FILE}, {})
    path.chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        memory = FileMemory(path)
        assert memory.files() in ({b"a": A_FILE}, {})
        memory.keep({b"a": A_FILE}, {b"b": A_FILE}, {})
    finally:
        tmp_path.chmod(0o700)


def test_a_file_whose_numbers_do_not_fit_is_not_remembered_and_the_others_are(tmp_path: Path) -> None:
    memory = FileMemory(tmp_path / "files.db")
    memory.keep({}, {b"odd": A_FILE}, {})
    odd = [
        RememberedFile(5, 2**70, 0, 0, 0, b""),
        RememberedFile(5, 0, 0, 2**64, 0, b""),
        RememberedFile(5, 0, 0, -1, 0, b""),
    ]
    for file in odd:
        memory.keep(memory.files(), {b"odd": file, b"a": A_FILE}, {})
        assert memory.files() == {b"a": A_FILE}


@pytest.mark.parametrize(
    ("size", "pieces"), [(5, 0), (5, 31), (5, 33), (5, 64), (0, 32), (-1, 0), (PART_BYTES, 64), (PART_BYTES + 1, 32)]
)
def test_a_file_with_more_or_fewer_pieces_than_its_size_takes_is_not_remembered(
    tmp_path: Path, size: int, pieces: int
) -> None:
    """A page of the database that took damage may tell of another file's pieces, all of them stored."""
    memory = FileMemory(tmp_path / "files.db")
    whole = {b"a": A_FILE, b"empty": RememberedFile(0, 1, 1, 1, 1, b""), b"long": A_FILE._replace(size=PART_BYTES)}
    memory.keep({}, {**whole, b"odd": A_FILE._replace(size=size, pieces=bytes(pieces))}, {})
    assert memory.files() == whole


def test_a_note_that_is_no_unicode_costs_the_memory_and_no_error(tmp_path: Path) -> None:
    memory = FileMemory(tmp_path / "files.db")
    memory.keep({}, {b"a": A_FILE}, {"x": "\ud800"})
    assert memory.files() == {}
