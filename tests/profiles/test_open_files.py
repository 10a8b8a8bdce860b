"""A file that is open for writing, but not locked, is found with the one who has it open."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiles import open_files
from profiles.open_files import writer_of
from tests.profiles.preferences_base import LINUX_OR_MAC

pytestmark = pytest.mark.skipif(not LINUX_OR_MAC, reason="only Linux and macOS tell")


@contextmanager
def opened_elsewhere(path: Path, mode: str) -> Iterator[int]:
    script = "import sys; file = open(sys.argv[1], sys.argv[2]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a file's name.db"
    path.write_bytes(b"content")
    return path


@pytest.mark.parametrize("mode", ["r+b", "ab"])
def test_another_process_that_may_write_is_named(file: Path, mode: str) -> None:
    with opened_elsewhere(file, mode) as pid:
        holder = writer_of(file)
    assert holder is not None
    assert holder.pid == pid
    assert holder.command is not None
    assert "python" in holder.command


def test_a_process_that_only_reads_counts_for_nothing(file: Path) -> None:
    with opened_elsewhere(file, "rb"):
        assert writer_of(file) is None


def test_this_process_and_other_files_count_for_nothing(file: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    namesake = tmp_path / "elsewhere" / file.name
    shutil.copyfile(file, namesake)
    with file.open("r+b"), opened_elsewhere(namesake, "r+b"):
        assert writer_of(file) is None


def test_a_file_that_was_replaced_is_no_longer_the_one_that_is_open(file: Path, tmp_path: Path) -> None:
    with opened_elsewhere(file, "r+b"):
        shutil.copyfile(file, tmp_path / "new")
        (tmp_path / "new").replace(file)
        assert writer_of(file) is None


def test_a_file_that_is_not_there_is_open_nowhere(tmp_path: Path) -> None:
    assert writer_of(tmp_path / "missing") is None


@pytest.mark.skipif(shutil.which("lsof") is None, reason="no lsof here")
def test_what_lsof_tells_is_understood(file: Path) -> None:
    """The way of macOS; the program is the same elsewhere."""
    lsof = shutil.which("lsof") or ""
    with opened_elsewhere(file, "rb"), file.open("r+b"):
        assert list(open_files._writers_by_lsof(file, lsof)) == []
        with opened_elsewhere(file, "r+b") as pid:
            assert [holder.pid for holder in open_files._writers_by_lsof(file, lsof)] == [pid]


def test_without_lsof_nothing_is_known(file: Path) -> None:
    assert list(open_files._writers_by_lsof(file, "/nowhere/lsof")) == []
