"""A backup through the whole chain, without Prefect: what goes in comes out again, whatever happens on the way."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from anki.collection import Collection, ImportCsvRequest

from flows.chains import storing
from flows.chains.backup import back_up, back_up_several
from flows.chains.prune import prune
from flows.chains.restore import restore
from profiles import media as media_listing
from profiles.deletion_log import DeletedNote
from profiles.discovery import choose
from profiles.errors import CollectionDamaged, SourceBusy, SourceUnreadable
from profiles.proof import prove
from profiles.recovery.text import import_files
from recollect.errors import RecollectError
from storage.deletion_archive import archived_notes
from storage.errors import NotARepository, StoreFull, StoreReadOnly, StoreUnreachable
from storage.format.audit_row import Outcome
from storage.intake import identify_folder
from storage.retention import RetentionLimits
from tasks import checksum as checksum_step
from tasks import media_reading as media_step
from tasks import private_folder
from tasks import snapshot as snapshot_step
from tasks.catalog import ROUTINE, SAFETY
from tasks.checksum import checksum
from tasks.job import job
from tasks.profiles_here import found_profiles
from tasks.repositories import open_named
from tasks.retention_prune import profile_retention
from tasks.snapshot import Source, snapshot
from tasks.upload import upload
from tests.faults.faulty_store import WRITING
from tests.flows.chains.backdating import backdate
from tests.flows.chains.house import (
    House,
    add_note,
    anki_open,
    answer_a_card,
    back_up_well,
    digests,
    fronts,
    never,
    opened,
    stored,
    tables_of,
    through_faults,
    tree_of,
)

POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="names and links that Windows does not have")


def test_what_was_backed_up_comes_back_row_for_row_and_byte_for_byte(house: House, tmp_path: Path) -> None:
    before = tree_of(house.base)
    result = back_up_several([], "default", back_up)

    assert [(report.profile, report.outcome) for report in result.reports] == [
        ("Ada", Outcome.COMPLETED),
        ("Ben", Outcome.COMPLETED),
    ]
    assert tree_of(house.base) == before
    for profile in ("Ada", "Ben"):
        found = house.restored(tmp_path / f"{profile} again", profile)
        assert (found / "collection.anki2").read_bytes() == house.collection(profile).read_bytes()
        assert tables_of(found / "collection.anki2") == tables_of(house.collection(profile))
        assert digests(found / "collection.media") == digests(house.media(profile))
        assert (found / "deleted.txt").read_bytes() == (house.folder(profile) / "deleted.txt").read_bytes()
        with opened(found / "collection.anki2") as anki:
            assert anki.note_count() == len(tables_of(house.collection(profile))["notes"])
            assert anki.media.check().missing == []


def test_a_collection_that_anki_has_open_is_stored_with_what_is_only_in_its_log(house: House, tmp_path: Path) -> None:
    anki = Collection(str(house.collection()))
    note = anki.new_note(anki.models.by_name("Basic"))  # type: ignore[arg-type]
    note["Front"] = "only in the log"
    anki.add_note(note, 1)  # type: ignore[arg-type]
    report = back_up("Ada")
    anki.close()

    assert stored(report)
    assert "only in the log" in fronts(house.restored(tmp_path / "out") / "collection.anki2")


def test_an_unchanged_profile_is_known_by_stat_alone_and_only_a_row_is_written(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = back_up_well()
    store = through_faults(monkeypatch)
    monkeypatch.setattr(snapshot_step, "copy_collection", never)
    monkeypatch.setattr(snapshot_step, "read_stable", never)
    monkeypatch.setattr(media_step, "read_media", never)

    report = back_up("Ada")

    assert (report.outcome, report.row.reason, report.row.snapshot) == (
        Outcome.UNCHANGED,
        "nothing-changed",
        snapshot,
    )
    assert snapshot in report.message
    written = [request.name for request in store.requests if request.verb in WRITING]
    assert len(written) == 1
    assert written[0].startswith("audit/")
    assert (report.row.notes, report.row.media_files) == (229, 20)


def test_content_that_is_the_same_under_new_times_makes_no_snapshot(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = back_up_well()
    for path in (house.collection(), house.folder() / "deleted.txt"):
        os.utime(path)
    store = through_faults(monkeypatch)

    report = back_up("Ada")

    assert (report.outcome, report.row.snapshot) == (Outcome.UNCHANGED, snapshot)
    assert store.count(*WRITING) == store.count(*WRITING, folder="audit/") == 1
    monkeypatch.setattr(snapshot_step, "copy_collection", never)
    assert back_up("Ada").outcome is Outcome.UNCHANGED


def test_media_under_new_times_is_listed_anew_and_not_stored_again(house: House) -> None:
    back_up_well()
    for path in house.media().iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    report = back_up("Ada")
    assert stored(report)
    assert 0 < (report.row.bytes_new or 0) < 5000


def test_force_makes_a_snapshot_of_an_unchanged_profile_and_stores_no_piece_twice(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = back_up_well()
    store = through_faults(monkeypatch)
    report = back_up("Ada", force=True)

    assert stored(report) != first
    assert report.row.bytes_new == 0
    assert store.count(*WRITING, folder="packs/") == store.count(*WRITING, folder="index/") == 0
    assert house.manifest(house.snapshots()[-1]).parent == first


def test_one_review_costs_a_few_pages(house: House) -> None:
    whole = back_up("Ada").row
    answer_a_card(house.collection())
    report = back_up("Ada")

    assert stored(report)
    assert report.row.reviews == (whole.reviews or 0) + 1
    assert 0 < (report.row.bytes_new or 0) <= 24 * 4096 + 8192
    assert (report.row.bytes_stored or 0) < (whole.bytes_stored or 0) / 3


def test_a_snapshot_within_the_same_second_is_still_the_latest(house: House) -> None:
    made = []
    for number in range(6):
        add_note(house.collection(), f"quick {number}")
        made.append(back_up_well())
    assert [ref.id for ref in house.snapshots()] == made


def test_changed_added_removed_and_renamed_media_are_stored_as_they_are(house: House, tmp_path: Path) -> None:
    back_up_well()
    media = house.media()
    (media / "red.png").write_bytes(b"another red")
    (media / "new.png").write_bytes(b"a new picture")
    (media / "blue.png").unlink()
    (media / "grey.png").rename(media / "gray.png")
    report = back_up("Ada")

    assert stored(report)
    assert digests(house.restored(tmp_path / "out") / "collection.media") == digests(media)
    # A renamed file is known by its content; what else is new lists the folder.
    assert (report.row.bytes_new or 0) < len(b"another red") + len(b"a new picture") + 3000
    assert report.row.media_files == len(list(media.iterdir()))


def test_media_that_was_rewritten_under_its_old_time_and_size_is_not_missed(house: House, tmp_path: Path) -> None:
    picture = house.media() / "red.png"
    picture.write_bytes(b"first!")
    back_up_well()
    times = (picture.stat().st_atime_ns, picture.stat().st_mtime_ns)
    picture.write_bytes(b"second")
    os.utime(picture, ns=times)
    back_up_well()
    assert (house.restored(tmp_path / "out") / "collection.media" / "red.png").read_bytes() == b"second"


@pytest.mark.parametrize("at_once", [1, 4])
def test_pictures_that_profiles_share_are_stored_once(house: House, at_once: int) -> None:
    shared = os.urandom(300_000)
    for profile in ("Ada", "Ben"):
        (house.media(profile) / "shared.bin").write_bytes(shared)
    with house.set(at_once=at_once):
        first = back_up_several([], "default", back_up)
        assert sum(report.row.bytes_stored or 0 for report in first.reports) < 2 * len(shared)
        (house.media("Ada") / "later.bin").write_bytes(later := os.urandom(200_000))
        back_up_well("Ada")
        (house.media("Ben") / "the same later.bin").write_bytes(later)
        second = back_up("Ben")
    assert stored(second)
    assert (second.row.bytes_new or 0) < 10_000
    packs = sum(item.size for item in house.repository.store.list("packs"))
    assert packs < len(shared) + len(later) + 250_000


def test_a_busy_source_is_skipped_and_not_a_failure(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise SourceBusy("It gave no moment of calm", "The next run tries again")

    monkeypatch.setattr(snapshot_step, "copy_collection", busy)
    report = back_up("Ada")
    assert (report.outcome, report.row.reason) == (Outcome.SKIPPED, "source-busy")
    assert report.message == "It gave no moment of calm. The next run tries again."
    assert house.snapshots() == []
    assert [(row.outcome, row.reason) for row in house.rows()] == [(Outcome.SKIPPED, "source-busy")]


def _truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 100)


def _flip_a_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 4] = os.urandom(4096)
    path.write_bytes(content)


_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (_truncate, "collection-damaged"),
    "a page of noise": (_flip_a_page, "collection-damaged"),
    "no database": (lambda path: path.write_bytes(b"not a database " * 4096), "collection-damaged"),
    "empty": (lambda path: path.write_bytes(b""), "collection-damaged"),
    "missing": (lambda path: path.unlink(), "collection-missing"),
}


@pytest.mark.parametrize("kind", _DAMAGE)
def test_a_damaged_collection_is_told_in_a_sentence_and_stops_no_other_profile(house: House, kind: str) -> None:
    good = back_up_well("Ada")
    damage, reason = _DAMAGE[kind]
    damage(house.collection("Ada"))

    result = back_up_several([], "default", back_up)

    ada, ben = result.reports
    assert (ada.profile, ada.outcome, ada.row.reason) == ("Ada", Outcome.FAILED, reason)
    assert "\n" not in ada.message
    assert ada.message.endswith(".")
    assert ben.outcome is Outcome.COMPLETED
    assert [ref.id for ref in house.snapshots("Ada")] == [good]
    last = next(row for row in reversed(house.rows()) if row.profile == "Ada")
    assert (last.outcome, last.reason, last.snapshot) == (Outcome.FAILED, reason, None)
    assert last.profile_key == house.snapshots("Ada")[0].profile_key
    assert "Ada" in result.summary()
    assert list((house.cache / "staging").iterdir()) == []


def test_a_profile_named_that_lost_its_collection_stops_no_other(house: House) -> None:
    house.collection("Ada").unlink()
    result = back_up_several(["Ada", "Ben"], "default", back_up)
    assert [report.outcome for report in result.reports] == [Outcome.FAILED, Outcome.COMPLETED]


def test_a_defect_in_one_profile_stops_no_other(house: House) -> None:
    def back_up_one(name: str) -> Any:
        if name == "Ada":
            raise ZeroDivisionError
        return back_up(name)

    result = back_up_several([], "default", back_up_one)
    assert [(report.profile, report.outcome) for report in result.reports] == [
        ("Ada", Outcome.FAILED),
        ("Ben", Outcome.COMPLETED),
    ]


def test_a_repository_that_goes_away_between_two_profiles_is_told_for_each(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def back_up_one(name: str) -> Any:
        if name == "Ada":
            raise StoreUnreachable("The repository did not answer", "Try again later")
        return back_up(name)

    result = back_up_several([], "default", back_up_one)
    ada, ben = result.reports
    assert (ada.row.reason, ada.message) == (
        "repository-unreachable",
        "The repository did not answer. Try again later.",
    )
    assert ben.outcome is Outcome.COMPLETED


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nid\tmid\tfields\n",
        "nid\tmid\tfields\n1700000000000\t1700000000001\tgr\u00fcn\n".encode("utf-16"),
        b"nid\tmid\tfields\n1700000000000\t1700000000001\tgr\xfcn\n",
        b"\xef\xbb\xbfnid\tmid\tfields\r\n1700000000000\t1700000000001\tone\r\n",
        os.urandom(5000),
        b"\0" * 5000,
        b"nid\tmid\tfields\n1700000000000\t1700000000001\tcut o",
    ],
    ids=["empty", "header", "utf-16", "latin-1", "bom-crlf", "noise", "zeros", "cut"],
)
def test_a_deletion_log_in_any_encoding_is_stored_as_it_is_and_fails_no_backup(
    house: House, tmp_path: Path, content: bytes
) -> None:
    (house.folder() / "deleted.txt").write_bytes(content)
    assert stored(back_up("Ada"))
    assert (house.restored(tmp_path / "out") / "deleted.txt").read_bytes() == content


def test_a_profile_without_a_deletion_log_is_backed_up(house: House, tmp_path: Path) -> None:
    (house.folder() / "deleted.txt").unlink()
    report = back_up("Ada")
    assert stored(report)
    assert report.row.deletions_archived == 0
    assert not (house.restored(tmp_path / "out") / "deleted.txt").exists()
    # It appears later, which no other file shows.
    (house.folder() / "deleted.txt").write_bytes(b"nid\tmid\tfields\n1700000000000\t1700000000001\tlate\n")
    assert back_up("Ada").row.deletions_archived == 1


def test_a_media_file_that_never_holds_still_is_stored_as_it_was_read_last(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restless = house.media() / "restless.bin"
    restless.write_bytes(b"0" * 1000)
    really_read = media_listing.read_parts
    turns = iter(range(1, 1000))

    def read_while_it_changes(path: Path, *rest: Any) -> Any:
        for part in really_read(path, *rest):
            if path.name == restless.name:
                restless.write_bytes(str(next(turns)).encode() * 500)
            yield part

    monkeypatch.setattr("profiles.media_reading.read_parts", read_while_it_changes)
    monkeypatch.setattr("profiles.media_reading._FIRST_PAUSE_S", 0)
    report = back_up("Ada")

    assert stored(report)
    assert any("restless.bin" in remark and "kept changing" in remark for remark in report.remarks)
    found = house.restored(tmp_path / "out") / "collection.media"
    assert (found / "restless.bin").exists()
    assert digests(found).keys() == digests(house.media()).keys()


def test_a_media_file_that_can_not_be_read_is_left_out_and_costs_no_other_its_backup(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt = sorted(path.name for path in house.media().iterdir())[0]
    really_read = media_listing.read_parts

    def read_but_for_one(path: Path, *rest: Any) -> Any:
        if path.name == spoilt:
            raise SourceUnreadable(f"The file {path} can't be read: input/output error", "Check the disk")
        return really_read(path, *rest)

    monkeypatch.setattr("profiles.media_reading.read_parts", read_but_for_one)
    first, second = back_up("Ada"), back_up("Ada")

    assert stored(first)
    assert second.outcome is Outcome.UNCHANGED
    for report in (first, second):
        assert any("Left out" in remark and spoilt in remark for remark in report.remarks)
    found = house.restored(tmp_path / "out") / "collection.media"
    assert digests(house.media()).keys() - digests(found).keys() == {os.fsencode(spoilt)}
    # Once it can be read again, it is backed up.
    monkeypatch.setattr("profiles.media_reading.read_parts", really_read)
    assert back_up_well("Ada") != first.row.snapshot
    assert digests(house.restored(tmp_path / "whole") / "collection.media") == digests(house.media())


def test_a_snapshot_that_lacks_media_does_not_count_as_the_last_good_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = back_up_well("Ada")
    house.media().joinpath("new.png").write_bytes(b"new")

    def unreadable(path: Path, *_: Any) -> Any:
        raise SourceUnreadable(f"The file {path} can't be read: input/output error", "Check the disk")

    monkeypatch.setattr("profiles.media_reading.read_parts", unreadable)
    with house.set(daily=0, weekly=0, monthly=0):
        lacking = stored(back_up("Ada", force=True))
        own = house.repository.snapshots()[0].profile_key
        in_a_month = datetime.now().astimezone() + timedelta(days=31)
        retention = profile_retention(
            house.repository, house.repository.snapshots(own), RetentionLimits(0, 0, 0), in_a_month
        )
    assert [kept.snapshot for kept in retention.plan.keeps] == [good]
    assert [gone.snapshot for gone in retention.plan.goes] == [lacking]


def test_an_upload_that_is_tried_again_after_its_snapshot_was_stored_makes_no_second_one(house: House) -> None:
    (profile,) = choose(found_profiles(), ["Ada"])
    with job(profile, open_named(create=True)) as work:
        source = snapshot(work)
        assert isinstance(source, Source)
        contents = checksum(work, source)
        first = upload(work, source, contents, ROUTINE)
        again = upload(work, source, contents, ROUTINE)
    assert first.snapshot == again.snapshot
    assert [ref.id for ref in house.snapshots()] == [first.snapshot]


@POSIX_ONLY
def test_names_that_anki_refuses_are_stored_and_restored(house: House, tmp_path: Path) -> None:
    names = [
        unicodedata.normalize("NFD", "mün.png").encode(),
        b"CON",
        b"nul.txt",
        b"ends in a dot.",
        b"ends in a space ",
        b"x" * 200 + b".png",
        b"n" * 255,
        b".hidden",
        b"-dash",
        b'a:b?c*d|e<f>g"h',
        b"tab\tand\nline feed",
        "\U0001f600.png".encode(),
    ]
    if sys.platform != "darwin":
        names.append(b"not utf-8 \xff\xfe.png")
    for number, name in enumerate(names):
        with open(os.path.join(os.fsencode(house.media()), name), "wb") as file:  # noqa: PTH118, PTH123
            file.write(b"content %d" % number)
    (house.media() / "empty.png").touch()
    assert stored(back_up("Ada"))
    found = digests(house.restored(tmp_path / "out") / "collection.media")
    assert set(names) <= found.keys()
    assert found == digests(house.media())


@POSIX_ONLY
def test_what_is_no_file_in_the_media_folder_is_reported_and_not_followed(house: House, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    (house.media() / "sub").mkdir()
    (house.media() / "sub" / "inside.png").write_bytes(b"inside")
    (house.media() / "link.png").symlink_to(secret / "key")
    os.mkfifo(house.media() / "pipe")
    report = back_up("Ada")

    assert stored(report)
    told = "\n".join(report.remarks)
    assert "'sub', a folder" in told
    assert "'link.png', a symbolic link" in told
    assert "'pipe', a pipe" in told
    found = house.restored(tmp_path / "out") / "collection.media"
    assert {b"sub", b"link.png", b"pipe"}.isdisjoint(digests(found))
    assert report.row.media_files == 20


@POSIX_ONLY
def test_a_media_folder_on_another_disk_is_backed_up_through_its_link(house: House, tmp_path: Path) -> None:
    elsewhere = tmp_path / "other disk"
    house.media().rename(elsewhere)
    house.media().symlink_to(elsewhere)
    first = back_up_well()
    assert digests(house.restored(tmp_path / "out") / "collection.media") == digests(elsewhere)

    media = digests(elsewhere)
    (elsewhere / "red.png").unlink()
    assert restore("Ada", first).outcome is Outcome.COMPLETED
    assert digests(elsewhere) == media
    assert house.media().is_symlink()


@POSIX_ONLY
def test_a_disk_of_media_that_is_not_connected_does_not_pass_for_an_empty_folder(house: House, tmp_path: Path) -> None:
    snapshot = back_up_well()
    shutil.rmtree(house.media())
    house.media().symlink_to(tmp_path / "disk that is not there")
    report = back_up("Ada")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "source-unreadable")
    assert [ref.id for ref in house.snapshots()] == [snapshot]


def test_every_run_leaves_a_row_that_tells_what_it_did(house: House) -> None:
    began = datetime.now(UTC)
    report = back_up("Ada")
    ended = datetime.now(UTC)

    (row,) = house.rows()
    assert row == report.row
    snapshot = house.manifest(house.snapshots()[0])
    assert (row.action, row.profile, row.profile_key) == ("backup", "Ada", snapshot.profile_key)
    assert (row.outcome, row.reason, row.error, row.flow_run) == (Outcome.COMPLETED, None, None, None)
    assert row.snapshot == snapshot.id
    assert row.repository_id == house.repository.id
    assert began <= row.started_at <= row.finished_at <= ended
    tables = tables_of(house.collection())
    assert (row.notes, row.cards, row.reviews) == tuple(len(tables[name]) for name in ("notes", "cards", "revlog"))
    files = list(house.media().iterdir())
    assert (row.media_files, row.media_bytes) == (len(files), sum(file.stat().st_size for file in files))
    assert row.bytes_read is not None
    assert row.bytes_read >= house.collection().stat().st_size + (row.media_bytes or 0)
    stored_bytes = sum(
        item.size for place in ("packs", "index", "snapshots") for item in house.repository.store.list(place)
    )
    assert row.bytes_stored == stored_bytes
    assert 0 < stored_bytes < (row.bytes_new or 0)
    assert (row.snapshots_pruned, row.deletions_archived) == (0, 4)
    steps = [
        row.seconds_snapshot,
        row.seconds_checksum,
        row.seconds_upload,
        row.seconds_retention_prune,
        row.seconds_deletion_log_archive,
    ]
    assert all(seconds is not None and seconds > 0 for seconds in steps)
    assert sum(seconds or 0 for seconds in steps) <= (row.seconds_total or 0)
    assert row.seconds_restore is None
    assert "facts" not in (row.message or "")


def test_a_name_in_other_capitals_is_entered_as_the_profile_is_called(house: House) -> None:
    assert back_up("ada").profile == "Ada"
    assert [row.profile for row in house.rows()] == ["Ada"]


def test_nothing_of_a_copy_is_stored_before_its_proof_has_ended(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = threading.Event()

    def identify(*arguments: Any, **options: Any) -> Any:
        try:
            return identify_folder(*arguments, **options)
        finally:
            checked.set()

    def disproved_late(*_: object, **__: object) -> Any:
        assert checked.wait(60), "what is new is looked for meanwhile"
        raise CollectionDamaged("The collection is damaged: a page is missing", "Restore an earlier snapshot")

    monkeypatch.setattr(checksum_step, "identify_folder", identify)
    monkeypatch.setattr(snapshot_step, "prove", disproved_late)
    store = through_faults(monkeypatch)
    report = back_up("Ada")

    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "collection-damaged")
    assert report.message.startswith("The collection is damaged: a page is missing")
    assert {item.name.partition("/")[0] for item in store.list("")} == {"recollect.json", "audit"}
    with job(choose(found_profiles(), ["Ada"])[0], open_named()) as work:
        source = snapshot(work)
        assert isinstance(source, Source)
        with pytest.raises(CollectionDamaged):
            checksum(work, source)
    assert list((house.cache / "staging").iterdir()) == []


def test_the_private_copy_stays_until_its_proof_has_ended_whatever_else_goes_wrong(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed, still_there = threading.Event(), []

    def proved_late(copy: Path, **options: Any) -> Any:
        # As long as it takes to remove the copy, if anybody would.
        removed.wait(0.5)
        still_there.append(copy.exists())
        return prove(copy, **options)

    def rmtree(folder: Path, **options: Any) -> None:
        shutil.rmtree(folder, **options)
        removed.set()

    def unreachable(*_: object, **__: object) -> Any:
        raise StoreUnreachable("The store does not answer", "Try again")

    monkeypatch.setattr(snapshot_step, "prove", proved_late)
    monkeypatch.setattr(checksum_step, "identify_folder", unreachable)
    monkeypatch.setattr(private_folder, "shutil", SimpleNamespace(rmtree=rmtree))
    report = back_up("Ada")

    assert (report.outcome, report.row.reason) == (Outcome.FAILED, StoreUnreachable.code)
    assert still_there == [True]
    assert list((house.cache / "staging").iterdir()) == []


def test_an_unknown_profile_is_told_with_those_that_exist(house: House) -> None:
    report = back_up("Nobody")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "profile-unknown")
    assert "Ada" in report.message
    assert "Ben" in report.message


def test_a_row_that_cannot_be_written_does_not_hide_how_the_backup_ended(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = through_faults(monkeypatch)
    store.fail(WRITING, folder="audit/", every=True, error=StoreFull)
    report = back_up("Ada")
    assert report.outcome is Outcome.COMPLETED
    assert len(house.snapshots()) == 1
    assert any("audit table has no row" in remark for remark in report.remarks)

    _truncate(house.collection())
    report = back_up("Ada")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "collection-damaged")


def test_a_defect_of_ours_leaves_a_row_and_is_not_swallowed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(storing, "checksum", broken)
    with pytest.raises(ZeroDivisionError):
        back_up("Ada")
    (row,) = house.rows()
    assert (row.outcome, row.reason, row.error) == (Outcome.FAILED, "unexpected", "ZeroDivisionError")
    assert list((house.cache / "staging").iterdir()) == []


def test_a_run_stopped_from_outside_says_so_in_its_row(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(storing, "upload", stopped)
    with pytest.raises(KeyboardInterrupt):
        back_up("Ada")
    (row,) = house.rows()
    assert (row.outcome, row.reason) == (Outcome.FAILED, "interrupted")
    assert house.snapshots() == []


@pytest.mark.parametrize("folder", ["trash/", "deletions/"])
def test_what_fails_after_the_snapshot_is_stored_says_so_and_is_finished_by_the_next_run(
    house: House, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    if folder == "trash/":
        backdate(house, "Ada", days=[900, 901, 902])
    with house.set(daily=0, weekly=0, monthly=0):
        store = through_faults(monkeypatch)
        store.fail(WRITING, folder=folder, every=True, error=StoreReadOnly)
        report = back_up("Ada")
        store.heal()

        assert report.outcome is Outcome.FAILED
        snapshot = report.row.snapshot
        assert snapshot is not None
        assert snapshot == house.snapshots()[-1].id
        assert f"The snapshot {snapshot} is stored" in report.message

        again = back_up("Ada")
        assert (again.outcome, again.row.snapshot) == (Outcome.UNCHANGED, snapshot)
        assert len(archived_notes(house.repository, again.row.profile_key)) == 4  # type: ignore[arg-type]
        assert [ref.id for ref in house.snapshots()] == [snapshot]
        assert back_up("Ada").row.reason == "nothing-changed"


def test_a_run_killed_between_the_snapshot_and_the_archive_is_finished_by_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(storing, "retention_prune", killed)
        with pytest.raises(KilledError):
            back_up("Ada")
    (ref,) = house.snapshots()
    assert archived_notes(house.repository, ref.profile_key) == []

    report = back_up("Ada")
    assert (report.outcome, report.row.snapshot, report.row.deletions_archived) == (Outcome.UNCHANGED, ref.id, 4)


def test_a_deletion_is_archived_once_however_often_the_flow_runs(house: House) -> None:
    assert back_up("Ada").row.deletions_archived == 4
    for run in range(3):
        report = back_up("Ada", force=True)
        assert (run, report.row.deletions_archived) == (run, 0)
    shutil.rmtree(house.cache)
    assert back_up("Ada").row.deletions_archived == 0
    with (house.folder() / "deleted.txt").open("ab") as log:
        log.write(b"1700000000000\t1700000000001\tone more\tback\n")
    assert back_up("Ada").row.deletions_archived == 1
    notes = archived_notes(house.repository, house.snapshots()[0].profile_key)
    assert len(notes) == 5
    assert "one more" in {note.fields[0] for note in notes}


def test_a_deletion_log_that_did_not_change_is_not_held_against_the_archive_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up_well()
    store = through_faults(monkeypatch)
    back_up_well(force=True)
    # Whether there is an archive at all is asked; none of it is read or written.
    assert store.count("list", folder="deletions/") == 1
    assert store.count("read", folder="deletions/") == store.count("write", folder="deletions/") == 0


def test_deletions_of_one_profile_are_not_mixed_with_those_of_another(house: House) -> None:
    back_up_several([], "default", back_up)
    counts = {
        profile: len(archived_notes(house.repository, house.snapshots(profile)[0].profile_key))
        for profile in ("Ada", "Ben")
    }
    assert counts == {"Ada": 4, "Ben": 2}


def test_archived_notes_come_back_through_ankis_own_import(house: House, tmp_path: Path) -> None:
    back_up_well()
    archived = archived_notes(house.repository, house.snapshots()[0].profile_key)
    notes = [
        DeletedNote(note.note_id, note.note_type_id, note.note_type, note.field_names, note.fields) for note in archived
    ]
    files = import_files(notes)
    assert len(files) == 3
    with opened(house.collection()) as anki:
        before = anki.note_count()
        for name, text in files.items():
            path = tmp_path / name
            path.write_text(text, encoding="utf-8")
            metadata = anki.get_csv_metadata(path=str(path), delimiter=None)
            anki.import_csv(ImportCsvRequest(path=str(path), metadata=metadata))
        assert anki.note_count() == before + 4
        assert anki.db is not None
        back = {tuple(fields.split("\x1f")) for fields in anki.db.list("select flds from notes order by id")}
    assert ("Capital of Yugoslavia", "Belgrade") in back
    assert ('"Constantinople", since 1930', "Istanbul<br><i>renamed</i>") in back


def test_runs_of_one_profile_at_the_same_time_do_no_harm_where_nothing_can_be_locked(
    house: House, tmp_path: Path
) -> None:
    house.state.mkdir()
    (house.state / "under-way").write_text("a file in the way of the locks")
    back_up_well()
    add_note(house.collection(), "before all of them")
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(copy_context().run, partial(back_up, "Ada", force=True)) for _ in range(8)]
        made = {stored(run.result()) for run in running}
    assert len(made) == 8
    assert made < {ref.id for ref in house.snapshots()}
    for number, made_id in enumerate(sorted(made)):
        out = house.restored(tmp_path / str(number), "Ada", made_id)
        assert (out / "collection.anki2").read_bytes() == house.collection().read_bytes()
    assert len(archived_notes(house.repository, house.snapshots()[0].profile_key)) == 4
    assert list((house.cache / "staging").iterdir()) == []


# Retention inside the chain


def set_ankis_limits(collection: Path, daily: int, weekly: int, monthly: int) -> None:
    with opened(collection) as anki:
        preferences = anki.get_preferences()
        preferences.backups.daily, preferences.backups.weekly, preferences.backups.monthly = daily, weekly, monthly
        anki.set_preferences(preferences)


def test_old_snapshots_are_let_go_by_the_limits_that_the_owner_chose_in_anki(house: House) -> None:
    old = backdate(house, "Ada", days=[3, 4, 5, 6, 7])
    set_ankis_limits(house.collection(), daily=2, weekly=0, monthly=0)
    report = back_up("Ada")

    assert stored(report)
    assert report.row.snapshots_pruned == 3
    left = [ref.id for ref in house.snapshots()]
    assert left == [*sorted(old)[-2:], report.row.snapshot]
    trash = [item.name.rpartition("/")[2] for item in house.repository.store.list("trash")]
    assert trash == sorted(old)[:3]


def test_given_limits_go_before_the_owners(house: House) -> None:
    backdate(house, "Ada", days=[3, 4, 5, 6, 7])
    set_ankis_limits(house.collection(), daily=12, weekly=10, monthly=9)
    with house.set(daily=1, weekly=0, monthly=0):
        assert back_up("Ada").row.snapshots_pruned == 4


def test_a_profile_that_chose_nothing_gets_ankis_defaults(house: House) -> None:
    backdate(house, "Ada", days=list(range(2, 16)))
    report = back_up("Ada", force=True)
    assert stored(report)
    # Twelve daily ones, and of the next ones those that open a new week or month.
    kept = len(house.snapshots())
    assert kept == 15 - (report.row.snapshots_pruned or 0)
    assert 13 <= kept < 15


def test_the_last_good_snapshot_stays_whatever_the_limits_say(house: House) -> None:
    backdate(house, "Ada", days=[50])
    (good,) = backdate(house, "Ada", days=[40])
    backdate(house, "Ada", days=[30, 20], proven=False)
    with house.set(daily=0, weekly=0, monthly=0):
        (report,) = prune()
    assert report.row.snapshots_pruned == 3
    assert [ref.id for ref in house.snapshots()] == [good]


def test_a_safety_snapshot_lets_nothing_go(house: House) -> None:
    old = backdate(house, "Ada", days=[300, 301, 302])
    with house.set(daily=0, weekly=0, monthly=0):
        add_note(house.collection(), "before something dangerous")
        report = back_up("Ada", purpose=SAFETY)
        assert stored(report)
        assert report.row.snapshots_pruned is None
        assert {ref.id for ref in house.snapshots()} == {*old, report.row.snapshot}
        assert house.manifest(house.snapshots()[-1]).facts["purpose"] == "safety"


def test_snapshots_of_other_profiles_are_not_touched_by_a_backup(house: House) -> None:
    old = backdate(house, "Ben", days=[300, 301, 302])
    with house.set(daily=0, weekly=0, monthly=0):
        back_up_well("Ada")
    assert [ref.id for ref in house.snapshots("Ben")] == sorted(old)


# When the repository or this computer is not as it should be


def test_a_place_that_holds_something_else_is_refused_and_left_alone(house: House) -> None:
    place = Path(house.repo)
    place.mkdir()
    (place / "thesis.docx").write_text("years of work")
    with pytest.raises(NotARepository, match="not empty"):
        back_up("Ada")
    with pytest.raises(NotARepository, match="not empty"):
        back_up_several([], "default", back_up)
    assert [path.name for path in place.iterdir()] == ["thesis.docx"]


@pytest.mark.parametrize("spoil", ["file in the way", "file at staging"])
def test_a_cache_that_cannot_be_used_is_told_in_a_sentence(house: House, spoil: str) -> None:
    if spoil == "file in the way":
        house.cache.write_text("a file")
    else:
        house.cache.mkdir()
        (house.cache / "staging").write_text("a file")
    report = back_up("Ada")
    assert report.outcome is Outcome.FAILED
    assert str(house.cache) in report.message
    assert "Errno" not in report.message


def test_pieces_that_the_repository_lost_are_stored_again_although_the_profile_is_unchanged(
    house: House, tmp_path: Path
) -> None:
    back_up_well()
    for pack in Path(house.repo, "packs").rglob("*.pack"):
        pack.unlink()
    os.utime(house.collection())
    assert stored(back_up("Ada"))
    assert digests(house.restored(tmp_path / "out") / "collection.media") == digests(house.media())


def test_a_damaged_newest_manifest_does_not_pass_for_an_unchanged_profile(house: House, tmp_path: Path) -> None:
    back_up_well()
    (manifest,) = Path(house.repo, "snapshots").rglob("*Z-*")
    manifest.write_bytes(b"damaged")
    shutil.rmtree(house.cache / "repositories")
    assert stored(back_up("Ada"))
    assert restore("Ada", to=tmp_path / "out").outcome is Outcome.COMPLETED


def test_losing_the_cache_costs_no_snapshot_and_no_bytes(house: House) -> None:
    snapshot = back_up_well()
    shutil.rmtree(house.cache)
    report = back_up("Ada")
    assert (report.outcome, report.row.snapshot) == (Outcome.UNCHANGED, snapshot)


def test_an_open_anki_is_not_disturbed_by_a_backup(house: House) -> None:
    with anki_open(house.collection()):
        before = tree_of(house.base)
        assert stored(back_up("Ada"))
        assert tree_of(house.base) == before


def test_known_trouble_reads_as_two_sentences_without_a_secret(house: House) -> None:
    with house.set(repo="nosuch://someone:hush@nowhere/x"), pytest.raises(RecollectError) as told:
        back_up("Ada")
    assert "hush" not in str(told.value)
