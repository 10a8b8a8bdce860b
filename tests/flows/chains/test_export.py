"""Snapshots written as packages: Anki's own importer gets out of them what was backed up, wherever they lie."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from anki._backend import RustBackend

from flows.chains.export import IMPORT_ADVICE, export
from profiles.errors import CollectionDamaged
from profiles.packages.layout import Layout
from profiles.packages.reading import open_package
from recollect.progress import Stage, listening
from storage.errors import StoreUnreachable
from storage.format.audit_row import Outcome
from storage.format.blob import BlobId, pack_name
from storage.format.manifest import StoredFolder
from storage.listings import read_pieces
from storage.retrieval import folder_entries
from storage.stores.trouble import RetryRule
from tasks import collection_copies
from tasks.audit import Report
from tasks.repositories import make_named
from tests.flows.chains.house import (
    COLLECTION,
    MEDIA,
    House,
    add_note,
    answer_a_card,
    back_up_well,
    digests,
    spoil,
    tables_of,
    through_faults,
)
from tests.flows.chains.test_every_store import PASSPHRASE, small_disk
from tests.storage.conftest import Places, places

__all__ = ["places"]

LAYOUTS = [Layout.LATEST, Layout.LEGACY2]
ROWS = ("notes", "cards", "revlog")


def exported_well(target: Path | str, snapshot: str = "latest", **options: Any) -> Report:
    report = export(str(target), snapshot, profile="Ada", **options)
    assert report.outcome is Outcome.COMPLETED, report.message
    return report


def imported(package: Path, folder: Path) -> Path:
    """The collection that Anki itself makes of a package, in a new folder with its media."""
    folder.mkdir()
    RustBackend().import_collection_package(
        col_path=str(folder / COLLECTION),
        backup_path=str(package),
        media_folder=str(folder / MEDIA),
        media_db=str(folder / "collection.media.db2"),
    )
    return folder / COLLECTION


def rows_of(collection: Path) -> Mapping[str, Any]:
    """Every note, card and review."""
    return {table: rows for table, rows in tables_of(collection).items() if table in ROWS}


def with_reviews(house: House) -> House:
    """The house after a day of Ada's: a review, a note, a large recording, and an empty file."""
    answer_a_card(house.collection())
    add_note(house.collection(), "ﬀ Ünïcödé 🎨")
    (house.media() / "large.bin").write_bytes(os.urandom(17_000_000))
    (house.media() / "empty.txt").write_bytes(b"")
    (house.media() / "twice.txt").write_bytes(b"the same")
    (house.media() / "once more.txt").write_bytes(b"the same")
    return house


# What Anki makes of it


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_anki_gets_every_row_and_every_file_out_of_a_package(
    house: House, tmp_path: Path, layout: Layout, passphrase: str | None
) -> None:
    with_reviews(house)
    with house.set(passphrase=passphrase) as there:
        snapshot = back_up_well()
        before, media = rows_of(house.collection()), digests(house.media())
        add_note(house.collection(), "after the snapshot")

        report = exported_well(tmp_path / "ada.colpkg", layout=layout)

        collection = imported(tmp_path / "ada.colpkg", tmp_path / "there")
        assert rows_of(collection) == before
        assert len(before["revlog"]) > 0
        assert digests(collection.with_name(MEDIA)) == media
        with (tmp_path / "ada.colpkg").open("rb") as file, open_package(file, "it") as package:
            assert package.layout is layout
        row = there.rows("export")[-1]
        assert (row.profile, row.snapshot, row.outcome) == ("Ada", snapshot, Outcome.COMPLETED)
        assert (row.notes, row.media_files) == (len(before["notes"]), len(media))
        assert row.media_bytes == sum(path.stat().st_size for path in house.media().iterdir())
        assert (row.bytes_read or 0) > 17_000_000
    assert str(tmp_path / "ada.colpkg") in report.message
    assert report.remarks == (IMPORT_ADVICE,)
    assert [path.name for path in tmp_path.glob("*ada*")] == ["ada.colpkg"]
    assert list((house.cache / "staging").iterdir()) == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_media_it_is_the_collection_alone(house: House, tmp_path: Path, layout: Layout) -> None:
    back_up_well()
    report = exported_well(tmp_path / "ada.colpkg", layout=layout, media=False)
    collection = imported(tmp_path / "ada.colpkg", tmp_path / "there")
    assert rows_of(collection) == rows_of(house.collection())
    assert not collection.with_name(MEDIA).exists() or digests(collection.with_name(MEDIA)) == {}
    assert report.row.media_files == 0


