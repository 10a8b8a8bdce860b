"""What happens to a profile between two backups, done with Anki's own package on a copy of it."""

from __future__ import annotations

import time
from itertools import repeat
from pathlib import Path
from typing import Final

from anki.collection import Collection
from anki.notes import NoteId
from anki.scheduler.v3 import CardAnswer, Scheduler

from bench.generate import COLLECTION, MEDIA
from bench.media import plan_media, write_media
from bench.sizes import Size
from bench.wording import Wording

SESSION_REVIEWS: Final = 100
SESSION_EDITS: Final = 10
PICTURES: Final = 20
INCREMENT_REVIEWS: Final = 5

_RATINGS = (CardAnswer.GOOD, CardAnswer.EASY, CardAnswer.GOOD, CardAnswer.AGAIN, CardAnswer.HARD)
_AGED_S: Final = 3_600


def study(profile: Path, seed: int, *, reviews: int = SESSION_REVIEWS, edits: int = SESSION_EDITS) -> None:
    """Answer cards and change notes, as a study session does."""
    collection = Collection(str(profile / COLLECTION))
    try:
        answered = _answer(collection, reviews)
        _edit(collection, edits, Wording(seed), answered)
    finally:
        collection.close()


def add_pictures(profile: Path, seed: int, pictures: int = PICTURES) -> int:
    """Put new pictures into the media folder; returns their bytes."""
    plans = plan_media(Size("pictures", 0, 0, pictures), seed, prefix=f"added-{seed}")
    return write_media(profile / MEDIA, plans, seed, written_at=repeat(int(time.time()) - _AGED_S))


def increment(profile: Path, number: int) -> None:
    """A few reviews and one edit: the least that a backup every half hour finds."""
    study(profile, 1_000 + number, reviews=INCREMENT_REVIEWS, edits=1)


def _answer(collection: Collection, wanted: int) -> list[NoteId]:
    """Answer so many cards, deck by deck; returns their notes."""
    scheduler = collection.sched
    if not isinstance(scheduler, Scheduler) or collection.db is None:
        raise RuntimeError("The installed Anki library lacks the scheduler")
    answered: list[NoteId] = []
    for deck in collection.decks.all_names_and_ids():
        collection.decks.set_current(deck.id)  # type: ignore[arg-type]
        while len(answered) < wanted and (queue := scheduler.get_queued_cards()).cards:
            card = collection.get_card(queue.cards[0].card.id)
            card.start_timer()
            rating = _RATINGS[len(answered) % len(_RATINGS)]
            answer = scheduler.build_answer(card=card, states=queue.cards[0].states, rating=rating)
            answer.milliseconds_taken = 3_000 + 137 * len(answered)
            # Anki names a review by its moment: one that is taken would move on, and the card would not know.
            latest = collection.db.scalar("select max(id) from revlog") or 0
            answer.answered_at_millis = max(answer.answered_at_millis, latest + 1)
            scheduler.answer_card(answer)
            answered.append(card.nid)
        if len(answered) == wanted:
            break
    return answered


def _edit(collection: Collection, wanted: int, wording: Wording, notes: list[NoteId]) -> None:
    for note_id in list(dict.fromkeys(notes))[:wanted]:
        note = collection.get_note(note_id)
        note.fields[-1] += f" {wording.sentence()}"
        collection.update_note(note)
