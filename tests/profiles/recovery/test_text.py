from __future__ import annotations

import csv
import re
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from anki.collection import Collection, CsvMetadata, ImportCsvRequest, ImportLogWithChanges
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles.deletion_log import DeletedNote, parse_deletion_log
from profiles.note_types import read_note_types
from profiles.recovery.text import NoteOrigin, import_files
from tests.profiles.desktop_log import NEW_HEADER, OLD_HEADER, logging_deletions

AWKWARD = (
    '"quoted" and "again',
    '"',
    "tab\tinside",
    "line\nfeed\n",
    "# no comment",
    "#guid column:3",
    "tags: none",
    '<b>bold</b> &amp; &lt;x&gt; <img src="a\'b.jpg">',
    "日本語 🎴 é ß ﬃ",
    " spaces ",
    "a,b;c|d:e",
    "\u2028 and \u200b",
    "\\n \\t \\",
    "{{c1::cloze}}",
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty collection with one note type more than Anki brings, wider than the others."""
    path = tmp_path_factory.mktemp("import") / "collection.anki2"
    collection = Collection(str(path))
    note_type = collection.models.new("Vocabulary: “Übung”")
    for name in ("Word", "Meaning", "The 'sound'", "Note"):
        collection.models.add_field(note_type, collection.models.new_field(name))
    template = collection.models.new_template("Card 1")
    template["qfmt"] = "{{Word}}"
    collection.models.add_template(note_type, template)
    collection.models.add(note_type)
    collection.close()
    return path


@pytest.fixture
def collection(original: Path, tmp_path: Path) -> Iterator[Collection]:
    opened = Collection(str(shutil.copy(original, tmp_path / "collection.anki2")))
    yield opened
    opened.close()


def bring_in(collection: Collection, text: str) -> ImportLogWithChanges.Log:
    """Do what File > Import does when nothing in its dialog is changed."""
    path = Path(collection.path).with_name("import.txt")
    path.write_text(text, encoding="utf-8", newline="")
    metadata = collection.get_csv_metadata(path=str(path), delimiter=None)
    return collection.import_csv(ImportCsvRequest(path=str(path), metadata=metadata)).log


def note_type_of(collection: Collection, name: str) -> tuple[int, tuple[str, ...]]:
    note_type = collection.models.by_name(name)
    assert note_type is not None
    return note_type["id"], tuple(field["name"] for field in note_type["flds"])


def deleted(collection: Collection, name: str, note_id: int, *fields: str) -> DeletedNote:
    note_type_id, field_names = note_type_of(collection, name)
    padded = (*fields, *[""] * (len(field_names) - len(fields)))
    return DeletedNote(note_id, note_type_id, name, field_names, padded)


def found(collection: Collection) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Return the note type and the fields of every note, by guid."""
    notes = [collection.get_note(note_id) for note_id in collection.find_notes("")]
    assert len({note.guid for note in notes}) == len(notes)
    return {note.guid: (note.mid, tuple(note.fields)) for note in notes}


@pytest.mark.parametrize("header", [OLD_HEADER, NEW_HEADER], ids=["old", "new"])
def test_deleted_notes_come_back_from_the_log_in_one_click(collection: Collection, header: bytes) -> None:
    path = Path(collection.path)
    log = path.with_name("deleted.txt")
    expected = {}
    awkward = [text.replace("\t", " ") for text in AWKWARD]
    for name in ("Basic", "Cloze", "Vocabulary: “Übung”"):
        for first, second in zip(awkward, reversed(awkward), strict=True):
            note = collection.new_note(collection.models.by_name(name))
            note.fields[0], note.fields[1] = f"{first} {{{{c1::x}}}}", second
            collection.add_note(note, collection.decks.id("Default"))
            expected[str(note.id)] = (note.mid, tuple(collection.get_note(note.id).fields))
    with logging_deletions(log, header):
        collection.remove_notes([*collection.find_notes("")])
    collection.close()
    read = parse_deletion_log(log.read_bytes(), read_note_types(path))
    collection.reopen()

    files = import_files(read.notes)

    assert read.unreadable == ()
    assert len(files) == 3
    for text in files.values():
        assert len(bring_in(collection, text).new) == len(awkward)
    assert found(collection) == expected
    for text in files.values():
        assert len(bring_in(collection, text).new) == 0
    assert found(collection) == expected


def test_awkward_fields_come_back_equal_and_into_their_own_note_type(collection: Collection) -> None:
    names = ("Basic", "Cloze", "Vocabulary: “Übung”")
    notes = [
        deleted(collection, name, 1_000 * position + number, *fields)
        for position, name in enumerate(names, 1)
        for number, fields in enumerate(zip(AWKWARD, reversed(AWKWARD), strict=True))
    ]
    # The type that comes first in Anki's dialog, and its current deck, must not matter.
    collection.set_config("curModel", note_type_of(collection, "Cloze")[0])
    for _ in range(2):
        for text in import_files(notes).values():
            bring_in(collection, text)
        assert found(collection) == {str(note.note_id): (note.note_type_id, note.fields) for note in notes}


def test_a_note_with_an_empty_first_field_comes_back_with_a_space_in_it(collection: Collection) -> None:
    (text,) = import_files([deleted(collection, "Basic", 5, "", "back")]).values()
    log = bring_in(collection, text)
    assert len(log.new) == 1
    assert len(log.empty_first_field) == 0
    assert found(collection)["5"][1] == (" ", "back")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.lists(
            st.text(
                st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]) | st.sampled_from('\t\n"#<&'), min_size=1
            ),
            min_size=4,
            max_size=4,
        ),
        min_size=1,
        max_size=12,
    )
)
def test_whatever_anki_can_store_comes_back_equal(rows: list[list[str]], collection: Collection) -> None:
    collection.remove_notes([*collection.find_notes("")])
    # Anki itself brings every field it stores into this normal form.
    notes = [
        deleted(collection, "Vocabulary: “Übung”", number, *(unicodedata.normalize("NFC", field) for field in fields))
        for number, fields in enumerate(rows)
    ]
    (text,) = import_files(notes).values()
    bring_in(collection, text)
    assert found(collection) == {str(note.note_id): (note.note_type_id, note.fields) for note in notes}


