from __future__ import annotations

import os
import socket
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles import media
from profiles.errors import SourceBusy, SourceUnreadable
from profiles.media import (
    FileChanged,
    FileVanished,
    MediaFile,
    MediaFolder,
    list_media,
    read_parts,
    read_stable,
    surely_unchanged,
)

SECOND = 1_000_000_000
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
PERMISSIONS = pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is forbidden to this user")


def listed(path: Path) -> MediaFile:
    (file,) = [file for file in list_media(path.parent).files if file.name == path.name]
    return file


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.jpg"
    path.write_bytes(bytes(range(256)) * 100)
    return path


# Listing


def test_a_missing_folder_is_an_empty_one(tmp_path: Path) -> None:
    assert list_media(tmp_path / "collection.media") == MediaFolder((), ())


def test_files_that_anki_refuses_are_listed_too(tmp_path: Path) -> None:
    names = [".hidden", ".DS_Store", "Thumbs.db", "empty.mp3", "_static.css", "a b.jpg", "日本.mp3", "x" * 200 + ".png"]
    if os.name != "nt":
        names += ["CON", "nul.txt", 'a"b<c>d:e?.jpg', "trailing. ", "new\nline", unicodedata.normalize("NFD", "é.jpg")]
    for name in names:
        (tmp_path / name).write_bytes(b"" if name == "empty.mp3" else b"x")
    with (tmp_path / "large.mp4").open("wb") as file:
        file.truncate(101 * 1024 * 1024)
    folder = list_media(tmp_path)
    assert folder.passed_over == ()
    assert {file.name for file in folder.files} == {*names, "large.mp4"}
    assert {file.name: file.size for file in folder.files if file.size != 1} == {
        "empty.mp3": 0,
        "large.mp4": 101 * 1024 * 1024,
    }


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_text_are_listed_and_can_be_read(tmp_path: Path) -> None:
    for name in (b"caf\xe9.jpg", "café.jpg".encode(), b"\xff\xfe"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(name)
    files = list_media(tmp_path).files
    assert [os.fsencode(file.name) for file in files] == ["café.jpg".encode(), b"caf\xe9.jpg", b"\xff\xfe"]
    for file in files:
        assert b"".join(read_parts(tmp_path / file.name, file, 4)) == os.fsencode(file.name)


def test_files_are_sorted_by_the_bytes_of_their_names(tmp_path: Path) -> None:
    names = ["b", "a", "Z", "é", "\uffee", "\U0001f3b4", "a0", "a-"]
    for name in names:
        (tmp_path / name).touch()
    # By code units of UTF-16 the last two would change places.
    assert [file.name for file in list_media(tmp_path).files] == [
        "Z",
        "a",
        "a-",
        "a0",
        "b",
        "é",
        "\uffee",
        "\U0001f3b4",
    ]


def test_a_listed_file_is_what_stat_says(picture: Path) -> None:
    os.utime(picture, ns=(1, 1_234_567_890_123_456_789))
    status = picture.stat()
    assert listed(picture) == MediaFile(
        "picture.jpg", 25_600, 1_234_567_890_123_456_789, status.st_ctime_ns, status.st_ino
    )


@POSIX
def test_what_is_no_file_is_passed_over_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "media.trash").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "target.jpg")
    (tmp_path / "target.jpg").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        folder = list_media(tmp_path)
    assert [file.name for file in folder.files] == ["target.jpg"]
    assert folder.passed_over == (
        ("dangling", "a symbolic link"),
        ("link.jpg", "a symbolic link"),
        ("media.trash", "a folder"),
        ("pipe", "a pipe"),
        ("socket", "a socket"),
    )


@POSIX
def test_devices_are_passed_over() -> None:
    assert ("null", "a device") in list_media(Path("/dev")).passed_over


@POSIX
def test_a_folder_that_is_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jpg").touch()
    (tmp_path / "collection.media").symlink_to("real")
    assert [file.name for file in list_media(tmp_path / "collection.media").files] == ["a.jpg"]


def test_a_file_in_place_of_the_folder_is_said_to_be_unreadable(picture: Path) -> None:
    with pytest.raises(SourceUnreadable, match=r"media folder .*picture\.jpg can't be read"):
        list_media(picture)


@pytest.mark.parametrize("by_descriptor", [pytest.param(True, marks=POSIX), False])
def test_a_file_that_vanishes_while_the_folder_is_listed_is_left_out(
    picture: Path, monkeypatch: pytest.MonkeyPatch, *, by_descriptor: bool
) -> None:
    (picture.parent / "temporary").touch()
    real = os.scandir

    @contextmanager
    def scandir(where: Path | int) -> Iterator[list[os.DirEntry[str]]]:
        with real(where) as entries:
            found = list(entries)
            (picture.parent / "temporary").unlink()
            yield found

    monkeypatch.setattr(media, "_BY_DESCRIPTOR", by_descriptor)
    monkeypatch.setattr(media.os, "scandir", scandir)
    assert [file.name for file in list_media(picture.parent).files] == ["picture.jpg"]


