"""Text files of notes that a private copy holds."""

from __future__ import annotations

import csv
import random
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from anki.collection import AddNoteRequest, Collection
from anki.decks import DeckId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles.errors import CollectionDamaged, ProfileError, SourceUnreadable
from profiles.recovery.text import text_files
from tests.profiles.recovery.living import (
    SCIENCE,
    VERBS,
    change,
    import_text,
    in_schema_11,
    in_schema_14,
    make_collection,
    note_ids,
    opened,
)

Content = dict[str, tuple[object, ...]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "collection.anki2"
    make_collection(path)
    return path


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(original, tmp_path / "copy.anki2"))


def content(collection: Collection) -> Content:
    """Note type, fields, tags and the deck of the first card, by guid."""
    found: Content = {}
    for note_id in collection.find_notes(""):
        note = collection.get_note(note_id)
        note_type = note.note_type()
        assert note_type is not None
        card = min(note.cards(), key=lambda card: card.ord)
        deck = collection.decks.name(card.odid or card.did)
        found[note.guid] = (note_type["name"], tuple(note.fields), tuple(sorted(note.tags)), deck)
    return found


def brought_back(path: Path, target: Path, notes: list[int]) -> tuple[Content, Content]:
    """Delete everything from a copy of the collection `path`, import the files, and tell what was and what is there."""
    files = text_files(path, notes).files
    shutil.copyfile(path, target)
    with opened(target) as collection:
        wanted = content(collection)
        collection.remove_notes(collection.find_notes(""))
        collection.decks.remove([DeckId(deck.id) for deck in collection.decks.all_names_and_ids() if deck.id != 1])
        for text in files.values():
            log = import_text(collection, text)
            assert len(log.new) == log.found_notes
        return wanted, content(collection)


def test_notes_of_all_types_come_back_with_fields_tags_and_decks(copy: Path, tmp_path: Path) -> None:
    with opened(copy) as collection:
        note = collection.get_note(collection.find_notes("H0")[0])
        note.guid = "#,;=@guid"
        collection.update_note(note)
    before = copy.read_bytes()

    wanted, found = brought_back(copy, tmp_path / "other.anki2", note_ids(copy))

    assert found == wanted
    assert "#,;=@guid" in found
    assert copy.read_bytes() == before


@pytest.mark.parametrize("older", [in_schema_11, in_schema_14])
def test_a_copy_of_an_old_schema_gives_the_same_files(
    original: Path, tmp_path: Path, older: Callable[[Path, Path], Path]
) -> None:
    notes = note_ids(original)
    assert text_files(older(original, tmp_path / "old.anki2"), notes) == text_files(original, notes)


def test_there_is_one_file_for_each_note_type_with_the_tags_after_the_widest_note(copy: Path) -> None:
    files = text_files(copy, note_ids(copy)).files
    assert len(files) == 4
    for name, text in files.items():
        assert re.fullmatch(r"[A-Za-z-]+-\d+\.txt", name)
        lines = [line for line in text.split("\n") if line and not line.startswith("#")]
        widths = {len(row) for row in csv.reader(lines, delimiter="\t")}
        assert len(widths) == 1
        assert f"#tags column:{widths.pop()}\n" in text
        assert "#if matches:keep current\n" in text
        assert "#deck column:3\n" in text


def test_notes_that_are_not_there_are_told(copy: Path) -> None:
    first, *_ = note_ids(copy)
    made = text_files(copy, [3, first, 2**63, -(2**80), first])
    assert made.missing_notes == (3, 2**63, -(2**80))
    assert len(made.files) == 1
    assert text_files(copy, [3]).files == {}


def test_a_note_whose_cards_are_in_a_filtered_deck_gets_the_deck_that_they_came_from(
    copy: Path, tmp_path: Path
) -> None:
    with opened(copy) as collection:
        deck = collection.sched.get_or_create_filtered_deck(deck_id=0)  # type: ignore[arg-type]
        deck.name = "Cram"
        deck.config.search_terms[0].search = f'"deck:{VERBS}"'
        del deck.config.search_terms[1:]
        collection.sched.add_or_update_filtered_deck(deck)
    (text,) = text_files(copy, note_ids(copy, "deck:Cram")).files.values()
    assert VERBS in text
    assert "Cram" not in text


