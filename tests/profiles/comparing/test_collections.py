"""Two states of a collection that Anki made, compared; Anki itself says what was done between them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from anki.collection import Collection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles.comparing.change import Change
from profiles.comparing.collections import ChangedNote, CollectionDifference, Counts, compare_collections
from profiles.comparing.settings import ChangedSetting, SettingKind
from profiles.errors import CollectionDamaged

Edit = Callable[[Collection], None]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten notes of the type Basic in the deck Default, the first three studied once."""
    path = tmp_path_factory.mktemp("comparing") / "collection.anki2"
    collection = Collection(str(path))
    for number in range(10):
        add(collection, f"front {number}", f"back {number}")
    study(collection, 3)
    collection.close()
    return path


def add(collection: Collection, *fields: str, note_type: str = "Basic", deck: str = "Default") -> int:
    note = collection.new_note(collection.models.by_name(note_type))
    note.fields[: len(fields)] = fields
    collection.add_note(note, collection.decks.id(deck))
    return int(note.id)


def study(collection: Collection, count: int) -> None:
    for _ in range(count):
        queued = collection.sched.get_queued_cards().cards[0]
        card = collection.get_card(queued.card.id)
        card.start_timer()
        collection.sched.answer_card(
            collection.sched.build_answer(card=card, states=queued.states, rating=3)  # easy
        )


def named(collection: Collection, front: str) -> int:
    return int(collection.find_notes(f'"front:{front}"')[0])


@pytest.fixture
def after(original: Path, tmp_path: Path) -> Callable[[Edit], Path]:
    """The original after Anki has done something to it."""

    def edited(edit: Edit) -> Path:
        path = tmp_path / "after.anki2"
        shutil.copy(original, path)
        collection = Collection(str(path))
        edit(collection)
        collection.close()
        return path

    return edited


def test_a_collection_does_not_differ_from_itself(original: Path, after: Callable[[Edit], Path]) -> None:
    assert not compare_collections(original, original)
    assert compare_collections(original, after(lambda _: None)) == CollectionDifference((), Counts(), Counts(), ())


def test_notes_that_came_changed_and_went_are_told_with_deck_type_and_fields(
    original: Path, after: Callable[[Edit], Path]
) -> None:
    ids: dict[str, int] = {}

    def edit(collection: Collection) -> None:
        ids["new"] = add(collection, "<b>el perro</b>&nbsp;grande", "dog", deck="Spanish::Verbs")
        ids["edited"] = named(collection, "front 1")
        note = collection.get_note(ids["edited"])
        note["Back"] = "another"
        note.tags = ["hard"]
        collection.update_note(note)
        ids["gone"] = named(collection, "front 2")
        collection.remove_notes([ids["gone"]])

    found = compare_collections(original, after(edit))
    assert found.notes == (
        ChangedNote(ids["edited"], Change.CHANGED, "Basic", "Default", "front 1", ("Back",), tags=True),
        ChangedNote(ids["gone"], Change.DELETED, "Basic", "Default", "front 2"),
        ChangedNote(ids["new"], Change.ADDED, "Basic", "Spanish::Verbs", "el perro grande"),
    )
    assert found.cards == Counts(added=1, deleted=1)
    assert found.by_deck_and_note_type() == {
        ("Default", "Basic"): Counts(changed=1, deleted=1),
        ("Spanish::Verbs", "Basic"): Counts(added=1),
    }
    assert ChangedSetting(SettingKind.DECK, "Spanish::Verbs", Change.ADDED) in found.settings


def test_going_back_is_the_same_the_other_way_round(original: Path, after: Callable[[Edit], Path]) -> None:
    def edit(collection: Collection) -> None:
        add(collection, "new", "new")
        collection.remove_notes([named(collection, "front 2")])
        study(collection, 2)

    later = after(edit)
    there, back = compare_collections(original, later), compare_collections(later, original)
    assert there.reviews == Counts(added=2)
    assert back.reviews == Counts(deleted=2)
    assert (there.count(Change.ADDED), there.count(Change.DELETED)) == (1, 1)
    assert {note.id for note in there.notes if note.change is Change.ADDED} == {
        note.id for note in back.notes if note.change is Change.DELETED
    }
    assert there.cards.changed == back.cards.changed == 2


def test_studying_changes_cards_and_reviews_and_no_settings(original: Path, after: Callable[[Edit], Path]) -> None:
    found = compare_collections(original, after(lambda collection: study(collection, 4)))
    assert found == CollectionDifference((), Counts(changed=4), Counts(added=4), ())


