"""What a backup may not take on trust: that the repository is there and whole, and the last snapshot good."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from flows.chains.backup import back_up, back_up_several
from flows.chains.restore import restore
from profiles.discovery import choose
from profiles.errors import BaseFolderMissing
from storage.errors import Damaged, NotARepository, StoreUnreachable
from storage.format.audit_row import Outcome
from storage.format.manifest import new_snapshot_id
from tasks import snapshot as snapshot_step
from tasks.catalog import ROUTINE, SAFETY, choose_profile, choose_snapshot, read_catalog
from tasks.checksum import checksum
from tasks.job import job
from tasks.known_repositories import RepositoryGone
from tasks.profiles_here import found_profiles
from tasks.repositories import allow_new_repository, open_named
from tasks.snapshot import Source, snapshot
from tasks.upload import upload
from tests.flows.chains.house import House, add_note, back_up_well, digests, never, stored


def latest(house: House, profile: str = "Ada") -> str:
    return choose_snapshot(choose_profile(read_catalog(house.repository), profile)).id


def empty_media(house: House) -> None:
    for picture in house.media().iterdir():
        picture.unlink()


def test_packs_that_vanish_between_looking_and_storing_are_stored_anew(house: House, tmp_path: Path) -> None:
    back_up_well()
    add_note(house.collection(), "new")
    (profile,) = choose(found_profiles(), ["Ada"])
    with job(profile, open_named()) as work:
        source = snapshot(work)
        assert isinstance(source, Source)
        contents = checksum(work, source)
        shutil.rmtree(Path(house.repo) / "packs")
        made = upload(work, source, contents, ROUTINE)
    found = house.restored(tmp_path / "out", snapshot=made.snapshot)
    assert digests(found / "collection.media") == digests(house.media())


def test_an_empty_place_where_a_repository_was_is_a_disk_that_is_not_there(house: House) -> None:
    back_up_well()
    elsewhere = Path(house.repo).rename(Path(house.repo).with_name("unplugged"))
    for bare in (False, True):
        if bare:
            Path(house.repo).mkdir()
        with pytest.raises(RepositoryGone, match="not there any more"):
            back_up_several([], "default", back_up)
        assert not Path(house.repo, "recollect.json").exists()
    Path(house.repo).rmdir()
    elsewhere.rename(house.repo)
    assert back_up("Ada").outcome is Outcome.UNCHANGED


def test_a_new_repository_is_begun_when_a_person_says_so(house: House) -> None:
    back_up_well()
    shutil.rmtree(house.repo)
    allow_new_repository()
    back_up_well()
    assert len(house.snapshots()) == 1


def test_once_a_day_an_unchanged_profile_is_held_against_the_repository(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    back_up_well()
    monkeypatch.setattr(snapshot_step, "copy_collection", never)
    assert back_up("Ada").outcome is Outcome.UNCHANGED
    monkeypatch.undo()
    shutil.rmtree(Path(house.repo) / "packs")
    monkeypatch.setattr(snapshot_step, "_LONGEST_TRUST_S", 0)
    back_up_well()
    assert digests(house.restored(tmp_path / "out") / "collection.media") == digests(house.media())


def test_a_manifest_that_was_spoilt_in_the_store_is_noticed_although_the_cache_holds_a_good_copy(house: House) -> None:
    spoilt = back_up_well()
    (manifest,) = (Path(house.repo) / "snapshots").rglob(spoilt)
    manifest.write_bytes(b"")
    assert back_up_well() != spoilt


def test_latest_is_no_safety_snapshot_and_no_suspect_one_and_none_from_the_future(house: House) -> None:
    good = back_up_well()
    newest = house.manifest(house.snapshots()[-1])
    ahead = datetime.now().astimezone() + timedelta(days=400)
    house.repository.commit(replace(newest, id=new_snapshot_id(ahead, b"\1\2\3\4"), taken_at=ahead))
    empty_media(house)
    add_note(house.collection(), "new")
    assert house.manifest(house.snapshots()[-1]).taken_at == ahead
    suspect = back_up_well()
    add_note(house.collection(), "newer")
    safety = stored(back_up("Ada", purpose=SAFETY))
    assert latest(house) == good
    assert {good, suspect, safety} < {ref.id for ref in house.snapshots()}


def test_where_every_snapshot_looks_wrong_the_newest_is_the_latest(house: House) -> None:
    only = stored(back_up("Ada", purpose=SAFETY))
    assert latest(house) == only


def test_a_restore_that_is_tried_again_restores_what_was_meant_the_first_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up_well()
    before = digests(house.media())
    empty_media(house)

    def lost(*_: object, **__: object) -> int:
        raise StoreUnreachable("The connection was lost", "Try again")

    monkeypatch.setattr("flows.chains.restore.restore_collection", lost)
    assert restore("Ada").outcome is Outcome.FAILED
    monkeypatch.undo()
    assert restore("Ada").outcome is Outcome.COMPLETED
    assert digests(house.media()) == before


def test_a_snapshot_from_a_clock_that_ran_ahead_does_not_hold_up_the_next_ones(house: House) -> None:
    back_up_well()
    newest = house.manifest(house.snapshots()[-1])
    ahead = datetime.now().astimezone() + timedelta(days=400)
    house.repository.commit(replace(newest, id=new_snapshot_id(ahead, b"\1\2\3\4"), taken_at=ahead))
    assert back_up("Ada").outcome is Outcome.UNCHANGED
    add_note(house.collection(), "new")
    back_up_well()
    assert back_up("Ada").outcome is Outcome.UNCHANGED


def test_the_archive_that_was_lost_is_made_again(house: House) -> None:
    back_up_well()
    shutil.rmtree(Path(house.repo) / "deletions")
    assert back_up("Ada", force=True).row.deletions_archived


def test_a_manifest_is_written_once(house: House) -> None:
    back_up_well()
    (ref,) = house.snapshots()
    first = house.manifest(ref)
    house.repository.commit(replace(first, facts={**first.facts, "notes": 0}))
    assert house.manifest(ref) == first
    with pytest.raises(Damaged):
        house.repository.commit(
            replace(first, id=new_snapshot_id(first.taken_at, b"\1\2\3\4"), files=(_unstored(first.files[0]),))
        )


def _unstored(file: object) -> object:
    return replace(file, pieces=replace(file.pieces, root=bytes(32)))  # type: ignore[type-var,attr-defined]


def test_a_profile_that_does_not_exist_is_told_in_its_own_row_and_stops_no_other(house: House) -> None:
    result = back_up_several(["Nobody", "Ada"], "default", back_up)
    assert [(report.profile, report.outcome) for report in result.reports] == [
        ("Ada", Outcome.COMPLETED),
        ("Nobody", Outcome.FAILED),
    ]
    assert {row.profile for row in house.rows()} == {"Ada", "Nobody"}


def test_a_base_folder_that_is_not_there_leaves_a_row(house: House, tmp_path: Path) -> None:
    back_up_well()
    with house.set(base=tmp_path / "nowhere"), pytest.raises(BaseFolderMissing):
        back_up_several([], "default", back_up)
    assert house.rows()[-1].reason == BaseFolderMissing.code


def test_a_deletion_log_that_can_not_be_read_costs_the_collection_no_backup(house: House) -> None:
    log = house.folder() / "deleted.txt"
    log.unlink()
    log.mkdir()
    report = back_up("Ada")
    assert stored(report)
    assert any("Left out" in remark and "deleted.txt" in remark for remark in report.remarks)


def test_a_repository_that_lost_its_configuration_is_not_taken_for_an_empty_place(house: House) -> None:
    back_up_well()
    (Path(house.repo) / "recollect.json").unlink()
    with pytest.raises(NotARepository, match=r"has lost its recollect\.json"):
        open_named()


def test_what_is_remembered_of_repositories_holds_no_secret(house: House) -> None:
    back_up_well()
    known = json.loads((house.state / "known-repositories.json").read_text())
    assert list(known) == [house.repo]
