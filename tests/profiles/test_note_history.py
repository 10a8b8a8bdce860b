from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiles import unproven
from profiles.errors import CollectionDamaged
from profiles.note_history import FieldChange, Held, NoteState, held_in, note_change, read_note, versions
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
    note_ids,
    opened,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "collection.anki2"
    make_collection(path)
    return path


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(made, tmp_path / "copy.anki2"))


@pytest.mark.parametrize("older", [None, in_schema_11, in_schema_14])
def test_a_note_is_read_with_its_names_whichever_anki_wrote_it(made: Path, tmp_path: Path, older: object) -> None:
    path = older(made, tmp_path / "older.anki2") if callable(older) else made
    (note,) = note_ids(made, "gato 2")
    assert read_note(path, note) == NoteState(
        VOCABULARY,
        SPANISH,
        ("animal", "marked"),
        (("Word", "gato 2"), ("Meaning", "cat"), ("Sound", "<b>GA-to</b>"), ("Note", "")),
    )
    assert read_note(path, note + 1_000_000) is None
    assert read_note(path, 2**63) is None
    asked = {"notes": [note, 5, 2**63, -(2**64)], "decks": ["languages", SPANISH.upper(), "Latin"]}
    assert held_in(path, **asked) == Held(frozenset({note}), frozenset({"languages", SPANISH.upper()}))


def test_a_card_in_a_filtered_deck_is_at_home_where_it_came_from(copy: Path) -> None:
    (note,) = note_ids(copy, "gato 2")
    with opened(copy) as collection:
        filtered = collection.sched.get_or_create_filtered_deck(0)  # type: ignore[arg-type]
        filtered.config.search_terms[0].search = f"nid:{note}"
        collection.sched.add_or_update_filtered_deck(filtered)
        assert collection.get_card(collection.card_ids_of_note(note)[0]).odid  # type: ignore[arg-type]
    found = read_note(copy, note)
    assert found is not None
    assert found.deck == SPANISH


def test_a_note_without_its_type_and_without_cards_is_shown_as_it_is(copy: Path) -> None:
    (note,) = note_ids(copy, "gato 2")
    change(copy, "update notes set mid = 77 where id = ?", note)
    change(copy, "delete from cards where nid = ?", note)
    found = read_note(copy, note)
    assert found is not None
    assert (found.note_type, found.deck) == ("note type 77", "")
    assert found.fields[0] == ("field 1", "gato 2")


def test_what_is_no_collection_of_ankis_is_called_damage(copy: Path, tmp_path: Path) -> None:
    (note,) = note_ids(copy, "gato 2")
    change(copy, "update notes set flds = x'00ff' where id = ?", note)
    with pytest.raises(CollectionDamaged, match="makes no sense"):
        read_note(copy, note, original=Path("the one"))
    (tmp_path / "noise").write_bytes(b"SQLite format 3\x00" + bytes(9000))
    for read in (lambda path: read_note(path, note), lambda path: held_in(path, notes=[note])):
        with pytest.raises(CollectionDamaged):
            read(tmp_path / "noise")


def test_a_view_and_a_row_that_never_ends_are_refused(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (note,) = note_ids(copy, "gato 2")
    monkeypatch.setattr(unproven, "_MOST_STEPS", 2_000_000)
    endless = "with recursive n(x) as (select 1 union all select x + 1 from n) select x"
    with closing(sqlite3.connect(copy)) as connection:
        connection.executescript(
            "create table was as select * from cards; drop table cards;"
            f"create view cards as {endless} as nid, x as did, 0 as odid, 0 as ord from n;"
        )
    with pytest.raises(CollectionDamaged, match="there is no table cards"):
        read_note(copy, note)


def test_reading_ends_at_a_bound_however_much_there_is_to_read(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (note,) = note_ids(copy, "gato 2")
    monkeypatch.setattr(unproven, "_MOST_STEPS", 200_000)
    change(copy, "drop index ix_cards_nid")
    assert read_note(copy, note) is not None
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute(
            "with recursive n(x) as (select 1 union all select x + 1 from n where x < 100000)"
            " insert into cards select x, 5, did, ord, mod, usn, type, queue, due, ivl, factor, reps, lapses, left,"
            " odue, odid, flags, data from n, (select * from cards limit 1)"
        )
    with pytest.raises(CollectionDamaged, match="interrupted"):
        read_note(copy, note)


def test_a_value_that_is_blown_up_is_refused(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (note,) = note_ids(copy, "gato 2")
    monkeypatch.setattr(unproven, "_LONGEST_VALUE", 1_000_000)
    assert read_note(copy, note) is not None
    change(copy, "update notes set flds = printf('%.*c', 1500000, 'x') where id = ?", note)
    with pytest.raises(CollectionDamaged, match="too big"):
        read_note(copy, note)


def _state(front: str) -> NoteState:
    return NoteState("Basic", "Deck", (), (("Front", front), ("Back", "")))


def test_versions_tell_from_when_to_when_a_note_was_what() -> None:
    a, b = _state("a"), _state("b")
    found = versions([(1, None), (2, a), (3, a), (4, b), (5, None), (6, None), (7, b), (8, a)])
    assert [(one.state, one.first, one.last) for one in found] == [
        (a, 2, 3),
        (b, 4, 4),
        (None, 5, 6),
        (b, 7, 7),
        (a, 8, 8),
    ]
    assert versions([(1, None)]) == ()


@given(st.lists(st.sampled_from([None, "a", "b"])))
def test_versions_say_of_each_moment_what_was_seen_then(seen: list[str | None]) -> None:
    states = [(at, None if text is None else _state(text)) for at, text in enumerate(seen)]
    found = versions(states)
    told = {at: one.state for one in found for at in range(one.first, one.last + 1)}
    first = next((at for at, state in states if state is not None), len(states))
    assert told == dict(states[first:])
    assert all(one.state != other.state for one, other in pairwise(found))


def test_a_change_names_the_fields_that_came_changed_and_went() -> None:
    before = NoteState("Basic", "A", ("x",), (("Front", "1"), ("Back", "2"), ("Old", "3")))
    after = NoteState("Basic", "B", ("x",), (("Front", "1"), ("Back", "two"), ("New", "4")))
    change_ = note_change(before, after)
    assert (change_.note_type, change_.deck, change_.tags) == (False, True, False)
    assert change_.fields == (
        FieldChange("Back", "2", "two"),
        FieldChange("New", None, "4"),
        FieldChange("Old", "3", None),
    )


def test_what_a_person_does_to_a_note_is_seen(copy: Path) -> None:
    (note,) = note_ids(copy, "gato 2")
    before = read_note(copy, note)
    with opened(copy) as collection:
        found = collection.get_note(note)  # type: ignore[arg-type]
        found["Meaning"], found.tags = "cat!", ["animal"]
        collection.update_note(found)
        collection.set_deck(found.card_ids(), deck_id_of(collection, SCIENCE))
        added = add(collection, "Basic", SCIENCE, ("new", ""))
    after = read_note(copy, note)
    assert before is not None
    assert after is not None
    assert (after.deck, after.tags) == (SCIENCE, ("animal",))
    assert note_change(before, after).fields == (FieldChange("Meaning", "cat", "cat!"),)
    assert held_in(copy, notes=[added]).notes == {added}