@POSIX
def test_a_folder_is_listed_alike_by_its_name_and_by_its_descriptor(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (picture.parent / "link").symlink_to(picture)
    by_descriptor = list_media(picture.parent)
    monkeypatch.setattr(media, "_BY_DESCRIPTOR", False)
    assert list_media(picture.parent) == by_descriptor


def test_a_folder_that_can_not_be_read_is_an_error_and_never_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scandir(path: Path) -> Iterator[os.DirEntry[str]]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(media.os, "scandir", scandir)
    with pytest.raises(SourceUnreadable, match="Permission denied") as caught:
        list_media(tmp_path)
    assert str(tmp_path) in caught.value.problem


@PERMISSIONS
def test_a_forbidden_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir(mode=0)
    with pytest.raises(SourceUnreadable):
        list_media(tmp_path / "secret")


# Reading


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 20, 100_000])
@pytest.mark.parametrize("part_size", [1, 10, 70_000])
def test_parts_are_whole_and_join_to_the_file(tmp_path: Path, size: int, part_size: int) -> None:
    content = os.urandom(size)
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    parts = list(read_parts(path, listed(path), part_size))
    assert b"".join(parts) == content
    assert all(len(part) == part_size for part in parts[:-1])
    assert all(parts)


def overwrite(path: Path) -> None:
    path.write_bytes(b"y" * path.stat().st_size)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, 5)


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 0))


def replace_keeping_times(path: Path) -> None:
    status = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"z" * status.st_size)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


CHANGES = [overwrite, grow, shrink, touch, replace_keeping_times]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_since_it_was_listed_is_not_read(picture: Path, change: Callable[[Path], None]) -> None:
    os.utime(picture, ns=(SECOND, SECOND))
    expected = listed(picture)
    change(picture)
    with pytest.raises(FileChanged):
        next(read_parts(picture, expected, 10))


@pytest.mark.parametrize("change", [overwrite, grow, shrink, touch])
@pytest.mark.parametrize("part_size", [1_000, 20_000, 25_600])
def test_a_file_that_changes_while_it_is_read_is_noticed(
    picture: Path, change: Callable[[Path], None], part_size: int
) -> None:
    os.utime(picture, ns=(SECOND, SECOND))
    expected = listed(picture)
    parts = read_parts(picture, expected, part_size)
    next(parts)
    change(picture)
    with pytest.raises(FileChanged):
        list(parts)


def test_a_file_that_grows_for_ever_is_not_read_beyond_its_listed_size(picture: Path) -> None:
    expected = listed(picture)
    got: list[bytes] = []

    def read_while_it_grows() -> None:
        for part in read_parts(picture, expected, 1_000):
            got.append(part)
            grow(picture)

    with pytest.raises(FileChanged):
        read_while_it_grows()
    assert 0 < len(b"".join(got)) <= expected.size