def test_a_note_that_is_still_there_is_left_as_it_is(collection: Collection) -> None:
    (text,) = import_files([deleted(collection, "Basic", 5, "front", "old")]).values()
    bring_in(collection, text)
    (note_id,) = collection.find_notes("")
    note = collection.get_note(note_id)
    note["Back"] = "edited since"
    collection.update_note(note)
    bring_in(collection, text)
    assert found(collection)["5"][1] == ("front", "edited since")


def test_what_an_older_snapshot_knows_comes_back_too(collection: Collection) -> None:
    notes = [deleted(collection, "Basic", number, f"front {number}", "back") for number in range(1, 8)]
    origins = {
        1: NoteOrigin("#q;=@,\"'", "Languages::日本語 “N5”", ("one", "two::three")),
        2: NoteOrigin("second", "Languages::日本語 “N5”", ()),
        3: NoteOrigin("second", "", ()),
        4: NoteOrigin("", "2024", ("four",)),
        5: NoteOrigin("fifth", " +7 ", ()),
    }
    (text,) = import_files(notes, origins).values()
    # Not in the deck that happens to be the current one.
    collection.decks.set_current(collection.decks.id("Current"))

    for _ in range(2):
        bring_in(collection, text)
        back = [collection.get_note(note_id) for note_id in collection.find_notes("")]
        assert {
            (note.guid, note["Front"], collection.decks.name(note.cards()[0].did), " ".join(note.tags)) for note in back
        } == {
            ("#q;=@,\"'", "front 1", "Languages::日本語 “N5”", "one two::three"),
            ("second", "front 2", "Languages::日本語 “N5”", ""),
            ("3", "front 3", "Default", ""),
            ("4", "front 4", "Default", "four"),
            ("fifth", "front 5", "Default", ""),
            ("6", "front 6", "Default", ""),
            ("7", "front 7", "Default", ""),
        }
        assert len(back) == 7


def test_of_a_note_deleted_twice_the_last_state_comes_back_once(collection: Collection) -> None:
    states = [deleted(collection, "Basic", 5, "front", back) for back in ("first", "second", "third")]
    (text,) = import_files(states).values()
    bring_in(collection, text)
    assert {guid: fields for guid, (_, fields) in found(collection).items()} == {"5": ("front", "third")}


