from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from anki.collection import Collection

from profiles.backup_preferences import RetentionPreferences, backup_preferences
from profiles.collection_copy import copy_collection
from profiles.errors import CollectionDamaged

OWN = {"daily": 1, "weekly": 2, "monthly": 3, "minimum_interval_mins": 4}
DEFAULTS = RetentionPreferences(12, 10, 9, 30)

STORED: list[object] = [
    OWN,
    {**OWN, "daily": 0},
    {**OWN, "daily": (1 << 32) - 1},
    {**OWN, "unknown": [1]},
    {**OWN, "daily": 1 << 32},
    {**OWN, "weekly": -1},
    {**OWN, "monthly": True},
    {**OWN, "monthly": 3.0},
    {**OWN, "minimum_interval_mins": "30"},
    {**OWN, "daily": None},
    {"daily": 5},
    {},
    "text",
    7,
    None,
]


@pytest.fixture(scope="module")
def anki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    collection = Collection(str(tmp_path_factory.mktemp("preferences") / "collection.anki2"))
    yield collection
    collection.close()


def test_a_collection_whose_owner_set_nothing_has_ankis_defaults(anki: Collection, tmp_path: Path) -> None:
    anki.remove_config("backups")
    copy_collection(Path(anki.path), tmp_path / "copy")
    assert backup_preferences(tmp_path / "copy") == DEFAULTS


@pytest.mark.parametrize("stored", STORED, ids=str)
def test_what_is_stored_is_read_as_anki_reads_it(anki: Collection, tmp_path: Path, stored: object) -> None:
    anki.set_config("backups", stored)
    copy_collection(Path(anki.path), tmp_path / "copy")

    ours = backup_preferences(tmp_path / "copy")

    theirs = anki.get_preferences().backups
    assert ours == RetentionPreferences(theirs.daily, theirs.weekly, theirs.monthly, theirs.minimum_interval_mins)


@pytest.mark.parametrize("stored", [OWN, {"daily": 5}])
def test_a_collection_of_the_oldest_schema_keeps_them_among_its_settings(tmp_path: Path, stored: object) -> None:
    collection = Collection(str(tmp_path / "collection.anki2"))
    collection.set_config("backups", stored)
    collection.export_collection_package(str(tmp_path / "old.colpkg"), include_media=False, legacy=True)
    with zipfile.ZipFile(tmp_path / "old.colpkg") as package:
        (tmp_path / "old").write_bytes(package.read("collection.anki21"))

    expected = RetentionPreferences(1, 2, 3, 4) if stored == OWN else DEFAULTS
    assert backup_preferences(tmp_path / "old") == expected


@pytest.mark.parametrize("value", [b"{", b"\xff\xfe", b"[" * 100_000, 5, None, json.dumps([OWN])], ids=range(6))
def test_garbage_in_their_place_means_the_defaults(anki: Collection, tmp_path: Path, value: object) -> None:
    copy_collection(Path(anki.path), tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy")) as connection, connection:
        connection.execute("DROP TABLE config")
        connection.execute("CREATE TABLE config (KEY, val)")
        connection.execute("INSERT INTO config VALUES ('backups', ?)", (value,))
    assert backup_preferences(tmp_path / "copy") == DEFAULTS


def test_a_copy_that_is_no_collection_is_damage(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"no database" * 1000)
    with pytest.raises(CollectionDamaged):
        backup_preferences(tmp_path / "text")
    with closing(sqlite3.connect(tmp_path / "other")) as connection:
        connection.execute("CREATE TABLE t (a)")
    with pytest.raises(CollectionDamaged, match="no such table"):
        backup_preferences(tmp_path / "other")
