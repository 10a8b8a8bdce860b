"""Putting media files back: nothing is deleted, nothing is followed, nothing is left half written, and Anki notices."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from anki.collection import Collection
from anki.decks import DeckId
from hypothesis import example, given
from hypothesis import strategies as st

from profiles.errors import MediaLeftOut, MediaNameTaken, SourceUnreadable, TargetUnusable
from profiles.install_media import (
    MediaAction,
    MediaStep,
    checked_media_name,
    finish_media,
    plan_media,
    prepare_empty_target,
    write_media_file,
)

POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="modes, owners and links of POSIX")
LONG_AGO_NS = 1_500_000_000_123_456_789


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "collection.media"
    folder.mkdir()
    return folder


def by_content(wanted: dict[str, bytes]) -> Callable[[Path, str], bool]:
    return lambda path, name: path.read_bytes() == wanted[name]


def sizes(wanted: dict[str, bytes]) -> list[tuple[str, int]]:
    return [(name, len(content)) for name, content in wanted.items()]


def restore(folder: Path, wanted: dict[str, bytes]) -> tuple[MediaStep, ...]:
    plan = plan_media(sizes(wanted), folder, by_content(wanted))
    for step in plan:
        if step.writes:
            write_media_file(folder, step.name, [wanted[step.name]], replacing=step.action is MediaAction.REPLACE)
    finish_media(folder)
    return plan


# Names

HOSTILE = [
    "",
    ".",
    "..",
    "../prefs21.db",
    "/etc/passwd",
    "a/b",
    "a\x00.jpg",
    "\x00",
    "../",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("windows", [True, False])
def test_a_name_that_leads_elsewhere_or_is_no_name_is_refused_everywhere(name: str, windows: bool) -> None:
    with pytest.raises(TargetUnusable, match="can't be restored under that name") as caught:
        checked_media_name(name, windows=windows)
    str(caught.value).encode()


def test_a_name_that_no_bytes_stand_for_is_refused_where_names_are_bytes() -> None:
    with pytest.raises(TargetUnusable):
        checked_media_name("\ud800", windows=False)
    assert checked_media_name("\ud800", windows=True) == "\ud800"


@pytest.mark.parametrize(
    "name",
    [
        "a\\b",
        "..\\prefs21.db",
        "C:evil.jpg",
        "card.jpg:hidden",
        "what?.mp3",
        "a\n.jpg",
        "NUL",
        "nul.jpg",
        "Aux .txt",
        "com1",
        "COM¹.jpg",
        "lpt9.tar.gz",
        "CONIN$",
        "con\n",
        "end.",
        "end ",
        "...",
    ],
)
def test_names_that_only_windows_can_not_hold_are_refused_there_alone(name: str) -> None:
    assert checked_media_name(name, windows=False) == name
    with pytest.raises(TargetUnusable):
        checked_media_name(name, windows=True)


@pytest.mark.parametrize(
    "name", ["console.jpg", "nullify.mp3", "com.jpg", "com10.jpg", "é.jpg", "_x.js", ".hidden", "a b"]
)
def test_names_that_only_look_odd_are_accepted_everywhere(name: str) -> None:
    assert checked_media_name(name, windows=True) == name
    assert checked_media_name(name, windows=False) == name


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux takes any bytes as a name")
@given(
    raw=st.binary(min_size=1, max_size=200)
    .map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_"))
    .filter(lambda raw: raw not in (b".", b".."))
)
@example(raw=b"\xff\xfe.jpg")
@example(raw=b"a\\b\n:.mp3")
def test_every_name_a_linux_folder_can_hold_is_accepted_written_and_found_again(
    raw: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("media")
    name = os.fsdecode(raw)
    write_media_file(folder, name, [b"content"])
    assert [os.fsencode(entry.name) for entry in folder.iterdir()] == [raw]
    assert plan_media([(name, 7)], folder, lambda *_: True) == (MediaStep(name, MediaAction.KEEP),)


@given(name=st.text())
def test_an_accepted_name_always_lies_directly_in_the_folder(name: str) -> None:
    for windows in (True, False):
        try:
            checked_media_name(name, windows=windows)
        except TargetUnusable:
            continue
        path = Path("media") / name
        assert path.name == name
        assert path.parts == ("media", name)


# The plan


def test_the_plan_adds_what_is_missing_replaces_what_differs_and_keeps_what_is_the_same(media: Path) -> None:
    (media / "same").write_bytes(b"same")
    (media / "other content").write_bytes(b"abc")
    (media / "other size").write_bytes(b"ab")
    (media / "not in the snapshot").write_bytes(b"precious")
    wanted = {"same": b"same", "other content": b"xyz", "other size": b"abc", "missing": b"m"}
    assert plan_media(sizes(wanted), media, by_content(wanted)) == (
        MediaStep("same", MediaAction.KEEP),
        MediaStep("other content", MediaAction.REPLACE),
        MediaStep("other size", MediaAction.REPLACE),
        MediaStep("missing", MediaAction.ADD),
    )


def test_planning_asks_about_the_content_only_where_the_size_fits_and_changes_nothing(media: Path) -> None:
    (media / "fits").write_bytes(b"abc")
    (media / "too long").write_bytes(b"abcd")
    asked: list[str] = []

    def same(path: Path, name: str) -> bool:
        asked.append(name)
        return True

    before = media.stat().st_mtime_ns
    plan_media([("fits", 3), ("too long", 3), ("missing", 3)], media, same)
    assert asked == ["fits"]
    assert media.stat().st_mtime_ns == before


def test_planning_into_a_folder_that_is_not_there_adds_everything(tmp_path: Path) -> None:
    assert plan_media([("a", 1)], tmp_path / "missing", lambda *_: True) == (MediaStep("a", MediaAction.ADD),)


@POSIX_ONLY
def test_a_link_at_a_wanted_name_is_replaced_even_if_it_leads_to_the_right_bytes(media: Path, tmp_path: Path) -> None:
    target = tmp_path / "outside"
    target.write_bytes(b"abc")
    (media / "link").symlink_to(target)
    assert restore(media, {"link": b"abc"}) == (MediaStep("link", MediaAction.REPLACE),)
    assert not (media / "link").is_symlink()
    assert (media / "link").read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ([("..", 1)], "leads to another folder|names no file"),
        ([("../prefs21.db", 1)], "leads to another folder|Windows forbids"),
        ([("a", 1), ("a", 2)], "lists it twice"),
        ([("folder", 1)], "holds a folder of that name"),
        ([("x" * 256, 1)], "too long"),
        ([("x" * 5000, 1)], "too long"),
    ],
)
def test_a_file_that_can_not_be_put_at_its_name_is_left_out_and_costs_no_other(
    media: Path, wanted: list[tuple[str, int]], said: str
) -> None:
    (media / "folder").mkdir()
    *others, step, last = plan_media([*wanted, ("whole", 1)], media, lambda *_: True)
    assert (step.name, step.action) == (wanted[-1][0], MediaAction.LEAVE_OUT)
    assert re.search(said, step.reason or "")
    assert repr(step.name) in (step.reason or "")
    assert last == MediaStep("whole", MediaAction.ADD)
    assert all(other.writes for other in others)


@POSIX_ONLY
def test_of_two_names_that_are_one_file_to_the_disk_the_second_is_left_out(media: Path) -> None:
    # Two names of one file are what a volume shows that does not tell them apart.
    (media / "CAF\u00c9.png").write_bytes(b"old")
    os.link(media / "CAF\u00c9.png", media / "cafe\u0301.png")
    wanted = {"CAF\u00c9.png": b"one", "cafe\u0301.png": b"two", "other.png": b"x"}
    first, second, third = plan_media(sizes(wanted), media, by_content(wanted))
    assert (first.action, second.action, third.action) == (
        MediaAction.REPLACE,
        MediaAction.LEAVE_OUT,
        MediaAction.ADD,
    )
    assert "same file as 'CAF" in (second.reason or "")


@POSIX_ONLY
def test_names_that_the_disk_tells_apart_are_all_restored(media: Path) -> None:
    (media / "A.png").write_bytes(b"old A")
    (media / "a.png").write_bytes(b"old a")
    if (media / "A.png").samefile(media / "a.png"):
        pytest.skip("this disk does not tell them apart")
    wanted = {"A.png": b"A", "a.png": b"a", "B.png": b"B", "b.png": b"b"}
    restore(media, wanted)
    assert {path.name: path.read_bytes() for path in media.iterdir()} == wanted


def test_a_file_that_can_not_be_compared_is_left_alone(media: Path) -> None:
    (media / "forbidden").write_bytes(b"abc")

    def same(path: Path, name: str) -> bool:
        raise SourceUnreadable(f"The file {path} can't be read", "Mend that")

    step, _ = plan_media([("forbidden", 3), ("whole", 1)], media, same)
    assert step.action is MediaAction.LEAVE_OUT


# Writing


@pytest.mark.parametrize("links", [True, False])
def test_what_appeared_since_the_plan_at_the_name_of_a_new_file_is_left_alone(
    media: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def parts() -> Iterator[bytes]:
        (media / "card.jpg").write_bytes(b"drawn just now")
        yield b"from the snapshot"

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(MediaNameTaken, match=r"card\.jpg"):
        write_media_file(media, "card.jpg", parts(), replacing=False)
    write_media_file(media, "other.jpg", [b"from the snapshot"], replacing=False)
    assert {path.name: path.read_bytes() for path in media.iterdir()} == {
        "card.jpg": b"drawn just now",
        "other.jpg": b"from the snapshot",
    }


@POSIX_ONLY
@pytest.mark.parametrize("replacing", [True, False])
@pytest.mark.parametrize("code", [errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG])
def test_a_name_that_only_the_disk_refuses_is_told_apart_from_a_disk_that_fails(
    media: Path, monkeypatch: pytest.MonkeyPatch, code: int, replacing: bool
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(MediaLeftOut, match="this disk refuses it"):
        write_media_file(media, "what?.mp3", [b"x"], replacing=replacing)
    assert list(media.iterdir()) == []


def test_a_restore_deletes_nothing_leaves_equal_files_alone_and_gives_changed_ones_a_new_time(media: Path) -> None:
    present = {"same": b"same", "changed": b"old!", "only here": b"precious"}
    for name, content in present.items():
        (media / name).write_bytes(content)
        os.utime(media / name, ns=(LONG_AGO_NS, LONG_AGO_NS))
    inode = (media / "same").stat().st_ino
    restore(media, {"same": b"same", "changed": b"new!", "missing": b"back"})
    assert {entry.name: entry.read_bytes() for entry in media.iterdir()} == {
        "same": b"same",
        "changed": b"new!",
        "only here": b"precious",
        "missing": b"back",
    }
    assert (media / "same").stat().st_mtime_ns == LONG_AGO_NS
    assert (media / "same").stat().st_ino == inode
    assert (media / "only here").stat().st_mtime_ns == LONG_AGO_NS
    assert (media / "changed").stat().st_mtime_ns > LONG_AGO_NS


def test_a_file_replaced_within_the_second_it_was_written_in_still_shows_another_second(media: Path) -> None:
    for number in range(3):
        write_media_file(media, "fast", [b"%d" % number])
        first = (media / "fast").stat().st_mtime_ns // 1_000_000_000
        write_media_file(media, "fast", [b"again"])
        assert (media / "fast").stat().st_mtime_ns // 1_000_000_000 != first


def test_a_file_of_many_parts_is_written_whole(media: Path) -> None:
    parts = [bytes([number]) * (number * 1000) for number in range(50)]
    write_media_file(media, "long", iter(parts))
    assert (media / "long").read_bytes() == b"".join(parts)


def test_an_empty_file_is_written(media: Path) -> None:
    write_media_file(media, "empty", [])
    assert (media / "empty").read_bytes() == b""


def test_a_missing_media_folder_is_made(tmp_path: Path) -> None:
    write_media_file(tmp_path / "collection.media", "a", [b"a"])
    assert (tmp_path / "collection.media" / "a").read_bytes() == b"a"


@pytest.mark.parametrize("name", ["..", "../evil", "a/b", ""])
def test_a_hostile_name_is_not_written_anywhere(media: Path, name: str) -> None:
    before = sorted(media.parent.rglob("*"))
    with pytest.raises(TargetUnusable):
        write_media_file(media, name, [b"evil"])
    assert sorted(media.parent.rglob("*")) == before


@POSIX_ONLY
def test_a_link_at_the_name_is_not_followed(media: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"not to be touched")
    outside.chmod(0o400)
    (media / "card.jpg").symlink_to(outside)
    write_media_file(media, "card.jpg", [b"card"])
    assert outside.read_bytes() == b"not to be touched"
    assert not (media / "card.jpg").is_symlink()
    assert (media / "card.jpg").stat().st_mode & 0o777 != 0o400


@POSIX_ONLY
def test_a_media_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "collection.media"
    link.symlink_to(elsewhere)
    with pytest.raises(TargetUnusable):
        write_media_file(link, "a", [b"a"])
    with pytest.raises(TargetUnusable):
        finish_media(link)
    assert list(elsewhere.iterdir()) == []


@POSIX_ONLY
def test_a_new_file_gets_the_mode_every_new_file_gets_and_a_replaced_one_keeps_its_own(media: Path) -> None:
    (media / "private").write_bytes(b"old")
    (media / "private").chmod(0o640)
    before = os.umask(0o022)
    try:
        write_media_file(media, "private", [b"new"])
        write_media_file(media, "fresh", [b"new"])
    finally:
        os.umask(before)
    assert (media / "private").stat().st_mode & 0o777 == 0o640
    assert (media / "fresh").stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_root_gives_media_to_the_owner_of_the_folder_or_of_the_file_replaced(media: Path) -> None:
    os.chown(media, 1234, 2345)
    (media / "replaced").write_bytes(b"old")
    os.chown(media / "replaced", 3456, 4567)
    for name in ("replaced", "fresh"):
        write_media_file(media, name, [b"new"])
    owners = {entry.name: (entry.stat().st_uid, entry.stat().st_gid) for entry in media.iterdir()}
    assert owners == {"replaced": (3456, 4567), "fresh": (1234, 2345)}


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "fstat"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_takes_no_more_leaves_the_old_file_and_nothing_else(
    media: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    (media / "card.jpg").write_bytes(b"old")
    real = getattr(os, call)
    armed: list[bool] = []

    def fail(*arguments: object, **named: object) -> object:
        if not armed:
            return real(*arguments, **named)
        raise OSError(code, os.strerror(code))

    def parts() -> Iterator[bytes]:
        armed.append(True)
        yield b"new"

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(TargetUnusable, match=r"card\.jpg") as caught:
        write_media_file(media, "card.jpg", parts())
    monkeypatch.undo()
    assert ("no space left" in caught.value.problem) == (code != errno.EIO)
    assert [entry.name for entry in media.iterdir()] == ["card.jpg"]
    assert (media / "card.jpg").read_bytes() == b"old"


@POSIX_ONLY
def test_a_limit_of_the_kernel_in_the_middle_of_a_file_leaves_nothing(media: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(TargetUnusable):
            write_media_file(media, "long", [b"x" * 60_000] * 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(media.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.ECONNRESET, "reset"), KeyboardInterrupt()])
def test_trouble_of_the_source_is_not_blamed_on_the_target_and_leaves_nothing(
    media: Path, error: BaseException
) -> None:
    def parts() -> Iterator[bytes]:
        yield b"half"
        raise error

    with pytest.raises(type(error)) as caught:
        write_media_file(media, "card.jpg", parts())
    assert caught.value is error
    assert list(media.iterdir()) == []


def test_a_folder_at_the_name_or_no_folder_at_all_is_told_in_a_sentence(media: Path, tmp_path: Path) -> None:
    (media / "folder").mkdir()
    with pytest.raises(TargetUnusable):
        write_media_file(media, "folder", [b"x"])
    assert [entry.name for entry in media.iterdir()] == ["folder"]
    (tmp_path / "file").touch()
    with pytest.raises(TargetUnusable):
        write_media_file(tmp_path / "file", "a", [b"x"])
    with pytest.raises(TargetUnusable):
        write_media_file(tmp_path / "no" / "folder", "a", [b"x"])


# Finishing


def test_finishing_moves_the_folders_time_by_a_millisecond_or_more_even_against_the_clock(media: Path) -> None:
    future = 4_000_000_000_000_000_000
    for before in (LONG_AGO_NS, future):
        os.utime(media, ns=(before, before))
        finish_media(media)
        assert media.stat().st_mtime_ns // 1_000_000 > before // 1_000_000


def test_finishing_removes_what_a_killed_restore_left_and_nothing_else(media: Path) -> None:
    (media / ".recollect-0123456789abcdef.tmp").write_bytes(b"half")
    for left in (".recollect-1123456789abcdef.tmp", ".recollect-2123456789abcdef.tmp"):
        (media / left).mkdir()
    (media / ".recollect-1123456789abcdef.tmp" / "file").write_bytes(b"half")
    kept = [".recollect-notes.tmp", "a.recollect-0123456789abcdef.tmp", ".recollect-0123456789abcdef.tmp.jpg", "a.jpg"]
    for name in kept:
        (media / name).write_bytes(b"kept")
    finish_media(media)
    assert sorted(entry.name for entry in media.iterdir()) == sorted(kept)


@POSIX_ONLY
def test_finishing_follows_no_link_and_removes_nothing_that_another_put_into_a_folder(
    media: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (media / ".recollect-0123456789abcdef.tmp").symlink_to(outside)
    another_s = media / ".recollect-1123456789abcdef.tmp"
    another_s.mkdir()
    for precious in (outside / "file", another_s / "precious"):
        precious.write_bytes(b"precious")
    finish_media(media)
    assert (outside / "file").exists()
    assert [path.relative_to(media) for path in media.rglob("*")] == [
        another_s.relative_to(media),
        (another_s / "precious").relative_to(media),
    ]


def test_what_a_killed_write_leaves_is_what_finishing_removes(media: Path, tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"half"
        shutil.copytree(media, tmp_path / "as killed here")

    write_media_file(media, "card.jpg", parts())
    left = [path for path in (tmp_path / "as killed here").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in left] == [b"half"]
    finish_media(tmp_path / "as killed here")
    assert list((tmp_path / "as killed here").iterdir()) == []
    assert [entry.name for entry in media.iterdir()] == ["card.jpg"]


def test_what_is_unfinished_is_no_media_file_to_anki(media: Path, tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        yield b"half"
        with closing(Collection(str(tmp_path / "collection.anki2"))) as anki:
            found = anki.media.check()
            assert (list(found.unused), list(found.missing)) == (["other.jpg"], [])
            anki.export_collection_package(str(tmp_path / "out.colpkg"), include_media=True, legacy=True)
        with zipfile.ZipFile(tmp_path / "out.colpkg") as package:
            assert package.read("media") == b'{"0":"other.jpg"}'

    write_media_file(media, "other.jpg", [b"other"])
    write_media_file(media, "card.jpg", parts())


def test_finishing_a_folder_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TargetUnusable):
        finish_media(tmp_path / "missing")


@pytest.fixture
def sync_server(tmp_path: Path) -> Iterator[str]:
    environment = {
        **os.environ,
        "SYNC_USER1": "learner:secret",
        "SYNC_BASE": str(tmp_path / "server"),
        "SYNC_HOST": "127.0.0.1",
        "SYNC_PORT": "0",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "anki.syncserver"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if found := re.search(r"127\.0\.0\.1:(\d+)", line):
                    yield f"http://127.0.0.1:{found[1]}/"
                    break
            else:
                pytest.fail("the sync server did not start")
        finally:
            server.terminate()


def test_the_next_media_sync_sends_up_what_was_restored_instead_of_deleting_or_overwriting_it(
    tmp_path: Path, sync_server: str
) -> None:
    path = tmp_path / "collection.anki2"
    media = tmp_path / "collection.media"
    wanted = {"changed.txt": b"as in the snapshot", "gone.txt": b"was in the snapshot", "same.txt": b"same"}

    def sync() -> None:
        col = Collection(str(path))
        try:
            auth = col.sync_login(username="learner", password="secret", endpoint=sync_server)
            if col.sync_collection(auth, sync_media=False).required != 0:
                col.close_for_full_sync()
                col.full_upload_or_download(auth=auth, server_usn=None, upload=True)
                col.reopen(after_full_sync=True)
            col.sync_media(auth)
            while col.media_sync_status().active:
                pass
        finally:
            col.close()

    col = Collection(str(path))
    basic = col.models.by_name("Basic")
    assert basic is not None
    note = col.new_note(basic)
    note["Front"] = "a note, so that the server takes an upload"
    col.add_note(note, DeckId(1))
    col.media.write_data("changed.txt", b"changed since")
    col.media.write_data("same.txt", b"same")
    col.close()
    sync()
    restore(media, wanted)
    sync()
    with closing(sqlite3.connect(tmp_path / "collection.media.db2")) as connection:
        known = dict(connection.execute("select fname, csum from media where not dirty"))
    assert known == {name: hashlib.sha1(content).hexdigest() for name, content in wanted.items()}
    assert {entry.name: entry.read_bytes() for entry in media.iterdir()} == wanted


# An empty target


def test_a_new_target_is_made_with_its_parents_for_its_owner_only(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    prepare_empty_target(target)
    assert target.is_dir()
    if sys.platform != "win32":
        assert target.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("litter", [[], [".DS_Store"], ["Thumbs.db", "desktop.ini"]])
def test_an_empty_target_is_accepted_and_so_is_one_that_only_looks_empty(tmp_path: Path, litter: list[str]) -> None:
    for name in litter:
        (tmp_path / name).touch()
    prepare_empty_target(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(litter)


def test_a_target_that_holds_something_is_refused_and_says_what(tmp_path: Path) -> None:
    for name in ("e", "d", "collection.anki2", "bell\a"):
        (tmp_path / name).touch()
    with pytest.raises(TargetUnusable) as caught:
        prepare_empty_target(tmp_path)
    assert "it holds 'bell\\x07', 'collection.anki2', 'd' and more" in caught.value.problem


def test_a_target_that_is_no_folder_or_can_not_be_made_is_refused_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "missing")
    for target in (file, file / "below", tmp_path / "dangling", tmp_path / ("x" * 300), Path("zero\x00byte")):
        with pytest.raises(TargetUnusable):
            prepare_empty_target(target)


def test_a_target_that_can_not_be_written_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(TargetUnusable, match="can't be written to"):
        prepare_empty_target(tmp_path)
