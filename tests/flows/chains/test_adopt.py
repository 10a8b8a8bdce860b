"""Backups that Anki itself has written become snapshots, and come back from them as they were."""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from anki.collection import AddNoteRequest

from flows.chains import adopt as chain
from flows.chains.adopt import adopt, plan_adoption
from flows.chains.deletions import deleted_notes, rescan_deletions
from flows.chains.forget import forget
from profiles.errors import ProfileUnknown
from profiles.packages.layout import Layout
from recollect.progress import listening
from storage.errors import StoreFull
from storage.format.audit_row import Outcome
from tasks import packaged_collection, profiles_here
from tasks.catalog import ADOPTED
from tasks.package_time import TimeFrom
from tests.flows.chains.house import (
    COLLECTION,
    MEDIA,
    House,
    add_note,
    answer_a_card,
    back_up_well,
    digests,
    never,
    opened,
    tables_of,
    tree_of,
)
from tests.flows.chains.packages import AT, PACKAGED, automatic, content, exported, manifests, old, well
from tests.profiles.packages import made


def bytes_stored(house: House) -> int:
    return sum(path.stat().st_size for path in Path(house.repo).rglob("*") if path.is_file())


LAYOUTS: dict[str, tuple[Callable[[House, Path], Path], Layout, bool, int]] = {
    "automatic": (lambda house, _: automatic(house), Layout.LATEST, False, 18),
    "latest-with-media": (
        lambda house, path: exported(house, path, media=True, legacy=False),
        Layout.LATEST,
        True,
        18,
    ),
    "latest-without": (lambda house, path: exported(house, path, media=False, legacy=False), Layout.LATEST, False, 18),
    "legacy2-with-media": (
        lambda house, path: exported(house, path, media=True, legacy=True),
        Layout.LEGACY2,
        True,
        11,
    ),
    "legacy2-without": (lambda house, path: exported(house, path, media=False, legacy=True), Layout.LEGACY2, False, 11),
    "legacy1-with-media": (lambda house, path: old(house, path, media=True), Layout.LEGACY1, True, 11),
    "legacy1-automatic": (lambda house, path: old(house, path, media=False, schema=14), Layout.LEGACY1, False, 14),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_a_package_of_any_layout_becomes_a_snapshot_that_is_restored_equal(
    house: House, tmp_path: Path, kind: str
) -> None:
    make, layout, with_media, schema = LAYOUTS[kind]
    answer_a_card(house.collection())
    path = make(house, tmp_path / PACKAGED)
    before, media = content(house.collection()), digests(house.media())
    add_note(house.collection(), "later than that")

    (snapshot,) = well(adopt([path], "Ada"))

    (manifest,) = manifests(house)
    assert (manifest.id, manifest.taken_at, manifest.parent) == (snapshot, AT, None)
    assert manifest.taken_at.utcoffset() == AT.utcoffset()
    assert (manifest.profile, manifest.source) == ("Ada", str(house.folder()))
    facts = manifest.facts
    assert {name: facts[name] for name in ("purpose", "proven", "suspect", "copied", "package", "time_from")} == {
        "purpose": ADOPTED,
        "proven": True,
        "suspect": None,
        "copied": "package",
        "package": PACKAGED,
        "time_from": "name",
    }
    assert (facts["package_layout"], facts["package_bytes"]) == (layout, path.stat().st_size)
    assert (facts["notes"], facts["reviews"], facts["schema_version"]) == (
        len(before["notes"]),
        len(before["revlog"]),
        schema,
    )
    assert (manifest.folder(MEDIA) is not None) is with_media
    assert (facts["media_files"], facts["media_left_out"]) == (len(media) if with_media else None, 0)

    restored = house.restored(tmp_path / "restored", snapshot=snapshot)
    assert content(restored / COLLECTION) == before
    assert digests(restored / MEDIA) == (media if with_media else {})
    with opened(restored / COLLECTION) as anki:
        assert anki.note_count() == len(before["notes"])


def test_the_backups_of_every_profile_are_found_and_adopted_oldest_first_each_with_a_row(house: House) -> None:
    for day in (9, 8, 10):
        automatic(house, f"backup-2026-03-{day:02}-10.00.00.colpkg")
        add_note(house.collection(), f"note of day {day}")
    automatic(house, profile="Ben")

    result = adopt()

    assert [package.planned.path.name for package in result.packages] == [
        "backup-2026-03-08-10.00.00.colpkg",
        "backup-2026-03-09-10.00.00.colpkg",
        "backup-2026-03-10-10.00.00.colpkg",
        PACKAGED,
    ]
    snapshots = well(result)
    ada = manifests(house)
    assert [manifest.id for manifest in ada] == snapshots[:3]
    assert [manifest.parent for manifest in ada] == [None, ada[0].id, ada[1].id]
    assert ada[0].profile_key == profiles_here.key_of(profiles_here.found_profiles().profiles[0])
    assert [manifest.id for manifest in manifests(house, "Ben")] == snapshots[3:]
    rows = house.rows("adopt")
    assert [row.snapshot for row in rows] == snapshots
    assert [row.profile for row in rows] == ["Ada", "Ada", "Ada", "Ben"]
    assert all(row.outcome is Outcome.COMPLETED and row.bytes_stored and row.notes for row in rows)
    # Anki's own files stay as they are, and nothing private is left behind.
    assert len(list((house.folder() / "backups").iterdir())) == 3
    assert list((house.cache / "staging").iterdir()) == []


def test_ankidroids_folder_is_one_of_backups_too(house: House) -> None:
    path = automatic(house)
    path.parent.rename(house.folder() / "backup")
    assert len(well(adopt(profile="Ada"))) == 1


def test_packages_in_the_folder_of_a_profile_are_its_own_and_others_need_its_name(house: House, tmp_path: Path) -> None:
    own = automatic(house, profile="Ben")
    shutil.copyfile(own, tmp_path / "elsewhere.colpkg")
    with pytest.raises(ProfileUnknown, match=r"elsewhere.colpkg .* Name the profile with --profile"):
        adopt([tmp_path / "elsewhere.colpkg"])
    assert house.rows("adopt") == []
    assert [report.profile for report in adopt([own]).reports] == ["Ben"]
    assert [report.profile for report in adopt([own.parent]).reports] == ["Ben"]
    with pytest.raises(ProfileUnknown):
        adopt([own], "Nobody")


def test_a_profile_that_only_the_repository_knows_can_be_named_too(house: House, tmp_path: Path) -> None:
    """The day after a laptop died: its packages lie on a stick, and there is no Anki here."""
    routine = back_up_well()
    package = shutil.move(automatic(house), tmp_path / PACKAGED)
    with house.set(base=tmp_path / "no-anki-here", host="another"):
        (snapshot,) = well(adopt([package], "Ada"))
    adopted, old_one = manifests(house)
    assert (adopted.id, old_one.id) == (snapshot, routine)
    assert (adopted.host, adopted.source) == (old_one.host, old_one.source)


# Times


def test_a_name_tells_the_time_before_all_else(house: House, tmp_path: Path) -> None:
    package = automatic(house)
    for name in ("Sammlung-2026-01-31@18-05-09.colpkg", "collection-20260131180509 (1).colpkg"):
        shutil.copyfile(package, tmp_path / name)
        (planned,) = plan_adoption([tmp_path / name], "Ada").packages
        assert planned.time is not None
        assert planned.time.told_by is TimeFrom.NAME
        assert planned.time.moment == datetime(2026, 1, 31, 18, 5, 9).astimezone()
        assert planned.time.moment.tzinfo is not None


@pytest.mark.parametrize("name", ["before the exam.colpkg", "backup-2099-01-01-10.00.00.colpkg", "backup-12.apkg"])
def test_without_a_time_in_its_name_a_package_is_of_when_its_collection_changed_last(
    house: House, tmp_path: Path, name: str
) -> None:
    package = automatic(house)
    path = Path(shutil.copyfile(package, tmp_path / name))
    os.utime(path, (1_600_000_000, 1_600_000_000))
    changed_ms = tables_of(house.collection())["col"][0][2]

    (snapshot,) = well(adopt([path], "Ada"))

    (manifest,) = manifests(house)
    assert manifest.id == snapshot
    assert abs(manifest.taken_at.timestamp() - changed_ms / 1000) < 0.001
    assert manifest.facts["time_from"] == "collection"


@pytest.mark.parametrize(("changed_ms", "told"), [(0, 1_600_000_000), (99_999_999_999_999, 1_600_000_000)])
def test_a_collection_that_never_changed_or_changed_in_the_future_leaves_it_to_the_files_time(
    house: House, tmp_path: Path, changed_ms: int, told: int
) -> None:
    with opened(house.collection()) as anki:
        assert anki.db is not None
        anki.db.execute("update col set mod = ?", changed_ms)
    path = Path(shutil.copyfile(automatic(house), tmp_path / "it.colpkg"))
    os.utime(path, (told, told))
    (planned,) = plan_adoption([path], "Ada").packages
    assert planned.time is not None
    assert (planned.time.told_by, planned.time.moment.timestamp()) == (TimeFrom.FILE, told)


# What can't be used


def _rewritten(path: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> None:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    path.write_bytes(made.zipped(change(members).items()))


def _bomb(path: Path) -> None:
    _rewritten(path, lambda members: {**members, "media": made.compressed(bytes(65 << 20))})


def _encrypted(path: Path) -> None:
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02", data.index(b"collection.anki21b"))
    while data[directory + 46 : directory + 64] != b"collection.anki21b":
        directory = data.index(b"PK\x01\x02", directory + 1)
    data[directory + 8] |= 1
    path.write_bytes(bytes(data))


def _torn(path: Path) -> None:
    def tear(members: dict[str, bytes]) -> dict[str, bytes]:
        whole = made.zstandard.ZstdDecompressor().decompressobj().decompress(members["collection.anki21b"])
        page = 4096 * (len(whole) // 4096 // 2)
        return {
            **members,
            "collection.anki21b": made.compressed(whole[:page] + bytes(4096 * 8) + whole[page + 4096 * 8 :]),
        }

    _rewritten(path, tear)


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:20_000]), "damaged or cut short"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "flipped": (
        lambda path: path.write_bytes(path.read_bytes()[:9_000] + b"\0" * 9 + path.read_bytes()[9_009:]),
        "damaged",
    ),
    "no zip": (lambda path: path.write_bytes(b"no package" * 99), "packages are zip files"),
    "a collection": (lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(4096)), "a collection itself"),
    "encrypted": (_encrypted, "encrypted"),
    "bomb": (_bomb, "unpacks to more than"),
    "future": (lambda path: _rewritten(path, lambda old: {**old, "meta": made.meta(9)}), "newer than this Recollect"),
    "only the note that asks for a newer Anki": (
        lambda path: _rewritten(path, lambda old: {name: old[name] for name in old if name != "collection.anki21b"}),
        "holds no collection",
    ),
    "the note beside a collection that it does not tell of": (
        lambda path: _rewritten(path, lambda old: {name: old[name] for name in old if name != "meta"}),
        "how it is laid out",
    ),
    "torn pages": (_torn, "is damaged"),
    "no database": (
        lambda path: _rewritten(path, lambda old: {**old, "collection.anki21b": made.compressed(b"no database" * 999)}),
        "not an SQLite database",
    ),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_what_can_not_be_used_is_named_in_a_sentence_and_costs_no_other(house: House, kind: str) -> None:
    spoil, why = UNUSABLE[kind]
    bad = automatic(house, "backup-2026-03-09-10.00.00.colpkg")
    spoil(bad)
    automatic(house)
    before = tree_of(house.folder())

    result = adopt()

    ended = {package.planned.path.name: package.report for package in result.packages}
    assert ended[PACKAGED].outcome is Outcome.COMPLETED
    report = ended[bad.name]
    assert (report.outcome, report.profile) == (Outcome.FAILED, "Ada")
    assert str(bad) in report.message
    assert why in report.message
    assert [manifest.facts["package"] for manifest in manifests(house)] == [PACKAGED]
    assert {row.outcome for row in house.rows("adopt")} == {Outcome.COMPLETED, Outcome.FAILED}
    assert tree_of(house.folder()) == before
    assert list((house.cache / "staging").iterdir()) == []


