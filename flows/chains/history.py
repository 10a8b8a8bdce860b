"""The history of a note: nothing is changed anywhere, so there is no audit row."""

from __future__ import annotations

from flows.chains.safety import local_profile
from profiles.errors import NotesMissing
from tasks.catalog import read_catalog
from tasks.chosen import chosen_profile, own_profile
from tasks.note_history import NoteHistory, note_history
from tasks.repositories import open_named


def history(note: int, *, profile: str | None = None, repository_name: str = "default") -> NoteHistory:
    """Every version of a note over the snapshots of a profile, which need not be named where there is only one.

    Raises NotesMissing when no snapshot that could be looked into holds it.
    """
    repository = open_named(repository_name)
    stored = chosen_profile(read_catalog(repository), profile)
    found = note_history(repository, stored, note, own_profile(stored) or local_profile(stored.name))
    if not found.versions:
        unread = f", and {len(found.unread)} could not be looked into" if found.unread else ""
        raise NotesMissing(
            f"None of {found.looked_into} snapshots of {stored.name} holds a note {note}{unread}",
            "Check the id, and that it is the right profile; Anki shows a note's id in its browser, under Info",
        )
    return found
