from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from profiles.errors import TargetUnusable
from profiles.media_trash import move_to_media_trash, surplus_media


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "collection.media"
    folder.mkdir()
    for name in ("a.png", "b.png", "Ärger.mp3", ".DS_Store"):
        (folder / name).write_bytes(name.encode())
    return folder


def test_surplus_is_what_goes_by_no_wanted_name(media: Path) -> None:
    assert surplus_media(["a.png", "ärger.mp3"], media) == ("b.png",)
    assert surplus_media([], media / "not there") == ()


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_moved_whole_and_over_nothing(media: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:

        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
    trash = media.with_name("media.trash")
    trash.mkdir()
    (trash / "a.png").write_bytes(b"earlier")
    (trash / "a 2.png").write_bytes(b"earlier, too")
    time = (media / "a.png").stat().st_mtime_ns
    assert move_to_media_trash(["a.png", "b.png", "gone.png"], media, trash) == 2
    assert sorted(path.name for path in media.iterdir()) == [".DS_Store", "Ärger.mp3"]
    assert {path.name: path.read_bytes() for path in trash.iterdir()} == {
        "a.png": b"earlier",
        "a 2.png": b"earlier, too",
        "a 3.png": b"a.png",
        "b.png": b"b.png",
    }
    assert (trash / "a 3.png").stat().st_mtime_ns == time


def test_a_disk_that_takes_no_more_keeps_the_file_where_it_is(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr("profiles.media_trash.shutil.copyfileobj", full)
    trash = media.with_name("media.trash")
    with pytest.raises(TargetUnusable, match="no space"):
        move_to_media_trash(["a.png"], media, trash)
    assert (media / "a.png").read_bytes() == b"a.png"
    assert list(trash.iterdir()) == []


def test_what_became_a_link_or_a_folder_stays(media: Path) -> None:
    (media / "link").symlink_to(media / "a.png")
    (media / "folder").mkdir()
    trash = media.with_name("media.trash")
    assert move_to_media_trash(["link", "folder"], media, trash) == 0
    assert not trash.exists()
