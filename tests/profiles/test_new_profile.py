"""A profile that is added is one that Anki lists, opens and can keep its settings in."""

from __future__ import annotations

import os
import pickle
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from anki.collection import Collection
from anki.db import DB
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.automatic_sync import NO_AUTOMATIC_SYNC, AutomaticSync, automatic_sync, switch_automatic_sync
from profiles.discovery import Listed, discover, named
from profiles.errors import PreferencesUnusable, ProfileError, ProfileNameUnusable, SourceBusy
from profiles.new_profile import add_profile
from tests.profiles.preferences_base import make_base, profile, rows_in

POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes of POSIX")
ROWS = {"_global": profile(firstRun=False), "Ada": profile(), "Ben": profile()}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_base(tmp_path / "Anki2", ROWS)


def test_the_new_profile_is_listed_and_found_and_the_others_stay_as_they_are(base: Path) -> None:
    added = add_profile(base, "Clé  o")

    rows = rows_in(base)
    assert added.name in rows
    assert {name: data for name, data in rows.items() if name != added.name} == ROWS
    assert named(discover(base), "Clé  o") == added
    assert (added.folder, added.listed) == (base / "Clé  o", Listed.LISTED)
    assert not list(added.folder.iterdir())
    assert not discover(base).remarks or all("holds no collection" in remark for remark in discover(base).remarks)


def test_anki_finds_every_setting_that_it_asks_for(base: Path) -> None:
    """What the profile manager does to open a profile (qt/aqt/profiles.py), with Anki's own classes."""
    add_profile(base, "Cleo")
    db = DB(str(base / "prefs21.db"))
    try:
        assert db.scalar("pragma integrity_check") == "ok"
        assert db.list("select name from profiles where name != '_global'") == ["Ada", "Ben", "Cleo"]
        data = db.scalar("select cast(data as blob) from profiles where name = ? collate nocase", "cleo")
        kept = pickle.loads(data)
        db.execute("update profiles set data = ? where name = ? collate nocase", pickle.dumps(kept, protocol=4), "Cleo")
        db.commit()
    finally:
        db.close()
    assert kept.keys() == {
        *("mainWindowGeom", "mainWindowState", "numBackups", "lastOptimize", "searchHistory", "syncKey", "syncMedia"),
        *("autoSync", "allowHTML", "importMode", "lastColour", "stripHTML", "deleteMedia"),
    }
    assert kept["syncKey"] is None
    assert kept["autoSync"] is kept["syncMedia"] is True
    col = Collection(str(base / "Cleo" / "collection.anki2"))
    col.close()
    assert named(discover(base), "Cleo").can_be_backed_up


def test_a_profile_may_be_added_that_syncs_nothing_until_it_is_switched_on(base: Path) -> None:
    add_profile(base, "Cleo", synced=False)
    assert automatic_sync(base, "Cleo") == NO_AUTOMATIC_SYNC
    assert automatic_sync(base, "Ada") == AutomaticSync(collection=True, media=True)
    switch_automatic_sync(base, "Cleo", AutomaticSync(collection=True, media=True))
    add_profile(base, "Dora")
    assert automatic_sync(base, "Cleo") == automatic_sync(base, "Dora")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            " ",
            "\t",
            " Cleo",
            "Cleo ",
            "..",
            ".",
            ".hidden",
            "a/b",
            "../Ada",
            "a\\b",
            "/",
            "C:",
            "a*b",
            "a?b",
            'a"b',
        ),
        *("a<b", "a>b", "a|b", "addons21", "ADDONS21", "_global", "_GLOBAL", "prefs21.db", "a\nb", "a\x00b", "\ud800"),
        "ö" * 128,
    ],
)
def test_a_name_that_anki_would_not_take_is_refused(base: Path, name: str) -> None:
    before = sorted(base.rglob("*"))
    with pytest.raises(ProfileNameUnusable) as caught:
        add_profile(base, name)
    assert caught.value.advice == "Choose another name"
    assert str(caught.value).isprintable()
    assert sorted(base.rglob("*")) == before
    assert rows_in(base) == ROWS


@pytest.mark.parametrize("name", ["Ada", "ada", "BEN"])
def test_a_name_that_is_listed_is_taken_whatever_its_capitals(base: Path, name: str) -> None:
    with pytest.raises(ProfileNameUnusable, match="already"):
        add_profile(base, name)
    assert rows_in(base) == ROWS


def test_names_count_as_the_same_where_a_file_system_may_think_so(base: Path) -> None:
    add_profile(base, "Zoë")
    for alike in ("ZOË", "Zoe\N{COMBINING DIAERESIS}"):
        with pytest.raises(ProfileNameUnusable, match="already"):
            add_profile(base, alike)