def test_a_note_without_cards_or_with_a_deck_that_is_gone_goes_to_the_default_deck(copy: Path) -> None:
    first, second, third, *_ = note_ids(copy, f"deck:{SCIENCE}")
    change(copy, "delete from cards where nid = ?", first)
    change(copy, "update cards set did = 99 where nid = ?", second)
    (text,) = text_files(copy, [first, second, third]).files.values()
    rows = list(csv.reader([line for line in text.split("\n") if line and line[0] == '"'], delimiter="\t"))
    assert [row[2] for row in rows] == ["1", "1", SCIENCE]


def test_a_note_without_its_note_type_gets_a_file_that_says_so(copy: Path) -> None:
    first, *_ = note_ids(copy)
    change(copy, "update notes set mid = 4711 where id = ?", first)
    ((name, text),) = text_files(copy, [first]).files.items()
    assert name == "unknown-note-type-4711.txt"
    assert "which was not in the collection" in text


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Collection, Path]]:
    """An open collection to write notes into, and where to make copies of it."""
    folder = tmp_path_factory.mktemp("any-text")
    collection = Collection(str(folder / "collection.anki2"))
    yield collection, folder
    collection.close()


_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"])
    | st.sampled_from('\t\n\r"#<>&;:,|')
    | st.sampled_from("#\t\n\"'"),
    max_size=30,
)
_FIELD = _TEXT | st.sampled_from(
    (
        "",
        '"',
        '""',
        "#tags:x",
        "#",
        "a\tb\nc",
        "<b>x</b>",
        "<!-- ",
        "\ufeff",
        "tags: x",
        "\\n",
        "a\r\nb",
        "\n",
        "\t",
        " ",
    )
)
_TAG = st.text(st.characters(categories=["L", "N"]) | st.sampled_from("#\"'<>&-_"), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.tuples(_FIELD.filter(str.strip), _FIELD), st.lists(_TAG, max_size=3), st.sampled_from("ABC")),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_a_note_holds_comes_back_field_by_field(
    cards: tuple[Collection, Path], notes: list[tuple[tuple[str, str], list[str], str]]
) -> None:
    collection, folder = cards
    collection.remove_notes(collection.find_notes(""))
    basic = collection.models.by_name("Basic")
    assert basic is not None
    requests = []
    for fields, tags, deck in notes:
        note = collection.new_note(basic)
        note.fields = [unicodedata.normalize("NFC", field) for field in fields]
        note.tags = tags
        deck_id = collection.decks.id(f"{deck}::“{deck}” é")
        assert deck_id is not None
        requests.append(AddNoteRequest(note, deck_id))
    collection.add_notes(requests)
    wanted = content(collection)
    copy = folder / "copy.anki2"
    collection.close()
    shutil.copyfile(collection.path, copy)
    collection.reopen()
    files = text_files(copy, [request.note.id for request in requests]).files

    collection.remove_notes(collection.find_notes(""))
    for text in files.values():
        import_text(collection, text)

    assert content(collection) == wanted


def _noise(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : 3 * 4096] = random.Random(3).randbytes(2 * 4096)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda path: path.write_bytes(b""), CollectionDamaged),
        (lambda path: path.write_bytes(b"no database at all " * 4096), CollectionDamaged),
        (_noise, CollectionDamaged),
        (lambda path: path.unlink(), SourceUnreadable),
        (lambda path: change(path, "drop table notetypes"), CollectionDamaged),
        (lambda path: change(path, "drop table decks"), CollectionDamaged),
        (lambda path: change(path, "update col set ver = 11"), ProfileError),
        (lambda path: change(path, "update notes set mid = '../../etc/x'"), CollectionDamaged),
        (lambda path: change(path, "update notes set mid = x'00'"), CollectionDamaged),
        (lambda path: change(path, "update notes set flds = x'ff41'"), CollectionDamaged),
    ],
    ids=range(10),
)
def test_a_hostile_copy_is_told_in_one_sentence(
    copy: Path, spoil: Callable[[Path], object], error: type[ProfileError]
) -> None:
    notes = note_ids(copy)
    spoil(copy)
    with pytest.raises(error) as caught:
        text_files(copy, notes)
    assert str(copy) in caught.value.problem
    assert len(caught.value.problem) < 500
