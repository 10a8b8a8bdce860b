"""Notes recovered out of a real repository: found, written as what Anki imports, or added to the profile."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flows.chains.recover import RecoverPlan, Recovery, recover
from flows.chains.restore import restore
from profiles.errors import NotesMissing
from storage.errors import Damaged
from storage.format.audit_row import Outcome
from storage.format.blob import BlobId, pack_name
from storage.format.manifest import Manifest
from storage.listings import read_pieces
from storage.repository import Repository
from storage.retrieval import folder_entries
from tasks.catalog import SAFETY
from tasks.find_notes import Wanted
from tests.flows.chains.house import House, anki_open, back_up_well, opened, tree_of
from tests.profiles.recovery.living import (
    SCIENCE,
    SPANISH,
    VERBS,
    add,
    deck_id_of,
    import_package,
    import_text,
    make_collection,
    note_ids,
    rows,
    schema_modified,
)
from tests.servers.anki_sync import AnkiSyncServer, anki_sync_server

_USERS = {f"user{number}": "secret" for number in range(12)}
_NEXT_USER = itertools.cycle(_USERS)


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("living") / "collection.anki2"
    make_collection(path)
    return path


@pytest.fixture
def ada(house: House, living: Path) -> House:
    """Ada, with the collection of somebody who learns Spanish, and a picture and a sound in one note."""
    shutil.rmtree(house.media())
    house.media().mkdir()
    shutil.copyfile(living, house.collection())
    with opened(house.collection()) as anki:
        anki.media.write_data("perro.jpg", b"a dog")
        anki.media.write_data("other.png", b"in no note")
        add(anki, "Basic", SPANISH, ('<img src="perro.jpg">', "[sound:wuff.mp3]"), ["animal"])
        anki.media.write_data("wuff.mp3", b"wuff " * 3_000_000)
    return house


def recovered(*notes: int, **options: object) -> Recovery:
    """A recovery that went well."""
    report, recovery = recover(Wanted(notes), **options)  # type: ignore[arg-type]
    assert report.outcome is Outcome.COMPLETED, report.message
    return recovery


def into_copy(house: House, package: Path, tmp_path: Path) -> Path:
    """The profile's collection as it would be after Anki's own import of a package."""
    copy = tmp_path / f"copy-of-{package.stem}" / "collection.anki2"
    copy.parent.mkdir()
    shutil.copyfile(house.collection(), copy)
    with opened(copy) as anki:
        import_package(anki, package)
    return copy


def forget(house: House, search: str) -> list[int]:
    """Delete notes as the browser does; their ids."""
    with opened(house.collection()) as anki:
        found = list(anki.find_notes(search))
        anki.remove_notes(found)
    return sorted(found)


# Deleted in each of the ways there are, and synced.


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnkiSyncServer]:
    with anki_sync_server(tmp_path_factory.mktemp("server"), _USERS) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Devices:
    """Ada's computer and her phone, in sync."""

    server: AnkiSyncServer
    user: str
    home: Path
    phone: Path

    def sync(self, path: Path) -> str:
        with opened(path) as collection:
            return self.server.sync(collection, self.user)


@pytest.fixture
def devices(server: AnkiSyncServer, ada: House, tmp_path: Path) -> Devices:
    made = Devices(server, next(_NEXT_USER), ada.collection(), tmp_path / "phone" / "collection.anki2")
    with opened(made.home) as collection:
        assert server.sync(collection, made.user, upload=True) == "FULL_UPLOAD"
    made.phone.parent.mkdir()
    with opened(made.phone) as collection:
        assert server.sync(collection, made.user, upload=False) == "FULL_DOWNLOAD"
    return made


def in_the_browser(devices: Devices) -> None:
    with opened(devices.home) as collection:
        collection.remove_notes(collection.find_notes(f"deck:{SPANISH}"))
    devices.sync(devices.home)
    devices.sync(devices.phone)


def with_their_deck(devices: Devices) -> None:
    with opened(devices.home) as collection:
        collection.decks.remove([deck_id_of(collection, SPANISH)])
    devices.sync(devices.home)
    devices.sync(devices.phone)


def on_the_phone(devices: Devices) -> None:
    with opened(devices.phone) as collection:
        collection.remove_notes(collection.find_notes(f"deck:{SPANISH}"))
    devices.sync(devices.phone)
    devices.sync(devices.home)


