"""What was written outlasts a power cut, and a disk that says no is quoted in a sentence."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from profiles import durable
from profiles.durable import sync_file, sync_files_below, sync_folder, told_plainly
from profiles.errors import TargetUnusable


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_called_full(code: int) -> None:
    with (
        pytest.raises(TargetUnusable, match=r"The card could not be written: there is no space left\. Free some"),
        told_plainly("The card could not be written"),
    ):
        raise OSError(code, "words of the system")


@pytest.mark.parametrize(
    ("error", "said"),
    [(PermissionError(errno.EACCES, "Permission denied"), "Permission denied"), (OSError("odd"), "odd")],
)
def test_any_other_trouble_is_quoted(error: OSError, said: str) -> None:
    with pytest.raises(TargetUnusable) as caught, told_plainly("The card could not be written"):
        raise error
    assert caught.value.problem == f"The card could not be written: {said}"


def test_what_is_no_trouble_of_the_disk_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), told_plainly("The card could not be written"):
        raise ZeroDivisionError


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="fsync is what reaches the disk on Linux")
def test_files_and_folders_are_synced_themselves_and_closed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    synced: list[tuple[int, int]] = []
    real = os.fsync

    def record(descriptor: int) -> None:
        synced.append((descriptor, os.fstat(descriptor).st_ino))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    sync_file(file)
    sync_folder(tmp_path)
    assert [inode for _, inode in synced] == [file.stat().st_ino, tmp_path.stat().st_ino]
    for descriptor, _ in synced:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_files_below_a_folder_are_put_on_the_disk_whichever_way_the_system_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        (tmp_path / f"{number}.jpg").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    synced: list[object] = []
    monkeypatch.setattr(os, "sync", lambda: synced.append("all"))
    sync_files_below(tmp_path)
    if sys.platform == "linux":
        assert synced == ["all"]
    monkeypatch.setattr(sys, "platform", "freebsd")
    monkeypatch.setattr(durable, "sync_file", synced.append)
    monkeypatch.setattr(durable, "sync_folder", synced.append)
    synced.clear()
    sync_files_below(tmp_path)
    assert sorted(map(str, synced)) == sorted(map(str, [tmp_path, *tmp_path.glob("*.jpg")]))
