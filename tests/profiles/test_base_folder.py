"""Anki's data is found where Anki itself would look, and the person is told where we looked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from profiles.base_folder import default_base_folders, find_base_folder, holds_anki_data, is_file
from profiles.errors import BaseFolderMissing, SourceUnreadable

HOME = Path("/home/ada")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    for variable in ("ANKI_BASE", "XDG_DATA_HOME", "APPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(Path, "home", lambda: home)
    return home


def make_collection(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "collection.anki2").write_bytes(b"SQLite format 3\0")
    return folder


def test_anki_base_is_the_only_place_when_it_is_set() -> None:
    environ = {"ANKI_BASE": "/data/anki", "XDG_DATA_HOME": "/data/xdg"}

    assert default_base_folders("linux", environ, HOME) == (Path("/data/anki"),)
    assert default_base_folders("win32", {"ANKI_BASE": "~/anki"}, HOME) == (HOME / "anki",)


def test_an_empty_anki_base_counts_as_unset() -> None:
    assert default_base_folders("linux", {"ANKI_BASE": ""}, HOME) == default_base_folders("linux", {}, HOME)


def test_linux_looks_in_the_xdg_folder_then_the_usual_one_then_flatpak_then_the_old_places() -> None:
    assert default_base_folders("linux", {"XDG_DATA_HOME": "/data/xdg"}, HOME) == (
        Path("/data/xdg/Anki2"),
        HOME / ".local/share/Anki2",
        HOME / ".var/app/net.ankiweb.Anki/data/Anki2",
        HOME / "Anki",
        HOME / "Documents/Anki",
    )


@pytest.mark.parametrize("data_home", ["", "relative/place", "~/.local/share"])
def test_an_xdg_folder_that_is_not_absolute_is_ignored(data_home: str) -> None:
    assert default_base_folders("linux", {"XDG_DATA_HOME": data_home}, HOME)[0] == HOME / ".local/share/Anki2"


def test_no_place_is_named_twice() -> None:
    folders = default_base_folders("linux", {"XDG_DATA_HOME": str(HOME / ".local/share")}, HOME)

    assert len(folders) == len(set(folders)) == 4


def test_macos_looks_in_application_support() -> None:
    assert default_base_folders("darwin", {}, HOME)[0] == HOME / "Library/Application Support/Anki2"


def test_windows_looks_in_the_roaming_folder() -> None:
    assert default_base_folders("win32", {"APPDATA": "/c/Roaming"}, HOME)[0] == Path("/c/Roaming/Anki2")
    assert default_base_folders("win32", {}, HOME)[0] == HOME / "AppData/Roaming/Anki2"


def test_the_first_default_place_that_holds_ankis_data_is_taken(home: Path) -> None:
    (home / ".local/share/Anki2").mkdir(parents=True)  # left behind, and empty
    flatpak = home / ".var/app/net.ankiweb.Anki/data/Anki2"
    make_collection(flatpak / "Ada")
    make_collection(home / "Anki" / "Old")

    assert find_base_folder() == flatpak


def test_a_relative_anki_base_is_taken_from_the_current_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_collection(home / "data" / "Ada")
    monkeypatch.chdir(home)
    monkeypatch.setenv("ANKI_BASE", "data")

    assert find_base_folder() == home / "data"


def test_when_nothing_is_found_every_place_is_listed(home: Path) -> None:
    with pytest.raises(BaseFolderMissing) as caught:
        find_base_folder()

    for place in default_base_folders("linux", {}, home):
        assert str(place) in caught.value.problem
    assert "--base" in caught.value.advice


def test_a_wrong_anki_base_is_blamed_by_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_collection(home / ".local/share/Anki2/Ada")
    monkeypatch.setenv("ANKI_BASE", str(home / "nowhere"))

    with pytest.raises(BaseFolderMissing) as caught:
        find_base_folder()

    assert str(home / "nowhere") in caught.value.problem
    assert "ANKI_BASE" in caught.value.advice


@pytest.mark.parametrize("file", ["prefs21.db", "prefs.db", "collection.anki2", "Ada/collection.anki2"])
def test_a_named_folder_may_be_a_base_folder_a_profile_or_a_phones_folder(tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(b"x")

    assert find_base_folder(tmp_path) == tmp_path


def test_a_named_folder_is_made_absolute_and_its_links_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_collection(tmp_path / "real" / "Ada")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / "real")

    assert find_base_folder(Path("../link")) == tmp_path / "link"


def test_a_tilde_in_a_named_folder_means_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_collection(home / "anki" / "Ada")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))

    assert find_base_folder(Path("~/anki")) == home / "anki"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "does not exist"),
        ("file", "is a file"),
        ("empty", "holds nothing of Anki's"),
        ("loop", "does not exist"),
        ("n" * 300, "does not exist"),
        ("nul\0byte", "does not exist"),
    ],
)
def test_a_wrong_named_folder_is_explained(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(BaseFolderMissing) as caught:
        find_base_folder(tmp_path / name)

    assert said in caught.value.problem
    assert name in caught.value.problem


def test_an_unknown_user_after_the_tilde_is_explained() -> None:
    with pytest.raises(BaseFolderMissing, match="full path"):
        find_base_folder(Path("~nobody-of-that-name-here/anki"))


def test_a_folder_that_may_not_be_read_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_stat = os.stat

    def refuse(path: Path, **options: bool) -> os.stat_result:
        if str(path).startswith(str(tmp_path)):
            raise PermissionError(13, "Permission denied", str(path))
        return real_stat(path, **options)

    monkeypatch.setattr(os, "stat", refuse)

    with pytest.raises(SourceUnreadable, match="permission denied"):
        find_base_folder(tmp_path)


def test_a_default_place_that_may_not_be_read_is_passed_over_and_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_stat = os.stat
    closed = home / ".local/share/Anki2"

    def refuse(path: Path, **options: bool) -> os.stat_result:
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return real_stat(path, **options)

    monkeypatch.setattr(os, "stat", refuse)

    with pytest.raises(SourceUnreadable) as caught:
        find_base_folder()
    assert f"{closed} (not readable: permission denied)" in caught.value.problem

    make_collection(home / "Anki" / "Ada")
    assert find_base_folder() == home / "Anki"


def test_a_folder_named_like_a_collection_is_none(tmp_path: Path) -> None:
    (tmp_path / "Ada" / "collection.anki2").mkdir(parents=True)

    assert not is_file(tmp_path / "Ada" / "collection.anki2")
    assert not holds_anki_data(tmp_path)
