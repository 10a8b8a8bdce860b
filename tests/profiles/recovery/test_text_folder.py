"""Text files in a folder of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from profiles.errors import TargetUnusable
from profiles.recovery.text_folder import write_text_folder

TEXTS = {"basic.txt": "a\tb\n", "one/cloze.txt": 'ä\n"x"\r\n'}
TOO_LONG = {"basic.txt": "short", "one/cloze.txt": "long" * 10_000}


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file grow beyond 10 kB, as on a disk that is full."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such limit")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_texts_are_written_letter_by_letter(tmp_path: Path) -> None:
    files = write_text_folder(tmp_path / "new", TEXTS)
    assert files == (tmp_path / "new" / "basic.txt", tmp_path / "new" / "one" / "cloze.txt")
    assert [file.read_bytes().decode() for file in files] == list(TEXTS.values())
    assert {path.name for path in (tmp_path / "new").rglob("*")} == {"basic.txt", "one", "cloze.txt"}


@pytest.mark.parametrize("there", [False, True])
def test_a_disk_that_is_full_leaves_none_of_them_and_another_try_works(tmp_path: Path, *, there: bool) -> None:
    folder = tmp_path / "new"
    if there:
        folder.mkdir()
    with no_room(), pytest.raises(TargetUnusable, match=r"could not be written.*write them again"):
        write_text_folder(folder, TOO_LONG)
    assert [*tmp_path.rglob("*")] == ([folder] if there else [])
    assert len(write_text_folder(folder, TOO_LONG)) == 2


def test_what_is_killed_in_the_middle_leaves_nothing_half_written_under_a_name_that_anki_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A process that is killed cleans nothing up.
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    with no_room(), pytest.raises(TargetUnusable):
        write_text_folder(tmp_path / "new", TOO_LONG)
    assert {path.name for path in tmp_path.rglob("*.txt")} == {"basic.txt"}


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "basic.txt").write_text("mine")
    with pytest.raises(TargetUnusable, match="is not empty"):
        write_text_folder(tmp_path, TEXTS)
    assert (tmp_path / "basic.txt").read_text() == "mine"