def test_a_folder_that_holds_anything_is_not_taken_over(base: Path) -> None:
    (base / "Cleo").mkdir()
    (base / "Cleo" / "deleted.txt").touch()
    with pytest.raises(ProfileNameUnusable, match="holds files"):
        add_profile(base, "cleo")
    (base / "Cleo" / "collection.anki2").touch()
    with pytest.raises(ProfileNameUnusable, match="does not list it"):
        add_profile(base, "Cleo")
    (base / "Dora").touch()
    with pytest.raises(ProfileNameUnusable, match="no folder"):
        add_profile(base, "Dora")
    assert rows_in(base) == ROWS


def test_a_link_to_a_folder_is_not_taken_over(base: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (base / "Cleo").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ProfileNameUnusable):
        add_profile(base, "Cleo")


def test_an_empty_folder_is_accepted_and_kept_if_the_list_can_not_be_changed(base: Path) -> None:
    (base / "Cleo").mkdir()
    (base / "Cleo" / ".DS_Store").touch()

    def stop(step: str) -> None:
        if step == "swap-prepared":
            raise SourceBusy("busy", "wait")

    with pytest.raises(SourceBusy):
        add_profile(base, "Cleo", before_swap=stop)
    assert (base / "Cleo").is_dir()
    add_profile(base, "Cleo")
    assert "Cleo" in rows_in(base)


@pytest.mark.parametrize("step", ["sync-prepared", "lock", "swap-prepared"])
def test_a_folder_that_was_made_goes_again_if_the_list_can_not_be_changed(base: Path, step: str) -> None:
    def stop(taken: str) -> None:
        if taken == step:
            assert (base / "Cleo").is_dir()
            raise SourceBusy("busy", "wait")

    with pytest.raises(SourceBusy):
        add_profile(base, "Cleo", before_swap=stop)
    assert not (base / "Cleo").exists()
    assert rows_in(base) == ROWS


@POSIX_ONLY
@pytest.mark.parametrize("mode", [0o755, 0o700, 0o770])
def test_the_folder_has_the_mode_of_its_siblings(base: Path, mode: int) -> None:
    (base / "Ada").chmod(mode)
    assert add_profile(base, "Cleo").folder.stat().st_mode & 0o777 == mode


@POSIX_ONLY
def test_without_siblings_the_folder_has_the_mode_of_the_base_folder(base: Path) -> None:
    for name in ("Ada", "Ben"):
        (base / name).rmdir()
    base.chmod(0o750)
    assert add_profile(base, "Cleo").folder.stat().st_mode & 0o777 == 0o750


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_root_leaves_the_folder_to_the_owner_of_its_siblings(base: Path) -> None:
    os.chown(base / "Ada", 12345, 23456)
    status = add_profile(base, "Cleo").folder.stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)


def test_without_a_list_none_is_made_and_neither_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "Anki2").mkdir()
    with pytest.raises(PreferencesUnusable) as caught:
        add_profile(tmp_path / "Anki2", "Cleo")
    assert "Start Anki once" in caught.value.advice
    assert not list((tmp_path / "Anki2").iterdir())


def test_a_list_that_names_other_places_leads_nowhere(base: Path, tmp_path: Path) -> None:
    """The first row would be the sibling to take mode and owner from."""
    with closing(sqlite3.connect(base / "prefs21.db")) as db, db:
        db.execute("delete from profiles where name in ('Ada', 'Ben')")
        db.execute("insert into profiles values ('../odd', x'00')")
    (tmp_path / "odd").mkdir(mode=0o777)
    (tmp_path / "odd").chmod(0o777)
    base.chmod(0o700)
    assert add_profile(base, "Cleo").folder.stat().st_mode & 0o777 == 0o700


_ODD = st.text(st.sampled_from('aA. /\\:*?"<>|\n\x00\ud800é\u0301') | st.characters(), max_size=12)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(["addons21", "_Global", "con", "ada"]) | _ODD)
def test_whatever_the_name_it_is_added_as_it_is_spelled_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    base = make_base(tmp_path_factory.mktemp("any") / "Anki2", ROWS)
    problem = ""
    try:
        add_profile(base, name)
    except ProfileError as refused:
        problem = str(refused)
    added = set() if problem else {name}
    assert problem.isprintable()
    assert rows_in(base).keys() == ROWS.keys() | added
    assert {path.name for path in base.iterdir()} == {"Ada", "Ben", "prefs21.db"} | added
    assert problem or named(discover(base), name).folder == base / name
