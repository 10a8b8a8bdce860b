"""What became of a profile, told to a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from profiles.comparing.change import Change
from profiles.comparing.collections import ChangedNote, CollectionDifference, Counts
from tasks.compare import Difference, FilesDifference

Words = Mapping[Change, str]

NEUTRAL: Final[Words] = {Change.ADDED: "added", Change.CHANGED: "changed", Change.DELETED: "deleted"}
OF_A_RESTORE: Final[Words] = {Change.ADDED: "come back", Change.CHANGED: "change back", Change.DELETED: "go"}

_GROUPS_SHOWN: Final = 20
_NOTES_SHOWN: Final = 10
_NAMES_SHOWN: Final = 10


def difference_text(difference: Difference) -> str:
    """All that differs, in the words of somebody who learns with it."""
    heading = f"From {difference.before} to {difference.after}:"
    lines = [*collection_lines(difference.collection, NEUTRAL), *_media_lines(difference.media)]
    return "\n".join([heading, *(f"  {line}" for line in lines or ["nothing differs"])])


def collection_lines(difference: CollectionDifference, words: Words) -> list[str]:
    """What differs between two collections, a line each; of much, the beginning and how much more there is."""
    notes = Counts(*(difference.count(change) for change in Change))
    lines = []
    if notes:
        lines += [f"notes: {_counted(notes, words)}", *_by_deck(difference, words), *_by_name(difference, words)]
    if difference.cards:
        lines.append(f"cards: {_counted(difference.cards, words)}")
    if difference.reviews:
        lines.append(f"reviews: {_counted(difference.reviews, words)}")
    for change in Change:
        names = [f"{setting.kind} {setting.name!r}" for setting in difference.settings if setting.change is change]
        if names:
            lines.append(f"settings {words[change]}: {some_names(names)}")
    return lines


def _by_deck(difference: CollectionDifference, words: Words) -> list[str]:
    groups = difference.by_deck_and_note_type()
    if len(groups) < 2:
        return []
    # Where most happened comes first.
    by_size = sorted(groups.items(), key=lambda item: -(item[1].added + item[1].changed + item[1].deleted))
    shown = (f"  in {deck or 'no deck'}, {kind}: {_counted(found, words)}" for (deck, kind), found in by_size)
    return _first(shown, len(groups), _GROUPS_SHOWN, "decks and note types")


def _by_name(difference: CollectionDifference, words: Words) -> Iterator[str]:
    for change in Change:
        those = [note for note in difference.notes if note.change is change]
        if those:
            yield f"  {words[change]}:"
            yield from _first((f"    {_note_text(note)}" for note in those), len(those), _NOTES_SHOWN, "notes")


def _media_lines(media: FilesDifference) -> Iterator[str]:
    for change in Change:
        names = media.of(change)
        if names:
            yield f"media files {change}: {len(names)} ({some_names(names)})"


def _note_text(note: ChangedNote) -> str:
    where = f"{note.note_type}, in {note.deck}" if note.deck else note.note_type
    what = [*note.fields, *(["its tags"] if note.tags else []), *(["its note type"] if note.type_changed else [])]
    return f"{note.begins or note.id!r} ({where})" + (f": {', '.join(what)}" if what else "")


def _counted(counts: Counts, words: Words) -> str:
    numbers = zip(Change, (counts.added, counts.changed, counts.deleted), strict=True)
    return ", ".join(f"{number} {words[change]}" for change, number in numbers if number)


def _first(lines: Iterable[str], count: int, shown: int, of_what: str) -> list[str]:
    more = [f"  and {count - shown} more {of_what}"] if count > shown else []
    return [line for line, _ in zip(lines, range(shown), strict=False)] + more


def some_names(names: Sequence[str]) -> str:
    """The first of the names, and how many more there are."""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more
