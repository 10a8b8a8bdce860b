"""A collection with what a person has in it, in the schemas it may lie in, and its notes as they must come back."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from anki.collection import (
    Collection,
    ImportAnkiPackageOptions,
    ImportAnkiPackageRequest,
    ImportCsvRequest,
    ImportLogWithChanges,
)
from anki.decks import DeckId
from anki.notes import NoteId

from profiles.packages.reading import open_package_at
from profiles.proof import opened_copy
from profiles.unicase import register

SPANISH = "Languages::Español"
VERBS = "Languages::Español::Verbos"
SCIENCE = "Science"
VOCABULARY = "Vocabulary"

Rows = dict[str, list[tuple[object, ...]]]

# All of it but the usn, which tells whether a row was synced.
_NOTES = "select id, guid, mid, mod, tags, flds, sfld, csum, flags, data from notes order by id"
_CARDS = (
    "select id, nid, ord, mod, type, queue, due, ivl, factor, reps, lapses, left, odue, odid, flags, data, did"
    " from cards order by id"
)
_REVIEWS = "select id, cid, ease, ivl, lastIvl, factor, time, type from revlog order by id"


@contextmanager
def opened(path: Path) -> Iterator[Collection]:
    collection = Collection(str(path))
    try:
        yield collection
    finally:
        collection.close()


def add(collection: Collection, note_type: str, deck: str, fields: Iterable[str], tags: Iterable[str] = ()) -> NoteId:
    found = collection.models.by_name(note_type)
    assert found is not None
    note = collection.new_note(found)
    for position, text in enumerate(fields):
        note.fields[position] = text
    note.tags = list(tags)
    deck_id = collection.decks.id(deck)
    assert deck_id is not None
    collection.add_note(note, deck_id)
    return note.id


def make_collection(path: Path) -> None:
    """Fill a new collection: notes of four types in several decks, one of them with options of its own; with tags,
    reviews, a suspended, a flagged and a buried card."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened(path) as collection:
        _add_vocabulary(collection)
        for number in range(4):
            add(collection, "Basic (and reversed card)", SPANISH, (f"perro {number}", f"dog {number}"), ["animal", "é"])
            add(collection, "Cloze", VERBS, (f"yo {{{{c1::soy}}}}, tú {{{{c2::eres}}}} {number}", "ser"), ["verb::ser"])
            add(collection, VOCABULARY, SPANISH, (f"gato {number}", "cat", "<b>GA-to</b>", ""), ["animal", "marked"])
            add(collection, "Basic", SCIENCE, (f"H{number}", "hydrogen"))
        slow = collection.decks.add_config("Slow")
        slow["new"]["perDay"] = 7
        collection.decks.update_config(slow)
        for name in (SPANISH, VERBS):
            deck = collection.decks.by_name(name)
            assert deck is not None
            collection.decks.set_config_id_for_deck_dict(deck, slow["id"])
        for name, answers in ((SPANISH, 5), (SCIENCE, 2)):
            study(collection, name, answers)
        cards = collection.find_cards(f"deck:{SPANISH} is:new")
        collection.sched.suspend_cards(cards[:1])
        collection.sched.bury_cards(cards[1:2])
        collection.set_user_flag_for_cards(3, cards[2:3])


def _add_vocabulary(collection: Collection) -> None:
    note_type = collection.models.new(VOCABULARY)
    for name in ("Word", "Meaning", "Sound", "Note"):
        collection.models.add_field(note_type, collection.models.new_field(name))
    for name, front, back in (("Recall", "Word", "Meaning"), ("Recognise", "Meaning", "Word")):
        template = collection.models.new_template(name)
        template["qfmt"] = f"{{{{{front}}}}}"
        template["afmt"] = f"{{{{FrontSide}}}}<hr>{{{{{back}}}}} {{{{Sound}}}}"
        collection.models.add_template(note_type, template)
    collection.models.add(note_type)


def study(collection: Collection, deck: str, answers: int) -> None:
    deck_id = collection.decks.id_for_name(deck)
    assert deck_id is not None
    collection.decks.set_current(deck_id)
    for answer in range(answers):
        card = collection.sched.getCard()
        assert card is not None
        card.start_timer()
        collection.sched.answerCard(card, (3, 4, 1)[answer % 3])