def test_a_snapshot_goes_by_the_end_of_its_id_and_tells_whose_it_is(house: House, tmp_path: Path) -> None:
    first = back_up_well()
    before = rows_of(house.collection())
    add_note(house.collection(), "later")
    back_up_well()
    back_up_well("Ben")
    report = export(str(tmp_path / "first.colpkg"), first[-6:])
    assert (report.outcome, report.profile, report.row.snapshot) == (Outcome.COMPLETED, "Ada", first)
    assert rows_of(imported(tmp_path / "first.colpkg", tmp_path / "there")) == before
    report = export(str(tmp_path / "whose.colpkg"))
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "snapshot-unknown")
    assert "--profile" in report.message
    assert not (tmp_path / "whose.colpkg").exists()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_package_keeps_its_stamps_and_ankis_import_sets_them_so_that_the_next_sync_asks(
    house: House, tmp_path: Path, layout: Layout
) -> None:
    def stamps(collection: Path) -> tuple[int, ...]:
        with closing(sqlite3.connect(f"{collection.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            return tuple(database.execute("select mod, scm, ls, usn from col").fetchone())

    back_up_well()
    exported_well(tmp_path / "ada.colpkg", layout=layout)
    with (tmp_path / "ada.colpkg").open("rb") as file, open_package(file, "it") as package:
        package.extract_collection(tmp_path / "packed.anki2")
    assert stamps(tmp_path / "packed.anki2") == stamps(house.collection())
    began = time.time_ns() // 1_000_000
    mod, schema, synced, usn = stamps(imported(tmp_path / "ada.colpkg", tmp_path / "there"))
    assert mod >= schema >= began > synced
    assert (synced, usn) == stamps(house.collection())[2:]


# Anywhere


@pytest.mark.parametrize("kind", ["s3-rclone", "sftp-openssh", "sftp-rclone"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_package_is_written_to_any_server_with_what_the_settings_know_of_it(
    house: House, tmp_path: Path, places: Places, kind: str, layout: Layout
) -> None:
    with_reviews(house)
    place = places.new(kind)
    known = {"exports": {"url": place.url, "options": dict(place.options)}}
    with house.set(repositories=known, passphrase=PASSPHRASE):
        back_up_well()
        target = f"{place.url}/by hand/ada.colpkg"
        report = exported_well(target, layout=layout)
        assert any("not encrypted" in remark for remark in report.remarks)
        found = place.open().list("")
        assert [one.name for one in found] == ["by hand/ada.colpkg"]
        (tmp_path / "fetched.colpkg").write_bytes(place.open().read("by hand/ada.colpkg"))
        again = export(target, profile="Ada", layout=layout)
        assert (again.outcome, again.row.reason) == (Outcome.FAILED, "target-unusable")
        assert place.open().list("") == found
        exported_well(target, layout=layout, overwrite=True, media=False)
        assert place.open().list("")[0].size < found[0].size
    collection = imported(tmp_path / "fetched.colpkg", tmp_path / "there")
    assert rows_of(collection) == rows_of(house.collection())
    assert digests(collection.with_name(MEDIA)) == digests(house.media())


def test_a_password_gets_into_no_message_and_no_row(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.stores.address._usual_retries", lambda _: RetryRule(tries=1))
    back_up_well()
    for target in ("sftp://lena:geheim-4711@127.0.0.1:1/ada.colpkg", "ftp://lena:geheim-4711@127.0.0.1:1/x/ada.colpkg"):
        report = export(target, profile="Ada")
        assert (report.outcome, report.row.reason) == (Outcome.FAILED, "target-unreachable")
        assert "lena@127.0.0.1" in report.message
        assert "geheim" not in f"{report}{house.rows('export')}"


# What is left out


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_that_anki_would_not_take_by_their_names_are_left_out_and_named(
    house: House, tmp_path: Path, layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    media = digests(house.media())
    bad = [b"e\xcc\x81.png", b"a:b.png", b"con.txt", b"\xff.png", b"x" * 121]
    for name in bad:
        (house.media() / os.fsdecode(name)).write_bytes(b"content of " + name)
    back_up_well()
    report = exported_well(tmp_path / "ada.colpkg", layout=layout)
    collection = imported(tmp_path / "ada.colpkg", tmp_path / "there")
    assert digests(collection.with_name(MEDIA)) == media
    assert f"Media files left out: {len(bad)}" in report.remarks
    assert "The media file 'con.txt' is not in the package: Windows keeps its name for a device" in report.remarks
    assert "'a:b.png'" in caplog.text
    assert report.row.media_files == len(media)


def _stored_media(house: House) -> StoredFolder:
    stored = house.manifest(house.snapshots()[-1]).folder(MEDIA)
    assert stored is not None
    return stored


def _pieces_of(house: House, name: bytes) -> list[BlobId]:
    repository = house.repository
    (entry,) = [entry for entry in folder_entries(repository, _stored_media(house)) if entry.name == name]
    return read_pieces(repository.read_nodes, entry.content)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_damaged_media_are_named_and_all_else_is_in_the_package(
    house: House, tmp_path: Path, layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    with_reviews(house)
    snapshot = back_up_well()
    spoil(house, _pieces_of(house, b"red.png")[0])
    # The last part of the recording: most of it is in the stream by then.
    spoil(house, _pieces_of(house, b"large.bin")[-1])

    report = export(str(tmp_path / "ada.colpkg"), profile="Ada", layout=layout)

    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "repository-damaged")
    assert f"2 of 24 media files of the snapshot {snapshot} are damaged" in report.message
    assert {"Damaged in the repository: 'large.bin'", "Damaged in the repository: 'red.png'"} <= set(report.remarks)
    assert "'large.bin'" in caplog.text
    assert report.row.media_files == 22
    collection = imported(tmp_path / "ada.colpkg", tmp_path / "there")
    assert rows_of(collection) == rows_of(house.collection())
    lost = {b"red.png", b"large.bin"}
    assert digests(collection.with_name(MEDIA)) == {
        name: digest for name, digest in digests(house.media()).items() if name not in lost
    }


def test_a_lost_pack_costs_what_was_in_it_and_no_other(house: House, tmp_path: Path) -> None:
    back_up_well()
    early = digests(house.media())
    for number in range(30):
        (house.media() / f"late {number:02}.jpg").write_bytes(f"{number}".encode() * 50)
    back_up_well()
    for path in house.media().iterdir():
        # Another time in every entry: the listing is stored anew, in a pack of its own.
        os.utime(path, (1_600_000_000, 1_600_000_000))
    back_up_well(force=True)
    place = house.repository.index().find(_pieces_of(house, b"late 00.jpg")[0])
    assert place is not None
    house.repository.store.remove(pack_name(place.pack))
    shutil.rmtree(house.cache / "repositories")
    report = export(str(tmp_path / "ada.colpkg"), profile="Ada")
    assert "30 of 50 media files" in report.message
    assert any("10 more" in remark for remark in report.remarks)
    assert digests(imported(tmp_path / "ada.colpkg", tmp_path / "there").with_name(MEDIA)) == early


def test_media_that_can_not_be_listed_do_not_cost_the_collection(house: House, tmp_path: Path) -> None:
    back_up_well()
    root = _stored_media(house).entries.root
    assert root is not None
    spoil(house, root)
    report = export(str(tmp_path / "ada.colpkg"), profile="Ada")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "repository-damaged")
    assert "but none of its media" in report.message
    assert rows_of(imported(tmp_path / "ada.colpkg", tmp_path / "there")) == rows_of(house.collection())


# Nothing is written


@pytest.mark.parametrize("layout", LAYOUTS)
def test_of_a_damaged_collection_nothing_is_written(house: House, tmp_path: Path, layout: Layout) -> None:
    back_up_well()
    stored = house.manifest(house.snapshots()[-1]).file(COLLECTION)
    assert stored is not None
    spoil(house, read_pieces(house.repository.read_nodes, stored.pieces)[3])
    (tmp_path / "kept.colpkg").write_bytes(b"before")
    report = export(str(tmp_path / "ada.colpkg"), profile="Ada", layout=layout)
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "repository-damaged")
    assert export(str(tmp_path / "kept.colpkg"), profile="Ada", overwrite=True).outcome is Outcome.FAILED
    assert {path.name for path in tmp_path.glob("*colpkg*")} == {"kept.colpkg"}
    assert (tmp_path / "kept.colpkg").read_bytes() == b"before"


def test_a_collection_is_proven_before_a_byte_is_written(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found_damaged(copy: Path) -> None:
        assert copy.stat().st_size == house.collection().stat().st_size
        raise CollectionDamaged("It is damaged", "This is a test")

    back_up_well()
    monkeypatch.setattr(collection_copies, "prove", found_damaged)
    report = export(str(tmp_path / "ada.colpkg"), profile="Ada")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "collection-damaged")
    assert list(tmp_path.glob("*ada*")) == []


def test_a_file_that_is_there_is_kept_unless_it_was_said(house: House, tmp_path: Path) -> None:
    back_up_well()
    (tmp_path / "ada.colpkg").write_bytes(b"mine")
    report = export(str(tmp_path / "ada.colpkg"), profile="Ada")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "target-unusable")
    assert "--overwrite" in report.message
    assert (tmp_path / "ada.colpkg").read_bytes() == b"mine"
    exported_well(tmp_path / "ada.colpkg", overwrite=True)
    assert rows_of(imported(tmp_path / "ada.colpkg", tmp_path / "there")) == rows_of(house.collection())


def test_only_a_package_is_ever_written_and_only_into_a_folder_that_is_there(house: House, tmp_path: Path) -> None:
    back_up_well()
    before = house.collection().read_bytes()
    for target in (house.collection(), tmp_path, tmp_path / "away" / "ada.colpkg", "nas:/ada.colpkg", "s3://b/x.apkg"):
        report = export(str(target), profile="Ada", overwrite=True)
        assert report.outcome is Outcome.FAILED, target
        assert report.row.reason == "target-unusable"
    assert house.collection().read_bytes() == before
    assert not (tmp_path / "away").exists()


def test_a_full_disk_is_told_and_leaves_nothing(house: House, tmp_path: Path) -> None:
    with_reviews(house)
    back_up_well()
    with small_disk(tmp_path / "disk", 5_000) as mounted:
        if not mounted:
            pytest.skip("this process may not mount a small disk")
        (tmp_path / "disk" / "kept.colpkg").write_bytes(b"before")
        for name in ("ada.colpkg", "kept.colpkg"):
            report = export(str(tmp_path / "disk" / name), profile="Ada", overwrite=True)
            assert (report.outcome, report.row.reason) == (Outcome.FAILED, "target-unusable")
            assert "no space" in report.message
        assert {path.name: path.read_bytes() for path in (tmp_path / "disk").iterdir()} == {"kept.colpkg": b"before"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_full_disk_for_the_private_copy_is_told(house: House, tmp_path: Path, layout: Layout) -> None:
    back_up_well()
    size = house.collection().stat().st_size // 1024
    with small_disk(tmp_path / "disk", size // 2 if layout is Layout.LATEST else size * 3 // 2) as mounted:
        if not mounted:
            pytest.skip("this process may not mount a small disk")
        with house.set(cache=tmp_path / "disk" / "cache"):
            report = export(str(tmp_path / "ada.colpkg"), profile="Ada", layout=layout)
            assert list((tmp_path / "disk" / "cache" / "staging").iterdir()) == []
    assert report.outcome is Outcome.FAILED
    assert report.row.reason in {"cache-unusable", "target-unusable"}
    assert "Recollect itself" not in report.message
    assert list(tmp_path.glob("*colpkg*")) == []


def test_a_repository_that_fails_on_the_way_leaves_nothing(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_reviews(house)
    back_up_well()
    shutil.rmtree(house.cache / "repositories")
    (tmp_path / "kept.colpkg").write_bytes(b"before")
    store = through_faults(monkeypatch)
    exported_well(tmp_path / "count.colpkg")
    reads = store.count("read_range", folder="packs/")
    (tmp_path / "count.colpkg").unlink()
    assert reads > 4
    for failing in (1, 2, reads - 1, reads):
        shutil.rmtree(house.cache / "repositories", ignore_errors=True)
        store.heal()
        store.fail(frozenset({"read_range"}), nth=failing, folder="packs/", every=True, error=StoreUnreachable)
        for name in ("ada.colpkg", "kept.colpkg"):
            report = export(str(tmp_path / name), profile="Ada", overwrite=True)
            assert report.outcome is Outcome.FAILED
            store.heal()
            store.fail(frozenset({"read_range"}), nth=failing, folder="packs/", every=True, error=StoreUnreachable)
            shutil.rmtree(house.cache / "repositories", ignore_errors=True)
        assert {path.name for path in tmp_path.glob("*colpkg*")} == {"kept.colpkg"}
    assert (tmp_path / "kept.colpkg").read_bytes() == b"before"
    assert list((house.cache / "staging").iterdir()) == []


class _Watcher:
    """Hears of the work, and looks at each step; may stop it."""

    def __init__(self, look: Any) -> None:
        self._look = look

    @contextmanager
    def stage(self, _what: str, _total: int | None, _files: int | None = None) -> Iterator[Stage]:
        yield self

    def advance(self, amount: int, files: int = 0) -> None:  # noqa: ARG002 - anything that advances counts
        self._look()


@pytest.mark.parametrize("kind", ["local", "s3-rclone", "sftp-openssh"])
def test_whoever_stops_it_leaves_nothing_behind(house: House, tmp_path: Path, places: Places, kind: str) -> None:
    with_reviews(house)
    place = places.new(kind)
    if kind == "local":
        Path(place.url).mkdir(parents=True)
    heard = 0

    def stop() -> None:
        nonlocal heard
        heard += 1
        if heard == 40:
            raise KeyboardInterrupt

    with house.set(repositories={"exports": {"url": place.url, "options": dict(place.options)}}):
        back_up_well()
        with listening(_Watcher(stop)), pytest.raises(KeyboardInterrupt):
            export(f"{place.url}/ada.colpkg", profile="Ada")
        assert list(place.open()._medium.objects("")) == []  # type: ignore[attr-defined]
        assert house.rows("export")[-1].reason == "interrupted"
    assert list((house.cache / "staging").iterdir()) == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_media_go_straight_into_the_package_and_lie_nowhere_on_the_way(
    house: House, tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_reviews(house)
    back_up_well()
    (tmp_path / "out").mkdir()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    cached = {path for path in house.cache.rglob("*") if path.is_file()}
    most = 0

    def look() -> None:
        nonlocal most
        found = {path for folder in (house.cache, tmp_path / "tmp") for path in folder.rglob("*") if path.is_file()}
        most = max(most, sum(path.stat().st_size for path in found - cached))

    with listening(_Watcher(look)):
        exported_well(tmp_path / "out" / "ada.colpkg", layout=layout)
    # For an older Anki the collection lies there twice, and Anki's library puts an empty list of media beside it.
    collections = 1 if layout is Layout.LATEST else 2
    assert 0 < most < collections * house.collection().stat().st_size + 500_000
    assert most < 17_000_000


def test_media_come_in_the_order_in_which_they_lie_in_their_packs(house: House, tmp_path: Path) -> None:
    with_reviews(house)
    back_up_well()
    exported_well(tmp_path / "ada.colpkg")
    with (tmp_path / "ada.colpkg").open("rb") as file, open_package(file, "it") as package:
        names = [media.name.encode() for media in package.media]
    assert names[-2:] == [b"empty.txt", b"large.bin"]
    index = house.repository.index()
    places = [index.find(_pieces_of(house, name)[0]) for name in names[:-2]]
    offsets = [(place.pack, place.offset) for place in places if place is not None]
    assert offsets == sorted(offsets)


def test_the_same_snapshot_makes_the_same_package(house: House, tmp_path: Path) -> None:
    back_up_well()
    made = set()
    for number in range(2):
        exported_well(tmp_path / f"{number}.colpkg")
        made.add(hashlib.sha256((tmp_path / f"{number}.colpkg").read_bytes()).digest())
    assert len(made) == 1


def test_a_package_in_the_older_layout_has_no_note_that_an_old_anki_would_take_for_the_collection(
    house: House, tmp_path: Path
) -> None:
    back_up_well()
    exported_well(tmp_path / "ada.colpkg", layout=Layout.LEGACY2)
    with zipfile.ZipFile(tmp_path / "ada.colpkg") as archive:
        assert archive.namelist()[:3] == ["meta", "collection.anki21", "0"]
        assert archive.testzip() is None


def test_an_unencrypted_repository_says_nothing_of_encryption(house: House, places: Places) -> None:
    place = places.new("s3-rclone")
    with house.set(repositories={"exports": {"url": place.url, "options": dict(place.options)}}):
        make_named(secret=None)
        back_up_well()
        report = exported_well(f"{place.url}/ada.colpkg", media=False)
    assert not any("encrypted" in remark for remark in report.remarks)
