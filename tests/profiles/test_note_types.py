from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from anki.collection import Collection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from profiles.errors import CollectionDamaged, CollectionMissing
from profiles.note_types import NoteType, read_note_types

AWKWARD_NAMES = ("oﬃce", "ΐΰ", "İstanbul", "a\\b's", "日本語", "straße")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[int, NoteType]]:
    """A collection in the newest schema, the same one in schema 11, and its note types as Anki tells them."""
    folder = tmp_path_factory.mktemp("note-types")
    newest, oldest = folder / "newest.anki2", folder / "oldest.anki2"
    collection = Collection(str(newest))
    for name in AWKWARD_NAMES:
        note_type = collection.models.new(name)
        # Against the alphabet, so that an order by name would show.
        for field in (f"Z {name}", "ö", "Ähnlich", "a"):
            collection.models.add_field(note_type, collection.models.new_field(field))
        template = collection.models.new_template("Card 1")
        template["qfmt"] = "{{ö}}"
        collection.models.add_template(note_type, template)
        collection.models.add(note_type)
    told = {
        note_type["id"]: NoteType(note_type["id"], note_type["name"], tuple(f["name"] for f in note_type["flds"]))
        for note_type in collection.models.all()
    }
    collection.close()
    shutil.copy(newest, oldest)
    Collection(str(oldest)).close(downgrade=True)
    return newest, oldest, told


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.create_collation("unicase", lambda a, b: (a > b) - (a < b))
        if values:
            connection.execute(statement, values)
        else:
            connection.executescript(statement)


def test_the_newest_schema_gives_the_note_types_that_anki_tells(
    originals: tuple[Path, Path, dict[int, NoteType]],
) -> None:
    newest, _, told = originals
    assert {note_type.name for note_type in told.values()} >= set(AWKWARD_NAMES)
    assert read_note_types(newest) == told


def test_schema_11_gives_the_note_types_that_anki_tells(originals: tuple[Path, Path, dict[int, NoteType]]) -> None:
    _, oldest, told = originals
    with closing(sqlite3.connect(oldest)) as connection:
        assert connection.execute("select ver from col").fetchone() == (11,)
    assert read_note_types(oldest) == told


def test_schema_14_still_keeps_its_note_types_in_json(
    originals: tuple[Path, Path, dict[int, NoteType]], tmp_path: Path
) -> None:
    copy = shutil.copy(originals[1], tmp_path / "copy.anki2")
    change(copy, "update col set ver = 14")
    assert read_note_types(copy) == originals[2]


def test_a_newer_schema_is_read_as_far_as_it_is_known(
    originals: tuple[Path, Path, dict[int, NoteType]], tmp_path: Path
) -> None:
    copy = shutil.copy(originals[0], tmp_path / "copy.anki2")
    change(copy, "update col set ver = 19")
    assert read_note_types(copy) == originals[2]


def test_reading_leaves_the_copy_alone_and_nothing_beside_it(
    originals: tuple[Path, Path, dict[int, NoteType]], tmp_path: Path
) -> None:
    copy = shutil.copy(originals[0], tmp_path / "a copy #1%20?.anki2")
    before = copy.read_bytes()
    assert read_note_types(copy) == originals[2]
    assert copy.read_bytes() == before
    assert list(tmp_path.iterdir()) == [copy]


def test_an_id_that_an_add_on_wrote_as_text_counts(
    originals: tuple[Path, Path, dict[int, NoteType]], tmp_path: Path
) -> None:
    copy = shutil.copy(originals[1], tmp_path / "copy.anki2")
    models = {"5": {"id": "5", "name": "Old", "flds": [{"name": "Front"}, {"name": "Back", "ord": 1}]}}
    change(copy, "update col set models = ?", json.dumps(models))
    assert read_note_types(copy) == {5: NoteType(5, "Old", ("Front", "Back"))}


@pytest.mark.parametrize(
    "models",
    [
        "",
        "[",
        "[]",
        "[" * 100_000,
        '{"1": []}',
        '{"1": {"id": 1, "name": 7, "flds": []}}',
        '{"1": {"id": 1, "name": "a", "flds": {}}}',
        '{"1": {"id": 1, "name": "a", "flds": [1]}}',
        '{"1": {"id": 1, "name": "a", "flds": [{"name": null}]}}',
        '{"1": {"id": 1.5, "name": "a", "flds": []}}',
        '{"1": {"id": true, "name": "a", "flds": []}}',
        '{"1": {"id": 9223372036854775808, "name": "a", "flds": []}}',
        '{"1": {"id": ' + "9" * 5_000 + ', "name": "a", "flds": []}}',
        b"\xff\xfe",
        12,
    ],
    ids=range(15),
)
def test_note_types_that_are_not_what_anki_writes_are_damage(
    models: object, originals: tuple[Path, Path, dict[int, NoteType]], tmp_path: Path
) -> None:
    copy = shutil.copy(originals[1], tmp_path / "copy.anki2")
    change(copy, "update col set models = ?", models)
    with pytest.raises(CollectionDamaged) as caught:
        read_note_types(copy)
    assert str(copy) in caught.value.problem
    assert len(caught.value.problem) < 500


@pytest.mark.parametrize(
    "statement",
    [
        "drop table notetypes",
        "drop table fields",
        "drop table col",
        "delete from col",
        "update col set ver = 'eighteen'",
        "insert into fields values ((select min(id) from notetypes), 99, x'00ff', x'')",
        "drop index idx_notetypes_name; insert into notetypes values (1, cast(x'6fff' as text), 0, 0, x'')",
    ],
)
def test_missing_tables_and_names_that_are_no_text_are_damage(
    statement: str, originals: tuple[Path, Path, dict[int, NoteType]], tmp_path: Path
) -> None:
    copy = shutil.copy(originals[0], tmp_path / "copy.anki2")
    change(copy, statement)
    with pytest.raises(CollectionDamaged, match=r"copy\.anki2"):
        read_note_types(copy)


def test_a_view_in_place_of_a_table_is_refused_and_not_run(
    originals: tuple[Path, Path, dict[int, NoteType]], tmp_path: Path
) -> None:
    copy = shutil.copy(originals[0], tmp_path / "copy.anki2")
    change(copy, "drop table notetypes")
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select i as id, 'a' as name from n"
    change(copy, f"create view notetypes as {endless}")
    with pytest.raises(CollectionDamaged):
        read_note_types(copy)


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 5_000])
def test_a_file_that_is_no_database_is_damage(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "copy.anki2"
    path.write_bytes(content)
    with pytest.raises(CollectionDamaged, match=r"copy\.anki2"):
        read_note_types(path)


def test_a_missing_copy_is_said_to_be_missing_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(CollectionMissing, match=r"none\.anki2"):
        read_note_types(tmp_path / "none.anki2")
    assert not list(tmp_path.iterdir())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_reported_or_harmless(
    data: st.DataObject, originals: tuple[Path, Path, dict[int, NoteType]], tmp_path: Path
) -> None:
    content = bytearray(originals[data.draw(st.integers(0, 1))].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 1))
        content[start : start + 64] = data.draw(st.binary(min_size=1, max_size=64))
    path = tmp_path / "copy.anki2"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        found = read_note_types(path)
    except CollectionDamaged:
        return
    assert all(isinstance(note_type, NoteType) for note_type in found.values())
