from __future__ import annotations

import json
import shutil
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from anki.collection import Collection
from anki.decks import DeckId
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles.unicase import ROTATED, UNFOLDED, folded, register, unicase

# U+0000 ends a text for Anki's database layer, surrogates are no characters, and neither can be in a name.
CODE_POINTS = [code for code in range(1, 0x110000) if not 0xD800 <= code <= 0xDFFF]
DEFAULT_DECK = DeckId(1)
AWKWARD = "aAzZ0_ ßẞ\u017fsSKkİiI\u0131µμΣ\u03c3ςΰΐώῼﬃﬀﬁŉǰΆάⰯⱟꟵꟀꟁ𐕰𐖗\u0345\u1e9e\u0130é日"


@pytest.fixture(scope="module")
def anki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    collection = Collection(str(tmp_path_factory.mktemp("unicase") / "collection.anki2"))
    yield collection
    collection.close()


def signs_by_anki(anki: Collection, pairs: list[tuple[str, str]]) -> list[int]:
    """How Anki's own SQLite compares each pair: -1, 0 or 1."""
    assert anki.db is not None
    signs: list[int] = []
    for start in range(0, len(pairs), 50_000):
        signs += anki.db.list(
            "SELECT (a > b COLLATE unicase) - (a < b COLLATE unicase) FROM"
            " (SELECT value ->> 0 AS a, value ->> 1 AS b FROM json_each(?) ORDER BY key)",
            json.dumps(pairs[start : start + 50_000], ensure_ascii=False),
        )
    return signs


def test_every_code_point_stands_where_anki_puts_it(anki: Collection) -> None:
    in_our_order = sorted(map(chr, CODE_POINTS), key=folded)
    pairs = list(pairwise(in_our_order))

    by_anki = signs_by_anki(anki, pairs)

    # Neighbours that compare alike in both make the whole order alike.
    differing = [
        f"U+{ord(a):04X} U+{ord(b):04X}" for (a, b), sign in zip(pairs, by_anki, strict=True) if sign != unicase(a, b)
    ]
    assert differing == []


def test_only_the_documented_characters_differ_from_pythons_own_folding() -> None:
    differing = {code for code in CODE_POINTS if folded(chr(code)) != chr(code).casefold()}
    unfolded = {code for first, last in UNFOLDED for code in range(first, last + 1)}

    assert len(ROTATED) == 16
    assert {ord(character) for character in ROTATED} <= differing
    assert differing - set(map(ord, ROTATED)) <= unfolded
    if unicodedata.unidata_version == "14.0.0":
        assert len(differing - set(map(ord, ROTATED))) == 43


@settings(max_examples=400, deadline=None)
@given(
    a=st.text(st.sampled_from(AWKWARD) | st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    data=st.data(),
)
def test_whole_names_compare_as_in_anki(anki: Collection, a: str, data: st.DataObject) -> None:
    b = data.draw(st.sampled_from([a.swapcase(), a.upper(), a.casefold(), folded(a), a + "a"]) | st.text(AWKWARD))
    assert signs_by_anki(anki, [(a, b)]) == [unicase(a, b)]
    assert unicase(b, a) == -unicase(a, b)


def test_a_collection_with_awkward_names_passes_the_full_check(tmp_path: Path) -> None:
    made = tmp_path / "collection.anki2"
    collection = Collection(str(made))
    names = [f"{first}{second}x" for first in AWKWARD for second in AWKWARD if (first + second).strip()]
    note_type = collection.models.by_name("Basic")
    assert note_type is not None
    note = collection.new_note(note_type)
    note["Front"] = "front"
    note.tags = [name.replace(" ", "_") for name in names]
    collection.add_note(note, DEFAULT_DECK)
    for name in names[::7]:
        collection.decks.id(name)
    for name in ["oﬃce", "ΐ", "ΰ", "OFFICE", "ꟀꟁꟂ", "𐕰"]:
        copy = collection.models.copy(note_type, add=False)
        copy["name"] = name
        collection.models.add_dict(copy)
    collection.close()

    assert check(made, full=True) == "ok"


def test_the_check_above_has_the_power_to_tell_a_wrong_order(tmp_path: Path) -> None:
    made = tmp_path / "collection.anki2"
    collection = Collection(str(made))
    note_type = collection.models.by_name("Basic")
    assert note_type is not None
    note = collection.new_note(note_type)
    note["Front"] = "front"
    note.tags = ["oﬃce", "oga", "ofa", "oia", "oea"]
    collection.add_note(note, DEFAULT_DECK)
    collection.close()
    shutil.copy(made, tmp_path / "other")

    assert check(made, full=True) == "ok"
    assert "tags" in check(tmp_path / "other", full=False)


def check(path: Path, *, full: bool) -> str:
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        if full:
            register(connection)
        else:
            connection.create_collation(
                "unicase", lambda a, b: (a.casefold() > b.casefold()) - (a.casefold() < b.casefold())
            )
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
