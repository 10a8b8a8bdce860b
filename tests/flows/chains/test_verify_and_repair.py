"""Damage, from the flipped bit to the profile that heals it, through the whole chain without Prefect."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from flows.chains.repair import MendingPlan, plan_mending, repair
from flows.chains.restore import restore
from flows.chains.restore_plan import plan_restore
from flows.chains.verify import verify
from storage.checking.verification import EVERYTHING
from storage.errors import StoreUnreachable
from storage.format.audit_row import Outcome
from storage.format.blob import BlobId, pack_name
from storage.format.listing import FolderEntry, file_content, read_folder_branches
from storage.listings import read_pieces
from storage.retrieval import folder_entries
from tasks.audit import Report
from tasks.profiles_here import found_profiles
from tasks.repair_repository import REPAIR
from tasks.verify_repository import still_has
from tests.flows.chains.house import (
    COLLECTION,
    House,
    add_note,
    back_up_well,
    digests,
    fronts,
    never,
    tables_of,
    through_faults,
    tree_of,
)


def spoil(house: House, blob: BlobId) -> None:
    """Change a byte in the middle of a stored piece, in the repository's own file."""
    place = house.repository.index().find(blob)
    assert place is not None
    change(house, pack_name(place.pack), place.offset + place.stored // 2)


def change(house: House, name: str, at: int) -> None:
    path = Path(house.repo) / name
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def piece_of(house: House, name: bytes) -> BlobId:
    """The only piece of a media file of Ada's first snapshot."""
    folder = house.manifest(house.snapshots()[0]).folder("collection.media")
    assert folder is not None
    (piece,) = [entry.content.root for entry in folder_entries(house.repository, folder) if entry.name == name]
    assert piece is not None
    return piece


def objects(house: House, folder: str) -> list[str]:
    return [item.name for item in house.repository.store.list(folder)]


def well(report: Report) -> Report:
    assert report.outcome is Outcome.COMPLETED, report.message
    return report


def told(report: Report) -> str:
    return "\n".join((report.message, *report.remarks))


def test_a_repository_that_is_whole_is_told_so_with_a_row_in_the_audit_table(house: House) -> None:
    back_up_well()
    report = well(verify(scope=EVERYTHING).report)
    assert "All is there that 1 snapshot needs" in report.message
    assert "Every byte was last read" in told(report)
    row = house.rows("verify")[-1]
    assert (row.outcome, row.profile) == (Outcome.COMPLETED, "")
    assert row.bytes_read == sum(item.size for item in house.repository.store.list("packs"))


def test_a_damaged_picture_is_named_healed_from_the_live_profile_and_comes_back_bit_for_bit(
    house: House, tmp_path: Path
) -> None:
    first = back_up_well()
    backed_up, tables = digests(house.media()), tables_of(house.collection())
    add_note(house.collection(), "later")
    back_up_well()
    spoil(house, piece_of(house, b"red.png"))
    live = tree_of(house.base)

    found = verify(scope=EVERYTHING).report
    assert (found.outcome, found.row.reason) == (Outcome.FAILED, "repository-damaged")
    assert "2 of 2 snapshots can't be restored whole" in found.message
    assert "Ada has lost the file 'red.png' in collection.media" in told(found)
    assert "in the profile Ada, 1 of 1 lost media files are still as they were" in told(found)
    assert restore("Ada", first, to=tmp_path / "before").outcome is Outcome.FAILED

    report = well(repair())
    assert "Healed: the file 'red.png' in collection.media of Ada" in told(report)
    assert tree_of(house.base) == live
    assert well(verify(scope=EVERYTHING).report)
    restored = house.restored(tmp_path / "after", snapshot=first)
    assert digests(restored / "collection.media") == backed_up
    assert tables_of(restored / COLLECTION) == tables
    assert [house.manifest(ref).facts["purpose"] for ref in house.snapshots()] == ["routine", "routine", REPAIR]
    assert house.rows("repair")[-1].outcome is Outcome.COMPLETED


def test_damage_that_no_reading_has_found_yet_is_not_repaired_without_reading(house: House) -> None:
    back_up_well()
    spoil(house, piece_of(house, b"red.png"))
    assert "nothing to repair" in repair().message
    assert "Healed" in told(repair(scope=EVERYTHING))


def test_a_damaged_page_of_the_collection_is_healed_while_the_collection_still_has_it(
    house: House, tmp_path: Path
) -> None:
    first = back_up_well()
    tables = tables_of(house.collection())
    pieces = read_pieces(house.repository.read, house.manifest(house.snapshots()[0]).files[0].pieces)
    spoil(house, pieces[len(pieces) // 2])
    assert "1 of" in told(verify(scope=EVERYTHING).report)
    well(repair())
    assert tables_of(house.restored(tmp_path / "out", snapshot=first) / COLLECTION) == tables


@pytest.mark.parametrize("which", ["pages", "media"])
def test_a_damaged_node_of_a_listing_is_healed_while_the_profile_is_as_it_was(
    house: House, tmp_path: Path, which: str
) -> None:
    first = back_up_well()
    manifest = house.manifest(house.snapshots()[0])
    root = manifest.files[0].pieces.root if which == "pages" else manifest.folders[0].entries.root
    assert root is not None
    spoil(house, root)
    assert "has lost" in told(verify().report)
    well(repair())
    assert well(verify(scope=EVERYTHING).report)
    assert fronts(house.restored(tmp_path / "out", snapshot=first) / COLLECTION)


def test_what_the_profile_does_not_have_any_more_stays_lost_and_is_named(house: House, tmp_path: Path) -> None:
    first = back_up_well()
    spoil(house, piece_of(house, b"red.png"))
    (house.media() / "red.png").unlink()
    second = back_up_well()
    verify(scope=EVERYTHING)
    report = repair()
    assert report.outcome is Outcome.FAILED
    assert "Still lost: Ada has lost the file 'red.png'" in told(report)
    assert first in told(report)
    assert second not in told(report)
    assert len(house.snapshots()) == 3
    assert "1 of 3 snapshots can't be restored whole" in verify().report.message
    for snapshot in (second, house.snapshots()[-1].id):
        house.restored(tmp_path / snapshot, snapshot=snapshot)


def test_an_index_file_is_made_good_without_a_new_snapshot(house: House) -> None:
    back_up_well()
    (name,) = objects(house, "index")
    change(house, name, 99)
    shutil.rmtree(house.cache / "repositories")
    assert name in told(verify().report)
    assert "Replaced 1 index file" in well(repair()).message
    assert well(verify(scope=EVERYTHING).report)
    assert len(house.snapshots()) == 1
    assert objects(house, "quarantine") == [f"quarantine/{name}"]


def test_a_lost_pack_is_healed_by_a_repair(house: House, tmp_path: Path) -> None:
    first = back_up_well()
    backed_up = digests(house.media())
    for name in objects(house, "packs"):
        house.repository.store.remove(name)
    assert verify().report.outcome is Outcome.FAILED
    well(repair())
    assert digests(house.restored(tmp_path / "out", snapshot=first) / "collection.media") == backed_up


def test_a_lost_manifest_is_told_and_all_other_snapshots_stand(house: House, tmp_path: Path) -> None:
    first = back_up_well()
    add_note(house.collection(), "later")
    second = back_up_well()
    (name,) = [name for name in objects(house, "snapshots") if name.endswith(first)]
    change(house, name, 60)
    shutil.rmtree(house.cache / "repositories")
    report = verify().report
    assert name in told(report)
    assert "1 of 2 snapshots can't be restored whole" in report.message
    assert f"Still damaged: {name}" in told(repair())
    assert "later" in fronts(house.restored(tmp_path / "out", snapshot=second) / COLLECTION)


def test_the_plan_is_shown_before_anything_is_changed_and_no_means_no(house: House) -> None:
    back_up_well()
    spoil(house, piece_of(house, b"red.png"))
    verify(scope=EVERYTHING)
    before = {name: house.repository.store.read(name) for name in objects(house, "") if not name.startswith("audit/")}
    shown: list[MendingPlan] = []

    def no(plan: MendingPlan) -> bool:
        shown.append(plan)
        return False

    report = repair(confirmed=no)
    assert (report.outcome, report.row.reason) == (Outcome.SKIPPED, "not-confirmed")
    text = shown[0].as_text()
    assert "1 pack with damage will be quarantined" in text
    assert "then backed up again, to store anew what they still have of what is lost: Ada" in text
    assert "'red.png'" in text
    after = {name: house.repository.store.read(name) for name in objects(house, "") if not name.startswith("audit/")}
    checks = {name for name in {*before, *after} if name.startswith("checks/")}
    assert {n: c for n, c in after.items() if n not in checks} == {n: c for n, c in before.items() if n not in checks}


def test_nobody_is_asked_where_nothing_is_to_be_done(house: House) -> None:
    back_up_well()
    assert "nothing to repair" in well(repair(confirmed=never)).message


def test_a_computer_without_the_profile_repairs_what_it_can(house: House, tmp_path: Path) -> None:
    back_up_well()
    spoil(house, piece_of(house, b"red.png"))
    verify(scope=EVERYTHING)
    with house.set(base=tmp_path / "nobody"):
        plan = plan_mending(house.repository)
        assert plan.profiles == ()
        report = repair()
    assert report.outcome is Outcome.FAILED
    assert "Run `recollect repair` on the computers that these profiles are on" in report.message
    assert "Healed" in told(repair())


def test_what_one_profile_lost_another_one_that_has_it_heals(house: House) -> None:
    shared = b"shared" * 900
    for name in ("Ada", "Ben"):
        (house.media(name) / "shared.jpg").write_bytes(shared)
        back_up_well(name)
    spoil(house, piece_of(house, b"shared.jpg"))
    (house.media("Ada") / "shared.jpg").unlink()
    assert "Ben has lost the file 'shared.jpg'" in told(verify(scope=EVERYTHING).report)
    well(repair())
    assert well(verify(scope=EVERYTHING).report)


def test_a_hostile_name_in_a_listing_is_not_followed(house: House) -> None:
    back_up_well()
    seal = house.repository.seal
    (ada,) = [profile for profile in found_profiles().profiles if profile.name == "Ada"]
    tree, _ = file_content([seal.blob_id(b"secret")], seal.blob_id)
    (ada.folder / "secret").write_bytes(b"secret")
    assert not still_has(ada, FolderEntry(b"../secret", 6, 0, tree), seal)
    (house.media() / "secret").write_bytes(b"secret")
    assert still_has(ada, FolderEntry(b"secret", 6, 0, tree), seal)


def test_an_unreachable_store_is_no_damage(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    back_up_well()
    store = through_faults(monkeypatch)
    store.fail(frozenset({"read", "read_range"}), folder="packs", every=True)
    verified = verify()
    assert verified.found is None
    assert (verified.report.outcome, verified.report.row.reason) == (Outcome.FAILED, StoreUnreachable.code)
    assert "damaged" not in verified.report.message


# A restore gives back all that can still be listed


def test_a_damaged_part_of_the_media_listing_costs_the_files_it_names_and_no_other(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(300):
        (house.media() / f"file {number:03}.jpg").write_bytes(b"%d" % number * 50)
    snapshot = back_up_well()
    backed_up = digests(house.media())
    folder = house.manifest(house.snapshots()[-1]).folders[0]
    assert folder.entries.root is not None
    assert folder.entries.levels == 2
    ((_, root),) = house.repository.read([folder.entries.root])
    before, broken = read_folder_branches(root, 1)[1:3]
    assert before.last_name is not None
    assert broken.last_name is not None
    lost = {name for name in backed_up if before.last_name < name <= broken.last_name}
    spoil(house, broken.id)
    shutil.rmtree(house.cache / "repositories")

    plan = plan_restore(house.repository, "Ada", to=tmp_path / "out").as_text()
    assert f"Media files that can't be listed, and are not restored: {len(lost)}" in plan
    report = restore("Ada", snapshot, to=tmp_path / "out")
    whole = {name: digest for name, digest in backed_up.items() if name not in lost}
    assert digests(tmp_path / "out" / "collection.media") == whole
    assert 0 < len(lost) < len(backed_up)
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "repository-damaged")
    assert f"{len(lost)} of {len(backed_up)} media files" in report.message
    assert f"up to {broken.last_name.decode()!r}" in told(report)
    assert "listing of media files is damaged" in caplog.text