def test_settings_are_told_by_kind_and_name(original: Path, after: Callable[[Edit], Path]) -> None:
    def edit(collection: Collection) -> None:
        options = collection.decks.all_config()[0]
        options["new"]["perDay"] = 7
        collection.decks.update_config(options)
        cloze = collection.models.by_name("Cloze")
        cloze["css"] += "/* mine */"
        collection.models.update_dict(cloze)
        collection.models.remove(collection.models.by_name("Basic (and reversed card)")["id"])
        collection.set_config("fontSize", 20)

    assert compare_collections(original, after(edit)).settings == (
        ChangedSetting(SettingKind.NOTE_TYPE, "Basic (and reversed card)", Change.DELETED),
        ChangedSetting(SettingKind.NOTE_TYPE, "Cloze", Change.CHANGED),
        ChangedSetting(SettingKind.DECK_OPTIONS, "Default", Change.CHANGED),
        ChangedSetting(SettingKind.PREFERENCE, "fontSize", Change.ADDED),
    )


def test_a_note_of_another_type_tells_all_its_fields(original: Path, after: Callable[[Edit], Path]) -> None:
    def edit(collection: Collection) -> None:
        models, note = collection.models, named(collection, "front 4")
        old, new = models.by_name("Basic"), models.by_name("Basic (and reversed card)")
        models.change(old, [note], new, {0: 0, 1: 1}, {0: 0})

    (found,) = compare_collections(original, after(edit)).notes
    assert (found.note_type, found.type_changed, found.fields) == (
        "Basic (and reversed card)",
        True,
        ("Front", "Back"),
    )


def test_a_card_in_a_filtered_deck_is_at_home_in_its_own(original: Path, after: Callable[[Edit], Path]) -> None:
    def edit(collection: Collection) -> None:
        filtered = collection.decks.new_filtered("Cramming")
        collection.sched.rebuild_filtered_deck(filtered)
        note = collection.get_note(named(collection, "front 5"))
        note["Back"] = "changed"
        collection.update_note(note)

    found = compare_collections(original, after(edit))
    assert [note.deck for note in found.notes] == ["Default"]


def test_the_oldest_schema_is_compared_with_the_newest(original: Path, tmp_path: Path) -> None:
    """As an old automatic backup is with the present collection: the same notes, and settings as far as both tell."""
    oldest = tmp_path / "oldest.anki2"
    shutil.copy(original, oldest)
    Collection(str(oldest)).close(downgrade=True)
    found = compare_collections(oldest, original)
    assert (found.notes, found.reviews) == ((), Counts())
    assert [setting for setting in found.settings if setting.kind is not SettingKind.PREFERENCE] == []

    collection = Collection(str(oldest))
    add(collection, "only here", "x", deck="Old::Deck")
    collection.close(downgrade=True)
    (note,) = compare_collections(oldest, original).notes
    assert (note.change, note.deck, note.note_type) == (Change.DELETED, "Old::Deck", "Basic")


@pytest.mark.parametrize(
    "spoil",
    [
        "drop table revlog",
        "drop table notes; create view notes as select 1 as id, 2 as mid, '' as flds, '' as tags, '' as guid",
        "delete from col",
        "update notes set mid = 'x', flds = x'00ff', tags = 7",
        "update notes set id = id; update cards set did = 'nowhere', odid = 'nowhere'",
        "alter table notes rename column flds to fields",
        "drop table decks",
    ],
)
def test_what_anki_does_not_write_is_told_in_a_sentence_or_compared_as_far_as_it_goes(
    original: Path, tmp_path: Path, spoil: str
) -> None:
    spoilt = tmp_path / "spoilt.anki2"
    shutil.copy(original, spoilt)
    with closing(sqlite3.connect(spoilt)) as connection:
        connection.create_collation("unicase", lambda a, b: (a > b) - (a < b))
        connection.executescript(f"pragma writable_schema = on; {spoil}")
    for before, later in ((original, spoilt), (spoilt, original)):
        try:
            found, said = compare_collections(before, later), str(spoilt)
        except CollectionDamaged as told:
            found, said = None, str(told)
        assert found is None or found
        assert str(spoilt) in said


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    before=st.dictionaries(st.integers(1, 30), st.text(max_size=5), max_size=12),
    later=st.dictionaries(st.integers(1, 30), st.text(max_size=5), max_size=12),
)
def test_every_note_is_in_its_place(
    original: Path, tmp_path: Path, before: dict[int, str], later: dict[int, str]
) -> None:
    paths = []
    for name, notes in (("one", before), ("other", later)):
        path = tmp_path / f"{name}.anki2"
        shutil.copy(original, path)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("delete from notes")
            connection.executemany(
                "insert into notes select ?, 'g', (select min(id) from notetypes), 0, 0, '', ?, '', 0, 0, ''",
                [(id_, text.replace("\x1f", "")) for id_, text in notes.items()],
            )
        paths.append(path)
    before, later = ({id_: text.replace("\x1f", "") for id_, text in one.items()} for one in (before, later))
    told = {(note.id, note.change) for note in compare_collections(*paths).notes}
    assert told == {
        *((id_, Change.DELETED) for id_ in before.keys() - later.keys()),
        *((id_, Change.ADDED) for id_ in later.keys() - before.keys()),
        *((id_, Change.CHANGED) for id_ in before.keys() & later.keys() if before[id_] != later[id_]),
    }
