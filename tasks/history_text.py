"""The history of a note, told to a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from profiles.note_history import FieldChange, NoteState, note_change
from tasks.note_history import NoteHistory, Taken

_CONTEXT: Final = 40
"""Letters that are shown before and after what changed in a long text."""
_LONGEST: Final = 300
"""Letters that are shown of one text."""


def history_text(history: NoteHistory) -> str:
    """All versions, oldest first: the first one whole, of each other what changed."""
    lines = [f"Note {history.note} of {history.profile}, in {history.looked_into} snapshots:"]
    known: NoteState | None = None
    for version in history.versions:
        if version.state is None:
            lines += [_heading(version.first, "gone")]
            continue
        if known is None:
            lines += [_heading(version.first, "first seen"), *_whole(version.state)]
        else:
            changes = list(_changes(known, version.state))
            came_back = "back" if changes else "back, as it was"
            was_gone = lines[-1].endswith("gone")
            lines += [_heading(version.first, came_back if was_gone else "changed"), *changes]
        known = version.state
    return "\n".join([*lines, _ending(history)])


def recover_advice(history: NoteHistory) -> str:
    """How a version comes back."""
    return (
        f"Any version comes back with `recollect recover {history.note} --snapshot ID`, and --to FILE.apkg or --into; "
        "where the note is still there, with --overwrite"
    )


def _ending(history: NoteHistory) -> str:
    last = history.versions[-1]
    if last.state is not None:
        return f"Last seen: {_named(last.last)}"
    there = history.versions[-2]
    return f"Last seen: {_named(there.last)}\nGone since: {_named(last.first)}"


def _heading(taken: Taken, what: str) -> str:
    return f"{_named(taken)}  {what}"


def _named(taken: Taken) -> str:
    return f"{taken.at:%Y-%m-%d %H:%M}  {taken.snapshot}"


def _whole(state: NoteState) -> Iterator[str]:
    yield f"    note type: {_line(state.note_type)}"
    yield f"    deck: {_deck(state)}"
    if state.tags:
        yield f"    tags: {_line(' '.join(state.tags))}"
    for name, text in state.fields:
        yield f"    {_line(name)}: {_shortened(text, 0, len(text))}"


def _changes(before: NoteState, after: NoteState) -> Iterator[str]:
    change = note_change(before, after)
    if change.note_type:
        yield f"    note type: {_line(before.note_type)} -> {_line(after.note_type)}"
    if change.deck:
        yield f"    deck: {_deck(before)} -> {_deck(after)}"
    if change.tags:
        gone = [f"-{tag}" for tag in before.tags if tag not in after.tags]
        come = [f"+{tag}" for tag in after.tags if tag not in before.tags]
        yield f"    tags: {_line(' '.join([*gone, *come]) or 'in another order')}"
    for field in change.fields:
        yield from _field(field)


def _field(change: FieldChange) -> Iterator[str]:
    """A field as it was and as it is now; of long ones the part in which they differ."""
    before, after = change.before or "", change.after or ""
    alike = _alike(before, after)
    alike_at_end = _alike(before[alike:][::-1], after[alike:][::-1])
    yield f"    {_line(change.name)}:"
    if change.before is not None:
        yield f"      - {_shortened(before, alike, len(before) - alike_at_end)}"
    if change.after is not None:
        yield f"      + {_shortened(after, alike, len(after) - alike_at_end)}"


def _alike(one: str, other: str) -> int:
    """How many letters two texts have in common at their beginning."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _shortened(text: str, start: int, end: int) -> str:
    """A text on one line; of a long one what lies from `start` to `end`, with a little around it."""
    if len(text) > _LONGEST:
        start = max(start - _CONTEXT, 0)
        end = min(end + _CONTEXT, len(text), start + _LONGEST)
        text = f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
    return _line(text)


def _deck(state: NoteState) -> str:
    return _line(state.deck) if state.deck else "(no cards)"


def _line(text: str) -> str:
    return text.replace("\n", "⏎") or "(empty)"
