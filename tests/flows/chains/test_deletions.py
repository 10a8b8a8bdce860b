"""Deleted notes are archived however they went, each told once, and a backup that finds none gone pays nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from anki.collection import Collection
from anki.notes import NoteId

from flows.chains import storing
from flows.chains.backup import back_up
from flows.chains.deletions import deleted_notes, rescan_deletions
from flows.chains.forget import forget
from flows.chains.prune import prune
from flows.chains.restore import restore
from storage.errors import SnapshotUnknown, StoreUnreachable
from storage.format.audit_row import Outcome
from storage.format.blob import BlobId
from storage.format.deletion_table import ArchivedNote, How
from storage.format.manifest import SnapshotId, new_snapshot_id
from storage.repository import Repository
from tasks import vanished
from tasks.catalog import SAFETY
from tasks.job import memory_of
from tasks.known_notes import KnownNotes, known_in, remembered
from tests.faults.faulty_store import WRITING
from tests.flows.chains.house import House, add_note, back_up_well, never, opened, through_faults
from tests.profiles.desktop_log import NEW_HEADER, logging_deletions

WITHOUT_LOG = "deleted.txt"


@pytest.fixture
def house(house: House) -> House:
    """Ada's log is away, so that all that is told is what the snapshots tell."""
    (house.folder() / WITHOUT_LOG).unlink()
    return house


@pytest.fixture
def kept(house: House) -> str:
    """A first snapshot, that holds the notes *one* to *five* too."""
    for front in ("one", "two", "three", "four", "five"):
        add_note(house.collection(), front, f"back of {front}")
    return back_up_well()


def note_id(anki: Collection, front: str) -> NoteId:
    (found,) = anki.find_notes(f'"front:{front}"')
    return found


def remove(house: House, *fronts: str) -> None:
    with opened(house.collection()) as anki:
        anki.remove_notes([note_id(anki, front) for front in fronts])


def remove_in_the_browser(house: House, *fronts: str) -> None:
    with logging_deletions(house.folder() / WITHOUT_LOG, NEW_HEADER):
        remove(house, *fronts)


def edit(house: House, front: str, back: str) -> None:
    with opened(house.collection()) as anki:
        note = anki.get_note(note_id(anki, front))
        note["Back"] = back
        anki.update_note(note)


def told(**wanted: object) -> dict[str, ArchivedNote]:
    """The archive's notes by their first field."""
    found = deleted_notes("Ada", **wanted)  # type: ignore[arg-type]
    assert found.remarks == ()
    notes = {note.fields[0]: note for note in found.all}
    assert len(notes) == len(found.all)
    return notes


def files(house: House) -> list[str]:
    return [item.name for item in house.repository.store.list("deletions")]


