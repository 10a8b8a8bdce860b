"""A base folder with one profile, made with the real `anki` package: the same for the same size and seed.

Notes and decks come from Anki itself; its ids, which are points in time, are then replaced by ones that never change,
and the history of reviews is written in bulk, as a sync would bring it.
"""

from __future__ import annotations

import json
import pickle
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from anki.collection import AddNoteRequest, Collection
from anki.decks import DeckId
from anki.models import NotetypeDict

from bench.media import MediaPlan, plan_media, write_media
from bench.sizes import Size
from bench.wording import Wording

Figures = npt.NDArray[Any]

PROFILE: Final = "Learner"
COLLECTION: Final = "collection.anki2"
MEDIA: Final = "collection.media"
DELETION_LOG: Final = "deleted.txt"

_VERSION: Final = 3
"""Raised whenever the same size and seed give other data, so that no cached profile of before is measured."""

_FIRST_DAY: Final = 1_622_520_000
"""1 June 2021, 04:00 UTC: day 0 of the collection, where Anki's own day begins. Seconds since 1970."""
_LAST_MOMENT: Final = 1_751_320_000
"""The end of June 2025, in the past of every clock: the last review. Seconds since 1970."""

_DAY: Final = 86_400
_NOTES_AT_ONCE: Final = 2_000
_DECKS: Final = 24
_DELETED: Final = 40


def base_folder(cache: Path, size: Size, seed: int) -> Path:
    """The base folder of that size and seed, from `cache` if it is there, made otherwise."""
    folder = cache / f"{size.name}-seed{seed}-v{_VERSION}"
    if folder.is_dir():
        return folder
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    generate(unfinished, size, seed)
    unfinished.rename(folder)
    return folder


