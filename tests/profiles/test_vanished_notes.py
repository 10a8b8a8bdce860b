"""Notes that are gone from a collection, in each of the ways in which notes go, told by an older copy of it."""

from __future__ import annotations

import shutil
import sqlite3
import tracemalloc
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from anki.collection import Collection
from anki.notes import NoteId
from hypothesis import given
from hypothesis import strategies as st

from profiles.errors import CollectionDamaged
from profiles.vanished_notes import VanishedNote, gone, ids_of_notes, vanished_notes
from tests.profiles.recovery.living import (
    SCIENCE,
    SPANISH,
    VOCABULARY,
    add,
    change,
    deck_id_of,
    in_schema_11,
    in_schema_14,
    make_collection,
    opened,
)
from tests.servers.anki_sync import AnkiSyncServer, anki_sync_server

USERS = {"deleting": "secret", "downloading": "secret", "uploading": "secret"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "collection.anki2"
    make_collection(path)
    return path


@pytest.fixture
def before(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(filled, tmp_path / "before.anki2"))


@pytest.fixture
def after(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(filled, tmp_path / "after.anki2"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnkiSyncServer]:
    with anki_sync_server(tmp_path_factory.mktemp("server"), USERS) as running:
        yield running


def found(before: Path, after: Path) -> list[VanishedNote]:
    missing = gone(ids_of_notes(before), ids_of_notes(after))
    return list(vanished_notes(before, after, missing))


def in_the_browser(collection: Collection, notes: list[NoteId]) -> None:
    collection.remove_notes(notes)


def with_their_cards(collection: Collection, notes: list[NoteId]) -> None:
    """Empty Cards, and what AnkiDroid does."""
    cards = [card for note in notes for card in collection.card_ids_of_note(note)]
    collection.remove_cards_and_orphaned_notes(cards)


def with_their_note_type(collection: Collection, _: list[NoteId]) -> None:
    note_type = collection.models.id_for_name(VOCABULARY)
    assert note_type is not None
    collection.models.remove(note_type)


@pytest.mark.parametrize("remove", [in_the_browser, with_their_cards, with_their_note_type])
def test_notes_are_found_however_they_were_deleted(
    before: Path, after: Path, remove: Callable[[Collection, list[NoteId]], None]
) -> None:
    with opened(after) as collection:
        notes = list(collection.find_notes(f'"note:{VOCABULARY}"'))
        was = {note: collection.get_note(note) for note in notes}
        remove(collection, notes)
    told = {one.note.note_id: one for one in found(before, after)}
    assert told.keys() == set(notes)
    for note_id, one in told.items():
        note = was[NoteId(note_id)]
        assert one.deleted
        assert (one.note.guid, one.note.note_type_id, one.note.note_type) == (note.guid, note.mid, VOCABULARY)
        assert one.note.field_names == ("Word", "Meaning", "Sound", "Note")
        assert one.note.fields == tuple(note.fields)
        assert (one.note.tags, one.note.deck) == (("animal", "marked"), SPANISH)
        assert one.note.modified_s == note.mod


def test_a_deleted_deck_takes_its_sub_decks_notes_along_each_from_its_own_deck(before: Path, after: Path) -> None:
    with opened(after) as collection:
        notes = list(collection.find_notes(f"deck:{SPANISH}"))
        collection.decks.remove([deck_id_of(collection, SPANISH)])
    told = found(before, after)
    assert {one.note.note_id for one in told} == set(notes)
    assert {one.note.deck for one in told} == {SPANISH, f"{SPANISH}::Verbos"}
    assert all(one.deleted for one in told)


def test_a_note_in_a_filtered_deck_is_of_the_deck_that_it_came_from(before: Path, after: Path) -> None:
    with opened(before) as collection:
        filtered = collection.decks.new_filtered("Cram")
        config = collection.decks.get(filtered)
        assert config is not None
        config["terms"] = [[f"deck:{SCIENCE}", 100, 0]]
        collection.decks.save(config)
        collection.sched.rebuild_filtered_deck(filtered)
    with opened(after) as collection:
        collection.remove_notes(collection.find_notes(f"deck:{SCIENCE}"))
    assert [one.note.deck for one in found(before, after)] == [SCIENCE] * 4


def test_what_is_there_changed_or_new_has_not_vanished(before: Path, after: Path) -> None:
    with opened(after) as collection:
        notes = collection.find_notes("")
        note = collection.get_note(notes[0])
        note.fields[0] = "another text"
        collection.update_note(note)
        cards = [collection.get_card(card) for card in collection.card_ids_of_note(notes[1])]
        collection.set_deck([card.id for card in cards], deck_id_of(collection, SCIENCE))
        add(collection, "Basic", SCIENCE, ("new", ""))
    assert found(before, after) == []


def test_notes_that_an_older_collection_never_had_are_told_from_deleted_ones(before: Path, after: Path) -> None:
    with opened(before) as collection:
        added = add(collection, "Basic", SCIENCE, ("written since", ""))
    with opened(after) as collection:
        removed = collection.find_notes(f"deck:{SCIENCE}")[0]
        collection.remove_notes([removed])
    assert {one.note.note_id: one.deleted for one in found(before, after)} == {added: False, removed: True}


def test_a_grave_of_a_card_or_a_deck_is_none_of_a_note_of_that_id(before: Path, after: Path) -> None:
    with opened(after) as collection:
        note = collection.find_notes("")[0]
    change(after, "delete from notes where id = ?", note)
    change(after, "insert into graves values (?, 0, -1), (?, 2, -1)", note, note)
    assert [one.deleted for one in found(before, after)] == [False]


@pytest.mark.parametrize("older", [in_schema_11, in_schema_14])
def test_collections_of_older_schemas_tell_the_same(
    before: Path, after: Path, tmp_path: Path, older: Callable[[Path, Path], Path]
) -> None:
    with opened(after) as collection:
        collection.remove_notes(collection.find_notes(f"deck:{SPANISH}"))
    told = found(before, after)
    assert len(told) == 12
    old = found(older(before, tmp_path / "old-before.anki2"), older(after, tmp_path / "old-after.anki2"))
    assert old == told


def test_a_deletion_on_another_device_is_known_after_the_sync(
    server: AnkiSyncServer, before: Path, after: Path, tmp_path: Path
) -> None:
    phone = tmp_path / "phone" / "collection.anki2"
    phone.parent.mkdir()
    with opened(after) as collection:
        assert server.sync(collection, "deleting", upload=True) == "FULL_UPLOAD"
    with opened(phone) as collection:
        assert server.sync(collection, "deleting", upload=False) == "FULL_DOWNLOAD"
        notes = collection.find_notes(f"deck:{SPANISH}")
        collection.decks.remove([deck_id_of(collection, SPANISH)])
        assert server.sync(collection, "deleting") == "NO_CHANGES"
    with opened(after) as collection:
        assert server.sync(collection, "deleting") == "NO_CHANGES"
    told = found(before, after)
    assert {one.note.note_id for one in told} == set(notes)
    assert all(one.deleted for one in told)


def test_what_a_one_way_download_took_away_was_replaced(
    server: AnkiSyncServer, before: Path, after: Path, tmp_path: Path
) -> None:
    with opened(after) as collection:
        assert server.sync(collection, "downloading", upload=True) == "FULL_UPLOAD"
    with opened(before) as collection:
        unsynced = add(collection, "Basic", SCIENCE, ("never synced", ""))
    shutil.copyfile(before, tmp_path / "here.anki2")
    with opened(tmp_path / "here.anki2") as collection:
        collection.mod_schema(check=False)
        assert server.sync(collection, "downloading", upload=False) == "FULL_SYNC"
    assert [(one.note.note_id, one.deleted) for one in found(before, tmp_path / "here.anki2")] == [(unsynced, False)]


def test_a_one_way_upload_lets_the_collection_forget_its_deletions(
    server: AnkiSyncServer, before: Path, after: Path
) -> None:
    with opened(after) as collection:
        removed = collection.find_notes(f"deck:{SCIENCE}")
        collection.remove_notes(removed)
        assert server.sync(collection, "uploading", upload=True) == "FULL_UPLOAD"
    assert {one.note.note_id: one.deleted for one in found(before, after)} == dict.fromkeys(removed, False)


def test_ids_that_the_older_copy_does_not_hold_are_passed_over(before: Path, after: Path) -> None:
    assert list(vanished_notes(before, after, [1, 2**70])) == []


def test_a_note_that_makes_no_sense_is_called_damage(before: Path, after: Path) -> None:
    with opened(after) as collection:
        (note,) = collection.find_notes(f"deck:{SCIENCE}")[:1]
        collection.remove_notes([note])
    change(before, "update notes set flds = x'00' where id = ?", note)
    with pytest.raises(CollectionDamaged, match=f"the note {note} makes no sense"):
        found(before, after)


def test_a_copy_with_a_view_in_place_of_its_notes_is_called_damage(after: Path) -> None:
    change(after, "alter table notes rename to others")
    change(after, "create view notes as select * from others")
    with pytest.raises(CollectionDamaged, match="there is no table notes"):
        ids_of_notes(after)


def test_ids_that_are_no_numbers_are_called_damage(tmp_path: Path, after: Path) -> None:
    change(after, "drop table notes")
    columns = "guid, mid, mod, usn, tags, flds, sfld, csum, flags, data"
    change(after, f"create table notes (id text, {columns})")
    change(after, "insert into notes (id) values ('one')")
    with pytest.raises(CollectionDamaged, match="a note makes no sense"):
        ids_of_notes(after)


def test_a_collection_without_graves_tells_of_no_deletion(before: Path, after: Path) -> None:
    with opened(after) as collection:
        collection.remove_notes(collection.find_notes(f"deck:{SCIENCE}"))
    change(after, "drop table graves")
    assert [one.deleted for one in found(before, after)] == [False] * 4


def test_neither_copy_is_changed(before: Path, after: Path, tmp_path: Path) -> None:
    with opened(after) as collection:
        collection.remove_notes(collection.find_notes(f"deck:{SCIENCE}"))
    content = before.read_bytes(), after.read_bytes()
    beside = sorted(tmp_path.iterdir())
    assert len(found(before, after)) == 4
    assert (before.read_bytes(), after.read_bytes()) == content
    assert sorted(tmp_path.iterdir()) == beside


ids = st.sets(st.integers(-(2**63), 2**63 - 1) | st.integers(0, 20)).map(lambda found: array("q", sorted(found)))


@given(ids, ids)
def test_those_are_gone_that_were_there_and_are_not(before: array[int], after: array[int]) -> None:
    assert list(gone(before, after)) == sorted(set(before) - set(after))


@given(ids)
def test_none_is_gone_when_nothing_changed_or_more_came(before: array[int]) -> None:
    more = array("q", [*before, *([before[-1] + 1] if before and before[-1] < 2**63 - 1 else [])])
    assert list(gone(before, before)) == list(gone(before, more)) == []


def test_a_hundred_thousand_notes_take_little_memory(after: Path) -> None:
    with closing(sqlite3.connect(after)) as database, database:
        database.execute(
            "with recursive n(x) as (select 1 union all select x + 1 from n where x < 100000)"
            " insert into notes select x, x, 1, 1, -1, '', printf('%.*c', 300, 'x'), x, 0, 0, '' from n"
        )
        database.execute("pragma journal_mode = delete")
    tracemalloc.start()
    try:
        ids = ids_of_notes(after)
        missing = gone(ids, ids[:50_000] + ids[50_001:])
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(ids) > 100_000
    assert list(missing) == [50_001]
    assert most < 10_000_000


def test_ids_come_in_their_order(after: Path) -> None:
    with sqlite3.connect(f"{after.as_uri()}?mode=ro&immutable=1", uri=True) as database:
        told = [id_ for (id_,) in database.execute("select id from notes order by id")]
    assert list(ids_of_notes(after)) == told
