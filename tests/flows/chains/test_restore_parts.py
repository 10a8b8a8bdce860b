"""Restoring a part of a snapshot, or exactly its media; and undoing it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.chains.restore import SYNC_ADVICE, restore
from flows.chains.restore_plan import RestorePlan, Wanted, plan_restore, wanted_from
from flows.chains.undo import undo
from profiles.errors import TargetUnusable
from recollect.errors import RecollectError
from storage.format.audit_row import Outcome
from storage.format.blob import BlobId
from storage.format.manifest import snapshot_name, write_manifest
from storage.repository import Repository
from storage.retrieval import folder_entries
from tasks.audit import Report
from tests.flows.chains.house import (
    COLLECTION,
    MEDIA,
    House,
    add_note,
    anki_open,
    back_up_well,
    digests,
    fronts,
    spoil,
    tables_of,
    tree_of,
)


def restored_well(*args: Any, **options: Any) -> Report:
    report = restore(*args, **options)
    assert report.outcome is Outcome.COMPLETED, report.message
    return report


# Parts


def test_the_collection_alone_comes_back_and_no_picture_is_touched(house: House, tmp_path: Path) -> None:
    snapshot = back_up_well()
    before = tables_of(house.collection())
    add_note(house.collection(), "since then")
    (house.media() / "red.png").unlink()
    media = tree_of(house.media())
    report = restored_well("Ada", snapshot, wanted=Wanted(only=("collection",)))
    assert tables_of(house.collection()) | {"col": before["col"]} == before
    assert tree_of(house.media()) == media
    assert SYNC_ADVICE in report.remarks

    restored_well("Ada", snapshot, to=tmp_path / "out", wanted=Wanted(only=("collection",)))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [COLLECTION, "deleted.txt"]


def test_media_alone_come_back_and_no_note_is_touched(house: House, tmp_path: Path) -> None:
    snapshot = back_up_well()
    media = digests(house.media())
    add_note(house.collection(), "since then")
    (house.media() / "red.png").unlink()
    collection = tables_of(house.collection())
    report = restored_well("Ada", snapshot, wanted=Wanted(only=("media",)))
    assert digests(house.media()) == media
    assert tables_of(house.collection()) == collection
    assert SYNC_ADVICE not in report.remarks

    restored_well("Ada", snapshot, to=tmp_path / "out", wanted=Wanted(only=("media",)))
    assert [path.name for path in (tmp_path / "out").iterdir()] == [MEDIA]
    assert digests(tmp_path / "out" / MEDIA) == media


def test_only_media_that_match_a_pattern_come_back(house: House, tmp_path: Path) -> None:
    snapshot = back_up_well()
    red = {name: digest for name, digest in digests(house.media()).items() if name in {b"red.png", b"grey.png"}}
    wanted = Wanted(only=("red.*", "gre[y].png"))
    restored_well("Ada", snapshot, to=tmp_path / "out", wanted=wanted)
    assert digests(tmp_path / "out" / MEDIA) == red
    assert not (tmp_path / "out" / COLLECTION).exists()
    plan = plan_restore(house.repository, "Ada", snapshot, to=tmp_path / "other", wanted=wanted)
    assert "(those that match red.*, gre[y].png): 2 to add" in plan.as_text()
    assert "collection: stays as it is" in plan.as_text()
    both = Wanted(only=("collection", "red.*"))
    restored_well("Ada", snapshot, to=tmp_path / "both", wanted=both)
    assert (tmp_path / "both" / COLLECTION).exists()
    assert list(digests(tmp_path / "both" / MEDIA)) == [b"red.png"]


@pytest.mark.parametrize("only", [("",), ("media", " ")])
def test_a_part_without_a_name_is_refused(only: tuple[str, ...]) -> None:
    with pytest.raises(TargetUnusable, match="has no name"):
        wanted_from(only)


def test_pages_that_the_present_collection_shares_are_not_fetched(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = back_up_well()
    pages = house.collection().stat().st_size // 4096
    add_note(house.collection(), "since then")
    asked: list[BlobId] = []

    def counting(repository: Repository, blobs: Iterable[BlobId], **options: Any) -> Iterator[tuple[BlobId, bytes]]:
        wanted = list(blobs)
        asked.extend(wanted)
        yield from read(repository, wanted, **options)

    read = Repository.read
    monkeypatch.setattr(Repository, "read", counting)
    monkeypatch.setattr("flows.chains.restore_plan.compare_with_present", lambda *_: None)
    restored_well("Ada", snapshot, wanted=Wanted(only=("collection",)))
    assert 0 < len(asked) < pages / 3


def test_pages_that_lie_damaged_in_the_present_collection_are_fetched(house: House) -> None:
    snapshot = back_up_well()
    before = tables_of(house.collection())
    content = bytearray(house.collection().read_bytes())
    for at in range(5000, len(content), 3 * 4096):
        content[at] ^= 0xFF
    house.collection().write_bytes(content)
    restored_well("Ada", snapshot)
    assert tables_of(house.collection()) | {"col": before["col"]} == before


# Exactly the media


def test_exact_media_moves_what_the_snapshot_does_not_hold_to_ankis_trash(house: House) -> None:
    snapshot = back_up_well()
    media = digests(house.media())
    (house.media() / "mine alone.png").write_bytes(b"mine alone")
    (house.media() / "another.mp3").write_bytes(b"another")
    (house.media() / "blue.png").unlink()
    trash = house.folder() / "media.trash"
    trash.mkdir(exist_ok=True)
    (trash / "another.mp3").write_bytes(b"thrown away by Anki")
    plans: list[RestorePlan] = []

    def agree(plan: RestorePlan) -> bool:
        plans.append(plan)
        assert (house.media() / "mine alone.png").exists()
        return True

    restored_well("Ada", snapshot, wanted=Wanted(exact_media=True), confirmed=agree)
    assert digests(house.media()) == media
    assert (trash / "mine alone.png").read_bytes() == b"mine alone"
    assert (trash / "another.mp3").read_bytes() == b"thrown away by Anki"
    assert (trash / "another 2.mp3").read_bytes() == b"another"
    text = plans[0].as_text()
    assert "2 that the snapshot does not hold go to Anki's trash" in text
    assert all(name in text for name in ("'mine alone.png'", "'another.mp3'", "deleted on AnkiWeb and on all devices"))


def test_what_exact_media_took_away_comes_back_by_undoing(house: House) -> None:
    snapshot = back_up_well()
    (house.media() / "mine alone.png").write_bytes(b"mine alone")
    before = digests(house.media())
    restored_well("Ada", snapshot, wanted=Wanted(exact_media=True))
    assert digests(house.media()) != before
    assert undo("Ada").outcome is Outcome.COMPLETED
    assert digests(house.media()) == before


def test_a_file_that_goes_by_other_capitals_is_not_taken_away(house: House) -> None:
    """On a disk that does not tell them apart it is the very file that was restored."""
    snapshot = back_up_well()
    (house.media() / "RED.png").write_bytes(b"perhaps the same file")
    (house.media() / "folder").mkdir()
    (house.media() / "link").symlink_to(house.media() / "red.png")
    plan = plan_restore(house.repository, "Ada", snapshot, wanted=Wanted(exact_media=True))
    assert plan.media.surplus == ()


@pytest.mark.parametrize("only", [("collection",), ("*.png",)])
def test_exact_media_is_refused_where_it_can_not_be_meant(house: House, tmp_path: Path, only: tuple[str, ...]) -> None:
    back_up_well()
    for report in (
        restore("Ada", wanted=Wanted(only=only, exact_media=True)),
        restore("Ada", to=tmp_path / "out", wanted=Wanted(exact_media=True)),
    ):
        assert (report.outcome, report.row.reason) == (Outcome.FAILED, "target-unusable")


def test_exact_media_is_refused_after_a_backup_that_could_not_read_a_file(house: House) -> None:
    snapshot = back_up_well()
    (ref,) = house.snapshots()
    manifest = house.manifest(ref)
    lossy = replace(manifest, facts={**manifest.facts, "media_left_out": 1})
    house.repository.store.write(snapshot_name(ref.profile_key, ref.id), write_manifest(house.repository.seal, lossy))
    shutil.rmtree(house.cache / "repositories")
    (house.media() / "could not be read.png").write_bytes(b"then")
    report = restore("Ada", snapshot, wanted=Wanted(exact_media=True))
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "media-uncertain")
    assert (house.media() / "could not be read.png").exists()


def test_exact_media_is_refused_where_the_listing_is_damaged(house: House) -> None:
    snapshot = back_up_well()
    folder = house.manifest(house.snapshots()[-1]).folder(MEDIA)
    assert folder is not None
    assert folder.entries.root is not None
    spoil(house, folder.entries.root)
    before = tree_of(house.base)
    report = restore("Ada", snapshot, wanted=Wanted(exact_media=True))
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "media-uncertain")
    assert tree_of(house.base) == before


# What is damaged or does not fit


def test_what_is_damaged_can_be_accepted(house: House, tmp_path: Path) -> None:
    snapshot = back_up_well()
    folder = house.manifest(house.snapshots()[-1]).folder(MEDIA)
    assert folder is not None
    (red,) = [one.content.root for one in folder_entries(house.repository, folder) if one.name == b"red.png"]
    assert red is not None
    spoil(house, red)
    assert restore("Ada", snapshot, to=tmp_path / "out").outcome is Outcome.FAILED
    report = restored_well("Ada", snapshot, to=tmp_path / "again", wanted=Wanted(partial=True))
    assert "1 of 20 media files" in report.message
    assert any("'red.png'" in remark for remark in report.remarks)
    assert digests(tmp_path / "again" / MEDIA) == digests(tmp_path / "out" / MEDIA)


def test_what_can_not_fit_on_the_disk_is_refused_before_anything_is_touched(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up_well()
    add_note(house.collection(), "since then")
    before, snapshots = tree_of(house.base), house.snapshots()
    usage = shutil.disk_usage(house.base)
    monkeypatch.setattr("flows.chains.restore.shutil.disk_usage", lambda _: usage._replace(free=1 << 20))
    for to in (None, tmp_path / "not there" / "out"):
        report = restore("Ada", to=to)
        assert (report.outcome, report.row.reason) == (Outcome.FAILED, "target-unusable")
        assert "has 1.0 MiB free, and the restore needs" in report.message
    assert tree_of(house.base) == before
    assert house.snapshots() == snapshots
    assert not (tmp_path / "not there").exists()


# Undoing


def test_undoing_puts_back_what_was_and_undoing_twice_ends_where_it_began(house: House) -> None:
    snapshot = back_up_well()
    add_note(house.collection(), "only in the present")
    (house.media() / "red.png").write_bytes(b"painted over")
    before, media = tables_of(house.collection()), digests(house.media())
    restored_well("Ada", snapshot)
    restored = tables_of(house.collection())

    assert undo("Ada").outcome is Outcome.COMPLETED
    assert tables_of(house.collection()) | {"col": before["col"]} == before
    assert digests(house.media()) == media
    assert undo("ada").outcome is Outcome.COMPLETED
    assert tables_of(house.collection()) | {"col": restored["col"]} == restored


def test_a_restore_of_what_was_backed_up_already_can_be_undone_too(house: House) -> None:
    """Nothing had changed since the last backup, so the present state needed no snapshot of its own to be kept."""
    first = back_up_well()
    add_note(house.collection(), "later")
    back_up_well()
    restored_well("Ada", first)
    assert "later" not in fronts(house.collection())
    undo("Ada")
    assert "later" in fronts(house.collection())


def test_there_may_be_nothing_to_undo(house: House) -> None:
    back_up_well()
    with pytest.raises(RecollectError, match="nothing to undo"):
        undo("Ada")
    with pytest.raises(RecollectError, match="no profile named 'Nobody'"):
        undo("Nobody")


def test_undoing_waits_for_a_yes_and_for_anki(house: House) -> None:
    snapshot = back_up_well()
    add_note(house.collection(), "only in the present")
    restored_well("Ada", snapshot)
    before = tree_of(house.base)
    assert undo("Ada", confirmed=lambda _: False).outcome is Outcome.SKIPPED
    assert tree_of(house.base) == before
    with anki_open(house.collection()):
        assert undo("Ada").row.reason == "anki-is-open"
