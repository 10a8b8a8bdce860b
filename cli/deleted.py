"""`recollect deleted`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson, Config, Repo, path_named
from cli.output import moment_here, say, show_json, show_text
from cli.session import session
from cli.tables import Column, show_table
from profiles.deletion_log import DeletedNote
from profiles.install_media import prepare_empty_target
from profiles.recovery.text import import_files
from storage.deletion_archive import archived_notes
from storage.format.deletion_table import ArchivedNote
from tasks.catalog import choose_profile, read_catalog
from tasks.place import open_named

_EXCERPT = 60
_COLUMNS = (
    Column("Note", right=True, rank=1),
    Column("Note type", folds=12),
    Column("First field", folds=24),
    Column("Archived"),
    Column("Snapshot", rank=2),
)


def deleted(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="The profile's name, or its key.")],
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="DIR",
            help="Write files for Anki's import, one per note type, to this new folder.",
            parser=path_named,
        ),
    ] = None,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List the deleted notes in a profile's deletion archive, or write them as files that Anki imports.

    Example: recollect deleted Ada --to ~/ada-deleted
    """
    with session(config, repo=repo):
        repository = open_named()
        stored = choose_profile(read_catalog(repository), profile)
        remarks: list[str] = []
        notes = archived_notes(repository, stored.key, remarks=remarks)
        written = _write(notes, to) if to is not None and notes else []
        if as_json:
            show_json([str(file) for file in written] if to is not None else [_as_json(note) for note in notes])
        elif not notes:
            say(f"The deletion archive of {stored.name} is empty")
        elif to is None:
            show_table(f"Deleted notes of {stored.name}", _COLUMNS, (_row(note) for note in notes))
        else:
            for file in written:
                show_text(str(file))
            say("In Anki, choose File > Import for each file; what is chosen in the dialog is right.")
        for remark in remarks:
            say(remark)


def _write(notes: list[ArchivedNote], folder: Path) -> list[Path]:
    prepare_empty_target(folder)
    files = import_files(
        DeletedNote(note.note_id, note.note_type_id, note.note_type, note.field_names, note.fields) for note in notes
    )
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return [folder / name for name in files]


def _row(note: ArchivedNote) -> tuple[object, ...]:
    first = note.fields[0] if note.fields else ""
    return (note.note_id, note.note_type, first[:_EXCERPT], moment_here(note.archived_at), note.snapshot)


def _as_json(note: ArchivedNote) -> dict[str, object]:
    return {
        "note_id": note.note_id,
        "note_type_id": note.note_type_id,
        "note_type": note.note_type,
        "fields": dict(zip(note.field_names, note.fields, strict=False)) if note.field_names else list(note.fields),
        "archived_at": note.archived_at,
        "snapshot": note.snapshot,
    }