@contextmanager
def killed_before_archiving(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a run stores within the context is there, and nothing is archived: as if it were killed in between."""

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(storing, "deletion_log_archive", kill)
        yield


# In whatever way they go


def test_a_deck_that_was_deleted_leaves_its_notes_in_the_archive(house: House, kept: str) -> None:
    with opened(house.collection()) as anki:
        deck = anki.decks.id("Doomed::Below")
        note = anki.get_note(note_id(anki, "one"))
        note.tags = ["tag::one", "two"]
        anki.update_note(note)
        assert deck is not None
        anki.set_deck(note.card_ids(), deck)
        was = anki.get_note(note.id)
    held = back_up_well()
    with opened(house.collection()) as anki:
        doomed = anki.decks.id_for_name("Doomed")
        assert doomed is not None
        anki.decks.remove([doomed])
    report = back_up("Ada")

    assert report.row.deletions_archived == 1
    (note_told,) = told().values()
    assert (note_told.note_id, note_told.guid, note_told.note_type_id) == (was.id, was.guid, was.mid)
    assert (note_told.note_type, note_told.field_names) == ("Basic", ("Front", "Back"))
    assert note_told.fields == ("one", "back of one")
    assert (note_told.tags, note_told.deck) == (("tag::one", "two"), "Doomed::Below")
    assert (note_told.how, note_told.last_snapshot, note_told.gone_in) == (How.DELETED, held, report.row.snapshot)
    assert note_told.modified_s == was.mod
    assert note_told.seen_at == house.snapshots()[-1].taken_at


def test_empty_cards_are_seen_as_well(house: House, kept: str) -> None:
    with opened(house.collection()) as anki:
        anki.remove_cards_and_orphaned_notes(anki.card_ids_of_note(note_id(anki, "two")))
    back_up_well()
    assert told().keys() == {"two"}


def test_what_the_browser_deletes_is_told_once_with_all_that_the_snapshot_knew(house: House, kept: str) -> None:
    remove_in_the_browser(house, "one", "two")
    report = back_up("Ada")
    assert report.row.deletions_archived == 2
    notes = told()
    assert notes.keys() == {"one", "two"}
    assert {(note.how, note.deck, note.last_snapshot, note.tags) for note in notes.values()} == {
        (How.LOG, "Default", kept, ())
    }
    assert all(note.guid for note in notes.values())


def test_a_text_that_was_changed_after_the_last_snapshot_is_not_lost(house: House, kept: str) -> None:
    edit(house, "one", "its last words")
    remove_in_the_browser(house, "one")
    back_up_well()
    note = told()["one"]
    assert (note.fields, note.deck, note.last_snapshot) == (("one", "its last words"), "Default", kept)


def test_a_note_that_no_snapshot_held_is_known_from_the_log_alone(house: House, kept: str) -> None:
    add_note(house.collection(), "short-lived")
    remove_in_the_browser(house, "short-lived")
    back_up_well()
    note = told()["short-lived"]
    assert (note.how, note.guid, note.deck, note.tags, note.last_snapshot) == (How.LOG, None, None, None, None)


def test_a_note_that_got_the_id_of_a_deleted_one_does_not_hide_it(house: House, kept: str) -> None:
    with opened(house.collection()) as anki:
        freed = note_id(anki, "one")
    remove(house, "one")
    back_up_well()
    add_note(house.collection(), "another")
    with opened(house.collection()) as anki:
        assert anki.db is not None
        taken = note_id(anki, "another")
        anki.db.execute("update notes set id = ? where id = ?", freed, taken)
        anki.db.execute("update cards set nid = ? where nid = ?", freed, taken)
    back_up_well()
    assert told()["one"].note_id == freed
    remove(house, "another")
    back_up_well()
    found = told()
    assert found["one"].note_id == found["another"].note_id == freed
    assert found["one"].guid != found["another"].guid
    assert len(deleted_notes("Ada").gone) == 2


def test_a_note_that_came_back_and_went_again_is_told_as_it_was_last(house: House, kept: str) -> None:
    with opened(house.collection()) as anki:
        was = note_id(anki, "one")
        assert anki.db is not None
        (row,) = anki.db.all("select * from notes where id = ?", was)
        cards = anki.db.all("select * from cards where nid = ?", was)
    remove_in_the_browser(house, "one")
    back_up_well()
    with opened(house.collection()) as anki:
        assert anki.db is not None
        anki.db.execute(f"insert into notes values ({','.join('?' * len(row))})", *row)
        for card in cards:
            anki.db.execute(f"insert into cards values ({','.join('?' * len(card))})", *card)
    edit(house, "one", "second life")
    held = back_up_well()
    assert deleted_notes("Ada").gone == ()
    assert len(deleted_notes("Ada").back) == 1
    with opened(house.collection()) as anki:
        anki.remove_cards_and_orphaned_notes(anki.card_ids_of_note(note_id(anki, "one")))
    back_up_well()
    note = told()["one"]
    assert (note.fields, note.how, note.last_snapshot) == (("one", "second life"), How.DELETED, held)
    assert len(deleted_notes("Ada").gone) == 1


def test_what_a_restore_takes_away_was_replaced_and_the_safety_snapshot_held_it(house: House, kept: str) -> None:
    add_note(house.collection(), "written since")
    remove(house, "one")
    report = restore("Ada", kept)
    assert report.outcome is Outcome.COMPLETED, report.message
    safety = house.snapshots()[-1]
    assert house.manifest(safety).facts["purpose"] == SAFETY
    assert told().keys() == {"one"}
    back_up_well(force=True)
    notes = told()
    assert notes.keys() == {"one", "written since"}
    assert (notes["written since"].how, notes["written since"].last_snapshot) == (How.REPLACED, safety.id)
    assert (notes["one"].how, notes["one"].last_snapshot) == (How.DELETED, kept)
    # The restore has brought it back.
    assert [note.fields[0] for note in deleted_notes("Ada").gone] == ["written since"]


def test_an_encrypted_repository_shows_nothing_of_them(house: House) -> None:
    with house.set(passphrase="correct horse battery staple") as there:
        add_note(house.collection(), "a very private note")
        back_up_well()
        remove(house, "a very private note")
        back_up_well()
        assert told().keys() == {"a very private note"}
        (name,) = files(there)
        content = Path(house.repo, name).read_bytes()
        assert b"private" not in content
        assert b"PAR1" not in content


def test_the_notes_of_another_profile_are_not_missed_in_this_one(house: House, kept: str) -> None:
    back_up_well("Ben")
    remove(house, "one")
    assert back_up("Ben", force=True).row.deletions_archived == 0
    assert back_up("Ada").row.deletions_archived == 1


# What it costs


def test_a_backup_that_finds_no_note_gone_asks_the_archive_nothing(
    house: House, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vanished, "stored_collection", never)
    add_note(house.collection(), "new")
    store = through_faults(monkeypatch)
    back_up_well()
    edit(house, "one", "changed")
    back_up_well()
    assert [one for one in store.requests if one.name.startswith("deletions")] == []


def test_only_pages_that_differ_are_fetched_when_a_note_is_gone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(house.collection()) as anki:
        for number in range(2000):
            note = anki.new_note(anki.models.by_name("Basic"))  # type: ignore[arg-type]
            note["Front"], note["Back"] = f"many {number}", f"{number} " * 200
            anki.add_note(note, 1)  # type: ignore[arg-type]
    back_up_well()
    remove(house, "many 1000")
    asked: list[BlobId] = []
    read = Repository.read

    def counting(repository: Repository, blobs: Iterable[BlobId], **options: Any) -> Iterator[tuple[BlobId, bytes]]:
        wanted = list(blobs)
        asked.extend(wanted)
        return read(repository, wanted, **options)

    monkeypatch.setattr(Repository, "read", counting)
    back_up_well()
    assert told().keys() == {"many 1000"}
    assert 0 < len(asked) < house.collection().stat().st_size / 4096 / 10


def test_a_later_deletion_fetches_no_file_of_the_archive_that_this_computer_wrote(
    house: House, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = through_faults(monkeypatch)
    for front in ("one", "two", "three"):
        remove(house, front)
        back_up_well()
    assert told().keys() == {"one", "two", "three"}
    assert store.count("write", folder="deletions/") == 3
    assert store.count("read", folder="deletions/") == 0


# When something is missing


def test_a_run_killed_between_storing_and_archiving_loses_no_deletion(
    house: House, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_note(house.collection(), "in the killed run's snapshot alone")
    remove(house, "one")
    with killed_before_archiving(monkeypatch), pytest.raises(KeyboardInterrupt):
        back_up("Ada")
    killed = house.snapshots()[-1].id
    assert killed != kept
    assert told() == {}
    remove(house, "in the killed run's snapshot alone", "two")
    after = back_up_well()
    notes = told()
    assert {front: (note.last_snapshot, note.gone_in) for front, note in notes.items()} == {
        "one": (kept, killed),
        "two": (killed, after),
        "in the killed run's snapshot alone": (killed, after),
    }


def test_a_run_killed_before_archiving_is_made_up_for_though_nothing_changes_after_it(
    house: House, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove(house, "one")
    with killed_before_archiving(monkeypatch), pytest.raises(KeyboardInterrupt):
        back_up("Ada")
    report = back_up("Ada")
    assert (report.outcome, report.row.deletions_archived) == (Outcome.UNCHANGED, 1)
    assert told()["one"].last_snapshot == kept


def test_without_a_cache_it_is_the_snapshot_before_that_counts(house: House, kept: str) -> None:
    remove(house, "one")
    shutil.rmtree(house.cache)
    assert back_up("Ada").row.deletions_archived == 1
    assert told()["one"].last_snapshot == kept


@pytest.mark.parametrize("nonsense", ["", "nonsense", "20260101T000000Z-00000000 ", "20260101T000000Z-00000000 abc"])
def test_a_memory_that_makes_no_sense_counts_as_none(house: House, kept: str, nonsense: str) -> None:
    memory = memory_of(house.repository, house.snapshots()[0].profile_key)
    (key,) = remembered(KnownNotes(SnapshotId(kept), known_in(memory).ids))  # type: ignore[union-attr]
    memory.keep({}, {}, {key: nonsense})
    assert known_in(memory) is None
    remove(house, "one")
    assert back_up("Ada").row.deletions_archived == 1


def test_a_memory_of_a_snapshot_that_is_forgotten_goes_on_from_the_trash(house: House, kept: str) -> None:
    add_note(house.collection(), "in the forgotten one alone")
    forgotten = back_up_well()
    forget("Ada", [forgotten])
    shutil.rmtree(house.cache / "repositories")
    remove(house, "in the forgotten one alone", "one")
    report = back_up("Ada")
    assert report.remarks == ()
    assert {note.last_snapshot for note in told().values()} == {forgotten}
    assert told().keys() == {"one", "in the forgotten one alone"}


def test_where_the_last_snapshot_is_gone_for_good_the_one_before_it_counts(house: House, kept: str) -> None:
    gone = back_up_well(force=True)
    (path,) = Path(house.repo, "snapshots").rglob(gone)
    path.unlink()
    shutil.rmtree(house.cache / "repositories")
    remove(house, "one")
    report = back_up("Ada")
    assert (report.outcome, report.remarks) == (Outcome.COMPLETED, ())
    assert told()["one"].last_snapshot == kept


def test_a_damaged_last_snapshot_is_named_and_the_one_before_it_counts(house: House, kept: str) -> None:
    damaged = back_up_well(force=True)
    (path,) = Path(house.repo, "snapshots").rglob(damaged)
    path.write_bytes(b"damaged")
    shutil.rmtree(house.cache / "repositories")
    remove(house, "one")
    report = back_up("Ada")
    assert report.outcome is Outcome.COMPLETED
    assert any(f"The snapshot {damaged} could not be compared" in remark for remark in report.remarks)
    assert told()["one"].last_snapshot == kept
    assert not any("compared" in remark for remark in back_up("Ada", force=True).remarks)


def test_a_store_that_does_not_answer_costs_no_deletion(
    house: House, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove(house, "one")
    store = through_faults(monkeypatch)
    with monkeypatch.context() as failing:
        failing.setattr(vanished, "stored_collection", raising(StoreUnreachable("no answer", "try later")))
        report = back_up("Ada")
    assert report.outcome is Outcome.FAILED
    assert "is stored, but what follows was not finished" in report.message
    assert back_up("Ada").row.deletions_archived == 1
    assert told()["one"].last_snapshot == kept
    assert store.requests


def test_an_archive_that_took_nothing_at_first_is_written_by_the_second_try(
    house: House, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect calls a step again that met a fault which may pass; here it is called twice by hand."""
    remove(house, "one")
    store = through_faults(monkeypatch)
    store.fail(WRITING, folder="deletions/")
    archive = storing.deletion_log_archive

    def tried_twice(*args: Any) -> Any:
        with pytest.raises(StoreUnreachable):
            archive(*args)
        return archive(*args)

    monkeypatch.setattr(storing, "deletion_log_archive", tried_twice)
    assert back_up("Ada").outcome is Outcome.COMPLETED
    assert told()["one"].last_snapshot == kept


def raising(trouble: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise trouble

    return fail


def test_a_run_that_ends_after_a_later_one_takes_nothing_for_gone(house: House, kept: str) -> None:
    """What a run beside it has stored meanwhile, and this one has not seen yet, has not gone."""
    earlier = house.collection().read_bytes()
    add_note(house.collection(), "seen by the later one alone")
    sooner = back_up_well()
    repository = house.repository
    manifest = repository.manifest(next(ref for ref in house.snapshots() if ref.id == sooner))
    moment = datetime.now(UTC) + timedelta(minutes=1)
    later = replace(manifest, id=new_snapshot_id(moment, bytes(4)), taken_at=moment)
    repository.commit(later)
    memory = memory_of(repository, manifest.profile_key)
    known = known_in(memory)
    assert known is not None
    memory.keep({}, {}, remembered(KnownNotes(later.id, known.ids)))

    both = house.collection().read_bytes()
    house.collection().write_bytes(earlier)
    edit(house, "two", "so that there is something to store")
    assert back_up("Ada").row.deletions_archived == 0
    assert told() == {}

    house.collection().write_bytes(both)
    remove(house, "one")
    back_up_well()
    assert known_in(memory) == KnownNotes(later.id, known.ids)  # until the clock has come to it


def test_a_snapshot_that_a_wrong_clock_dated_in_the_future_is_compared_as_the_one_before(
    house: House, kept: str
) -> None:
    repository = house.repository
    manifest = repository.manifest(house.snapshots()[0])
    moment = datetime.now(UTC) + timedelta(days=300)
    future = replace(manifest, id=new_snapshot_id(moment, bytes(4)), taken_at=moment)
    repository.commit(future)
    memory = memory_of(repository, manifest.profile_key)
    known = known_in(memory)
    assert known is not None
    memory.keep({}, {}, remembered(KnownNotes(future.id, known.ids)))
    remove(house, "one")
    back_up_well()
    assert told()["one"].last_snapshot == future.id
    remove(house, "two")
    back_up_well()
    assert told()["two"].last_snapshot not in {future.id, kept}


def test_what_retention_lets_go_in_the_same_run_was_compared_all_the_same(house: House, kept: str) -> None:
    repository = house.repository
    old = repository.manifest(house.snapshots()[0])
    moment = datetime.now().astimezone() - timedelta(days=40)
    aged = replace(old, id=new_snapshot_id(moment, bytes(4)), taken_at=moment)
    repository.commit(aged)
    memory = memory_of(repository, old.profile_key)
    known = known_in(memory)
    assert known is not None
    Path(house.repo, "snapshots", old.profile_key, kept).unlink()
    memory.keep({}, {}, remembered(KnownNotes(aged.id, known.ids)))
    remove(house, "one")
    with house.set(daily=0, weekly=0, monthly=0):
        report = back_up("Ada")
    assert (report.row.snapshots_pruned, report.row.deletions_archived) == (1, 1)
    assert told()["one"].last_snapshot == aged.id


# Through all snapshots


def history(house: House) -> list[str]:
    """Snapshots between which one note each has gone."""
    made = [back_up_well(force=True)]
    for front in ("one", "two", "three"):
        remove(house, front)
        made.append(back_up_well())
    return made


def test_a_scan_of_all_snapshots_finds_what_was_deleted_between_any_two(house: House, kept: str) -> None:
    made = history(house)
    for name in files(house):
        Path(house.repo, name).unlink()
    assert told() == {}
    report = rescan_deletions("Ada")
    assert (report.outcome, report.row.action, report.row.deletions_archived) == (
        Outcome.COMPLETED,
        "deletion-log-archive",
        3,
    )
    assert {front: (note.last_snapshot, note.gone_in) for front, note in told().items()} == {
        "one": (made[0], made[1]),
        "two": (made[1], made[2]),
        "three": (made[2], made[3]),
    }
    assert house.rows("deletion-log-archive")[-1].row_id == report.row.row_id
    assert list((house.cache / "staging").iterdir()) == []


def test_a_scan_adds_nothing_to_what_backups_have_archived_or_a_scan_before_it(house: House, kept: str) -> None:
    history(house)
    before, archived = files(house), told()
    for _ in range(2):
        report = rescan_deletions("Ada")
        assert (report.outcome, report.row.deletions_archived) == (Outcome.UNCHANGED, 0)
    assert files(house) == before
    assert told() == archived


def test_a_scan_after_snapshots_were_let_go_adds_nothing(house: House, kept: str) -> None:
    made = history(house)
    archived = told()
    forget("Ada", [made[1], made[2]])
    assert rescan_deletions("Ada").row.deletions_archived == 0
    assert told() == archived


def test_a_scan_goes_on_where_a_snapshot_is_damaged_and_says_so(house: House, kept: str) -> None:
    made = history(house)
    for name in files(house):
        Path(house.repo, name).unlink()
    shutil.rmtree(house.cache / "repositories")
    (path,) = Path(house.repo, "snapshots").rglob(made[2])
    path.write_bytes(b"damaged")
    report = rescan_deletions("Ada")
    assert len([remark for remark in report.remarks if made[2] in remark]) == 1
    assert {front: (note.last_snapshot, note.gone_in) for front, note in told().items()} == {
        "one": (made[0], made[1]),
        "two": (made[1], made[3]),
        "three": (made[1], made[3]),
    }


def test_older_snapshots_that_come_later_tell_more_exactly_when_and_what(house: House) -> None:
    """As when old backups of Anki's are taken in: the log had told of the deletion already."""
    add_note(house.collection(), "one", "back of one")
    older = house.collection().read_bytes()
    remove_in_the_browser(house, "one")
    first = back_up_well()
    assert (told()["one"].deck, told()["one"].last_snapshot) == (None, None)
    present = house.collection().read_bytes()
    house.collection().write_bytes(older)
    with_it = back_up_well()
    repository = house.repository
    manifest = repository.manifest(next(ref for ref in house.snapshots() if ref.id == with_it))
    moment = datetime.now().astimezone() - timedelta(days=400)
    adopted = replace(manifest, id=new_snapshot_id(moment, bytes(4)), taken_at=moment)
    repository.commit(adopted)
    forget("Ada", [with_it])
    house.collection().write_bytes(present)
    assert rescan_deletions("Ada").row.deletions_archived == 1
    note = told()["one"]
    assert (note.how, note.deck, note.last_snapshot, note.gone_in) == (How.LOG, "Default", adopted.id, first)


def test_a_scan_of_a_profile_that_is_not_there_is_told_in_a_sentence(house: House, kept: str) -> None:
    with pytest.raises(SnapshotUnknown, match="no snapshot of a profile named 'Zed'"):
        rescan_deletions("Zed")


def test_pruning_and_sweeping_leaves_the_archive_alone(house: House, kept: str) -> None:
    history(house)
    archived = told()
    with house.set(daily=0, weekly=0, monthly=0):
        prune()
    assert told() == archived


# Searching


@pytest.fixture
def searched(house: House) -> House:
    with opened(house.collection()) as anki:
        for deck, front, back in (
            ("Languages", "perro", "dog"),
            ("Languages::Español", "gato", "<b>c</b>at<br>and <i>more</i> &amp; more"),
            ("Languages and more", "Straße", "a street"),
        ):
            note = anki.new_note(anki.models.by_name("Basic"))  # type: ignore[arg-type]
            note["Front"], note["Back"] = front, back
            anki.add_note(note, anki.decks.id(deck))  # type: ignore[arg-type]
    back_up_well()
    remove(house, "perro", "gato", "Straße")
    back_up_well()
    return house


@pytest.mark.parametrize(
    ("deck", "found"),
    [
        ("Languages", {"perro", "gato"}),
        ("LANGUAGES::español", {"gato"}),
        ("Languages and more", {"Straße"}),
        ("Lang", set()),
    ],
)
def test_a_deck_is_searched_with_those_below_it(searched: House, deck: str, found: set[str]) -> None:
    assert told(deck=deck).keys() == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CAT", {"gato"}),
        ("more & gato", {"gato"}),
        ("strasse", {"Straße"}),
        ("br", set()),
        ("dog cat", set()),
        ("", {"perro", "gato", "Straße"}),
    ],
)
def test_words_are_searched_in_what_a_person_reads(searched: House, text: str, found: set[str]) -> None:
    assert told(text=text).keys() == found


def test_notes_are_told_from_a_moment_on(searched: House) -> None:
    add_note(searched.collection(), "later")
    back_up_well()
    remove(searched, "later")
    back_up_well()
    seen = told()["later"].seen_at
    assert next(iter(told())) == "later"
    assert told(since=seen + timedelta(seconds=1)) == {}
    assert len(told(since=seen - timedelta(days=1))) == 4