def straight_into_the_profile(notes: tuple[int, ...], devices: Devices, tmp_path: Path) -> None:
    recovery = recovered(*notes)
    assert [(added.new, added.updated, added.duplicates) for added in recovery.added] == [(len(notes), 0, 0)]


def by_ankis_import(notes: tuple[int, ...], devices: Devices, tmp_path: Path) -> None:
    package = tmp_path / "notes.apkg"
    assert recovered(*notes, to=package).files == [package]
    with opened(devices.home) as collection:
        import_package(collection, package)


@pytest.mark.parametrize("bring_back", [straight_into_the_profile, by_ankis_import])
@pytest.mark.parametrize("delete", [in_the_browser, with_their_deck, on_the_phone])
def test_deleted_notes_come_back_as_they_were_and_the_next_sync_carries_them_on(
    ada: House,
    devices: Devices,
    tmp_path: Path,
    delete: Callable[[Devices], None],
    bring_back: Callable[[tuple[int, ...], Devices, Path], None],
) -> None:
    chosen = tuple(note_ids(devices.home, f"deck:{SPANISH}"))
    original = rows(devices.home, chosen)
    assert [len(original[table]) for table in ("notes", "cards", "reviews")] == [13, 25, 5]
    held = back_up_well()
    delete(devices)
    assert rows(devices.home, chosen) == {"notes": [], "cards": [], "reviews": []}
    gone = back_up_well()
    with opened(devices.home) as collection:
        add(collection, "Basic", SCIENCE, ("written since", ""))
        others = [note for note in collection.find_notes("") if note not in chosen]
    kept, schema = rows(devices.home, others), schema_modified(devices.home)

    bring_back(chosen, devices, tmp_path)

    assert held != gone
    assert rows(devices.home, chosen) == original
    assert rows(devices.home, others) == kept
    assert schema_modified(devices.home) == schema
    with opened(devices.home) as collection:
        assert devices.server.needed(collection, devices.user) == "NORMAL_SYNC"
    assert devices.sync(devices.home) == "NO_CHANGES"
    assert devices.sync(devices.phone) == "NO_CHANGES"
    assert rows(devices.phone, chosen) == original
    assert rows(devices.phone, others) == kept
    (row,) = ada.rows("recover")
    assert (row.outcome, row.profile, row.snapshot) == (Outcome.COMPLETED, "Ada", held)
    assert held in (row.message or "")


def test_an_older_version_of_a_note_that_is_still_there_comes_back_only_when_asked_for_and_syncs(
    ada: House, devices: Devices
) -> None:
    (note,) = note_ids(devices.home, "gato 2")
    before = rows(devices.home, [note])
    held = back_up_well()
    with opened(devices.home) as collection:
        found = collection.get_note(note)  # type: ignore[arg-type]
        found["Meaning"] = "written over by mistake"
        collection.update_note(found)
    assert devices.sync(devices.home) == devices.sync(devices.phone) == "NO_CHANGES"
    changed, schema = rows(devices.home, [note]), schema_modified(devices.home)

    report, recovery = recover(Wanted((note,)), snapshot=held)
    assert [(added.updated, added.duplicates) for added in recovery.added] == [(0, 1)]
    assert any("--overwrite" in remark for remark in report.remarks)
    assert rows(devices.home, [note]) == changed

    assert recovered(note, snapshot=held, overwriting=True).added[0].updated == 1
    assert rows(devices.home, [note])["notes"] == before["notes"]
    assert rows(devices.home, [note])["cards"] == changed["cards"]
    assert schema_modified(devices.home) == schema
    assert devices.sync(devices.home) == devices.sync(devices.phone) == "NO_CHANGES"
    assert rows(devices.phone, [note])["notes"] == before["notes"]


# Which snapshot.


def test_each_note_comes_from_the_newest_snapshot_that_still_holds_it(ada: House, tmp_path: Path) -> None:
    cats, dogs = note_ids(ada.collection(), "gato"), note_ids(ada.collection(), "perro 1")
    before = rows(ada.collection(), [*cats, *dogs])
    both = back_up_well()
    forget(ada, "gato")
    one = back_up_well()
    forget(ada, '"perro 1"')
    back_up_well()

    report, recovery = recover(Wanted((*cats, *dogs, 4711)), to=tmp_path / "lost.apkg")

    assert report.outcome is Outcome.COMPLETED
    assert [(found.manifest.id, found.notes) for found in recovery.found.found] == [
        (one, tuple(dogs)),
        (both, tuple(sorted(cats))),
    ]
    assert [path.name for path in recovery.files] == [f"lost-{one}.apkg", f"lost-{both}.apkg"]
    assert all(f"{snapshot}, taken" in report.message for snapshot in (one, both))
    assert any("Not in any of 3 snapshots: the note 4711" in remark for remark in report.remarks)
    copy = ada.collection()
    for package in recovery.files:
        copy = into_copy(ada, package, tmp_path)
        held = [note for note in (*cats, *dogs) if rows(copy, [note])["notes"]]
        assert rows(copy, held) == {
            table: [row for row in found if row in before[table]] for table, found in rows(copy, held).items()
        }
        assert held == (dogs if one in package.name else sorted(cats))
    recovered(*cats, *dogs)
    assert rows(ada.collection(), [*cats, *dogs]) == before


