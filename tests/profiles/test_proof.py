from __future__ import annotations

import random
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from anki.collection import Collection
from anki.decks import DeckId

from profiles.errors import CollectionDamaged, SourceUnreadable
from profiles.proof import CollectionFacts, prove
from profiles.unicase import register

PAGE = 4096
DEFAULT_DECK = DeckId(1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CollectionFacts]:
    """A closed collection with notes and reviews, and what Anki itself says of it."""
    path = tmp_path_factory.mktemp("proof") / "collection.anki2"
    collection = Collection(str(path))
    note_type = collection.models.by_name("Basic (and reversed card)")
    assert note_type is not None
    for number in range(60):
        note = collection.new_note(note_type)
        note["Front"], note["Back"], note.tags = f"front {number}", "back " * 40, [f"tag{number % 9}", "été"]
        collection.add_note(note, DEFAULT_DECK)
    for _ in range(7):
        card = collection.sched.getCard()
        assert card is not None
        card.start_timer()
        collection.sched.answerCard(card, 4)
    collection.remove_notes(collection.find_notes("tag:tag3")[:2])
    assert collection.db is not None
    ((created, modified, schema_modified, last_sync, version),) = collection.db.all(
        "SELECT crt, mod, scm, ls, ver FROM col"
    )
    facts = CollectionFacts(
        schema_version=version,
        notes=collection.note_count(),
        cards=collection.card_count(),
        reviews=collection.db.scalar("SELECT count() FROM revlog"),
        last_review_ms=collection.db.scalar("SELECT id FROM revlog ORDER BY id DESC"),
        modified_ms=modified,
        schema_modified_ms=schema_modified,
        last_sync_ms=last_sync,
        created_s=created,
        page_size=collection.db.scalar("PRAGMA page_size"),
        pages=collection.db.scalar("PRAGMA page_count"),
    )
    assert facts.modified_ms == collection.mod
    collection.close()
    return path, facts


@pytest.fixture
def copy(made: tuple[Path, CollectionFacts], tmp_path: Path) -> Path:
    return Path(shutil.copy(made[0], tmp_path / "copy"))


def change(copy: Path, *statements: str, collation: Callable[[str, str], int] | None = None) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        if collation is None:
            register(connection)
        else:
            connection.create_collation("unicase", collation)
        for statement in statements:
            connection.execute(statement).fetchall()


def contents(path: Path) -> list[str]:
    """All that a collection holds, but for the statistics that SQLite makes for itself."""
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        register(connection)
        return [line for line in connection.iterdump() if "sqlite_stat" not in line]


def test_the_facts_are_those_that_anki_tells(made: tuple[Path, CollectionFacts], copy: Path) -> None:
    assert prove(copy) == made[1]
    assert made[1].reviews == 7


def test_proving_changes_nothing_and_leaves_nothing_beside_the_copy(copy: Path) -> None:
    before = (copy.read_bytes(), copy.stat().st_mtime_ns)
    prove(copy)
    assert (copy.read_bytes(), copy.stat().st_mtime_ns) == before
    assert list(copy.parent.iterdir()) == [copy]


def test_a_collection_without_reviews_has_no_last_review(copy: Path) -> None:
    change(copy, "DELETE FROM revlog")
    facts = prove(copy)
    assert (facts.reviews, facts.last_review_ms) == (0, None)


def test_a_collection_of_the_oldest_schema_that_anki_opens_is_proven(
    made: tuple[Path, CollectionFacts], tmp_path: Path
) -> None:
    shutil.copy(made[0], tmp_path / "collection.anki2")
    collection = Collection(str(tmp_path / "collection.anki2"))
    collection.export_collection_package(str(tmp_path / "old.colpkg"), include_media=False, legacy=True)
    with zipfile.ZipFile(tmp_path / "old.colpkg") as package:
        (tmp_path / "old").write_bytes(package.read("collection.anki21"))

    facts = prove(tmp_path / "old")

    assert facts.schema_version == 11
    assert (facts.notes, facts.cards, facts.reviews) == (made[1].notes, made[1].cards, made[1].reviews)


@pytest.mark.parametrize("version", [11, 14, 18, 19, 400])
def test_a_schema_that_some_anki_opens_is_no_damage_even_if_it_is_newer_than_ours(copy: Path, version: int) -> None:
    change(copy, f"UPDATE col SET ver = {version}")
    assert prove(copy).schema_version == version


@pytest.mark.parametrize("version", [-1, 10, 12, 13])
def test_a_schema_that_no_anki_opens_is_damage(copy: Path, version: int) -> None:
    change(copy, f"UPDATE col SET ver = {version}")
    with pytest.raises(CollectionDamaged, match=f"no Anki opens schema version {version}"):
        prove(copy)


