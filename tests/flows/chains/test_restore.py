"""A restore through the whole chain, without Prefect: never half, never over what was not kept first."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from flows.chains.backup import back_up, back_up_several
from flows.chains.restore import SYNC_ADVICE, restore
from flows.chains.restore_plan import RestorePlan, plan_restore
from profiles.errors import MediaLeftOut
from profiles.lock_probe import holder_of
from profiles.media_sync_record import MEDIA_SYNC_RECORD
from recollect.errors import RecollectError
from storage.errors import NotARepository, StoreFull, StoreReadOnly, StoreUnreachable
from storage.format.audit_row import Outcome
from storage.format.blob import BlobId, pack_name
from storage.format.manifest import StoredFolder, snapshot_name, write_manifest
from storage.retrieval import folder_entries
from tasks import collection_copies
from tasks.audit import Report
from tests.faults.faulty_store import ANY, WRITING
from tests.flows.chains.house import (
    COLLECTION,
    House,
    add_note,
    anki_open,
    back_up_well,
    copy_base,
    crash_anki,
    digests,
    fronts,
    never,
    opened,
    spoil,
    tables_of,
    through_faults,
    tree_of,
)


def content_of(folder: Path) -> dict[str, str]:
    """What lies below a folder, whatever its times."""
    return {name: digest for name, (_, digest) in tree_of(folder).items()}


def restored_well(*args: str, **options: Path) -> Report:
    report = restore(*args, **options)  # type: ignore[arg-type]
    assert report.outcome is Outcome.COMPLETED, report.message
    return report


def stamps_of(collection: Path) -> tuple[int, int, int]:
    """`mod`, `scm` and `ls` of a closed collection."""
    with closing(sqlite3.connect(f"{collection.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        mod, schema, synced = database.execute("select mod, scm, ls from col").fetchone()
        return int(mod), int(schema), int(synced)


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_deletion_log_that_comes_back_is_for_whoever_may_read_the_collection(house: House, mode: int) -> None:
    back_up_well()
    log, present = house.folder() / "deleted.txt", (house.folder() / "deleted.txt").read_bytes()
    house.collection().chmod(mode)
    log.unlink()
    restored_well("Ada")
    assert log.read_bytes() == present
    assert log.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_a_deletion_log_that_is_there_stays_as_it_is(house: House) -> None:
    back_up_well()
    log = house.folder() / "deleted.txt"
    log.write_bytes(b"what went since")
    log.chmod(0o640)
    before = log.stat()
    restored_well("Ada")
    assert log.read_bytes() == b"what went since"
    assert (log.stat().st_mode, log.stat().st_ino) == (before.st_mode, before.st_ino)


def test_a_media_sync_that_nothing_can_be_foretold_of_costs_a_line_and_not_the_restore(house: House) -> None:
    back_up_well()
    (house.folder() / MEDIA_SYNC_RECORD).write_bytes(b"no database")
    said = "Whether the next media sync deletes media files elsewhere can't be told: "
    assert said in plan_restore(house.repository, "Ada").as_text()
    report = restored_well("Ada")
    assert [remark for remark in report.remarks if remark.startswith(said)]
    assert (house.folder() / MEDIA_SYNC_RECORD).read_bytes() == b"no database"


# Into an empty folder


def test_a_restore_into_an_empty_folder_gives_the_profile_as_it_was(house: House, tmp_path: Path) -> None:
    snapshot = back_up_well()
    before = tree_of(house.base)
    (tmp_path / "out").mkdir()
    report = restored_well("Ada", to=tmp_path / "out")

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [COLLECTION, "collection.media", "deleted.txt"]
    assert (tmp_path / "out" / COLLECTION).read_bytes() == house.collection().read_bytes()
    assert tree_of(house.base) == before
    assert SYNC_ADVICE not in report.remarks
    row = house.rows("restore")[-1]
    assert (row.profile, row.snapshot, row.outcome) == ("Ada", snapshot, Outcome.COMPLETED)
    assert (row.notes, row.media_files) == (229, 20)
    assert (row.bytes_read or 0) >= house.collection().stat().st_size
    assert 0 < (row.seconds_restore or 0) <= (row.seconds_total or 0)
    assert house.rows("backup")[-1].snapshot == snapshot


def test_an_earlier_snapshot_is_restored_by_its_id_or_the_beginning_or_end_of_it(house: House, tmp_path: Path) -> None:
    first = back_up_well()
    add_note(house.collection(), "later")
    back_up_well()
    for number, name in enumerate((first, first[-6:])):
        restored_well("Ada", name, to=tmp_path / str(number))
        assert "later" not in fronts(tmp_path / str(number) / COLLECTION)
    assert "later" in fronts(house.restored(tmp_path / "latest") / COLLECTION)


@pytest.mark.parametrize("inside", [COLLECTION, "holiday.jpg", "collection.media/red.png"])
def test_a_folder_that_is_not_empty_is_refused_and_left_alone(house: House, tmp_path: Path, inside: str) -> None:
    back_up_well()
    target = tmp_path / "out" / inside
    target.parent.mkdir(parents=True)
    target.write_bytes(b"mine")
    report = restore("Ada", to=tmp_path / "out")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "target-unusable")
    assert str(tmp_path / "out") in report.message
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [target]
    assert target.read_bytes() == b"mine"


def test_a_folder_in_an_impossible_place_is_told_in_a_sentence(house: House, tmp_path: Path) -> None:
    back_up_well()
    (tmp_path / "file").write_text("in the way")
    report = restore("Ada", to=tmp_path / "file" / "out")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "target-unusable")


def test_a_profile_known_only_to_the_repository_is_restored_on_a_new_computer(house: House, tmp_path: Path) -> None:
    back_up_well()
    expected = content_of(house.media())
    with house.set(
        base=tmp_path / "no Anki here", cache=tmp_path / "new cache", state=tmp_path / "new state", host="new computer"
    ):
        restored_well("ada", to=tmp_path / "out")
        assert content_of(tmp_path / "out" / "collection.media") == expected
        report = restore("Ada")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "profile-unknown")
    assert "--to" in report.message


# In place


def test_a_restore_in_place_brings_back_what_was_and_tells_the_next_sync(house: House) -> None:
    before = tables_of(house.collection())
    snapshot = back_up_well()
    add_note(house.collection(), "to be undone")
    after_change = stamps_of(house.collection())
    report = restored_well("Ada", snapshot)

    restored = tables_of(house.collection())
    assert restored | {"col": before["col"]} == before
    mod, schema, synced = stamps_of(house.collection())
    assert mod == schema > max(after_change)
    assert schema > synced
    assert SYNC_ADVICE in report.remarks
    with opened(house.collection()) as anki:
        assert anki.schema_changed()
    assert not list(house.folder().glob(".recollect-*"))
    assert report.row.profile == "Ada"


def test_the_state_before_is_kept_and_restores_itself(house: House, tmp_path: Path) -> None:
    snapshot = back_up_well()
    add_note(house.collection(), "only in the present")
    (house.media() / "present.png").write_bytes(b"present")
    before, media = tables_of(house.collection()), digests(house.media())
    report = restored_well("Ada", snapshot)

    safety = house.manifest(house.snapshots()[-1])
    assert safety.facts["purpose"] == "safety"
    assert any(safety.id in remark for remark in report.remarks)
    assert "only in the present" not in fronts(house.collection())
    again = house.restored(tmp_path / "again", "Ada", safety.id)
    assert tables_of(again / COLLECTION) == before
    assert digests(again / "collection.media") == media
    restored_well("Ada", safety.id)
    assert "only in the present" in fronts(house.collection())


def test_a_safety_snapshot_is_one_also_when_what_follows_it_fails(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = back_up_well()
    add_note(house.collection(), "only in the present")
    with (house.folder() / "deleted.txt").open("ab") as log:
        log.write(b"1700000000000\t1700000000001\tone more\tback\n")
    store = through_faults(monkeypatch)
    store.fail(WRITING, folder="deletions/", every=True, error=StoreReadOnly)
    report = restored_well("Ada", snapshot)
    assert any(house.snapshots()[-1].id in remark for remark in report.remarks)
    assert not list(house.folder().glob("recollect-set-aside-*"))


def test_media_is_added_to_and_nothing_is_deleted(house: House) -> None:
    media = house.media()
    backed_up = digests(media)
    snapshot = back_up_well()
    (media / "mine alone.png").write_bytes(b"mine alone")
    (media / "red.png").write_bytes(b"painted over")
    (media / "blue.png").unlink()
    untouched = (media / "grey.png").stat()
    plans: list[RestorePlan] = []

    def agree(plan: RestorePlan) -> bool:
        plans.append(plan)
        return True

    report = restore("Ada", snapshot, confirmed=agree)

    assert report.outcome is Outcome.COMPLETED
    assert digests(media) == {**backed_up, b"mine alone.png": digests(media)[b"mine alone.png"]}
    now = (media / "grey.png").stat()
    assert (now.st_ino, now.st_mtime_ns) == (untouched.st_ino, untouched.st_mtime_ns)
    assert "1 to add, 1 to replace, 18 to keep; none is deleted" in plans[0].as_text()


def test_an_open_anki_is_named_and_nothing_is_changed(house: House) -> None:
    back_up_well()
    snapshots = house.snapshots()
    with anki_open(house.collection()) as pid:
        before = tree_of(house.base)
        report = restore("Ada", confirmed=never)
        assert tree_of(house.base) == before
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "anki-is-open")
    if sys.platform != "win32":
        assert str(pid) in report.message
    assert house.snapshots() == snapshots
    assert house.rows("restore")[-1].reason == "anki-is-open"


def test_an_anki_that_is_started_while_the_plan_is_read_keeps_its_collection(house: House) -> None:
    back_up_well()
    with anki_open(house.collection()):
        pass
    started = []

    def open_anki(plan: RestorePlan) -> bool:
        context = anki_open(house.collection())
        started.append((context, context.__enter__()))
        return True

    report = restore("Ada", confirmed=open_anki)
    try:
        assert holder_of(house.collection()) is not None
        assert (report.outcome, report.row.reason) == (Outcome.FAILED, "anki-is-open")
    finally:
        started[0][0].__exit__(None, None, None)
    assert len(fronts(house.collection())) > 200
    assert not list(house.folder().glob(".recollect-*"))


def test_the_log_of_a_crashed_anki_does_not_leak_into_what_is_restored(house: House, tmp_path: Path) -> None:
    snapshot = back_up_well()
    before = fronts(house.collection())
    crash_anki(house.collection(), "only in the log", "and this")
    report = restored_well("Ada", snapshot)

    assert not house.collection().with_name(f"{COLLECTION}-wal").exists()
    assert fronts(house.collection()) == before
    safety = next(ref for ref in house.snapshots() if any(ref.id in remark for remark in report.remarks))
    assert fronts(house.restored(tmp_path / "safety", "Ada", safety.id) / COLLECTION) == {
        *before,
        "only in the log",
        "and this",
    }


@pytest.mark.parametrize("kind", ["noise", "truncated", "empty"])
def test_a_damaged_collection_is_set_aside_and_the_restore_goes_on(house: House, kind: str) -> None:
    back_up_well()
    good = house.collection().read_bytes()
    damaged = {"noise": b"noise" * 9999, "truncated": good[: len(good) // 2 + 7], "empty": b""}[kind]
    house.collection().write_bytes(damaged)
    report = restored_well("Ada")

    (aside,) = house.folder().glob("recollect-set-aside-*")
    assert (aside / COLLECTION).read_bytes() == damaged
    assert any(str(aside) in remark for remark in report.remarks)
    assert len(fronts(house.collection())) > 200


def test_a_damaged_collection_keeps_its_logs_until_something_takes_its_place(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up_well()
    house.collection().write_bytes(b"noise" * 9999)
    house.collection().with_name(f"{COLLECTION}-wal").write_bytes(b"what a crashed Anki wrote last")
    before = digests(house.folder())
    faulty = through_faults(monkeypatch)
    faulty.fail(frozenset({"read_range"}), every=True)
    assert restore("Ada").outcome is Outcome.FAILED
    assert {name: digest for name, digest in digests(house.folder()).items() if name in before} == before
    faulty.heal()
    restored_well("Ada")
    assert not house.collection().with_name(f"{COLLECTION}-wal").exists()
    assert len(fronts(house.collection())) > 200


def test_a_collection_that_came_while_the_restore_was_under_way_is_not_replaced(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up_well()
    kept = house.collection().read_bytes()
    house.collection().unlink()
    prove = collection_copies.prove

    def proven_while_anki_comes_and_goes(copy: Path) -> object:
        house.collection().write_bytes(kept)
        return prove(copy)

    monkeypatch.setattr(collection_copies, "prove", proven_while_anki_comes_and_goes)
    report = restore("Ada")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "source-busy")
    assert house.collection().read_bytes() == kept


def test_media_that_a_restore_replaces_is_set_aside_too_when_no_snapshot_could_be_taken(house: House) -> None:
    back_up_well()
    (house.media() / "red.png").write_bytes(b"painted over since")
    house.collection().write_bytes(b"noise" * 9999)
    restored_well("Ada")
    kept = [path.read_bytes() for path in house.folder().rglob("red.png")]
    assert b"painted over since" in kept


@pytest.mark.parametrize("error", [StoreFull, StoreReadOnly])
def test_a_repository_that_takes_nothing_more_still_gives_back(
    house: House, monkeypatch: pytest.MonkeyPatch, error: type[StoreFull]
) -> None:
    snapshot = back_up_well()
    add_note(house.collection(), "only in the present")
    through_faults(monkeypatch).fail(WRITING, every=True, error=error)
    restored_well("Ada", snapshot)
    (aside,) = house.folder().glob("recollect-set-aside-*")
    assert "only in the present" in fronts(aside / COLLECTION)
    assert "only in the present" not in fronts(house.collection())


def test_a_collection_that_is_gone_is_put_back(house: House) -> None:
    before = tables_of(house.collection())
    back_up_well()
    for path in house.folder().glob(f"{COLLECTION}*"):
        path.unlink()
    restored_well("Ada")
    assert tables_of(house.collection())["notes"] == before["notes"]


def test_a_profile_whose_whole_folder_is_gone_is_put_back(house: House) -> None:
    media = digests(house.media())
    back_up_well()
    shutil.rmtree(house.folder())
    restored_well("Ada")
    assert len(fronts(house.collection())) > 200
    assert digests(house.media()) == media


def test_without_a_yes_nothing_is_touched(house: House) -> None:
    back_up_well()
    snapshots, before = house.snapshots(), tree_of(house.base)
    report = restore("Ada", confirmed=lambda _: False)
    assert (report.outcome, report.row.reason) == (Outcome.SKIPPED, "not-confirmed")
    assert tree_of(house.base) == before
    assert house.snapshots() == snapshots
    assert house.rows()[-1].reason == "not-confirmed"


def test_without_a_yes_no_folder_is_made(house: House, tmp_path: Path) -> None:
    back_up_well()
    restore("Ada", to=tmp_path / "out", confirmed=lambda _: False)
    assert not (tmp_path / "out").exists()


def test_the_plan_says_what_comes_back(house: House) -> None:
    snapshot = back_up_well()
    text = plan_restore(house.repository, "Ada").as_text()
    host = house.manifest(house.snapshots()[-1]).host
    for part in (snapshot, host, "229 notes", "317 cards", "38 reviews", str(house.folder()), "safety snapshot"):
        assert part in text


# Which profile, which snapshot


def test_an_unknown_profile_or_snapshot_is_told_with_what_there_is(house: House, tmp_path: Path) -> None:
    back_up_well()
    report = restore("Nobody", to=tmp_path / "out")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "snapshot-unknown")
    assert "Ada" in report.message
    for wanted in ("20200101T000000Z-00000000", "zzzz", "2", ""):
        report = restore("Ada", wanted, to=tmp_path / "out")
        assert (report.outcome, report.row.reason) == (Outcome.FAILED, "snapshot-unknown")
        assert "recollect snapshots" in report.message
    assert not (tmp_path / "out").exists()


def test_the_beginning_of_several_ids_is_ambiguous(house: House, tmp_path: Path) -> None:
    first = back_up_well()
    back_up("Ada", force=True)
    report = restore("Ada", first[:4], to=tmp_path / "out")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "snapshot-unknown")
    assert "Several snapshots" in report.message


def test_of_two_computers_with_a_profile_of_one_name_the_own_one_is_meant(house: House, tmp_path: Path) -> None:
    back_up_well()
    with house.set(host="the other computer"):
        add_note(house.collection(), "from the other computer")
        back_up_well()
        assert "from the other computer" in fronts(house.restored(tmp_path / "other") / COLLECTION)
    assert "from the other computer" not in fronts(house.restored(tmp_path / "own") / COLLECTION)
    assert "another profile is called so: Ada on the other computer" in plan_restore(house.repository, "Ada").as_text()

    with house.set(host="a third computer"):
        report = restore("Ada", to=tmp_path / "third")
        assert (report.outcome, report.row.reason) == (Outcome.FAILED, "snapshot-unknown")
        other = next(ref for ref in house.snapshots() if house.manifest(ref).host == "the other computer")
        assert other.profile_key in report.message
        restored_well(other.profile_key, to=tmp_path / "third")
        assert "from the other computer" in fronts(tmp_path / "third" / COLLECTION)
        restored_well(other.profile_key)
    assert "from the other computer" in fronts(house.collection())


# A repository that is damaged, hostile, or not there


def _flip_packs(repo: Path) -> None:
    for pack in repo.joinpath("packs").rglob("*.pack"):
        content = bytearray(pack.read_bytes())
        # Beyond the header, so that blobs are hit and not only the table; closely, for a few blobs may be all it takes.
        for at in range(len(content) // 8, len(content), 64):
            content[at] ^= 1
        pack.write_bytes(content)


def _drop_packs(repo: Path) -> None:
    shutil.rmtree(repo / "packs")


def _spoil_manifest(repo: Path) -> None:
    (manifest,) = repo.joinpath("snapshots").rglob("*Z-*")
    manifest.write_bytes(manifest.read_bytes()[:-3] + b"xyz")


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("damage", [_flip_packs, _drop_packs, _spoil_manifest])
def test_damage_is_told_in_a_sentence_and_nothing_half_written_stays(
    house: House, tmp_path: Path, damage: object, in_place: bool
) -> None:
    back_up_well()
    # What the present state shares with the snapshot is stored anew by the safety snapshot.
    add_note(house.collection(), "not in the snapshot")
    damage(Path(house.repo))  # type: ignore[operator]
    shutil.rmtree(house.cache / "repositories")
    collection, media = tables_of(house.collection()), digests(house.media())
    report = restore("Ada", to=None if in_place else tmp_path / "out")

    assert report.outcome is Outcome.FAILED
    assert report.row.reason in {"repository-damaged", "snapshot-unknown"}
    assert "\n" not in report.message
    assert house.rows("restore")[-1].outcome is Outcome.FAILED
    assert tables_of(house.collection()) == collection
    assert digests(house.media()) == media
    assert not list(house.folder().glob(".recollect-*"))
    if (tmp_path / "out").exists():
        assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


# What is whole comes back, whatever is not


def _stored_media(house: House) -> StoredFolder:
    stored = house.manifest(house.snapshots()[-1]).folder("collection.media")
    assert stored is not None
    return stored


def _piece_of(house: House, name: bytes) -> BlobId:
    (piece,) = [e.content.root for e in folder_entries(house.repository, _stored_media(house)) if e.name == name]
    assert piece is not None
    return piece


@pytest.mark.parametrize("in_place", [False, True])
def test_one_damaged_picture_costs_no_other(house: House, tmp_path: Path, in_place: bool) -> None:
    snapshot = back_up_well()
    backed_up = digests(house.media())
    spoil(house, _piece_of(house, b"red.png"))
    if in_place:
        (house.media() / "red.png").write_bytes(b"the present one")
        (house.media() / "blue.png").unlink()
    report = restore("Ada", snapshot, to=None if in_place else tmp_path / "out")

    folder = house.folder() if in_place else tmp_path / "out"
    lost = {b"red.png": digests(house.media())[b"red.png"]} if in_place else {}
    whole = {name: digest for name, digest in backed_up.items() if name != b"red.png"}
    assert digests(folder / "collection.media") == whole | lost
    assert len(fronts(folder / COLLECTION)) > 200
    assert (folder / "deleted.txt").exists()
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "repository-damaged")
    assert f"1 of 20 media files of the snapshot {snapshot} are damaged" in report.message
    assert any("'red.png'" in remark for remark in report.remarks)
    assert report.row.media_files == 19
    assert house.rows("restore")[-1].reason == "repository-damaged"


def test_a_lost_pack_costs_what_was_in_it_and_no_other(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    back_up_well()
    early = digests(house.media())
    late = [f"late {number:02}.jpg" for number in range(30)]
    for name in late:
        (house.media() / name).write_bytes(name.encode() * 50)
    back_up_well()
    for path in house.media().iterdir():
        # Another time in every entry: the listing is stored anew, in a pack of its own.
        os.utime(path, (1_600_000_000, 1_600_000_000))
    back_up_well(force=True)
    repository = house.repository
    place = repository.index().find(_piece_of(house, b"late 00.jpg"))
    assert place is not None
    repository.store.remove(pack_name(place.pack))
    shutil.rmtree(house.cache / "repositories")
    report = restore("Ada", to=tmp_path / "out")

    assert digests(tmp_path / "out" / "collection.media") == early
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "repository-damaged")
    assert "30 of 50 media files" in report.message
    told = [remark for remark in report.remarks if "late " in remark]
    assert len(told) == 20
    assert any("10 more" in remark for remark in report.remarks)
    assert all(repr(name) in caplog.text for name in late)


def test_a_media_listing_that_is_damaged_does_not_cost_the_collection(house: House, tmp_path: Path) -> None:
    snapshot = back_up_well()
    root = _stored_media(house).entries.root
    assert root is not None
    spoil(house, root)
    assert "media files can't be listed" in plan_restore(house.repository, "Ada", to=tmp_path / "out").as_text()
    report = restore("Ada", to=tmp_path / "out")
    assert len(fronts(tmp_path / "out" / COLLECTION)) > 200
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "repository-damaged")
    assert f"The collection of the snapshot {snapshot} is restored" in report.message
    assert "can't be listed" in report.message


def test_a_name_that_can_not_be_written_here_is_told_and_costs_no_other(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up_well()
    backed_up = digests(house.media())

    def refused(name: str) -> str:
        if name == "red.png":
            raise MediaLeftOut(f"The media file {name!r} is for another system", "Restore it there")
        return name

    monkeypatch.setattr("profiles.install_media.checked_media_name", refused)
    plan = plan_restore(house.repository, "Ada", to=tmp_path / "out").as_text()
    assert "Media files left out: 1" in plan
    assert "'red.png' is for another system" in plan
    report = restored_well("Ada", to=tmp_path / "out")
    assert digests(tmp_path / "out" / "collection.media").keys() == backed_up.keys() - {b"red.png"}
    assert any("'red.png' is for another system" in remark for remark in report.remarks)
    assert report.row.media_files == 19


def test_a_name_that_is_no_name_on_this_system_is_told_and_costs_no_other(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up_well()
    decode = os.fsdecode

    def decode_as_windows_does(name: bytes) -> str:
        if name == b"red.png":
            raise UnicodeDecodeError("utf-8", name, 0, 1, "invalid start byte")
        return decode(name)

    monkeypatch.setattr("tasks.restore_media.os.fsdecode", decode_as_windows_does)
    report = restored_well("Ada", to=tmp_path / "out")
    assert len(list((tmp_path / "out" / "collection.media").iterdir())) == 19
    assert any("red.png" in remark for remark in report.remarks)


def test_a_file_that_appears_after_the_plan_is_left_alone_and_told(house: House) -> None:
    snapshot = back_up_well()
    backed_up = digests(house.media())
    same, other = (house.media() / "blue.png").read_bytes(), b"drawn while the plan was read"
    for name in ("blue.png", "red.png"):
        (house.media() / name).unlink()

    def meanwhile(_: RestorePlan) -> bool:
        (house.media() / "blue.png").write_bytes(same)
        (house.media() / "red.png").write_bytes(other)
        return True

    report = restore("Ada", snapshot, confirmed=meanwhile)
    assert report.outcome is Outcome.COMPLETED
    assert (house.media() / "red.png").read_bytes() == other
    assert digests(house.media()).keys() == backed_up.keys()
    assert any("'red.png'" in remark for remark in report.remarks)
    assert not any("'blue.png'" in remark for remark in report.remarks)


def test_what_the_snapshot_itself_lacks_is_told(house: House, tmp_path: Path) -> None:
    back_up_well()
    ref = house.snapshots()[0]
    manifest = house.manifest(ref)
    for lacking, told in ((3, True), (0, False), (-1, False), (True, False), ("3", False)):
        lossy = replace(manifest, facts={**manifest.facts, "media_left_out": lacking})
        house.repository.store.write(
            snapshot_name(ref.profile_key, ref.id), write_manifest(house.repository.seal, lossy)
        )
        shutil.rmtree(house.cache / "repositories", ignore_errors=True)
        report = restored_well("Ada", to=tmp_path / repr(lacking))
        expected = "Media files that could not be read when the snapshot was taken, and are not in it: 3"
        assert (expected in report.remarks) == told
        assert (expected in plan_restore(house.repository, "Ada", to=tmp_path / "new").as_text()) == told


def test_media_that_cannot_be_fetched_is_told_beside_the_collection_that_is_restored(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = back_up_well()

    def broken(*_: object, **__: object) -> None:
        raise StoreUnreachable("The store went away", "Try again later")

    monkeypatch.setattr("flows.chains.restore.restore_media", broken)
    report = restore("Ada", to=tmp_path / "out")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "repository-unreachable")
    assert f"The collection of the snapshot {snapshot} is restored" in report.message
    assert "The store went away" in report.message
    assert len(fronts(tmp_path / "out" / COLLECTION)) > 200


def test_a_store_that_fails_at_any_request_leaves_the_old_collection_or_the_new_one(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = back_up_well()
    restored = fronts(house.collection())
    add_note(house.collection(), "present")
    shutil.copytree(house.base, tmp_path / "base before")
    shutil.copytree(house.repo, tmp_path / "repository before")
    outcomes: list[str] = []
    failing = 1
    while outcomes[-1:] != ["completed"]:
        shutil.rmtree(house.base)
        copy_base(tmp_path / "base before", house.base)
        shutil.rmtree(house.repo)
        shutil.copytree(tmp_path / "repository before", house.repo)
        shutil.rmtree(house.cache, ignore_errors=True)
        with monkeypatch.context() as patch:
            through_faults(patch).fail(ANY, nth=failing)
            try:
                outcomes.append(restore("Ada", snapshot).outcome.value)
            except RecollectError:
                outcomes.append("not begun")
        found = fronts(house.collection())
        if outcomes[-1] == "completed":
            assert found == restored
        else:
            assert found in (restored, {*restored, "present"})
        assert not list(house.folder().glob(".recollect-*"))
        # Every request of the beginning, and then with longer steps.
        failing += 1 + failing // 8
    assert set(outcomes) == {"not begun", "failed", "completed"}


def test_a_manifest_with_hostile_facts_is_restored_or_refused_in_a_sentence(house: House, tmp_path: Path) -> None:
    back_up_well()
    repository = house.repository
    ref = house.snapshots()[0]
    manifest = house.manifest(ref)
    for number, facts in enumerate(
        [
            {**manifest.facts, "media_bytes": "many", "media_files": -1},
            {**manifest.facts, "notes": "x" * 9999},
            {**manifest.facts, "notes": True},
            {},
        ]
    ):
        hostile = replace(manifest, facts=facts)
        repository.store.write(snapshot_name(ref.profile_key, ref.id), write_manifest(repository.seal, hostile))
        shutil.rmtree(house.cache / "repositories", ignore_errors=True)
        report = restore("Ada", to=tmp_path / str(number))
        assert report.outcome is (Outcome.COMPLETED if number in {0, 3} else Outcome.FAILED)
        assert back_up("Ada").outcome in {Outcome.UNCHANGED, Outcome.COMPLETED}
        for newer in house.snapshots()[1:]:
            repository.store.remove(snapshot_name(newer.profile_key, newer.id))


def test_a_place_without_a_repository_is_told(house: House, tmp_path: Path) -> None:
    with pytest.raises(NotARepository, match="no repository"):
        restore("Ada", to=tmp_path / "out")
    assert not Path(house.repo).exists()


def test_every_profile_can_be_restored_from_one_repository(house: House, tmp_path: Path) -> None:
    back_up_several([], "default", back_up)
    for profile in ("Ada", "Ben"):
        restored_well(profile, to=tmp_path / profile)
        assert digests(tmp_path / profile / "collection.media") == digests(house.media(profile))