def test_what_did_not_change_between_snapshots_is_not_fetched_again(
    ada: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = note_ids(ada.collection(), '"gato 2"')
    back_up_well()
    forget(ada, '"gato 2"')
    for number in range(4):
        with opened(ada.collection()) as anki:
            add(anki, "Basic", SCIENCE, (f"one more {number}", ""))
        back_up_well()
    states = [pages_of(ada, ref.id) for ref in reversed(ada.snapshots())]
    needed = Counter(set(states[0]))
    for later, earlier in pairwise(states):
        needed += Counter(
            {page: 1 for at, page in enumerate(earlier) if later[at : at + 1] != [page]},
        )
    ada.base.rename(ada.base.with_name("elsewhere"))
    asked = fetched_pieces(monkeypatch)
    assert recovered(*notes, to=tmp_path / "a.apkg", profile="Ada").found.looked_into == len(states) == 5
    assert {page: asked[page] for page in needed} == needed
    assert needed.total() < len(states) * len(states[0]) / 2


def pages_of(house: House, snapshot: str) -> list[BlobId]:
    stored = manifest_of(house, snapshot).file("collection.anki2")
    assert stored is not None
    return read_pieces(house.repository.read_nodes, stored.pieces)


def test_what_the_profile_here_shares_with_a_snapshot_is_not_fetched(
    ada: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = note_ids(ada.collection(), '"gato 2"')
    back_up_well()
    forget(ada, '"gato 2"')
    asked = fetched_pieces(monkeypatch)
    with anki_open(ada.collection()):
        recovered(*notes, to=tmp_path / "a.apkg")
    assert 0 < len(asked) < ada.collection().stat().st_size // 4096 / 3


def fetched_pieces(monkeypatch: pytest.MonkeyPatch) -> Counter[BlobId]:
    """How often each piece is fetched from now on."""
    asked: Counter[BlobId] = Counter()
    read = Repository.read

    def watched(repository: Repository, blobs: Iterable[BlobId], **options: Any) -> Iterator[tuple[BlobId, bytes]]:
        wanted = list(blobs)
        asked.update(wanted)
        return read(repository, wanted, **options)

    monkeypatch.setattr(Repository, "read", watched)
    return asked


@pytest.mark.parametrize("emptied", [False, True])
def test_a_deck_that_is_gone_comes_from_the_newest_snapshot_that_has_it_and_all_else_from_latest(
    ada: House, tmp_path: Path, emptied: bool
) -> None:
    verbs = tuple(note_ids(ada.collection(), f"deck:{VERBS}"))
    back_up_well()
    held = back_up_well(force=True)
    with opened(ada.collection()) as collection:
        if emptied:
            collection.remove_notes(collection.find_notes(f"deck:{VERBS}"))
        else:
            collection.decks.remove([deck_id_of(collection, VERBS)])
    latest = back_up_well()
    science = tuple(note_ids(ada.collection(), f"deck:{SCIENCE}"))

    report, recovery = recover(Wanted(decks=(VERBS, SCIENCE, "Latin")), to=tmp_path / "a.apkg")
    assert report.outcome is Outcome.COMPLETED, report.message
    assert [(one.manifest.id, one.notes) for one in recovery.found.found] == [(latest, science), (held, verbs)]
    assert any("Not in any of 3 snapshots: the deck 'Latin'" in remark for remark in report.remarks)
    report, _ = recover(Wanted(decks=("Latin",)), to=tmp_path / "b.apkg")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, NotesMissing.code)


def test_what_is_looked_for_in_one_snapshot_is_looked_for_nowhere_else(ada: House, tmp_path: Path) -> None:
    (note,) = note_ids(ada.collection(), '"gato 2"')
    verbs = note_ids(ada.collection(), f"deck:{VERBS}")
    held = back_up_well()
    forget(ada, '"gato 2"')
    with opened(ada.collection()) as collection:
        collection.decks.remove([deck_id_of(collection, VERBS)])
    latest = back_up_well()

    for wanted, snapshot in (
        (Wanted(search="tag:verb::ser"), None),
        (Wanted((note,)), "latest"),
        (Wanted(decks=(VERBS,)), latest),
    ):
        report, _ = recover(wanted, snapshot=snapshot, to=tmp_path / "a.apkg")
        assert (report.outcome, report.row.reason) == (Outcome.FAILED, NotesMissing.code)
        assert all(part in report.message for part in (latest, "recollect snapshots"))
    assert not (tmp_path / "a.apkg").exists()
    report, recovery = recover(Wanted(decks=(VERBS,), search="gato"), snapshot=held, to=tmp_path / "a.apkg")
    assert report.outcome is Outcome.COMPLETED
    assert recovery.found.notes == len(verbs) + 4
    report, _ = recover(Wanted(search="deck:("), to=tmp_path / "b.apkg")
    assert report.row.reason == "search-invalid"


def test_ids_that_no_snapshot_holds_are_named_and_nothing_is_written(ada: House, tmp_path: Path) -> None:
    back_up_well()
    for options in ({"to": tmp_path / "a.apkg"}, {"text": tmp_path / "texts"}, {}):
        report, _ = recover(Wanted((4711, 4712)), **options)  # type: ignore[arg-type]
        assert (report.outcome, report.row.reason) == (Outcome.FAILED, NotesMissing.code)
        assert "Not in any of 1 snapshots: the notes 4711, 4712" in report.message
    assert not (tmp_path / "a.apkg").exists()
    assert not (tmp_path / "texts").exists()
    assert recover(Wanted(), to=tmp_path / "a.apkg")[0].row.reason == NotesMissing.code
    assert len(ada.snapshots()) == 1


def test_a_snapshot_that_is_damaged_is_named_and_an_older_one_serves(ada: House, tmp_path: Path) -> None:
    (note,) = note_ids(ada.collection(), '"gato 2"')
    back_up_well()
    packs = {item.name for item in ada.repository.store.list("packs")}
    with opened(ada.collection()) as anki:
        add(anki, "Basic", SCIENCE, ("one more", "x" * 50_000))
    broken = back_up_well()
    forget(ada, '"gato 2"')
    back_up_well()
    for item in ada.repository.store.list("packs"):
        if item.name not in packs:
            ada.repository.store.remove(item.name)
    shutil.rmtree(ada.cache)
    ada.base.rename(ada.base.with_name("elsewhere"))
    report, recovery = recover(Wanted((note,)), to=tmp_path / "a.apkg", profile="Ada")
    assert report.outcome is Outcome.COMPLETED, report.message
    assert recovery.found.found[0].notes == (note,)
    assert any(f"The snapshot {broken} could not be looked into: Damage" in remark for remark in report.remarks)


# What lacks something, and what is in the way.


def test_media_come_along_and_no_others_are_fetched(ada: House, tmp_path: Path) -> None:
    (note,) = note_ids(ada.collection(), "perro.jpg")
    back_up_well()
    forget(ada, "perro.jpg")
    for file in ada.media().iterdir():
        file.unlink()
    recovery = recovered(note)
    assert recovery.packages[0].cut.media == ("perro.jpg", "wuff.mp3")
    assert {file.name: file.read_bytes() for file in ada.media().iterdir()} == {
        "perro.jpg": b"a dog",
        "wuff.mp3": b"wuff " * 3_000_000,
    }


@pytest.mark.parametrize("into", [True, False])
def test_media_that_are_damaged_are_named_and_all_else_comes_back(ada: House, tmp_path: Path, into: bool) -> None:
    (note,) = note_ids(ada.collection(), "perro.jpg")
    before = rows(ada.collection(), [note])
    held = back_up_well()
    forget(ada, "perro.jpg")
    (ada.media() / "wuff.mp3").unlink()
    (ada.media() / "perro.jpg").unlink()
    lose_media(ada, held, b"wuff.mp3", part=1)
    target = None if into else tmp_path / "a.apkg"
    report, recovery = recover(Wanted((note,)), to=target)
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, Damaged.code)
    assert "lacking: wuff.mp3" in report.message
    assert held in report.message
    assert recovery.packages[0].damaged_media == ("wuff.mp3",)
    assert recovery.packages[0].missing_media == ()
    copy = ada.collection() if target is None else into_copy(ada, target, tmp_path)
    assert rows(copy, [note]) == before
    assert (copy.with_name("collection.media") / "perro.jpg").read_bytes() == b"a dog"
    assert not (copy.with_name("collection.media") / "wuff.mp3").exists()