def test_packages_of_decks_are_refused_when_named_and_passed_over_in_a_folder(house: House, tmp_path: Path) -> None:
    decks = Path(shutil.copyfile(automatic(house), tmp_path / "Spanish.apkg"))
    whole = Path(shutil.copyfile(automatic(house), tmp_path / "backup-7.apkg"))
    named, other = adopt([decks, whole], "Ada").reports[::-1]
    assert (named.outcome, other.outcome) == (Outcome.FAILED, Outcome.COMPLETED)
    assert "holds some decks and not a whole collection" in named.message
    result = adopt([tmp_path], "Ada")
    assert [report.outcome for report in result.reports] == [Outcome.UNCHANGED]
    assert "Spanish.apkg" in " ".join(result.remarks)


def test_a_path_that_can_not_be_looked_at_costs_no_other(house: House, tmp_path: Path) -> None:
    (report,) = adopt([tmp_path / ("n" * 300 + ".colpkg")], "Ada").reports
    assert report.outcome is Outcome.FAILED
    assert report.row.reason not in {None, "unexpected"}


def test_a_path_where_nothing_lies_and_a_folder_without_packages_are_told(house: House, tmp_path: Path) -> None:
    (report,) = adopt([tmp_path / "none.colpkg"], "Ada").reports
    assert report.outcome is Outcome.FAILED
    assert "There is no package at" in report.message
    (tmp_path / "bare").mkdir()
    result = adopt([tmp_path / "bare"], "Ada")
    assert result.packages == ()
    assert "There is no package of a whole collection" in result.remarks[0]
    assert adopt().summary() == "There was nothing to adopt"


