"""Files that bring notes back through Anki's own File > Import, with every default of its dialog right.

They hold what a person wrote: fields, tags and decks, but no schedules (`apkg` keeps those). One file holds the notes
of one note type. Its directives (rslib/src/import_export/text/csv/metadata.rs) leave nothing to guess from the content:

- Each note names its note type by id in column 2. A note type that the collection no longer has makes Anki skip the
  note; the directive `#notetype:` would be ignored instead, and the notes would land in whatever type comes first.
- The guid in column 1 makes a second import harmless: with `#if matches:keep current` a note that is there, stays.
- Every cell is quoted, so that a leading `#` is no comment, and tabs, line feeds and quotes stay inside their cell.
- All rows are equally wide, with the tags last: Anki takes the number of columns from the first row and cuts the
  others to it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from profiles.deletion_log import DeletedNote
from profiles.notes import read_notes
from profiles.proof import opened_copy, prove

_SLUG_LENGTH = 40

# Anki has this deck in every collection, under a name that depends on the language; an empty cell in a deck column
# would make a deck named "blank".
_DEFAULT_DECK_ID = "1"

# Anki skips a note whose first field is empty, though it keeps such notes; a space is as good as empty on a card.
_EMPTY_FIRST_FIELD = " "

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class NoteOrigin:
    """What a copy of the collection knows of a note, and the deletion log does not: guid, full deck name, tags."""

    guid: str
    deck: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TextFiles:
    """Importable files, the text of each (to be stored as UTF-8) by its name; and ids that the copy does not hold."""

    files: dict[str, str]
    missing_notes: tuple[int, ...]


def text_files(
    collection_copy: Path, notes: Iterable[int], *, overwriting: bool = False, original: Path | None = None
) -> TextFiles:
    """Return one importable file for each note type among the notes with these ids, out of a private copy.

    The copy is one file with its WAL folded in, of any schema from 11 on, and is only read. A note has one deck here:
    that of its first card. `overwriting` is as in `import_files`. `original` is what a person knows the copy by. Raises
    CollectionDamaged or SourceUnreadable.
    """
    prove(collection_copy, original=original)
    wanted = list(dict.fromkeys(notes))
    with opened_copy(collection_copy, original=original) as connection:
        found = list(read_notes(connection, original or collection_copy, wanted))
    origins = {note.note_id: NoteOrigin(note.guid, note.deck or "", note.tags) for note in found}
    files = import_files(
        (DeletedNote(note.note_id, note.note_type_id, note.note_type, note.field_names, note.fields) for note in found),
        origins,
        overwriting=overwriting,
    )
    return TextFiles(files, tuple(id_ for id_ in wanted if id_ not in origins))


def import_files(
    notes: Iterable[DeletedNote], origins: Mapping[int, NoteOrigin] | None = None, *, overwriting: bool = False
) -> dict[str, str]:
    """Return one importable file for each note type among `notes`: its name, and its text (to be stored as UTF-8).

    `notes` come in the order of their deletion: of a note that was deleted several times the last state counts.
    `origins`, by note id, adds deck, tags and the true guid; a note without one gets its id as guid, and the default
    deck. A note type that is unknown gets a file as well: Anki imports it once the note type is there again, skips its
    notes until then, and the file says so. Notes that are still there stay as they are, or get these fields and tags
    when `overwriting`.
    """
    by_type: dict[int, dict[int, DeletedNote]] = {}
    for note in notes:
        by_type.setdefault(note.note_type_id, {})[note.note_id] = note
    files: dict[str, str] = {}
    for note_type_id, latest in by_type.items():
        known = next((note for note in reversed(latest.values()) if note.note_type is not None), None)
        name = None if known is None else known.note_type
        field_names = () if known is None else known.field_names
        files[_file_name(name, note_type_id)] = _text(
            note_type_id, name, field_names, latest, origins or {}, overwriting=overwriting
        )
    return files


def _text(
    note_type_id: int,
    note_type: str | None,
    field_names: tuple[str, ...],
    notes: Mapping[int, DeletedNote],
    origins: Mapping[int, NoteOrigin],
    *,
    overwriting: bool,
) -> str:
    width = max(len(field_names), *(len(note.fields) for note in notes.values()))
    with_origin = any(note_id in origins for note_id in notes)
    labels = ["guid", "note type", *(["deck"] if with_origin else []), *field_names]
    labels += [""] * (width - len(field_names)) + (["tags"] if with_origin else [])
    lines = [
        "#separator:tab",
        "#html:true",
        "#guid column:1",
        "#notetype column:2",
        *(["#deck column:3", f"#tags column:{len(labels)}"] if with_origin else []),
        f"#if matches:{'update' if overwriting else 'keep'} current",
        f"#columns:{_row(_one_line(label) for label in labels)}",
        *_explanation(note_type_id, note_type, overwriting=overwriting),
        *_rows(notes, width, origins if with_origin else None),
    ]
    return "\n".join(lines) + "\n"


def _rows(notes: Mapping[int, DeletedNote], width: int, origins: Mapping[int, NoteOrigin] | None) -> Iterator[str]:
    guids: set[str] = set()
    for note in notes.values():
        origin = origins.get(note.note_id) if origins else None
        guid = origin.guid if origin and origin.guid and origin.guid not in guids else str(note.note_id)
        guids.add(guid)
        first, *others = (*note.fields, *[""] * (width - len(note.fields)))
        cells = [guid, str(note.note_type_id), *([_deck(origin)] if origins else [])]
        cells += [first or _EMPTY_FIRST_FIELD, *others]
        cells += [" ".join(origin.tags if origin else ())] if origins else []
        yield _row(cells)


def _explanation(note_type_id: int, note_type: str | None, *, overwriting: bool) -> list[str]:
    # Each line begins with fixed words: Anki takes what stands before a colon for the name of a directive.
    if note_type is None:
        return [
            f"# Notes of note type {note_type_id}, which was not in the collection when this file was made.",
            "# Anki skips them until the note type is there again, for instance after restoring one of its notes.",
        ]
    return [
        f"# Notes of note type {note_type_id}, {_one_line(note_type)}",
        "# In Anki choose File > Import, then this file, then Import. Notes that are still there "
        + ("get these fields and tags." if overwriting else "stay as they are."),
    ]


def _deck(origin: NoteOrigin | None) -> str:
    # Anki takes a whole number in the deck column for a deck's id, whatever the decks are called.
    if origin is None or not origin.deck.strip() or re.fullmatch(r"[+-]?[0-9]+", origin.deck.strip()):
        return _DEFAULT_DECK_ID
    return origin.deck


def _row(cells: Iterable[str]) -> str:
    return "\t".join('"' + _LONE_SURROGATES.sub("\ufffd", cell).replace('"', '""') + '"' for cell in cells)


def _one_line(text: str) -> str:
    return _LONE_SURROGATES.sub("\ufffd", _CONTROL_CHARACTERS.sub(" ", text))


def _file_name(note_type: str | None, note_type_id: int) -> str:
    """Return a name that every filesystem takes and that no two note types share."""
    if note_type is None:
        return f"unknown-note-type-{note_type_id}.txt"
    letters = unicodedata.normalize("NFKD", note_type[: 4 * _SLUG_LENGTH]).encode("ascii", errors="ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9]+", "-", letters)[:_SLUG_LENGTH].strip("-") or "note-type"
    return f"{slug}-{note_type_id}.txt"
