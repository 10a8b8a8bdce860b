"""What came of a recovery of notes, told to a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from profiles.recovery.adding import Added
from tasks.cut_notes import Package
from tasks.find_notes import FoundNotes, NotesOfSnapshot

IMPORT_ADVICE: Final = (
    'In Anki choose File > Import, and tick "Import any learning progress", which starts unticked: without it the '
    "notes come back as new ones to learn"
)
OVERWRITE_ADVICE: Final = (
    'Notes that are still in Anki are set back to what they were only if you choose "Always" for "Update notes" there'
)
TEXT_ADVICE: Final = (
    "In Anki choose File > Import for each file; what is chosen in its window is right. Schedules do not come back "
    "this way"
)
SYNC_ADVICE: Final = "The next sync carries on to other devices what was added, as it does with any change"

_SHOWN: Final = 20
_IDS_SHOWN: Final = 5


def notes_text(one: NotesOfSnapshot) -> str:
    """Which notes of which snapshot."""
    few = len(one.notes) <= _IDS_SHOWN
    what = f"{_notes(one.notes)} {first_of(one.notes)}" if few else f"{len(one.notes)} notes"
    return f"{what} of the snapshot {one.manifest.id}, taken {one.manifest.taken_at:%Y-%m-%d %H:%M}"


def not_found(found: FoundNotes) -> Iterator[str]:
    """What was asked for and is nowhere, a sentence each."""
    where = f"any of {found.looked_into} snapshots" if found.looked_into else f"the snapshot {found.in_snapshot}"
    if found.missing_notes:
        yield f"Not in {where}: {_notes(found.missing_notes)} {first_of(found.missing_notes)}"
    if found.missing_decks:
        decks = "the deck" if len(found.missing_decks) == 1 else "the decks"
        yield f"Not in {where}: {decks} {first_of([repr(deck) for deck in found.missing_decks])}"


def about_packages(packages: Iterable[Package]) -> Iterator[str]:
    """What packages lack, but for damage to the repository."""
    for package in packages:
        cut, snapshot = package.cut, package.source.manifest.id
        if cut.left_out:
            yield (
                f"Anki can't pack these notes of the snapshot {snapshot}, which lack their note type or are from the "
                f"future; text files can hold them: {first_of(cut.left_out)}"
            )
        if package.missing_media:
            lacking = first_of(package.missing_media)
            yield f"The snapshot {snapshot} does not have all media that the notes name: {lacking}"
        if cut.unpackable_media:
            yield f"Anki's packages can't carry media of these names: {first_of(cut.unpackable_media)}"


def added_text(package: Package, added: Added) -> str:
    """What became of the notes of one package in a profile."""
    counted = (
        (added.new, "added"),
        (added.updated, "updated"),
        (added.duplicates, "there already"),
        (added.conflicting, "in conflict with what is there"),
        (len(added.media), "media files added"),
    )
    return f"{notes_text(package.source)}: {', '.join(f'{count} {what}' for count, what in counted if count)}"


def about_added(added: Sequence[Added], *, overwriting: bool) -> Iterator[str]:
    """What is good to know of notes that were added."""
    there = sum(one.duplicates for one in added)
    if there:
        back = "" if overwriting else "; to set them back to what they were then, recover them with --overwrite"
        yield f"Notes that are there already, and stayed as they are: {there}{back}"
    if any(one.changed for one in added):
        yield SYNC_ADVICE


def first_of(names: Sequence[object]) -> str:
    """The first of many, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(str, names[:_SHOWN])) + more


def _notes(ids: Sequence[int]) -> str:
    return "the note" if len(ids) == 1 else "the notes"