def deck_id_of(collection: Collection, name: str) -> DeckId:
    deck_id = collection.decks.id_for_name(name)
    assert deck_id is not None
    return deck_id


def rows(path: Path, notes: Iterable[int]) -> Rows:
    """The rows of the notes, their cards and reviews in a closed collection; a card with its deck's name."""
    wanted = set(notes)
    with opened_copy(path) as connection:
        decks = dict(connection.execute("select id, name from decks").fetchall())
        kept = [row for row in connection.execute(_NOTES) if row[0] in wanted]
        cards = [(*row[:-1], decks[row[-1]]) for row in connection.execute(_CARDS) if row[1] in wanted]
        ids = {card[0] for card in cards}
        reviews = [row for row in connection.execute(_REVIEWS) if row[1] in ids]
    return {"notes": kept, "cards": cards, "reviews": reviews}


def note_ids(path: Path, search: str = "") -> list[int]:
    """What Anki finds in a copy of a closed collection."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "collection.anki2"
        shutil.copyfile(path, copy)
        with opened(copy) as collection:
            return sorted(collection.find_notes(search))


def schema_modified(path: Path) -> int:
    with opened_copy(path) as connection:
        (scm,) = connection.execute("select scm from col").fetchone()
    assert isinstance(scm, int)
    return scm


def import_package(collection: Collection, package: Path) -> ImportLogWithChanges.Log:
    """File > Import with "Import any learning progress" and "Import any deck presets" ticked."""
    options = ImportAnkiPackageOptions(with_scheduling=True, with_deck_configs=True)
    return collection.import_anki_package(ImportAnkiPackageRequest(package_path=str(package), options=options)).log


def media_names_in(package: Path) -> list[str]:
    """The media files that a package of notes names."""
    with open_package_at(package, of_notes=True) as found:
        return [media.name for media in found.media]


def import_text(collection: Collection, text: str) -> ImportLogWithChanges.Log:
    """File > Import when nothing in its dialog is changed."""
    path = Path(collection.path).with_name("import.txt")
    path.write_text(text, encoding="utf-8", newline="")
    metadata = collection.get_csv_metadata(path=str(path), delimiter=None)
    return collection.import_csv(ImportCsvRequest(path=str(path), metadata=metadata)).log


def in_schema_11(path: Path, target: Path) -> Path:
    """A copy as Anki before 2.1.28 kept it."""
    shutil.copyfile(path, target)
    Collection(str(target)).close(downgrade=True)
    shutil.rmtree(target.with_suffix(".media"), ignore_errors=True)
    return target


def in_schema_14(path: Path, target: Path) -> Path:
    """A copy as some releases from 2.1.28 on kept it: options, settings and tags in tables, all else as in schema 11
    (rslib/src/storage/upgrades/schema14_upgrade.sql)."""
    in_schema_11(path, target)
    with closing(sqlite3.connect(target)) as connection, connection:
        register(connection)
        conf, dconf, tags = (
            json.loads(text) for text in connection.execute("select conf, dconf, tags from col").fetchone()
        )
        connection.executescript(
            "create table deck_config (id integer primary key not null, name text not null collate unicase,"
            " mtime_secs integer not null, usn integer not null, config blob not null);"
            "create table config (key text not null primary key, usn integer not null, mtime_secs integer not null,"
            " val blob not null) without rowid;"
            "create table tags (tag text not null primary key collate unicase, usn integer not null) without rowid;"
            "update col set ver = 14, conf = '', dconf = '', tags = '';"
        )
        connection.executemany(
            "insert into deck_config values (?, ?, ?, ?, ?)",
            [(c["id"], c["name"], c["mod"], c["usn"], json.dumps(c).encode()) for c in dconf.values()],
        )
        connection.executemany(
            "insert into config values (?, -1, 0, ?)",
            [(key, json.dumps(value).encode()) for key, value in conf.items()],
        )
        connection.executemany("insert into tags values (?, ?)", tags.items())
    return target


def change(path: Path, statement: str, *values: object) -> None:
    """Do to a closed collection what Anki would not."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        register(connection)
        connection.execute(statement, values).fetchall()
        connection.execute("pragma wal_checkpoint(truncate)").fetchall()
