"""The sample is what Anki's desktop leaves on a disk: Anki opens it, and nothing in it is out of the ordinary."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import shutil
import sqlite3
import wave
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from anki.collection import Collection

from profiles import sample
from profiles.discovery import Listed, discover
from profiles.errors import TargetUnusable
from profiles.sample import make_sample_base_folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("sample") / "Anki2"
    make_sample_base_folder(target)
    return target


@pytest.fixture(params=["Ada", "Ben"])
def opened(request: pytest.FixtureRequest, base: Path, tmp_path: Path) -> Iterator[Collection]:
    folder = shutil.copytree(base / request.param, tmp_path / request.param)
    collection = Collection(str(folder / "collection.anki2"))
    yield collection
    collection.close()


def texts(collection: Collection) -> list[str]:
    assert collection.db is not None
    return [str(text) for text in collection.db.list("select flds from notes order by id")]


class PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        raise AssertionError(f"{module}.{name} is asked for")


def test_both_profiles_are_found_in_ankis_list(base: Path) -> None:
    found = discover(base)

    assert [(profile.name, profile.listed) for profile in found.profiles] == [
        ("Ada", Listed.LISTED),
        ("Ben", Listed.LISTED),
    ]
    assert all(profile.can_be_backed_up for profile in found.profiles)
    assert found.remarks == ()


def test_anki_finds_nothing_to_repair(opened: Collection) -> None:
    said, sound = opened.fix_integrity()

    assert sound, said


def test_ada_has_a_few_hundred_notes_of_several_types_and_decks(base: Path) -> None:
    collection = Collection(str(base / "Ada" / "collection.anki2"))
    with closing(collection):
        assert 200 <= collection.note_count() <= 999
        assert collection.card_count() > collection.note_count()
        used = {note_type.name for note_type in collection.models.all_use_counts() if note_type.use_count}
        assert used == {"Basic", "Basic (and reversed card)", "Cloze", "Tone"}
        decks = {deck.name for deck in collection.decks.all_names_and_ids()}
        assert {"Geography::Europe", "Geography::World", "Chemistry", "Music", "Art::Colours"} <= decks
        assert {"capitals", "geography::Europe", "elements"} <= set(collection.tags.all())


def test_cards_were_answered(opened: Collection) -> None:
    assert opened.db is not None

    assert opened.db.scalar("select count() from revlog") >= 6
    assert opened.db.scalar("select count() from cards where reps > 0") >= 6


def test_cards_that_were_answered_as_a_second_ended_need_no_repair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anki.scheduler.v3.int_time", lambda scale=1: 1_790_000_000_998 * scale // 1000)
    make_sample_base_folder(tmp_path / "Anki2")
    collection = Collection(str(tmp_path / "Anki2" / "Ada" / "collection.anki2"))
    try:
        assert collection.fix_integrity() == ("Database rebuilt and optimized.", True)
    finally:
        collection.close()


def test_every_file_that_a_note_shows_or_plays_is_there_and_no_other(opened: Collection) -> None:
    named = set(re.findall(r'src="([^"]+)"|\[sound:([^\]]+)\]', "\n".join(texts(opened))))
    named_files = {picture or sound for picture, sound in named}
    media = Path(opened.media.dir())

    assert named_files == {file.name for file in media.iterdir()}
    checked = opened.media.check()
    assert not list(checked.missing)
    assert not list(checked.unused)


def test_ada_has_about_twenty_media_files_and_ben_shares_some(base: Path) -> None:
    adas, bens = (
        {file.name: hashlib.sha256(file.read_bytes()).digest() for file in (base / name / "collection.media").iterdir()}
        for name in ("Ada", "Ben")
    )

    assert len(adas) == 20
    assert bens
    assert bens.items() < adas.items()
    assert len(set(adas.values())) == 20


def test_pictures_and_sounds_are_sound_files(base: Path) -> None:
    media = base / "Ada" / "collection.media"
    for picture in media.glob("*.png"):
        content = picture.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        start = content.index(b"IDAT")
        length = int.from_bytes(content[start - 4 : start], "big")
        body = content[start + 4 : start + 4 + length]
        assert len(zlib.decompress(body)) == 96 * (1 + 96 * 3)
        assert int.from_bytes(content[start + 4 + length : start + 8 + length], "big") == zlib.crc32(b"IDAT" + body)
    for sound in media.glob("*.wav"):
        with wave.open(str(sound), "rb") as file:
            assert file.getnframes() == 4_000


def test_adas_deletion_log_has_the_new_header_and_raw_rows(base: Path) -> None:
    lines = (base / "Ada" / "deleted.txt").read_bytes().decode().split("\n")

    assert lines[:3] == ["#guid column:1", "#notetype column:2", "#nid\tmid\tfields"]
    assert re.fullmatch(r"\d{13}\t\d{13}\tCapital of Yugoslavia\tBelgrade", lines[3])
    assert '\t"Constantinople", since 1930\t' in lines[4]
    assert lines[6] == "It does not exist.\ta\ttab and # a hash"
    assert lines[-1] == ""


def test_bens_deletion_log_has_the_old_header(base: Path) -> None:
    assert (base / "Ben" / "deleted.txt").read_bytes().startswith(b"nid\tmid\tfields\n1")


def test_deleted_notes_are_gone_and_known_to_have_gone(opened: Collection) -> None:
    assert opened.db is not None
    log = (Path(opened.path).parent / "deleted.txt").read_text(encoding="utf-8")
    logged = {int(note_id) for note_id in re.findall(r"^(\d{13})\t", log, flags=re.MULTILINE)}

    assert logged == set(opened.db.list("select oid from graves where type = 1"))
    assert not logged & set(opened.db.list("select id from notes"))


def test_the_list_of_profiles_is_made_as_anki_makes_it(base: Path) -> None:
    with closing(sqlite3.connect(f"{(base / 'prefs21.db').as_uri()}?mode=ro", uri=True)) as db:
        rows = dict(db.execute("select name, data from profiles"))
        assert db.execute("pragma journal_mode").fetchone() == ("delete",)
        assert "collate nocase" in db.execute("select sql from sqlite_master where name = 'profiles'").fetchone()[0]

    assert set(rows) == {"_global", "Ada", "Ben"}
    loaded = {name: PlainUnpickler(io.BytesIO(data)).load() for name, data in rows.items()}
    assert {data[:2] for data in rows.values()} == {b"\x80\x04"}
    assert loaded["_global"]["last_loaded_profile_name"] == "Ada"
    assert loaded["Ada"]["autoSync"] is True
    assert loaded["Ada"]["syncKey"] is None


def test_nothing_is_left_open(base: Path) -> None:
    assert [file.name for file in base.rglob("*") if file.name.endswith(("-wal", "-shm", "-journal"))] == []


def test_a_second_sample_holds_the_same(base: Path, tmp_path: Path) -> None:
    make_sample_base_folder(tmp_path)

    for name in ("Ada", "Ben"):
        contents = []
        for folder in (base / name, tmp_path / name):
            with closing(Collection(str(folder / "collection.anki2"))) as collection:
                assert collection.db is not None
                notes = collection.db.all("select guid, tags, flds from notes order by id")
                contents.append((notes, [deck.name for deck in collection.decks.all_names_and_ids()]))
        assert contents[0] == contents[1]
    assert (base / "prefs21.db").read_bytes() == (tmp_path / "prefs21.db").read_bytes()


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")

    with pytest.raises(TargetUnusable, match="not empty"):
        make_sample_base_folder(tmp_path)

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("mine.txt", "precious")]


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(TargetUnusable):
        make_sample_base_folder(tmp_path / "file")
    with pytest.raises(TargetUnusable):
        make_sample_base_folder(tmp_path / "file" / "below")


@pytest.mark.parametrize("existed", [True, False])
def test_a_failure_halfway_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existed: bool
) -> None:
    def full(_prefs: Path, _names: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(sample, "_make_preferences", full)
    target = tmp_path / "Anki2"
    if existed:
        target.mkdir()

    with pytest.raises(TargetUnusable, match="disk is full"):
        make_sample_base_folder(target)

    assert target.exists() == existed
    assert list(tmp_path.rglob("*")) == ([target] if existed else [])
