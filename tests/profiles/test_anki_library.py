from __future__ import annotations

from pathlib import Path

import pytest
from anki.errors import DBError

from profiles.anki_library import anki_troubles, opened_in_anki, plain, scratch_folder
from profiles.errors import AnkiRefused, PackageUnusable, TargetUnusable
from tests.profiles.recovery.living import make_collection, note_ids


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("library") / "copy.anki2"
    make_collection(path)
    return path


Panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})
"""What a panic in Anki's Rust code looks like to Python; its class can't be imported."""


def test_a_panic_in_rust_becomes_a_sentence() -> None:
    with pytest.raises(AnkiRefused) as caught, anki_troubles("Nothing was packed", "Try another"):
        raise Panic("index out of bounds: the len is 0 but the index is 1")
    assert caught.value.problem == (
        "Nothing was packed: it stopped in the middle of its work "
        "(index out of bounds: the len is 0 but the index is 1)"
    )


def test_a_panic_while_the_collection_is_open_leaves_nothing_and_closes_what_it_can(copy: Path, tmp_path: Path) -> None:
    before = copy.read_bytes()
    with (
        pytest.raises(AnkiRefused, match="stopped in the middle"),
        scratch_folder(tmp_path) as folder,
        opened_in_anki(copy, folder) as (collection, _),
    ):
        raise Panic("boom")
    assert collection.db is None
    assert copy.read_bytes() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", [KeyboardInterrupt(), ZeroDivisionError(), TargetUnusable("a", "b")])
def test_what_is_not_ankis_doing_passes_through(copy: Path, tmp_path: Path, other: BaseException) -> None:
    with pytest.raises(type(other)), opened_in_anki(copy, tmp_path):
        raise other


def test_changes_to_the_opened_copy_do_not_reach_the_given_one(copy: Path, tmp_path: Path) -> None:
    notes = note_ids(copy)
    with opened_in_anki(copy, tmp_path) as (collection, facts):
        assert facts.notes == len(notes)
        collection.remove_notes(collection.find_notes(""))
    assert note_ids(copy) == notes
    assert note_ids(tmp_path / "collection.anki2") == []


def test_a_scratch_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(TargetUnusable), scratch_folder(tmp_path / "nowhere"):
        pass


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Not \u2068this\u2069. Nor that.", "Not this"),
        ("two\nlines\tof\x00it", "two lines of it"),
        ("`code` here.", "'code' here"),
        ("x" * 500, "x" * 200 + "…"),
        ('DbError { info: "", kind: FileTooNew }', "it is of a newer Anki"),
        ('DbError { info: "SqliteFailure(Error { }, Some(\\"no such table: a\\"))", kind: Other }', "no such table: a"),
        ('DbError { info: "SqlInputError { msg: \\"near b\\", sql: \\"x\\" }", kind: Other }', "near b"),
        ('ProtoError { info: "failed to decode" }', "failed to decode"),
        ("", ""),
    ],
)
def test_what_anki_says_is_made_fit_for_a_sentence(said: str, told: str) -> None:
    assert plain(said) == told


def test_an_error_of_anki_without_words_is_told_by_its_name() -> None:
    with pytest.raises(AnkiRefused, match="Nothing was packed: DBError"), anki_troubles("Nothing was packed"):
        raise DBError("", None, None, None)


def test_trouble_of_anki_comes_as_the_kind_of_error_that_is_asked_for() -> None:
    with (
        pytest.raises(PackageUnusable, match="Nothing was packed: of no use"),
        anki_troubles("Nothing was packed", kind=PackageUnusable),
    ):
        raise DBError("of no use", None, None, None)
