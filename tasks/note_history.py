"""The history of one note over the snapshots of its profile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from profiles.discovery import Profile
from profiles.note_history import NoteState, NoteVersion, read_note, versions
from storage.format.manifest import SnapshotId
from storage.repository import Repository
from tasks.catalog import StoredProfile
from tasks.collection_over_time import CollectionOverTime, look_through
from tasks.private_folder import private_folder


@dataclass(frozen=True, slots=True)
class Taken:
    """A snapshot, and when it was taken by the clock on that wall."""

    snapshot: SnapshotId
    at: datetime


@dataclass(frozen=True, slots=True)
class NoteHistory:
    """What a note was over time, oldest first; without `versions` no snapshot holds it.

    `looked_into` is how many snapshots could be looked into, `newest` the last of them; `unread` says of each other one
    why it could not be.
    """

    note: int
    profile: str
    versions: tuple[NoteVersion[Taken], ...]
    looked_into: int
    newest: Taken | None
    unread: tuple[tuple[SnapshotId, str], ...]


def note_history(repository: Repository, stored: StoredProfile, note: int, here: Profile | None) -> NoteHistory:
    """Look for a note through all snapshots of a profile, from the oldest on; `here` is the same on this computer.

    Raises what fetching raises, but for damage, which is told in what it returns.
    """
    seen: list[tuple[Taken, NoteState | None]] = []
    unread: list[tuple[SnapshotId, str]] = []
    with private_folder() as folder:
        copy = CollectionOverTime(repository, folder / "stored.anki2")
        if here is not None:
            copy.begin_with_present(here)
        for look in look_through(copy, stored.refs, lambda path, named: read_note(path, note, original=named)):
            if look.manifest is None or look.trouble is not None:
                unread.append((look.ref.id, look.refusal))
            else:
                seen.append((Taken(look.ref.id, look.manifest.taken_at), look.found))
    newest = seen[-1][0] if seen else None
    return NoteHistory(note, stored.name, versions(seen), len(seen), newest, tuple(unread))