def test_a_damaged_media_file_costs_no_other_and_is_told_and_counted(house: House, tmp_path: Path) -> None:
    path = exported(house, tmp_path / "it.colpkg", media=True, legacy=False)
    media = digests(house.media())

    def swapped(members: dict[str, bytes]) -> dict[str, bytes]:
        return {**members, "0": made.compressed(b"another file of another length")}

    _rewritten(path, swapped)
    (report,) = adopt([path], "Ada").reports
    assert report.outcome is Outcome.COMPLETED
    assert len(report.remarks) == 1
    assert "can't be used" in report.remarks[0]
    (manifest,) = manifests(house)
    assert (manifest.facts["media_files"], manifest.facts["media_left_out"]) == (len(media) - 1, 1)
    restored = digests(house.restored(tmp_path / "restored") / MEDIA)
    assert len(restored) == len(media) - 1
    assert restored.items() <= media.items()


def test_a_package_that_is_written_to_meanwhile_is_left_for_the_next_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = automatic(house)
    whole = path.read_bytes()
    prove = packaged_collection.prove_copy

    def proven(*args: Any) -> Any:
        path.write_bytes(whole + b"more")
        return prove(*args)

    monkeypatch.setattr(packaged_collection, "prove_copy", proven)
    (report,) = adopt().reports
    assert (report.outcome, report.row.reason) == (Outcome.SKIPPED, "source-busy")
    assert house.snapshots() == []
    monkeypatch.undo()
    path.write_bytes(whole)
    with house.set():
        assert len(well(adopt())) == 1