def test_media_that_the_snapshot_never_had_are_told_and_no_failure(ada: House, tmp_path: Path) -> None:
    (ada.media() / "perro.jpg").unlink()
    (note,) = note_ids(ada.collection(), "perro.jpg")
    back_up_well()
    report, recovery = recover(Wanted((note,)), to=tmp_path / "a.apkg")
    assert report.outcome is Outcome.COMPLETED
    assert recovery.packages[0].missing_media == ("perro.jpg",)
    assert any("does not have all media" in remark and "perro.jpg" in remark for remark in report.remarks)


def test_a_media_listing_that_is_lost_costs_the_media_alone(ada: House, tmp_path: Path) -> None:
    (note,) = note_ids(ada.collection(), "perro.jpg")
    held = back_up_well()
    folder = manifest_of(ada, held).folder("collection.media")
    assert folder is not None
    assert folder.entries.root is not None
    lose(ada, folder.entries.root)
    report, recovery = recover(Wanted((note,)), to=tmp_path / "a.apkg")
    assert report.row.reason == Damaged.code
    assert recovery.packages[0].damaged_media == ("perro.jpg", "wuff.mp3")
    assert rows(into_copy(ada, tmp_path / "a.apkg", tmp_path), [note]) == rows(ada.collection(), [note])


