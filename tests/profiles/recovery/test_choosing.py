from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from profiles.errors import AnkiRefused, CollectionDamaged, ProfileError, SearchInvalid, SourceUnreadable
from profiles.recovery.choosing import Choice, choose_notes
from tests.profiles.recovery.living import (
    SCIENCE,
    SPANISH,
    VERBS,
    change,
    in_schema_11,
    in_schema_14,
    make_collection,
    note_ids,
    opened,
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("choosing") / "collection.anki2"
    make_collection(path)
    with opened(path) as collection:
        # A filtered deck that holds cards of the verbs, and a deck whose name only begins like another's.
        deck = collection.sched.get_or_create_filtered_deck(deck_id=0)  # type: ignore[arg-type]
        deck.name = "Cram"
        deck.config.search_terms[0].search = f'"deck:{VERBS}"'
        del deck.config.search_terms[1:]
        collection.sched.add_or_update_filtered_deck(deck)
        collection.decks.id(f"{SPANISH}ito")
    return path


@pytest.fixture(params=["newest schema", "schema 14", "schema 11"])
def copy(request: pytest.FixtureRequest, original: Path, tmp_path: Path) -> Path:
    target = tmp_path / "copy.anki2"
    if request.param == "schema 11":
        return in_schema_11(original, target)
    if request.param == "schema 14":
        return in_schema_14(original, target)
    return Path(shutil.copyfile(original, target))


def test_notes_are_chosen_by_id_and_those_that_are_not_there_are_told(original: Path) -> None:
    first, second, *_ = note_ids(original)
    absent = (1, -5, 0, 2**63, -(2**70), 10**400)
    assert choose_notes(original, note_ids=[second, *absent, first, second, 1]) == Choice((first, second), absent)


@pytest.mark.parametrize(
    ("names", "search"),
    [
        ([SPANISH], f'"deck:{SPANISH}"'),
        (["languages::espaÑOL"], f'"deck:{SPANISH}"'),
        (["Languages::Espan\u0303ol::VERBOS"], f'"deck:{VERBS}"'),
        (["Cram"], "deck:Cram"),
        (["LANGUAGES"], "deck:Languages"),
        ([SCIENCE, "Cram"], f"deck:{SCIENCE} or deck:Cram"),
        ([f"{SPANISH}ito"], "deck:none-such"),
    ],
)
def test_a_deck_stands_for_what_anki_finds_in_it(copy: Path, original: Path, names: list[str], search: str) -> None:
    assert choose_notes(copy, decks=names) == Choice(tuple(note_ids(original, search)))


def test_a_deck_that_is_not_there_is_told(original: Path) -> None:
    choice = choose_notes(original, decks=["Science", "Lang", "Verbos", "", "Lang", "Science::"])
    assert choice == Choice(tuple(note_ids(original, "deck:Science")), (), ("Lang", "Verbos", "", "Science::"))


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("tag:animal -tag:marked", 4),
        ("re:gato\\s[12]", 2),
        ('deck:"LANGUAGES::español" is:suspended', 1),
        ('"note:Cloze" or H3', 5),
        ("", 16),
        ("nothing-like-this", 0),
    ],
)
def test_a_search_finds_what_it_finds_in_ankis_browser(copy: Path, search: str, found: int) -> None:
    assert len(choose_notes(copy, search=search).notes) == found


def test_ids_decks_and_a_search_add_up(original: Path) -> None:
    science, vocabulary = note_ids(original, "deck:Science"), note_ids(original, "note:Vocabulary")
    first = note_ids(original)[0]
    choice = choose_notes(original, note_ids=[first], decks=["Science"], search="note:Vocabulary")
    assert choice.notes == tuple(sorted({first, *science, *vocabulary}))


def test_choosing_leaves_the_copy_as_it_is_and_nothing_beside_it(copy: Path, tmp_path: Path) -> None:
    before = copy.read_bytes()
    choose_notes(copy, note_ids=[1], decks=["Science"], search="tag:animal")
    with pytest.raises(SearchInvalid):
        choose_notes(copy, search="(")
    assert copy.read_bytes() == before
    assert list(tmp_path.iterdir()) == [copy]


@pytest.mark.parametrize(
    "search",
    [
        "(",
        "a and",
        '"',
        "re:(",
        "is:nonsense",
        "prop:ivl~3",
        "rated:x",
        "nid:1,x",
        "\ud800",
        "(" * 5_000,
    ],
)
def test_a_search_that_anki_does_not_understand_is_told_in_one_sentence(original: Path, search: str) -> None:
    with pytest.raises(SearchInvalid) as caught:
        choose_notes(original, search=search)
    told = caught.value.problem
    assert told.startswith("Anki can't search for ")
    assert len(told) < 400
    assert told.isprintable()
    assert not told.endswith(".")


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
        (lambda path: path.write_bytes(path.read_bytes()[: 5 * 4096]), CollectionDamaged),
        (lambda path: path.unlink(), SourceUnreadable),
        (lambda path: change(path, "drop table decks"), CollectionDamaged),
        (lambda path: change(path, "drop table cards"), CollectionDamaged),
        (lambda path: change(path, "update col set ver = 11"), CollectionDamaged),
        (lambda path: change(path, "update col set ver = 99"), AnkiRefused),
        (lambda path: change(path, "replace into config values ('schedVer', 0, 0, x'37')"), AnkiRefused),
        (lambda path: change(path, "replace into config values ('schedVer', 0, 0, x'7b7d')"), AnkiRefused),
    ],
    ids=range(11),
)
def test_a_hostile_copy_is_told_in_one_sentence(
    original: Path, tmp_path: Path, spoil: Callable[[Path], object], error: type[ProfileError]
) -> None:
    path = Path(shutil.copyfile(original, tmp_path / "copy.anki2"))
    spoil(path)
    with pytest.raises(error) as caught:
        choose_notes(path, decks=["Science"], search="tag:animal")
    assert str(path) in caught.value.problem
    assert len(caught.value.problem) < 500
    assert {entry.name for entry in tmp_path.iterdir()} <= {"copy.anki2"}


@pytest.mark.parametrize(
    "decks",
    ["", "[]", "[" * 100_000, '{"1": []}', '{"1": {"id": "x", "name": "a"}}', '{"1": {"id": 1, "name": 7}}', 12],
)
def test_decks_that_are_not_what_anki_writes_are_damage(original: Path, tmp_path: Path, decks: object) -> None:
    path = in_schema_11(original, tmp_path / "copy.anki2")
    change(path, "update col set decks = ?", decks)
    with pytest.raises(CollectionDamaged, match="decks"):
        choose_notes(path, decks=["Science"])
