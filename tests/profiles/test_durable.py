"""What was written outlasts a power cut, and a disk that says no is quoted in a sentence."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from profiles import durable
from profiles.durable import sync_file, sync_files_below, sync_folder, take_over_owner_and_mode, told_plainly
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


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").touch()
    (tmp_path / "private").touch(mode=0o600)
    return tmp_path / "model"


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
@pytest.mark.parametrize(("mode", "taken"), [(0o600, 0o600), (0o644, 0o644), (0o4755, 0o644), (0o040, 0o640)])
def test_a_file_takes_over_who_may_read_and_write_and_nothing_else(model: Path, mode: int, taken: int) -> None:
    model.chmod(mode)
    take_over_owner_and_mode(model.with_name("private"), model)
    assert model.with_name("private").stat().st_mode & 0o7777 == taken


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_a_file_is_given_to_the_owner_of_another(model: Path) -> None:
    os.chown(model, 1234, 2345)
    take_over_owner_and_mode(model.with_name("private"), model)
    given = model.with_name("private").stat()
    assert (given.st_uid, given.st_gid) == (1234, 2345)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_a_file_that_can_not_be_given_away_stays_private(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    model.chmod(0o664)
    os.chown(model, 1234, 2345)
    monkeypatch.setattr(os, "chown", refused)
    take_over_owner_and_mode(model.with_name("private"), model)
    assert model.with_name("private").stat().st_mode & 0o777 == 0o600