def lose_media(house: House, snapshot: str, name: bytes, *, part: int) -> None:
    """Let a part of a media file of a snapshot be damaged."""
    repository = house.repository
    folder = manifest_of(house, snapshot).folder("collection.media")
    assert folder is not None
    (entry,) = (entry for entry in folder_entries(repository, folder) if entry.name == name)
    lose(house, read_pieces(repository.read_nodes, entry.content)[part])


def lose(house: House, blob: BlobId) -> None:
    """Damage a piece where it lies, and nothing beside it."""
    repository = house.repository
    place = repository.index().find(blob)
    assert place is not None
    path = Path(house.repo) / pack_name(place.pack)
    content = bytearray(path.read_bytes())
    content[place.offset + place.stored // 2] ^= 1
    path.write_bytes(bytes(content))
    shutil.rmtree(house.cache)


def manifest_of(house: House, snapshot: str) -> Manifest:
    (ref,) = (ref for ref in house.snapshots() if ref.id == snapshot)
    return house.manifest(ref)


def test_text_files_come_back_through_ankis_text_import(ada: House, tmp_path: Path) -> None:
    gatos, perros = note_ids(ada.collection(), "gato"), note_ids(ada.collection(), '"perro 1"')
    before = {row[0]: row[5] for row in rows(ada.collection(), [*gatos, *perros])["notes"]}
    back_up_well()
    forget(ada, "gato")
    back_up_well()
    report, recovery = recover(Wanted((*gatos, *perros)), text=tmp_path / "texts")
    assert report.outcome is Outcome.COMPLETED, report.message
    assert {path.parent.parent for path in recovery.files} == {tmp_path / "texts"}
    with opened(ada.collection()) as anki:
        for path in recovery.files:
            import_text(anki, path.read_text(encoding="utf-8"))
        back = {anki.get_note(note).joined_fields() for note in anki.find_notes("gato or perro*1")}
    assert back == set(before.values())
    one = recovered(*gatos, text=tmp_path / "one").files
    assert [path.parent for path in one] == [tmp_path / "one"]
    report, _ = recover(Wanted(tuple(gatos)), text=tmp_path / "one")
    assert "is not empty" in report.message


def test_overwriting_text_files_set_a_note_back_in_ankis_text_import(ada: House, tmp_path: Path) -> None:
    (note,) = note_ids(ada.collection(), '"gato 2"')
    held = back_up_well()
    with opened(ada.collection()) as anki:
        found = anki.get_note(note)  # type: ignore[arg-type]
        found["Meaning"] = "wrong"
        anki.update_note(found)
    for overwriting, meaning in ((False, "wrong"), (True, "cat")):
        options = {"snapshot": held, "text": tmp_path / str(overwriting), "overwriting": overwriting}
        (file,) = recovered(note, **options).files
        with opened(ada.collection()) as anki:
            import_text(anki, file.read_text(encoding="utf-8"))
            assert anki.get_note(note)["Meaning"] == meaning  # type: ignore[arg-type]


def test_the_state_before_is_kept_first_and_restores_itself(ada: House) -> None:
    note = note_ids(ada.collection(), '"gato 2"')
    back_up_well()
    forget(ada, '"gato 2"')
    with opened(ada.collection()) as anki:
        add(anki, "Basic", SCIENCE, ("in no snapshot yet", ""))
    before = rows(ada.collection(), everything := note_ids(ada.collection()))
    recovered(*note)
    safety = ada.snapshots()[-1]
    assert ada.manifest(safety).facts["purpose"] == SAFETY
    assert restore("Ada", safety.id).outcome is Outcome.COMPLETED
    assert rows(ada.collection(), everything) == before
    assert note_ids(ada.collection()) == everything


def test_an_open_anki_is_named_and_nothing_is_changed(ada: House) -> None:
    note = note_ids(ada.collection(), '"gato 2"')
    back_up_well()
    with anki_open(ada.collection()) as pid:
        before = tree_of(ada.base)
        report, _ = recover(Wanted(tuple(note)))
        assert tree_of(ada.base) == before
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "anki-is-open")
    assert str(pid) in report.message
    assert len(ada.snapshots()) == 1