def generate(base: Path, size: Size, seed: int) -> None:
    """Make a base folder with the profile `PROFILE` at `base`, which must not exist."""
    profile = base / PROFILE
    (profile / MEDIA).mkdir(parents=True)
    plans = plan_media(size, seed)
    step = max(1, (_LAST_MOMENT - _FIRST_DAY) // max(1, len(plans)))
    write_media(profile / MEDIA, plans, seed, written_at=count(_FIRST_DAY, step))
    _add_notes(profile / COLLECTION, size, seed, plans)
    collection = profile / COLLECTION
    with _transaction(collection) as database:
        _fix_times(database)
    # Anki packs its pages here, before the history: the pages of a collection in use have gaps, and so it stays small
    # what a review changes.
    note_type = _opened_by_anki(collection)
    with _transaction(collection) as database:
        _write_history(database, size, seed)
    _opened_by_anki(collection, pack=False)
    _write_deletion_log(profile / DELETION_LOG, seed, note_type)
    _write_preferences(base / "prefs21.db")
    for leftover in profile.glob("collection.media.db*"):
        leftover.unlink()


@contextmanager
def _transaction(collection: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(collection, isolation_level=None)) as database:
        database.execute("begin")
        yield database
        database.execute("commit")


def _opened_by_anki(path: Path, *, pack: bool = True) -> int:
    """Let Anki open the collection, so that whatever it does then is done; returns the id of a note type."""
    collection = Collection(str(path))
    try:
        if pack:
            collection.optimize()
        return collection.models.id_for_name("Basic") or 0
    finally:
        collection.close()


def _add_notes(path: Path, size: Size, seed: int, media: Sequence[MediaPlan]) -> None:
    collection = Collection(str(path))
    try:
        types = [*_stock_types(collection), _vocabulary(collection)]
        wording = Wording(seed)
        decks = [_deck(collection, f"{wording.rare_word().capitalize()}::{number:02}") for number in range(_DECKS)]
        tags = [f"{wording.rare_word()}::{wording.rare_word()}" for _ in range(120)]
        draw = np.random.default_rng([seed, 3])
        kinds = draw.choice(len(types), size.notes, p=(0.5, 0.15, 0.2, 0.15)).tolist()
        # Deck after deck, as decks are imported: so the cards of one lie together in the file.
        places = np.sort(draw.integers(len(decks), size=size.notes)).tolist()
        marks = draw.integers(len(tags), size=(size.notes, 2)).tolist()
        lengths = draw.integers(1, 5, size=size.notes).tolist()
        requests = []
        for number in range(size.notes):
            note = collection.new_note(types[kinds[number]])
            # The media are spread over the notes; those that are left over when notes are few go unused, as some do.
            file = media[number // 2] if number % 2 == 0 and number // 2 < len(media) else None
            note.fields = _fields(wording, kinds[number], lengths[number], file)
            note.tags = [tags[mark] for mark in marks[number]]
            note.guid = f"bench-{seed}-{number}"
            requests.append(AddNoteRequest(note=note, deck_id=decks[places[number]]))
            if len(requests) == _NOTES_AT_ONCE or number == size.notes - 1:
                collection.add_notes(requests)
                requests = []
    finally:
        collection.close()


def _fields(wording: Wording, kind: int, length: int, media: MediaPlan | None) -> list[str]:
    shown = f"<br>{media.reference}" if media else ""
    if kind == 2:  # cloze
        return [f"{wording.sentence()} {{{{c1::{wording.rare_word()}}}}} {wording.sentence()}", shown]
    if kind == 3:  # vocabulary
        return [wording.rare_word(), wording.sentence(2, 4), wording.paragraph(1), wording.paragraph(1), shown]
    return [wording.sentence(3, 9), wording.paragraph(length) + shown]


def _stock_types(collection: Collection) -> list[NotetypeDict]:
    found = [collection.models.by_name(name) for name in ("Basic", "Basic (and reversed card)", "Cloze")]
    return [note_type for note_type in found if note_type is not None]


def _vocabulary(collection: Collection) -> NotetypeDict:
    models = collection.models
    made = models.new("Vocabulary")
    for field in ("Word", "Meaning", "Example", "Translation", "Sound"):
        models.add_field(made, models.new_field(field))
    for name, question, answer in (("Read", "{{Word}}", "{{Meaning}}{{Sound}}"), ("Say", "{{Meaning}}", "{{Word}}")):
        template = models.new_template(name)
        template["qfmt"], template["afmt"] = question, f"{{{{FrontSide}}}}<hr id=answer>{answer}<br>{{{{Example}}}}"
        models.add_template(made, template)
    models.add(made)
    found = models.by_name("Vocabulary")
    if found is None:
        raise RuntimeError("The installed Anki library did not keep a new note type")
    return found


def _deck(collection: Collection, name: str) -> DeckId:
    deck = collection.decks.id(name)
    if deck is None:
        raise RuntimeError(f"The installed Anki library did not make the deck {name}")
    return deck


def _fix_times(database: sqlite3.Connection) -> None:
    """Give notes and cards ids spread over the years, and the collection its first day."""
    for table in ("notes", "cards"):
        ids = [found for (found,) in database.execute(f"select id from {table} order by id")]  # noqa: S608
        step = 1_000 * (_LAST_MOMENT - _FIRST_DAY) // (2 * len(ids))
        # Lower than every old id, so that none is taken while another still has it.
        new = [1_000 * _FIRST_DAY + number * step for number in range(len(ids))]
        pairs = list(zip(new, ids, strict=True))
        database.executemany(f"update {table} set id = ?, mod = id / 1000 where id = ?", pairs)  # noqa: S608
        if table == "notes":
            database.executemany("update cards set nid = ? where nid = ?", pairs)
        database.execute(f"update {table} set mod = id / 1000, usn = 0")  # noqa: S608
    database.execute("update col set crt = ?", (_FIRST_DAY,))


def _write_history(database: sqlite3.Connection, size: Size, seed: int) -> None:
    """Write the reviews, and what they made of each card.

    Most cards were seen at growing intervals, some not yet. Anki's own check (`fix_integrity`) holds a card's time of
    the last review against the log, so both are written from the same figures.
    """
    draw = np.random.default_rng([seed, 4])
    cards = np.array([found for (found,) in database.execute("select id from cards order by id")], dtype=np.int64)
    seen = np.sort(draw.choice(len(cards), max(1, int(len(cards) * 0.9)), replace=False))
    share = draw.gamma(3.0, 1.0, len(seen))
    owner = np.sort(draw.choice(seen, size.reviews, p=share / share.sum()))
    first = np.flatnonzero(np.concatenate(([True], owner[1:] != owner[:-1])))
    ends = np.append(first[1:], len(owner))
    rank = np.arange(len(owner)) - np.repeat(first, ends - first)
    intervals = np.minimum(1.35**rank * draw.uniform(0.7, 1.3, len(owner)), 900.0).clip(1).astype(np.int64)
    begun = cards // 1_000
    # Each card waits for its next review since a part of its last interval.
    idle = draw.uniform(0, 1, len(first)) * intervals[ends - 1] * _DAY
    life = np.maximum(_LAST_MOMENT - _DAY - begun[owner[first]] - idle, _DAY)
    hour = np.repeat(draw.uniform(0, 12 * 3_600, len(first)), ends - first)
    moments = _spread(intervals, first, ends, begun[owner[first]], life) + hour
    order = np.argsort(moments, kind="stable")
    # One name a review: where two fall on the same moment, the later moves on.
    steps = np.arange(len(order))
    ids = np.maximum.accumulate((moments[order] * 1_000).astype(np.int64) - steps) + steps
    at = np.empty(len(owner), dtype=np.int64)
    at[order] = ids
    ease = draw.choice((1, 2, 3, 4), len(owner), p=(0.1, 0.1, 0.7, 0.1))
    factor = draw.integers(1_500, 2_900, len(owner))
    taken = draw.integers(1_500, 30_000, len(owner))
    before = np.concatenate(([0], intervals[:-1]))
    before[first] = -600
    kind = np.where(rank == 0, 0, np.where(ease == 1, 2, 1))
    columns = (at, cards[owner], ease, intervals, before, factor, taken, kind)
    database.executemany(
        "insert into revlog (id, cid, usn, ease, ivl, lastIvl, factor, time, type) values (?, ?, 0, ?, ?, ?, ?, ?, ?)",
        _rows([column[order] for column in columns]),
    )
    last = ends - 1
    reviewed = at[last] // 1_000
    due = (reviewed - _FIRST_DAY) // _DAY + intervals[last]
    state = zip(
        reviewed.tolist(),
        due.tolist(),
        intervals[last].tolist(),
        factor[last].tolist(),
        (ends - first).tolist(),
        np.add.reduceat((ease == 1).astype(np.int64), first).tolist(),
        draw.uniform(1, 10, len(last)).round(3).tolist(),
        cards[owner[first]].tolist(),
        strict=True,
    )
    database.executemany(
        "update cards set type = 2, queue = 2, mod = ?, due = ?, ivl = ?, factor = ?, reps = ?, lapses = ?, data = ?"
        " where id = ?",
        ((*card[:6], _memory_state(card[0], card[2], card[6]), card[7]) for card in state),
    )


def _spread(intervals: Figures, first: Figures, ends: Figures, begun: Figures, life: Figures) -> Figures:
    """When each review took place, in seconds: a card's intervals stretched over its life."""
    so_far = np.cumsum(intervals).astype(np.float64)
    lengths = ends - first
    before = np.repeat(so_far[first] - intervals[first], lengths)
    whole = np.repeat(so_far[ends - 1], lengths) - before
    moments: Figures = np.repeat(begun, lengths) + (so_far - before) / whole * np.repeat(life, lengths)
    return moments


def _rows(columns: Sequence[Figures], at_once: int = 100_000) -> Iterator[tuple[int, ...]]:
    for start in range(0, len(columns[0]), at_once):
        yield from zip(*(column[start : start + at_once].tolist() for column in columns), strict=True)


def _memory_state(reviewed: int, interval: int, difficulty: float) -> str:
    """What Anki keeps of FSRS in a card (rslib/src/storage/card/data.rs)."""
    state = {"s": float(interval), "d": difficulty, "dr": 0.9, "lrt": reviewed}
    return json.dumps(state, separators=(",", ":"))


def _write_deletion_log(path: Path, seed: int, note_type: int) -> None:
    wording = Wording(seed + 1)
    lines = ["#guid column:1", "#notetype column:2", "#nid\tmid\tfields"]
    for number in range(_DELETED):
        fields = "\t".join((wording.sentence(), wording.paragraph(2)))
        lines.append(f"{1_000 * _FIRST_DAY + number}\t{note_type}\t{fields}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_preferences(path: Path) -> None:
    # qt/aqt/profiles.py, metaConf and profileConf: no more than what finding the profile needs.
    rows = [
        ("_global", {"ver": 0, "firstRun": False, "last_loaded_profile_name": PROFILE}),
        (PROFILE, {"syncKey": None}),
    ]
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table profiles\n(name text primary key collate nocase, data blob not null)")
        database.executemany(
            "insert into profiles values (?, ?)", [(name, pickle.dumps(data, protocol=4)) for name, data in rows]
        )
