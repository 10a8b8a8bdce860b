"""Who has the collection open, asked of a real Anki in another process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from anki.collection import Collection

from profiles.errors import SourceUnreadable
from profiles.lock_probe import Holder, holder_of

# Answers each line on stdin with one on stdout: "open PATH", "add", "close".
_ANKI = """
import sys
from anki.collection import Collection
col = None
for line in sys.stdin:
    order, _, path = line.rstrip("\\n").partition(" ")
    if order == "open":
        col = Collection(path)
    elif order == "add":
        note = col.new_note(col.models.by_name("Basic"))
        note["Front"] = "one more"
        col.add_note(note, 1)
    else:
        col.close()
    print("done", flush=True)
"""


class _Anki:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.pid = process.pid
        self._orders: IO[str] = process.stdin
        self._answers: IO[str] = process.stdout

    def order(self, order: str) -> None:
        self._orders.write(order + "\n")
        self._orders.flush()
        assert self._answers.readline() == "done\n"


@pytest.fixture(scope="module")
def anki() -> Iterator[_Anki]:
    with subprocess.Popen(
        [sys.executable, "-c", _ANKI], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _Anki(process)
        finally:
            process.kill()


@pytest.fixture
def opened(anki: _Anki, tmp_path: Path) -> Iterator[Path]:
    collection = tmp_path / "collection.anki2"
    anki.order(f"open {collection}")
    yield collection
    anki.order("close")


def test_an_open_collection_names_the_process_that_has_it_open(anki: _Anki, opened: Path) -> None:
    holder = holder_of(opened)
    assert holder is not None
    assert holder.pid == anki.pid
    assert holder.command is not None
    assert "python" in holder.command.lower()


def test_an_anki_that_is_idle_after_a_change_is_still_found(anki: _Anki, opened: Path) -> None:
    anki.order("add")
    holders = [holder_of(opened) for _ in range(3)]
    assert [holder.pid if holder else None for holder in holders] == [anki.pid] * 3


def test_a_closed_collection_has_no_holder(anki: _Anki, tmp_path: Path) -> None:
    collection = tmp_path / "collection.anki2"
    anki.order(f"open {collection}")
    anki.order("close")
    assert holder_of(collection) is None


def test_asking_disturbs_neither_the_writing_anki_nor_the_next_one_to_open(anki: _Anki, tmp_path: Path) -> None:
    collection = tmp_path / "collection.anki2"
    anki.order(f"open {collection}")
    for _ in range(10):
        assert holder_of(collection) is not None
        anki.order("add")
    anki.order("close")
    assert holder_of(collection) is None
    reopened = Collection(str(collection))
    try:
        assert reopened.note_count() == 10
        assert reopened.fix_integrity()[1]
    finally:
        reopened.close()


def test_asking_leaves_nothing_beside_the_collection_and_changes_no_time(anki: _Anki, tmp_path: Path) -> None:
    collection = tmp_path / "collection.anki2"
    anki.order(f"open {collection}")
    anki.order("close")
    before = (sorted(tmp_path.iterdir()), collection.stat().st_mtime_ns)
    holder_of(collection)
    assert (sorted(tmp_path.iterdir()), collection.stat().st_mtime_ns) == before


@pytest.mark.parametrize("missing", ["collection.anki2", "no folder/collection.anki2", "file/collection.anki2"])
def test_a_missing_collection_has_no_holder(tmp_path: Path, missing: str) -> None:
    (tmp_path / "file").touch()
    assert holder_of(tmp_path / missing) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_not_a_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    pipe = tmp_path / "collection.anki2"
    os.mkfifo(pipe)
    for odd in (pipe, tmp_path):
        with pytest.raises(SourceUnreadable, match="not a file"):
            holder_of(odd)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_collection_that_may_not_be_read_is_told_in_a_sentence(tmp_path: Path) -> None:
    collection = tmp_path / "collection.anki2"
    collection.touch(mode=0)
    with pytest.raises(SourceUnreadable, match="can't be told"):
        holder_of(collection)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell who holds a lock")
def test_a_holder_that_cannot_be_named_is_still_a_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    from profiles import lock_probe

    file = tmp_path / "collection.anki2"
    file.touch()
    answer = lock_probe._pack_flock(fcntl.F_WRLCK)
    monkeypatch.setattr(fcntl, "fcntl", lambda *_: answer)
    assert holder_of(file) == Holder(pid=None, command=None)


def test_asking_leaks_no_descriptor(tmp_path: Path) -> None:
    file = tmp_path / "collection.anki2"
    file.touch()

    def next_descriptor() -> int:
        descriptor = os.open(file, os.O_RDONLY)
        os.close(descriptor)
        return descriptor

    before = next_descriptor()
    holder_of(file)
    with pytest.raises(SourceUnreadable):
        holder_of(tmp_path)
    assert next_descriptor() == before