def test_a_repository_that_is_full_ends_it_and_says_how_many_were_not_tried(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (8, 9, 10):
        automatic(house, f"backup-2026-03-{day:02}-10.00.00.colpkg")
    full = StoreFull("The disk is full", "Free some space")
    monkeypatch.setattr(chain, "adopt_package", lambda *_, **__: (_ for _ in ()).throw(full))
    result = adopt()
    assert [report.outcome for report in result.reports] == [Outcome.FAILED]
    assert result.remarks == ("Packages that were not tried after that: 2",)


# What went between them


def a_day(house: House, day: int, *, without: str) -> None:
    with opened(house.collection()) as anki:
        gone = anki.find_notes(f'front:"{without}"')
        assert len(gone) == 1
        anki.remove_notes(gone)
    automatic(house, f"backup-2026-03-{day:02}-10.00.00.colpkg")


def test_what_was_deleted_between_adopted_backups_and_up_to_the_first_of_ours_can_be_had_back(house: House) -> None:
    for front in ("one", "two", "three"):
        add_note(house.collection(), front)
    automatic(house, "backup-2026-03-08-10.00.00.colpkg")
    a_day(house, 9, without="one")
    a_day(house, 10, without="two")
    with opened(house.collection()) as anki:
        anki.remove_notes(anki.find_notes("front:three"))
    first = back_up_well()

    result = adopt()

    adopted = well(result)
    assert result.remarks == ("Ada: 4 snapshots were compared: 3 deleted notes are new to the archive",)
    told = {note.fields[0]: note for note in deleted_notes("Ada").all if note.deck is not None}
    assert {front: (note.last_snapshot, note.gone_in) for front, note in told.items()} == {
        "one": (adopted[0], adopted[1]),
        "two": (adopted[1], adopted[2]),
        "three": (adopted[2], first),
    }
    (row,) = [row for row in house.rows("deletion-log-archive") if row.profile == "Ada"]
    assert (row.outcome, row.deletions_archived) == (Outcome.COMPLETED, 3)
    assert adopt().remarks == ()
    assert len(house.rows("deletion-log-archive")) == 1
    assert list((house.cache / "staging").iterdir()) == []


def test_an_archive_that_fails_costs_no_adopted_snapshot_and_the_command_that_mends_it_is_named(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_note(house.collection(), "one")
    automatic(house, "backup-2026-03-08-10.00.00.colpkg")
    a_day(house, 9, without="one")
    full = StoreFull("The disk is full", "Free some space")
    with monkeypatch.context() as failing:
        failing.setattr("tasks.rescan_deletions.archive_notes", lambda *_, **__: (_ for _ in ()).throw(full))
        result = adopt()
    assert len(well(result)) == 2
    (remark,) = result.remarks
    assert "The disk is full" in remark
    assert "`recollect deleted 'Ada' --rescan`" in remark
    assert rescan_deletions("Ada").row.deletions_archived == 1


# Again


def test_adopting_again_adopts_nothing_twice_and_writes_nothing(house: House, tmp_path: Path) -> None:
    automatic(house)
    first = exported(house, tmp_path / "by hand.colpkg", media=True, legacy=False)
    snapshots = well(adopt()) + well(adopt([first], "Ada"))
    before = tree_of(Path(house.repo))

    again = [*adopt().reports, *adopt([first], "Ada").reports]

    assert [report.outcome for report in again] == [Outcome.UNCHANGED] * 2
    assert [report.row.snapshot for report in again] == snapshots
    assert "was adopted before" in again[0].message
    assert tree_of(Path(house.repo)) == before


def test_a_package_is_known_by_its_content_wherever_it_lies_and_whatever_is_forgotten(
    house: House, tmp_path: Path
) -> None:
    path = automatic(house)
    well(adopt())
    shutil.rmtree(house.cache)
    (tmp_path / "stick").mkdir()
    copy = Path(shutil.copyfile(path, tmp_path / "stick" / path.name))
    nameless = Path(shutil.copyfile(path, tmp_path / "nameless.colpkg"))
    with house.set():
        for result in (adopt(), adopt([copy, nameless], "Ada")):
            assert {report.outcome for report in result.reports} == {Outcome.UNCHANGED}
    assert len(house.snapshots()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows takes no zone from the environment")
def test_a_journey_to_another_time_zone_makes_no_package_a_new_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def living_in(zone: str) -> Iterator[None]:
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        try:
            yield
        finally:
            monkeypatch.delenv("TZ")
            time.tzset()

    automatic(house)
    with living_in("Asia/Tokyo"):
        well(adopt())
        (manifest,) = manifests(house)
        assert manifest.taken_at.isoformat() == "2026-03-10T12:30:45+09:00"
    shutil.rmtree(house.cache)
    with living_in("America/New_York"), house.set():
        assert [report.outcome for report in adopt().reports] == [Outcome.UNCHANGED]


def test_of_two_copies_in_one_run_one_is_adopted(house: House, tmp_path: Path) -> None:
    path = automatic(house)
    (tmp_path / "stick").mkdir()
    copy = Path(shutil.copyfile(path, tmp_path / "stick" / path.name))
    result = adopt([path, copy], "Ada")
    assert len(well(result)) == 1
    assert "is a copy of" in result.remarks[0]


def test_what_was_let_go_comes_back_only_when_it_is_named(house: House) -> None:
    path = automatic(house)
    back_up_well()
    (snapshot,) = well(adopt())
    assert forget("Ada", [snapshot]).outcome is Outcome.COMPLETED
    (report,) = adopt().reports
    assert report.outcome is Outcome.UNCHANGED
    assert "let go since" in report.message
    (named,) = well(adopt([path]))
    assert named != snapshot


def test_a_plan_tells_times_and_sizes_and_changes_nothing(house: House, tmp_path: Path) -> None:
    path = automatic(house)
    hand = exported(house, tmp_path / "by hand.colpkg", media=True, legacy=False)
    (planned,) = plan_adoption().packages
    assert (planned.owner.name, planned.adoptable is not None) == ("Ada", True)
    assert planned.file is not None
    assert planned.file.size == path.stat().st_size
    assert planned.time is not None
    assert planned.time.moment == AT
    (by_hand,) = plan_adoption([hand], "Ada").packages
    assert by_hand.media_files == len(digests(house.media()))
    assert not Path(house.repo).exists()
    well(adopt())
    (again,) = plan_adoption().packages
    assert (again.adopted_as, again.adoptable) == (house.snapshots()[0].id, None)


# What it costs


def test_a_dozen_backups_with_small_changes_between_cost_little_more_than_one(house: House) -> None:
    with opened(house.collection()) as anki:
        note_type = anki.models.by_name("Basic")
        assert note_type is not None
        requests = []
        for number in range(6_000):
            note = anki.new_note(note_type)
            note.fields = [f"front {number}", random.Random(number).randbytes(150).hex()]
            requests.append(AddNoteRequest(note, anki.decks.get_current_id()))
        anki.add_notes(requests)
    whole = []
    for day in range(1, 13):
        add_note(house.collection(), f"note of day {day}")
        answer_a_card(house.collection())
        whole.append(automatic(house, f"backup-2026-03-{day:02}-10.00.00.colpkg").stat().st_size)
    packages = sorted((house.folder() / "backups").iterdir())
    well(adopt(packages[:1]))
    of_one = bytes_stored(house)

    result = adopt(packages)

    assert [report.outcome for report in result.reports] == [Outcome.UNCHANGED] + [Outcome.COMPLETED] * 11
    assert len(house.snapshots()) == 12
    assert bytes_stored(house) < 1.4 * of_one
    # Anki keeps each of them whole.
    assert bytes_stored(house) < 0.2 * sum(whole)
    pages = house.collection().stat().st_size // 4096
    for report in result.reports[1:]:
        assert report.row.bytes_new is not None
        assert report.row.bytes_new / 4096 < 0.03 * pages


def test_what_a_backup_has_stored_is_not_stored_again(house: House, tmp_path: Path) -> None:
    back_up_well()
    path = exported(house, tmp_path / "it.colpkg", media=True, legacy=False)
    (report,) = adopt([path], "Ada").reports
    media = {os.fsdecode(name) for name in digests(house.media())}
    assert media
    assert report.row.bytes_new is not None
    assert report.row.media_bytes is not None
    # Some pages of what Anki notes when it closes and opens, and the listing, which names no times.
    assert report.row.bytes_new < 0.4 * (house.collection().stat().st_size + report.row.media_bytes)


def test_no_piece_is_fetched_to_store_a_package(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    back_up_well()
    automatic(house)
    monkeypatch.setattr(chain, "archive_deletions_around", lambda *_: None)
    monkeypatch.setattr("storage.repository.Repository.read", never)
    assert len(well(adopt())) == 1


def test_there_is_one_collection_at_a_time_in_the_private_folder_and_never_a_media_file(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging = house.cache / "staging"
    seen: list[list[str]] = []

    class Watching:
        @contextmanager
        def stage(self, _what: str, _total: int | None, _files: int | None = None) -> Iterator[Any]:
            yield self

        def advance(self, _amount: int, files: int = 0) -> None:
            del files
            seen.append([path.name for path in staging.rglob("*") if path.is_file()])

    for day in (8, 9, 10):
        automatic(house, f"backup-2026-03-{day:02}-10.00.00.colpkg")
    exported(house, house.folder() / "backups" / "by hand.colpkg", media=True, legacy=True)
    monkeypatch.setattr(chain, "archive_deletions_around", lambda *_: None)
    with listening(Watching()):
        well(adopt())
    assert max(len(names) for names in seen) == 1
    assert {name for names in seen for name in names} == {COLLECTION}
