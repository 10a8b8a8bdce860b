"""Which notes of a private copy a person means: by id, by deck, or by a search in Anki's own search language."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from profiles.anki_library import anki_troubles, opened_in_anki, scratch_folder
from profiles.decks import deck_names, with_sub_decks
from profiles.errors import AnkiRefused, SearchInvalid
from profiles.proof import opened_copy, prove

if TYPE_CHECKING:
    from anki.collection import Collection

_SHOWN_SEARCH = 80


@dataclass(frozen=True, slots=True)
class Choice:
    """The notes that are meant, by id in ascending order; and what was asked for that the copy does not hold."""

    notes: tuple[int, ...]
    missing_notes: tuple[int, ...] = ()
    missing_decks: tuple[str, ...] = ()


def choose_notes(
    collection_copy: Path,
    *,
    note_ids: Iterable[int] = (),
    decks: Iterable[str] = (),
    search: str | None = None,
    scratch: Path | None = None,
    original: Path | None = None,
) -> Choice:
    """Find the notes that are named by an id, that have a card in one of `decks` or below it, or that `search` finds.

    `collection_copy` is a private copy, one file with its WAL folded in; it is only read. Decks go by their full name
    ("Languages::Spanish"), whatever its case, and a card counts for the deck that it is in as well as for the one that
    a filtered deck took it from, as in Anki's own search for a deck. `search` is what one would type into Anki's
    browser; the empty one finds every note. Anki runs it on a copy of its own below `scratch`, by default beside the
    given one. `original` is what a person knows the copy by.

    Raises SearchInvalid, CollectionDamaged, SourceUnreadable, TargetUnusable, and AnkiRefused when this Anki can't open
    the copy.
    """
    prove(collection_copy, original=original)
    wanted = list(dict.fromkeys(note_ids))
    with opened_copy(collection_copy, original=original) as connection:
        there = {id_ for (id_,) in connection.execute("select id from notes")}
        deck_ids, missing_decks = with_sub_decks(deck_names(connection, original or collection_copy), decks)
        chosen = there.intersection(wanted)
        if deck_ids:
            cards = connection.execute("select nid, did, odid from cards")
            chosen |= there & {note for note, deck, home in cards if deck in deck_ids or home in deck_ids}
    if search is not None:
        with (
            scratch_folder(scratch or collection_copy.absolute().parent) as folder,
            opened_in_anki(collection_copy, folder, original=original) as (collection, _),
        ):
            chosen |= _found(collection, search)
    return Choice(tuple(sorted(chosen)), tuple(id_ for id_ in wanted if id_ not in there), missing_decks)


def _found(collection: Collection, search: str) -> set[int]:
    shown = search if len(search) <= _SHOWN_SEARCH else f"{search[:_SHOWN_SEARCH]}…"
    could_not = f"Anki can't search for {shown!r}"
    try:
        with anki_troubles(could_not):
            return {int(note) for note in collection.find_notes(search)}
    except (AnkiRefused, ValueError) as error:
        # A ValueError: letters that can't be written, such as half of a surrogate pair.
        reason = error.problem if isinstance(error, AnkiRefused) else could_not
        raise SearchInvalid(reason, "Write the search as in Anki's browser, such as deck:Spanish tag:verb") from error
