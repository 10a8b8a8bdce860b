"""Writes `deleted.txt` as Anki's desktop program does: the hook of qt/aqt/main.py, which the `anki` package lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from anki.collection import Collection
from anki.hooks import notes_will_be_deleted
from anki.notes import NoteId

OLD_HEADER = b"nid\tmid\tfields\n"
NEW_HEADER = b"#guid column:1\n#notetype column:2\n#nid\tmid\tfields\n"


def row(note_id: int, note_type_id: int, fields: Iterable[str]) -> bytes:
    return "\t".join([str(note_id), str(note_type_id), *fields]).encode() + b"\n"


@contextmanager
def logging_deletions(log: Path, header: bytes) -> Iterator[None]:
    """Append every note that is deleted through the `anki` package within the context to `log`."""

    def write(collection: Collection, note_ids: Sequence[NoteId]) -> None:
        existed = log.exists()
        with log.open("ab") as file:
            if not existed:
                file.write(header)
            for note_id in note_ids:
                note = collection.get_note(note_id)
                file.write(row(note_id, note.mid, note.fields))

    notes_will_be_deleted.append(write)
    try:
        yield
    finally:
        notes_will_be_deleted.remove(write)