def test_a_shorter_file_is_noticed_even_where_its_description_does_not_show_it(
    picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = listed(picture)
    shrink(picture)
    monkeypatch.setattr(media, "_confirm", lambda _expected, _file: None)
    with pytest.raises(FileChanged):
        list(read_parts(picture, expected, 1_000))


def test_a_vanished_file_is_told_from_an_unreadable_one(picture: Path) -> None:
    expected = listed(picture)
    picture.unlink()
    with pytest.raises(FileVanished):
        list(read_parts(picture, expected, 10))
    with pytest.raises(FileVanished):
        list(read_parts(picture.parent / "no folder" / "a.jpg", expected, 10))


@POSIX
@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "socket"])
def test_what_takes_a_files_place_is_neither_followed_nor_waited_for(
    picture: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = listed(picture)
    target = picture.rename(picture.with_name("target.jpg"))
    monkeypatch.chdir(picture.parent)
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "link":
            picture.symlink_to(target)
        elif kind == "folder":
            picture.mkdir()
        elif kind == "pipe":
            os.mkfifo(picture)
        else:
            server.bind(picture.name)
        with pytest.raises(FileChanged):
            list(read_parts(picture, expected, 10))


@POSIX
def test_a_link_to_the_very_file_that_was_listed_is_not_followed(picture: Path) -> None:
    link = picture.with_name("link.jpg")
    link.symlink_to(picture)
    with pytest.raises(FileChanged):
        list(read_parts(link, listed(picture), 10))


def test_a_file_that_can_not_be_read_is_named_with_the_reason(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = listed(picture)

    def refuse(path: Path, flags: int) -> int:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(media.os, "open", refuse)
    with pytest.raises(SourceUnreadable, match=r"picture\.jpg can't be read: Input/output error"):
        list(read_parts(picture, expected, 10))


def test_parts_need_a_size(picture: Path) -> None:
    with pytest.raises(ValueError, match="not 0"):
        list(read_parts(picture, listed(picture), 0))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are not listed here")
def test_no_file_stays_open(picture: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- a count of open files must open none itself
    expected = listed(picture)
    abandoned = read_parts(picture, expected, 10)
    next(abandoned)
    abandoned.close()  # type: ignore[attr-defined]
    with pytest.raises(SourceUnreadable):
        read_stable(picture.parent)
    read_stable(picture)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


# Reading a small file whole


def no_pause(seconds: float) -> None:
    raise AssertionError("a file that holds still needs no pause")


def test_a_file_that_holds_still_is_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deleted.txt"
    assert read_stable(path, pause=no_pause) is None
    path.write_bytes(b"")
    assert read_stable(path, pause=no_pause) == b""
    path.write_bytes(b"nid\tmid\tfields\n" * 100_000)
    assert read_stable(path, pause=no_pause) == b"nid\tmid\tfields\n" * 100_000


def disturbed(monkeypatch: pytest.MonkeyPatch, path: Path, changes: list[Callable[[Path], None]]) -> None:
    """Let each of the next readings of `path` meet a change, between its first look and its last."""
    real = media._confirm

    def confirm(expected: MediaFile, file: object) -> None:
        if changes:
            changes.pop(0)(path)
        real(expected, file)  # type: ignore[arg-type]

    monkeypatch.setattr(media, "_confirm", confirm)


def test_a_file_that_is_being_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deleted.txt"
    path.write_bytes(b"one\n")
    os.utime(path, ns=(SECOND, SECOND))
    disturbed(monkeypatch, path, [grow, overwrite, touch])
    pauses: list[float] = []
    assert read_stable(path, pause=pauses.append) == b"yyyyyyyy"
    assert len(pauses) == 3
    assert pauses == sorted(pauses)
    assert sum(pauses) < 2


def test_a_file_that_never_holds_still_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deleted.txt"
    path.write_bytes(b"one\n")
    disturbed(monkeypatch, path, [grow] * 3)
    with pytest.raises(SourceBusy, match=r"deleted\.txt .* 3 times"):
        read_stable(path, attempts=3, pause=lambda _seconds: None)


def test_a_file_that_vanishes_between_two_tries_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deleted.txt"
    path.write_bytes(b"one\n")
    disturbed(monkeypatch, path, [grow])
    assert read_stable(path, pause=lambda _seconds: path.unlink()) is None


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deleted.txt"
    with path.open("wb") as file:
        file.truncate(media.STABLE_READ_LIMIT + 1)
    with pytest.raises(SourceUnreadable, match="larger than 1 GiB"):
        read_stable(path)


@POSIX
def test_a_pipe_or_folder_in_place_of_a_small_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "deleted.txt")
    with pytest.raises(SourceUnreadable, match="a pipe"):
        read_stable(tmp_path / "deleted.txt")
    with pytest.raises(SourceUnreadable, match="can't be read"):
        read_stable(tmp_path)


# Trusting a remembered file

NOW = 1_700_000_000 * SECOND
FINE = NOW - 50_000_000 - 1
REMEMBERED = MediaFile("a.jpg", 10, FINE - 7, FINE - 9, 3)


def test_a_file_that_looks_the_same_and_was_old_when_remembered_is_unchanged() -> None:
    assert surely_unchanged(REMEMBERED, REMEMBERED._replace(), NOW)


@pytest.mark.parametrize("difference", [{"name": "b"}, {"size": 11}, {"mtime_ns": 1}, {"ctime_ns": 1}, {"inode": 4}])
def test_any_difference_is_a_change(difference: dict[str, int]) -> None:
    assert not surely_unchanged(REMEMBERED, REMEMBERED._replace(**difference), NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["mtime_ns", "ctime_ns"])
@pytest.mark.parametrize(
    ("timestamp", "sure"),
    [
        (NOW - 50_000_001, True),
        (NOW - 49_999_999, False),
        (NOW - 1, False),
        (NOW + 1, False),
        (NOW + 5 * SECOND, False),
        (NOW - SECOND, False),
        (NOW - 2 * SECOND, True),
        (NOW, False),
    ],
)
def test_a_timestamp_too_young_for_its_clock_proves_nothing(field: str, timestamp: int, sure: bool) -> None:
    file = REMEMBERED._replace(**{field: timestamp})  # type: ignore[arg-type]
    assert surely_unchanged(file, file, NOW) is sure


@given(
    written=st.integers(0, 10 * SECOND),
    age=st.integers(-SECOND, 5 * SECOND),
    tick=st.sampled_from([1, 10_000_000, SECOND, 2 * SECOND]),
)
def test_a_write_after_remembering_is_never_overlooked(written: int, age: int, tick: int) -> None:
    """Whatever its clock's tick: a file remembered at `written + age` and written at that very moment is read again."""
    remembered_at = written + age
    before = MediaFile("a", 1, written // tick * tick, written // tick * tick, 1)
    after = MediaFile("a", 1, remembered_at // tick * tick, remembered_at // tick * tick, 1)
    assert not surely_unchanged(before, after, remembered_at)
