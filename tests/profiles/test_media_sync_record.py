"""What the next media sync takes for deleted: read in a copy, and never at the cost of anything else."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from anki.collection import Collection

from profiles.errors import MediaSyncUnclear
from profiles.media_sync_record import MEDIA_SYNC_RECORD, taken_for_deleted

POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="links, signals and rights of POSIX")
NAMES = ("blue.png", "green.png", "red.png")

# Adds "crash.png" to the media of the collection argv[1], and dies with that in the write-ahead log.
_ANKI_THAT_CRASHES = """
import os, signal, sys
from anki.collection import Collection
col = Collection(sys.argv[1])
col.media.write_data("crash.png", b"crash")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """The media folder of a profile that has synced all that is in it."""
    with closing(Collection(str(tmp_path / "collection.anki2"))) as anki:
        for name in NAMES:
            anki.media.write_data(name, name.encode())
    change(tmp_path / MEDIA_SYNC_RECORD, "update meta set lastUsn = 3")
    change(tmp_path / MEDIA_SYNC_RECORD, "update media set dirty = 0")
    return tmp_path / "collection.media"


def change(record: Path, statement: str) -> None:
    with closing(sqlite3.connect(record, isolation_level=None)) as database:
        database.execute(statement)


def foreseen(media: Path, coming: dict[str, int] | None = None) -> tuple[str, ...]:
    scratch = media.with_name("scratch")
    scratch.mkdir(exist_ok=True)
    before = {path.name: path.read_bytes() for path in media.parent.iterdir() if path.is_file()}
    try:
        return taken_for_deleted(media.with_name(MEDIA_SYNC_RECORD), media, coming or {}, scratch)
    finally:
        assert {path.name: path.read_bytes() for path in media.parent.iterdir() if path.is_file()} == before
        for path in scratch.iterdir():
            path.unlink()


def test_what_is_gone_and_does_not_come_back_is_named(media: Path) -> None:
    assert foreseen(media) == ()
    for name in NAMES:
        (media / name).unlink()
    assert foreseen(media) == NAMES
    assert foreseen(media, {"green.png": 5}) == ("blue.png", "red.png")


@POSIX_ONLY
def test_what_a_scan_of_ankis_passes_over_is_gone_to_it(media: Path) -> None:
    (media / "blue.png").write_bytes(b"")
    (media / "green.png").unlink()
    (media / "green.png").symlink_to(media / "red.png")
    os.truncate(media / "red.png", (100 << 20) + 1)
    assert foreseen(media) == NAMES
    assert foreseen(media, {"blue.png": 0, "green.png": (100 << 20) + 1, "red.png": 100 << 20}) == NAMES[:2]


def test_what_was_deleted_long_ago_is_not_deleted_again(media: Path) -> None:
    (media / "red.png").unlink()
    change(media.with_name(MEDIA_SYNC_RECORD), "update media set csum = null where fname = 'red.png'")
    assert foreseen(media) == ()


def test_a_profile_that_never_synced_its_media_has_nothing_to_lose(media: Path) -> None:
    (media / "red.png").unlink()
    change(media.with_name(MEDIA_SYNC_RECORD), "update meta set lastUsn = 0")
    assert foreseen(media) == ()
    media.with_name(MEDIA_SYNC_RECORD).unlink()
    assert foreseen(media) == ()


def test_a_record_that_anki_has_open_is_read_and_left_alone(media: Path) -> None:
    with closing(Collection(str(media.with_name("collection.anki2")))) as anki:
        anki.media.write_data("just now.png", b"just now")
        (media / "just now.png").unlink()
        assert foreseen(media) == ("just now.png",)


@POSIX_ONLY
def test_what_a_crashed_anki_left_in_the_log_of_the_record_counts(media: Path) -> None:
    collection = media.with_name("collection.anki2")
    crashed = subprocess.run([sys.executable, "-c", _ANKI_THAT_CRASHES, str(collection)], check=False)
    assert crashed.returncode == -signal.SIGKILL
    (media / "crash.png").unlink()
    assert foreseen(media) == ("crash.png",)


def _no_database(record: Path) -> None:
    record.write_bytes(b"no database" * 1000)


def _torn(record: Path) -> None:
    content = record.read_bytes()
    record.write_bytes(content[:4096] + bytes(len(content) - 4096))


def _newer(record: Path) -> None:
    change(record, "pragma user_version = 5")


def _without_a_column(record: Path) -> None:
    change(record, "alter table media rename column csum to checksum")


def _without_a_row(record: Path) -> None:
    change(record, "delete from meta")


def _with_a_name_that_is_no_text(record: Path) -> None:
    change(record, "update media set fname = x'ff' where fname = 'red.png'")


def _with_a_name_that_is_no_unicode(record: Path) -> None:
    change(record, "update media set fname = cast(x'ff' as text) where fname = 'red.png'")


def _folder(record: Path) -> None:
    record.unlink()
    record.mkdir()


@pytest.mark.parametrize(
    "spoil",
    [
        _no_database,
        _torn,
        _newer,
        _without_a_column,
        _without_a_row,
        _with_a_name_that_is_no_text,
        _with_a_name_that_is_no_unicode,
        _folder,
    ],
)
def test_a_record_that_can_not_be_read_is_told_in_a_sentence(media: Path, spoil: Callable[[Path], None]) -> None:
    spoil(media.with_name(MEDIA_SYNC_RECORD))
    with pytest.raises(MediaSyncUnclear, match=MEDIA_SYNC_RECORD.replace(".", r"\.")):
        foreseen(media)
