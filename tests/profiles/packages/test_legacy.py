from __future__ import annotations

import io
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from anki.collection import Collection

from profiles.errors import AnkiRefused, CollectionDamaged, SourceUnreadable
from profiles.packages.layout import Layout
from profiles.packages.legacy import turn_back
from profiles.packages.reading import open_package
from profiles.packages.writing import MediaMember, WrittenPackage, write_package
from profiles.proof import prove
from tests.profiles.packages.made import MEDIA, imported, make_profile, media_in, media_of, rows


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_profile(tmp_path_factory.mktemp("profile") / "Ada")


def written(collection: Path, folder: Path) -> tuple[bytes, WrittenPackage]:
    out = io.BytesIO()
    media = [MediaMember(name, lambda content=content: [content]) for name, content in MEDIA.items()]  # type: ignore[misc]
    result = write_package(cast("BinaryIO", out), turn_back(collection, folder), media, layout=Layout.LEGACY2)
    return out.getvalue(), result


def test_the_package_is_of_the_older_layout_and_schema_and_holds_everything(collection: Path, tmp_path: Path) -> None:
    package, result = written(collection, tmp_path / "old")

    with open_package(io.BytesIO(package), "it") as opened:
        assert opened.layout is Layout.LEGACY2
        assert media_of(opened) == MEDIA
        opened.extract_collection(tmp_path / "read.anki2")
    assert prove(tmp_path / "read.anki2").schema_version == 11
    assert rows(tmp_path / "read.anki2") == rows(collection)
    assert (result.media_files, result.media_bytes) == (len(MEDIA), sum(map(len, MEDIA.values())))
    assert (result.bytes_written, result.left_out) == (len(package), ())


def test_anki_imports_it(collection: Path, tmp_path: Path) -> None:
    package, _result = written(collection, tmp_path / "old")
    there = imported(package, tmp_path / "there")
    assert rows(there) == rows(collection)
    assert media_in(there.parent / "collection.media") == MEDIA


def test_it_is_laid_out_as_ankis_own_but_for_the_note_that_would_replace_a_collection(
    collection: Path, tmp_path: Path
) -> None:
    package, _result = written(collection, tmp_path / "old")
    opened = Collection(str(turn_back(collection, tmp_path / "other")))
    opened.export_collection_package(str(tmp_path / "anki.colpkg"), include_media=False, legacy=True)
    with zipfile.ZipFile(tmp_path / "anki.colpkg") as theirs, zipfile.ZipFile(io.BytesIO(package)) as ours:
        assert ours.namelist() == ["meta", "collection.anki21", *map(str, range(len(MEDIA))), "media"]
        methods = {member.filename: member.compress_type for member in theirs.infolist()}
        assert {name: ours.getinfo(name).compress_type for name in methods.keys() - {"collection.anki2"}} == {
            name: method for name, method in methods.items() if name != "collection.anki2"
        }
        assert ours.read("meta") == theirs.read("meta")
        assert {ours.getinfo(str(number)).compress_type for number in range(len(MEDIA))} == {zipfile.ZIP_STORED}


def test_neither_the_copy_nor_its_stamps_change(collection: Path, tmp_path: Path) -> None:
    def stamps(path: Path) -> object:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            return connection.execute("select crt, mod, scm, usn, ls from col").fetchone()

    before = collection.read_bytes()
    turned = turn_back(collection, tmp_path / "old")
    assert collection.read_bytes() == before
    assert stamps(turned) == stamps(collection)
    # One whole file, with no log beside it: byte 18 and 19 of the header (https://www.sqlite.org/fileformat2.html).
    assert turned.read_bytes()[18:20] == b"\x01\x01"
    assert not list(turned.parent.glob("*-wal"))


@pytest.mark.parametrize("trouble", ["no database", "from the future", "none"])
def test_what_anki_can_not_do_is_told_in_our_words(trouble: str, collection: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.anki2"
    match trouble:
        case "no database":
            copy.write_bytes(b"no database " * 1_000)
        case "from the future":
            copy.write_bytes(collection.read_bytes())
            opened = Collection(str(copy))
            assert opened.db is not None
            opened.db.execute("UPDATE col SET ver = 99")
            opened.close()
    with pytest.raises((AnkiRefused, CollectionDamaged, SourceUnreadable)) as raised:
        turn_back(copy, tmp_path / "old", original=tmp_path / "what Ada knows")
    if trouble != "none":
        assert "what Ada knows" in raised.value.problem


def test_what_comes_out_is_held_against_what_went_in(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = Collection.close

    def losing(opened: Collection, *args: object, **named: object) -> None:
        if opened.db is not None:
            opened.db.execute("delete from revlog")
        close(opened, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Collection, "close", losing)
    with pytest.raises(AnkiRefused, match="--legacy"):
        turn_back(collection, tmp_path / "old")
