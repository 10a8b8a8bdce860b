"""The profile that is measured is one that Anki would have made, and the same for everyone."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard
from anki.collection import Collection

from bench.changes import INCREMENT_REVIEWS, PICTURES, SESSION_EDITS, SESSION_REVIEWS, add_pictures, increment, study
from bench.generate import COLLECTION, DELETION_LOG, MEDIA, PROFILE, base_folder, generate
from bench.sizes import SIZES
from profiles.deletion_log import parse_deletion_log
from profiles.discovery import Listed, discover
from profiles.note_types import read_note_types
from profiles.proof import prove

TINY = SIZES["tiny"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("bench") / "Anki2"
    generate(made, TINY, seed=7)
    return made


@pytest.fixture
def profile(base: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(base, tmp_path / "Anki2")) / PROFILE


def rows(collection: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{collection.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        return database.execute(query).fetchall()


def content(base: Path) -> dict[str, object]:
    """All of a base folder but what Anki draws from the clock: ids of decks and note types, times of the whole."""
    collection = base / PROFILE / COLLECTION
    return {
        "notes": rows(collection, "select id, guid, mod, tags, flds from notes order by id"),
        "cards": rows(collection, "select id, nid, ord, mod, type, queue, due, ivl, reps, data from cards order by id"),
        "reviews": rows(collection, "select * from revlog order by id"),
        "first day": rows(collection, "select crt from col"),
        "media": {
            path.name: (path.stat().st_mtime, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in (base / PROFILE / MEDIA).iterdir()
        },
    }


def sound(profile: Path) -> bool:
    collection = Collection(str(profile / COLLECTION))
    try:
        said, ok = collection.fix_integrity()
    finally:
        collection.close()
    return ok and said == "Database rebuilt and optimized."


def test_anki_finds_nothing_to_mend_in_the_profile(profile: Path) -> None:
    assert sound(profile)


def test_the_profile_holds_what_its_size_says(base: Path) -> None:
    facts = prove(base / PROFILE / COLLECTION)
    assert (facts.notes, facts.reviews) == (TINY.notes, TINY.reviews)
    assert facts.cards > facts.notes
    assert len(list((base / PROFILE / MEDIA).iterdir())) == TINY.media


def test_the_same_seed_makes_the_same_profile_and_another_seed_another(base: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again", TINY, seed=7)
    generate(tmp_path / "other", TINY, seed=8)
    made, other = content(base), content(tmp_path / "other")
    assert content(tmp_path / "again") == made
    assert all(other[part] != made[part] for part in ("notes", "reviews", "media"))


def test_a_cached_profile_is_not_made_again_and_an_unfinished_one_is_not_used(tmp_path: Path) -> None:
    made = base_folder(tmp_path, TINY, seed=1)
    (made / "seen before").touch()
    half = tmp_path / f"{made.name.replace('seed1', 'seed2')}.unfinished"
    half.mkdir()
    assert (base_folder(tmp_path, TINY, seed=1) / "seen before").exists()
    assert (base_folder(tmp_path, TINY, seed=2) / PROFILE / COLLECTION).exists()


def test_the_profile_is_found_as_one_of_anki_and_its_deletion_log_is_read(base: Path) -> None:
    (found,) = discover(base).profiles
    assert (found.name, found.listed) == (PROFILE, Listed.LISTED)
    log = (base / PROFILE / DELETION_LOG).read_bytes()
    assert len(parse_deletion_log(log, read_note_types(found.collection)).notes) == 40


def test_every_media_file_that_a_note_names_is_there(base: Path) -> None:
    names = {path.name for path in (base / PROFILE / MEDIA).iterdir()}
    fields = " ".join(str(row[0]) for row in rows(base / PROFILE / COLLECTION, "select flds from notes"))
    assert all(name in fields for name in names)


def test_pictures_and_sounds_do_not_shrink_and_drawings_do(base: Path) -> None:
    shrunk = {
        path: len(zstandard.compress(path.read_bytes())) / path.stat().st_size
        for path in (base / PROFILE / MEDIA).iterdir()
    }
    assert {path.suffix for path in shrunk} == {".jpg", ".mp3", ".svg"}
    assert all(share > 0.9 for path, share in shrunk.items() if path.suffix != ".svg")
    assert all(share < 0.6 for path, share in shrunk.items() if path.suffix == ".svg")


def test_a_study_session_is_reviews_and_edits_that_leave_the_collection_sound(base: Path, profile: Path) -> None:
    study(profile, 1, reviews=20, edits=4)
    before, after = base / PROFILE / COLLECTION, profile / COLLECTION
    assert prove(after).reviews == prove(before).reviews + 20
    was = dict(rows(before, "select id, flds from notes"))
    edited = [note for note, fields in rows(after, "select id, flds from notes") if fields != was[note]]
    assert len(edited) == 4
    assert sound(profile)


def test_increments_and_pictures_add_what_they_promise(base: Path, profile: Path) -> None:
    for number in (1, 2):
        increment(profile, number)
    added = add_pictures(profile, 5)
    new = {path for path in (profile / MEDIA).iterdir() if not (base / PROFILE / MEDIA / path.name).exists()}
    assert len(new) == PICTURES
    assert sum(path.stat().st_size for path in new) == added
    assert prove(profile / COLLECTION).reviews == TINY.reviews + 2 * INCREMENT_REVIEWS


def test_the_session_is_the_one_that_the_goals_speak_of() -> None:
    assert (SESSION_REVIEWS, SESSION_EDITS, PICTURES) == (100, 10, 20)
