"""Every profile is found, whatever Anki's list says, and nothing odd is followed or left unsaid."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles.discovery import Found, Listed, Profile, choose, discover
from profiles.errors import BaseFolderMissing, CollectionMissing, ProfileUnknown, SourceUnreadable


def make_base(base: Path, listed: tuple[str, ...], folders: tuple[str, ...]) -> Path:
    base.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(base / "prefs21.db")) as db, db:
        db.execute("create table profiles (name text primary key collate nocase, data blob not null)")
        db.executemany("insert into profiles values (?, x'00')", [(name,) for name in ("_global", *listed)])
    for name in folders:
        make_collection(base / name)
    return base


def make_collection(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "collection.anki2").write_bytes(b"SQLite format 3\0")
    return folder


def kinds(found: Found) -> dict[str, Listed]:
    return {profile.name: profile.listed for profile in found.profiles}


def test_profiles_in_the_list_are_found_and_sorted_by_name(tmp_path: Path) -> None:
    found = discover(make_base(tmp_path, ("ben", "Ada", "Émile"), ("ben", "Ada", "Émile")))

    assert [profile.name for profile in found.profiles] == ["Ada", "ben", "Émile"]
    assert {profile.listed for profile in found.profiles} == {Listed.LISTED}
    assert found.remarks == ()
    assert found.base == tmp_path


def test_a_profile_names_its_files(tmp_path: Path) -> None:
    profile = Profile("Ada", tmp_path, Listed.LISTED)

    assert profile.collection == tmp_path / "collection.anki2"
    assert profile.wal == tmp_path / "collection.anki2-wal"
    assert profile.media_folder == tmp_path / "collection.media"
    assert profile.deletion_log == tmp_path / "deleted.txt"


def test_a_listed_profile_without_a_folder_is_reported(tmp_path: Path) -> None:
    found = discover(make_base(tmp_path, ("Ada", "Gone"), ("Ada",)))

    assert kinds(found) == {"Ada": Listed.LISTED, "Gone": Listed.FOLDER_MISSING}
    assert not found.profiles[1].can_be_backed_up
    assert found.remarks == (f"The profile “Gone” is in Anki's list, but its folder {tmp_path / 'Gone'} is missing",)


def test_a_listed_profile_without_a_collection_is_reported(tmp_path: Path) -> None:
    make_base(tmp_path, ("Ada",), ())
    (tmp_path / "Ada").mkdir()

    found = discover(tmp_path)

    assert kinds(found) == {"Ada": Listed.LISTED}
    assert not found.profiles[0].can_be_backed_up
    assert "holds no collection" in found.remarks[0]


def test_a_folder_with_a_collection_counts_though_anki_does_not_list_it(tmp_path: Path) -> None:
    found = discover(make_base(tmp_path, ("Ada",), ("Ada", "Restored")))

    assert kinds(found) == {"Ada": Listed.LISTED, "Restored": Listed.NOT_LISTED}
    assert found.profiles[1].can_be_backed_up
    assert "Restored" in found.remarks[0]


def test_other_folders_and_files_of_ankis_are_no_profiles(tmp_path: Path) -> None:
    make_base(tmp_path, ("Ada",), ("Ada", "addons21"))
    for name in ("logs", "dictionaries", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "folder" / "collection.anki2").mkdir(parents=True)
    (tmp_path / "gldriver6").write_text("auto")

    found = discover(tmp_path)

    assert kinds(found) == {"Ada": Listed.LISTED}
    assert found.remarks == ()


def test_a_damaged_list_still_lets_every_folder_be_backed_up(tmp_path: Path) -> None:
    make_base(tmp_path, ("Ada",), ("Ada", "Ben"))
    (tmp_path / "prefs21.db").write_bytes(b"scribble" * 1000)

    found = discover(tmp_path)

    assert kinds(found) == {"Ada": Listed.NOT_LISTED, "Ben": Listed.NOT_LISTED}
    assert len(found.remarks) == 1
    assert "damaged" in found.remarks[0]
    assert choose(found, ()) == found.profiles


def test_without_a_list_every_folder_with_a_collection_is_a_profile(tmp_path: Path) -> None:
    make_collection(tmp_path / "Ada")

    found = discover(tmp_path)

    assert kinds(found) == {"Ada": Listed.NOT_LISTED}
    assert "prefs21.db" in found.remarks[0]


def test_the_list_of_a_very_old_anki_counts(tmp_path: Path) -> None:
    make_base(tmp_path, ("Ada",), ("Ada",))
    (tmp_path / "prefs21.db").rename(tmp_path / "prefs.db")

    assert kinds(discover(tmp_path)) == {"Ada": Listed.LISTED}


def test_a_profiles_own_folder_is_one_profile_named_like_it(tmp_path: Path) -> None:
    found = discover(make_collection(tmp_path / "AnkiDroid"))

    assert found.profiles == (Profile("AnkiDroid", tmp_path / "AnkiDroid", Listed.BARE),)
    assert found.remarks == ()


def test_a_profiles_own_folder_has_a_name_even_when_it_is_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(make_collection(tmp_path / "Ada"))

    assert kinds(discover(Path())) == {"Ada": Listed.BARE}


def test_a_profiles_own_folder_with_an_unusable_name_goes_by_another(tmp_path: Path) -> None:
    folder = make_collection(tmp_path / "Ada\nLovelace")

    assert kinds(discover(folder)) == {"collection": Listed.BARE}


def test_a_collection_in_the_base_folder_itself_is_mentioned(tmp_path: Path) -> None:
    make_base(tmp_path, ("Ada",), ("Ada", "."))

    found = discover(tmp_path)

    assert kinds(found) == {"Ada": Listed.LISTED}
    assert "outside of any profile" in found.remarks[0]


def test_a_sync_servers_folder_is_not_taken_for_a_whole_profile(tmp_path: Path) -> None:
    user = make_collection(tmp_path / "user")
    (user / "media").mkdir()
    (user / "media.db").touch()

    assert "sync server" in " ".join(discover(tmp_path).remarks)
    assert "sync server" in " ".join(discover(user).remarks)


@pytest.mark.parametrize("name", ["..", ".", "../outside", "sub/profile", "sub\\profile", "/outside", "bell\a", " "])
def test_a_hostile_name_in_the_list_is_reported_and_not_followed(tmp_path: Path, name: str) -> None:
    base = make_base(tmp_path / "base", ("Ada", name), ("Ada",))
    make_collection(tmp_path / "outside")
    make_collection(tmp_path)

    found = discover(base)

    assert kinds(found) == {"Ada": Listed.LISTED}
    assert len(found.remarks) == 1
    assert found.remarks[0].isprintable()
    assert "not followed" in found.remarks[0]


def test_a_nul_in_a_name_is_reported(tmp_path: Path) -> None:
    base = make_base(tmp_path, ("Ada\0",), ())

    found = discover(base)

    assert found.profiles == ()
    assert "“Ada\\x00”" in found.remarks[0]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows allows no such names")
def test_a_folder_name_that_is_not_text_is_reported(tmp_path: Path) -> None:
    make_base(tmp_path, ("Ada",), ("Ada",))
    try:
        make_collection(Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff")))
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")

    found = discover(tmp_path)

    assert kinds(found) == {"Ada": Listed.LISTED}
    assert "“bad\\udcff”" in found.remarks[0]
    "".join(found.remarks).encode()


def test_a_name_too_long_for_a_folder_is_a_missing_folder(tmp_path: Path) -> None:
    found = discover(make_base(tmp_path, ("n" * 5000,), ()))

    assert kinds(found) == {"n" * 5000: Listed.FOLDER_MISSING}


def test_links_that_lead_in_circles_are_passed_over(tmp_path: Path) -> None:
    make_base(tmp_path, ("Ada", "loop"), ("Ada",))
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "ring").symlink_to("ring2")
    (tmp_path / "ring2").symlink_to("ring")
    (tmp_path / "dead").symlink_to("nowhere")

    assert kinds(discover(tmp_path)) == {"Ada": Listed.LISTED, "loop": Listed.FOLDER_MISSING}


def test_a_link_to_a_listed_profile_is_not_a_second_one(tmp_path: Path) -> None:
    make_base(tmp_path, ("Ada",), ("Ada",))
    (tmp_path / "alias").symlink_to("Ada")
    (tmp_path / "inside").symlink_to(".")

    assert kinds(discover(tmp_path)) == {"Ada": Listed.LISTED}


def test_a_profile_whose_folder_is_a_link_is_found(tmp_path: Path) -> None:
    make_collection(tmp_path / "elsewhere")
    base = make_base(tmp_path / "base", ("Ada",), ())
    (base / "Ada").symlink_to(tmp_path / "elsewhere")

    found = discover(base)

    assert kinds(found) == {"Ada": Listed.LISTED}
    assert found.profiles[0].folder == base / "Ada"


def refuse_to_look_into(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_stat = os.stat

    def refuse(path: Path, **options: bool) -> os.stat_result:
        if str(path).startswith(f"{folder}{os.sep}"):
            raise PermissionError(13, "Permission denied", str(path))
        return real_stat(path, **options)

    monkeypatch.setattr(os, "stat", refuse)


def test_a_listed_profile_that_may_not_be_read_is_tried_so_that_its_backup_fails_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_base(tmp_path, ("Ada", "Ben"), ("Ada", "Ben"))
    refuse_to_look_into(tmp_path / "Ada", monkeypatch)

    found = discover(tmp_path)

    assert [profile.name for profile in choose(found, ())] == ["Ada", "Ben"]
    assert "permission denied" in found.remarks[0]


def test_an_unlisted_folder_that_may_not_be_read_is_only_mentioned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_base(tmp_path, ("Ada",), ("Ada",))
    (tmp_path / "lost+found").mkdir()
    refuse_to_look_into(tmp_path / "lost+found", monkeypatch)

    found = discover(tmp_path)

    assert kinds(found) == {"Ada": Listed.LISTED}
    assert "lost+found" in found.remarks[0]


def test_a_missing_base_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(BaseFolderMissing, match="does not exist"):
        discover(tmp_path / "nowhere")


def test_a_base_folder_that_may_not_be_read_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = make_base(tmp_path / "base", ("Ada",), ("Ada",))
    refuse_to_look_into(base, monkeypatch)

    with pytest.raises(SourceUnreadable, match="permission denied"):
        discover(base)


def found_of(base: Path, *names: str) -> Found:
    profiles = tuple(Profile(name, make_collection(base / name), Listed.LISTED) for name in names)
    return Found(base, profiles, ())


def test_choosing_nothing_chooses_all_that_can_be_backed_up(tmp_path: Path) -> None:
    found = discover(make_base(tmp_path, ("Ada", "Ben", "Gone"), ("Ada", "Ben")))

    assert [profile.name for profile in choose(found, ())] == ["Ada", "Ben"]


def test_when_nothing_can_be_backed_up_that_is_an_error_not_an_empty_success(tmp_path: Path) -> None:
    found = discover(make_base(tmp_path, ("Gone",), ()))

    with pytest.raises(CollectionMissing, match="No profile"):
        choose(found, ())


def test_profiles_come_in_the_order_asked_for_and_once(tmp_path: Path) -> None:
    found = found_of(tmp_path, "Ada", "Ben", "Cleo")

    assert [profile.name for profile in choose(found, ["Cleo", "ada", "Cleo", "Ada"])] == ["Cleo", "Ada"]


def test_capitals_matter_only_where_they_must(tmp_path: Path) -> None:
    ada, shouting = (Profile(name, tmp_path, Listed.LISTED) for name in ("Ada", "ADA"))
    make_collection(tmp_path)
    both = Found(tmp_path, (ada, shouting), ())

    assert choose(both, ["ADA"]) == (shouting,)
    assert choose(Found(tmp_path, (ada,), ()), ["aDA"]) == (ada,)
    with pytest.raises(ProfileUnknown, match=r"could mean “Ada”, “ADA”"):
        choose(both, ["ada"])


def test_a_name_typed_with_separate_accents_is_understood(tmp_path: Path) -> None:
    found = found_of(tmp_path, "\u00c9mile")

    assert choose(found, ["E\u0301mile"]) == found.profiles


def test_an_unknown_name_is_answered_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(ProfileUnknown) as caught:
        choose(found_of(tmp_path, "Ada", "Ben"), ["Cleo"])

    assert "“Cleo”" in caught.value.problem
    assert "“Ada”, “Ben”" in caught.value.advice


def test_a_name_is_asked_of_an_empty_base_folder(tmp_path: Path) -> None:
    with pytest.raises(ProfileUnknown, match="no profile in"):
        choose(Found(tmp_path, (), ()), ["Ada"])


def test_a_chosen_profile_without_a_collection_is_an_error(tmp_path: Path) -> None:
    found = discover(make_base(tmp_path, ("Ada", "Gone"), ("Ada",)))

    with pytest.raises(CollectionMissing, match="Gone"):
        choose(found, ["Ada", "gone"])


@given(names=st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6, unique=True))
def test_each_profile_answers_to_its_exact_name(names: list[str]) -> None:
    anything = Path(__file__).parent
    found = Found(anything, tuple(Profile(name, anything, Listed.LISTED) for name in names), ())

    for profile in found.profiles:
        with pytest.raises(CollectionMissing) as caught:
            choose(found, [profile.name])
        assert str(caught.value).isprintable()


@given(name=st.text(max_size=20))
def test_no_name_from_a_list_leads_out_of_the_base_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    if name.encode("utf-8", "ignore").decode() != name or name.lower() == "_global":
        return
    outer = tmp_path_factory.mktemp("outer")
    make_collection(outer)
    base = make_base(outer / "base", (name,), ())

    found = discover(base)

    assert all(profile.folder.parent == base and profile.folder != base for profile in found.profiles)
    assert not any(profile.can_be_backed_up for profile in found.profiles)
    assert found.remarks
