"""Setting a collection aside that no snapshot can hold."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from profiles.errors import TargetUnusable
from profiles.set_aside import set_aside

NOW = datetime(2026, 11, 22, 12, 30, 1, tzinfo=UTC)


def test_the_collection_and_its_logs_are_kept_byte_for_byte_where_only_the_owner_looks(tmp_path: Path) -> None:
    collection = tmp_path / "collection.anki2"
    contents = {"collection.anki2": b"broken", "collection.anki2-wal": b"log", "collection.anki2-journal": b"old"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    folder = set_aside(collection, NOW)
    assert folder == tmp_path / "recollect-set-aside-20261122T123001Z"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == contents


def test_nothing_is_set_aside_where_there_is_nothing(tmp_path: Path) -> None:
    assert set_aside(tmp_path / "collection.anki2", NOW) is None
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken_is_said_in_a_sentence(tmp_path: Path) -> None:
    collection = tmp_path / "collection.anki2"
    collection.write_bytes(b"broken")
    (tmp_path / "recollect-set-aside-20261122T123001Z").write_bytes(b"")
    with pytest.raises(TargetUnusable, match="could not be set aside"):
        set_aside(collection, NOW)
