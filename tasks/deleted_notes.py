"""The notes of a deletion archive that a person asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from profiles.decks import with_sub_decks
from profiles.plain_text import holds_words
from storage.deletion_archive import archived_notes
from storage.format.deletion_table import ArchivedNote
from storage.repository import Repository
from tasks.catalog import StoredProfile
from tasks.job import memory_of
from tasks.known_notes import known_in


@dataclass(frozen=True, slots=True)
class DeletedNotes:
    """Notes of a profile that were seen to go, the last ones first; `remarks` tell what could not be read."""

    profile: StoredProfile
    all: tuple[ArchivedNote, ...]
    back: frozenset[int]
    """The ids of those that the collection holds again, as far as this computer knows, which remembers ids alone: one
    that Anki gave to a new note counts, too. An id that several of them had, one after the other, does not."""
    remarks: tuple[str, ...]

    @property
    def gone(self) -> tuple[ArchivedNote, ...]:
        """Those that did not come back."""
        return tuple(note for note in self.all if note.note_id not in self.back)


def deleted_notes(
    repository: Repository,
    profile: StoredProfile,
    *,
    since: datetime | None = None,
    deck: str | None = None,
    text: str | None = None,
) -> DeletedNotes:
    """The archived notes that went `since` a moment, from a `deck` or below it, whose fields hold the words of `text`.

    Without one of these, all do.
    """
    remarks: list[str] = []
    found = archived_notes(repository, profile.key, remarks=remarks)[::-1]
    ids = Counter(note.note_id for note in found)
    if since is not None:
        found = [note for note in found if note.seen_at >= since]
    if deck is not None:
        found = _in_deck(found, deck)
    if text is not None:
        found = [note for note in found if holds_words(note.fields, text)]
    there = _there_now(repository, profile)
    back = frozenset(id_ for id_ in ids if id_ in there and ids[id_] == 1)
    return DeletedNotes(profile, tuple(found), back & {note.note_id for note in found}, tuple(remarks))


def _in_deck(notes: Sequence[ArchivedNote], deck: str) -> list[ArchivedNote]:
    names = {place: note.deck for place, note in enumerate(notes) if note.deck is not None}
    wanted, _ = with_sub_decks(names, [deck])
    return [note for place, note in enumerate(notes) if place in wanted]


def _there_now(repository: Repository, profile: StoredProfile) -> frozenset[int]:
    """The notes of the newest snapshot, where this computer made it; none where that is not known."""
    known = known_in(memory_of(repository, profile.key))
    return frozenset(known.ids) if known is not None and known.snapshot == profile.refs[-1].id else frozenset()