def test_a_plan_that_is_not_confirmed_changes_nothing(ada: House) -> None:
    note = forget_after_backup(ada)
    before = tree_of(ada.base)
    shown: list[str] = []

    def refused(plan: RecoverPlan) -> bool:
        shown.append(plan.as_text())
        return False

    report, _ = recover(Wanted((note,)), confirmed=refused)
    assert (report.outcome, report.row.reason) == (Outcome.SKIPPED, "not-confirmed")
    assert all(part in shown[0] for part in (str(note), ada.snapshots()[0].id, "safety snapshot", "left as they are"))
    assert tree_of(ada.base) == before
    assert len(ada.snapshots()) == 1


def forget_after_backup(house: House) -> int:
    back_up_well()
    (note,) = forget(house, '"gato 2"')
    return note


def test_a_note_type_that_is_gone_comes_back_with_its_note_and_is_told(ada: House) -> None:
    note = forget_after_backup(ada)
    with opened(ada.collection()) as anki:
        found = anki.models.by_name("Vocabulary")
        assert found is not None
        anki.models.remove(found["id"])
    report, _ = recover(Wanted((note,)))
    assert report.outcome is Outcome.COMPLETED
    assert any("'Vocabulary' was not in the collection any more" in remark for remark in report.remarks)


def test_what_is_in_the_way_is_told_before_anything_is_fetched(
    ada: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = forget_after_backup(ada)
    (tmp_path / "there.apkg").write_bytes(b"mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    asked = fetched_pieces(monkeypatch)
    for options in (
        {"to": tmp_path / "there.apkg"},
        {"to": tmp_path / "nowhere" / "a.apkg"},
        {"text": tmp_path / "full"},
    ):
        report, _ = recover(Wanted((note,)), **options)  # type: ignore[arg-type]
        assert (report.outcome, report.row.reason) == (Outcome.FAILED, "target-unusable")
    assert not asked
    assert (tmp_path / "there.apkg").read_bytes() == b"mine"


def test_a_profile_that_is_not_here_can_be_written_but_not_recovered_into(ada: House, tmp_path: Path) -> None:
    note = forget_after_backup(ada)
    ada.base.rename(ada.base.with_name("elsewhere"))
    report, _ = recover(Wanted((note,)), profile="Ada")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "profile-unknown")
    assert recovered(note, to=tmp_path / "a.apkg", profile="Ada").files == [tmp_path / "a.apkg"]


def test_of_several_packages_none_stays_when_one_fails(
    ada: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gatos, perros = note_ids(ada.collection(), "gato"), note_ids(ada.collection(), '"perro 1"')
    first = back_up_well()
    forget(ada, "gato")
    back_up_well()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"a-{first}.apkg").write_bytes(b"mine")
    report, recovery = recover(Wanted((*gatos, *perros)), to=tmp_path / "out" / "a.apkg")
    assert (report.outcome, report.row.reason) == (Outcome.FAILED, "target-unusable")
    assert [path.read_bytes() for path in (tmp_path / "out").iterdir()] == [b"mine"]
    assert recovery.files == []