def test_notes_from_before_and_after_a_field_was_added_come_back_whole(collection: Collection) -> None:
    note_type_id, field_names = note_type_of(collection, "Vocabulary: “Übung”")
    notes = [
        DeletedNote(1, note_type_id, "Vocabulary: “Übung”", field_names[:2], ("a", "b")),
        DeletedNote(2, note_type_id, "Vocabulary: “Übung”", field_names, ("a", "b", "c", "d")),
    ]
    (text,) = import_files(notes).values()
    bring_in(collection, text)
    assert found(collection)["1"][1] == ("a", "b", "", "")
    assert found(collection)["2"][1] == ("a", "b", "c", "d")


def test_notes_of_an_unknown_type_are_skipped_until_the_type_is_there_again(collection: Collection) -> None:
    missing = 1_500_000_000_000
    known_id, _ = note_type_of(collection, "Basic")
    files = import_files(
        [DeletedNote(1, missing, None, (), ("a", "b", "c")), DeletedNote(2, known_id, None, (), ("d", "e"))]
    )
    assert set(files) == {f"unknown-note-type-{missing}.txt", f"unknown-note-type-{known_id}.txt"}
    assert (
        f"# Notes of note type {missing}, which was not in the collection" in files[f"unknown-note-type-{missing}.txt"]
    )

    assert len(bring_in(collection, files[f"unknown-note-type-{missing}.txt"]).missing_notetype) == 1
    assert found(collection) == {}
    bring_in(collection, files[f"unknown-note-type-{known_id}.txt"])
    assert found(collection) == {"2": (known_id, ("d", "e"))}


def test_the_dialog_opens_with_the_right_choices_and_the_names_of_the_fields(collection: Collection) -> None:
    (text,) = import_files([deleted(collection, "Vocabulary: “Übung”", 1, "a")]).values()
    path = Path(collection.path).with_name("import.txt")
    path.write_text(text, encoding="utf-8", newline="")
    metadata = collection.get_csv_metadata(path=str(path), delimiter=None)
    assert list(metadata.column_labels) == ["guid", "note type", "Word", "Meaning", "The 'sound'", "Note"]
    assert metadata.force_is_html
    assert metadata.is_html
    # Anki remembers this choice for the next file, so it is made even where a guid alone would prevent duplicates.
    assert metadata.dupe_resolution == CsvMetadata.PRESERVE


def test_a_hostile_name_adds_no_directive_and_no_row(collection: Collection) -> None:
    note_type_id, _ = note_type_of(collection, "Basic")
    name = "x\n#tags:evil\r\n#notetype:Cloze\n1\t2\t3\u2028\x85"
    note = DeletedNote(1, note_type_id, name, ("a\n#tags:evil", 'b"\n#deck:evil'), ("front", "\ud800"))
    (text,) = import_files([note]).values()
    bring_in(collection, text)
    (note_id,) = collection.find_notes("")
    assert collection.get_note(note_id).tags == []
    assert found(collection) == {"1": (note_type_id, ("front", "\ufffd"))}


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Basic", "Basic"),
        ("../../etc/passwd", "etc-passwd"),
        ("C:\\Windows\\nul", "C-Windows-nul"),
        ("CON", "CON"),
        ("Übung: “é”?", "Ubung-e"),
        ("日本語", "note-type"),
        ("", "note-type"),
        ("...", "note-type"),
        ("x" * 500, "x" * 40),
        ("\ud800\x00a", "a"),
    ],
)
def test_file_names_suit_every_system(name: str, slug: str) -> None:
    assert list(import_files([DeletedNote(1, 7, name, ("Front",), ("a",))])) == [f"{slug}-7.txt"]


@settings(deadline=None)
@given(st.dictionaries(st.integers(-(2**63), 2**63 - 1), st.text(max_size=60) | st.none(), max_size=8))
def test_no_two_note_types_share_a_file(names: dict[int, str | None]) -> None:
    files = import_files(DeletedNote(1, id_, name, (), ("a",)) for id_, name in names.items())
    assert len({name.casefold() for name in files}) == len(names)
    for name, text in files.items():
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,70}\.txt", name)
        assert text.encode("utf-8").endswith(b"\n")


def test_all_rows_are_as_wide_as_the_widest() -> None:
    notes = [DeletedNote(number, 7, "Basic", ("a",), ("x",) * number) for number in (1, 4, 2)]
    (text,) = import_files(notes).values()
    rows = [line for line in text.split("\n") if line and not line.startswith("#")]
    assert {len(cells) for cells in csv.reader(rows, delimiter="\t")} == {6}


def test_no_notes_need_no_file() -> None:
    assert import_files([]) == {}
