from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from anki._backend import RustBackend
from anki.collection import Collection

from profiles.errors import CollectionMissing, PackageUnusable, TargetUnusable
from profiles.packages.layout import Layout
from profiles.packages.legacy import write_legacy_package
from profiles.packages.reading import open_package
from profiles.proof import prove
from tests.profiles.packages.made import MEDIA, make_profile, media_in, media_of, rows


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_profile(tmp_path_factory.mktemp("profile") / "Ada").parent


@pytest.fixture
def scratch(profile: Path, tmp_path: Path) -> Path:
    shutil.copytree(profile, tmp_path / "scratch")
    return tmp_path / "scratch"


def test_the_package_is_of_the_older_layout_and_schema_and_holds_everything(
    profile: Path, scratch: Path, tmp_path: Path
) -> None:
    out = tmp_path / "old.colpkg"

    result = write_legacy_package(out, scratch)

    with out.open("rb") as file, open_package(file, str(out)) as opened:
        assert opened.layout is Layout.LEGACY2
        assert media_of(opened) == MEDIA
        opened.extract_collection(tmp_path / "read.anki2")
    assert prove(tmp_path / "read.anki2").schema_version == 11
    assert rows(tmp_path / "read.anki2") == rows(profile / "collection.anki2")
    assert result.media_files == len(MEDIA)
    assert result.media_bytes == sum(map(len, MEDIA.values()))
    assert result.bytes_written == out.stat().st_size
    assert result.collection_bytes > 0
    assert result.left_out == ()


def test_anki_imports_it(profile: Path, scratch: Path, tmp_path: Path) -> None:
    write_legacy_package(tmp_path / "old.colpkg", scratch)
    RustBackend().import_collection_package(
        col_path=str(tmp_path / "collection.anki2"),
        backup_path=str(tmp_path / "old.colpkg"),
        media_folder=str(tmp_path / "collection.media"),
        media_db=str(tmp_path / "collection.media.db2"),
    )
    assert rows(tmp_path / "collection.anki2") == rows(profile / "collection.anki2")
    assert media_in(tmp_path / "collection.media") == MEDIA


def test_media_stay_out_when_they_are_not_wanted(scratch: Path, tmp_path: Path) -> None:
    (scratch / "collection.media" / "con.txt").write_bytes(b"would be refused")
    result = write_legacy_package(tmp_path / "old.colpkg", scratch, include_media=False)
    with (tmp_path / "old.colpkg").open("rb") as file, open_package(file, "it") as opened:
        assert opened.media == ()
    assert (result.media_files, result.left_out) == (0, ())


def test_a_collection_alone_is_enough(profile: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    shutil.copy(profile / "collection.anki2", tmp_path / "scratch")
    assert write_legacy_package(tmp_path / "old.colpkg", tmp_path / "scratch").media_files == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_what_anki_would_refuse_to_export_is_left_out_and_said(scratch: Path, tmp_path: Path) -> None:
    media = scratch / "collection.media"
    for name in ("e\u0301.png", "a:b.png", "🥰.png"):
        (media / name).write_bytes(b"odd")
    (media / os.fsdecode(b"\xff.png")).write_bytes(b"no text")
    (media / "folder").mkdir()
    (media / "link").symlink_to(media / "picture.png")

    result = write_legacy_package(tmp_path / "old.colpkg", scratch)

    with (tmp_path / "old.colpkg").open("rb") as file, open_package(file, "it") as opened:
        assert media_of(opened) == MEDIA
    assert len(result.left_out) == 6
    assert "The media file 'folder' is not in the package: it is no file" in result.left_out
    assert result.media_files == len(MEDIA)


def test_a_file_of_that_name_is_left_alone(scratch: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    with pytest.raises(TargetUnusable, match="exists already"):
        write_legacy_package(tmp_path / "mine", scratch)
    assert (tmp_path / "mine").read_bytes() == b"mine"


@pytest.mark.parametrize("trouble", ["no database", "from the future", "no folder"])
def test_what_anki_can_not_do_is_told_in_our_words_and_leaves_nothing(
    trouble: str, scratch: Path, tmp_path: Path
) -> None:
    out = tmp_path / "old.colpkg"
    collection = scratch / "collection.anki2"
    match trouble:
        case "no database":
            collection.write_bytes(b"no database " * 1_000)
        case "from the future":
            opened = Collection(str(collection))
            assert opened.db is not None
            opened.db.execute("UPDATE col SET ver = 99")
            opened.close()
        case _:
            out = tmp_path / "none" / "old.colpkg"
    with pytest.raises((PackageUnusable, TargetUnusable)) as raised:
        write_legacy_package(out, scratch)
    assert str(out) in raised.value.problem
    assert not out.exists()


_Panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})
"""As pyo3 has it: not an Exception."""


def test_a_panic_of_ankis_is_an_error_like_any_other(
    scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def panic(*_args: object, **_more: object) -> None:
        raise _Panic("called `Option::unwrap()` on a `None` value")

    monkeypatch.setattr(Collection, "export_collection_package", panic)
    with pytest.raises(PackageUnusable, match=r"Anki's library could not make the package .*unwrap"):
        write_legacy_package(tmp_path / "old.colpkg", scratch)
    assert not (tmp_path / "old.colpkg").exists()


def test_whoever_stops_it_is_obeyed(scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_args: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Collection, "export_collection_package", stop)
    with pytest.raises(KeyboardInterrupt):
        write_legacy_package(tmp_path / "old.colpkg", scratch)


def test_no_empty_collection_is_packed_in_the_place_of_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(CollectionMissing):
        write_legacy_package(tmp_path / "old.colpkg", tmp_path)
    assert list(tmp_path.iterdir()) == []