def test_every_spoilt_page_of_a_tree_is_found_or_holds_nothing(made: tuple[Path, CollectionFacts], copy: Path) -> None:
    sound = made[0].read_bytes()
    wanted = contents(made[0])
    noise = random.Random(5).randbytes(PAGE)
    found = harmless = 0
    # The kinds of pages that trees are made of: https://www.sqlite.org/fileformat2.html#b_tree_pages. The tail of a
    # long value lies in pages without any sign of what belongs there, so that no check can tell.
    trees = [start for start in range(0, len(sound), PAGE) if start == 0 or sound[start] in (2, 5, 10, 13)]
    assert len(trees) > 30
    for start in trees:
        other = sound[start + PAGE : start + 2 * PAGE] or sound[start - PAGE : start]
        for spoilt in (bytes(PAGE), b"\xff" * PAGE, noise, other):
            copy.write_bytes(sound[:start] + spoilt + sound[start + PAGE :])
            try:
                prove(copy)
            except CollectionDamaged:
                found += 1
            else:
                assert contents(copy) == wanted, f"page {start // PAGE + 1} is spoilt, and nobody noticed"
                harmless += 1
    assert found > 3 * harmless


def test_every_cut_is_found(made: tuple[Path, CollectionFacts], copy: Path) -> None:
    sound = made[0].read_bytes()
    for size in [*range(0, len(sound), PAGE), 1, 99, 100, len(sound) - 1, len(sound) - PAGE // 2]:
        copy.write_bytes(sound[:size])
        with pytest.raises(CollectionDamaged):
            prove(copy)


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(4080)])
def test_what_is_no_database_is_damage_and_named(copy: Path, content: bytes) -> None:
    copy.write_bytes(content)
    with pytest.raises(CollectionDamaged, match=str(copy)):
        prove(copy)


def test_a_copy_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="could not be read"):
        prove(tmp_path / "gone")
    with pytest.raises(SourceUnreadable, match="could not be read"):
        prove(tmp_path)


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("DELETE FROM col", "the table col has 0 rows"),
        ("INSERT INTO col SELECT 2, crt, mod, scm, ver, dty, usn, ls, '', '', '', '', '' FROM col", "has 2 rows"),
        ("DROP TABLE revlog", "no table revlog"),
        ("UPDATE col SET mod = 'yesterday'", "something else where a number belongs"),
        ("UPDATE col SET crt = 1.5", "something else where a number belongs"),
    ],
)
def test_what_anki_could_not_live_with_is_damage(copy: Path, statement: str, finding: str) -> None:
    change(copy, statement)
    with pytest.raises(CollectionDamaged, match=finding):
        prove(copy)


def test_a_view_in_the_place_of_a_table_is_never_run(copy: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id FROM n"
    change(copy, "DROP TABLE revlog", f"CREATE VIEW revlog AS {endless}")
    with pytest.raises(CollectionDamaged, match="no table revlog"):
        prove(copy)


def test_cards_without_notes_do_not_keep_a_collection_from_being_backed_up(copy: Path) -> None:
    before = prove(copy)
    change(copy, "DELETE FROM notes WHERE id IN (SELECT id FROM notes LIMIT 3)")
    after = prove(copy)
    assert (after.notes, after.cards) == (before.notes - 3, before.cards)


def test_an_index_that_lacks_a_row_is_damage(copy: Path) -> None:
    hidden = "DELETE FROM sqlite_schema WHERE name = 'ix_cards_nid'"
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        saved = connection.execute("SELECT * FROM sqlite_schema WHERE name = 'ix_cards_nid'").fetchone()
    change(copy, "PRAGMA writable_schema=ON", hidden)
    change(copy, "UPDATE cards SET nid = nid + 1 WHERE id = (SELECT max(id) FROM cards)")
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", saved)

    with pytest.raises(CollectionDamaged, match="missing from index ix_cards_nid"):
        prove(copy)


def plain_casefold(a: str, b: str) -> int:
    return (a.casefold() > b.casefold()) - (a.casefold() < b.casefold())


def test_names_in_the_order_of_an_anki_that_knows_other_letters_are_no_damage(copy: Path) -> None:
    names = ["oﬃce", "oga", "ofa", "oia", "oea"]
    statements = [f"INSERT INTO tags VALUES ('{name}', 0, 0, NULL)" for name in names]
    change(copy, "DELETE FROM tags", *statements, collation=plain_casefold)
    with closing(sqlite3.connect(f"{copy.as_uri()}?immutable=1", uri=True)) as connection:
        register(connection)
        assert connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]  # it does look wrong to us

    assert prove(copy).schema_version == 18


def test_plain_names_out_of_order_are_damage(copy: Path) -> None:
    names = ["e", "a", "d", "b", "c"]
    statements = [f"INSERT INTO tags VALUES ('{name}', 0, 0, NULL)" for name in names]
    change(copy, "DELETE FROM tags", *statements, collation=lambda a, b: plain_casefold(b, a))
    with pytest.raises(CollectionDamaged, match="order for tags"):
        prove(copy)


def test_an_order_that_an_addon_brought_does_not_stand_in_the_way(copy: Path) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        for name in ("of addon", "other"):
            connection.create_collation(name, plain_casefold)
            connection.execute(f'CREATE TABLE "{name}" (a TEXT COLLATE "{name}" UNIQUE)')
            connection.execute(f"INSERT INTO \"{name}\" VALUES ('x'), ('y')")
    assert prove(copy).notes == 58


def test_a_finding_shows_no_control_characters(copy: Path) -> None:
    name = "evil\x1b[2J\nname"
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute(f'CREATE TABLE "{name}" (a)')
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_schema SET rootpage = 9999 WHERE name = ?", (name,))

    with pytest.raises(CollectionDamaged) as caught:
        prove(copy)

    assert caught.value.problem.isprintable()
