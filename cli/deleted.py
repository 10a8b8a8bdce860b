"""`recollect deleted`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from cli.ending import leave, say_what_matters
from cli.options import AsJson, Config, Repo, path_named
from cli.output import count, moment_here, say, show_json, show_text
from cli.progress import progress_bars
from cli.session import session
from cli.tables import Column, show_table
from flows.chains.deletions import deleted_notes, rescan_deletions
from profiles.deletion_log import DeletedNote
from profiles.plain_text import plain_text
from profiles.recovery.text import NoteOrigin, import_files
from profiles.recovery.text_folder import write_text_folder
from storage.format.audit_row import Outcome
from storage.format.deletion_table import ArchivedNote, How

_EXCERPT = 60
_LONGEST_LOOKED_AT = 4096
_DAYS = re.compile(r"([0-9]+) *d(?:ays?)?")
_COLUMNS = (
    Column("Note", right=True),
    Column("Seen gone"),
    Column("How", folds=12, rank=2),
    Column("Deck", folds=12),
    Column("Note type", folds=12, rank=1),
    Column("First field", folds=24),
    Column("Last snapshot", rank=3),
)
_HOW = {
    How.LOG: "deleted here",
    How.DELETED: "deleted",
    How.REPLACED: "replaced",
}
"""`docs/format.md` §8 says what each means."""


def moment_named(text: str) -> datetime:
    """A moment as a person names it: a day, a day with a time of day, or how many days ago."""
    try:
        if days := _DAYS.fullmatch(text.strip()):
            return datetime.now().astimezone() - timedelta(days=int(days[1]))
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError, OSError) as error:
        raise typer.BadParameter(f"{text!r} is no moment: write a day as 2026-11-22, or 30d for 30 days ago") from error


def deleted(
    profile: Annotated[
        str | None,
        typer.Argument(
            metavar="PROFILE",
            help="The profile's name, or its key. Default: the only one in the repository.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="Only notes seen to go since then: a day such as 2026-11-22, or 30d for 30 days ago.",
            parser=moment_named,
        ),
    ] = None,
    deck: Annotated[
        str | None, typer.Option("--deck", metavar="NAME", help="Only notes of this deck, or of one below it.")
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="WORDS", help="Only notes with all of these words in their fields."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="DIR",
            help="Write files for Anki's import, one per note type, to this new folder.",
            parser=path_named,
        ),
    ] = None,
    back: Annotated[
        bool, typer.Option("--back", metavar="", help="Also notes that are in the collection again.")
    ] = False,
    rescan: Annotated[
        bool,
        typer.Option(
            "--rescan", metavar="", help="Compare all snapshots of the profile first, for notes that no backup saw go."
        ),
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="How many the table shows; --json and --to take all.")
    ] = 200,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """List the notes that were deleted, however they went, search them, or write them as files that Anki imports.

    Each backup keeps what went since the one before: notes deleted here or on another device, alone or with their deck,
    and those that a collection held which was replaced, by a restore or a one-way sync.

    Example: recollect deleted Ada --since 30d --deck Languages --text "capital of"
    """
    with session(config, repo=repo):
        if rescan:
            _rescan(profile)
        found = deleted_notes(profile, since=since, deck=deck, text=text)
        notes = found.all if back else found.gone
        written = _write(notes, to) if to is not None and notes else []
        if as_json:
            told = [_as_json(note, back=note.note_id in found.back) for note in notes]
            show_json([str(file) for file in written] if to is not None else told)
        elif not notes:
            kind = " of that kind" if since or deck or text else ""
            say(f"The deletion archive of {found.profile.name} knows of no note{kind} that is gone")
        elif to is None:
            show_table(f"Deleted notes of {found.profile.name}", _COLUMNS, (_row(note) for note in notes[:limit]))
            if len(notes) > limit:
                say(f"{count(len(notes) - limit)} more went before these: search for what you miss, or raise --limit")
            if any(note.how is How.REPLACED for note in notes[:limit]):
                say("Replaced: the collection was, by a restore or a one-way sync; nobody deleted the note by itself")
            # Where there are several profiles, one was named here, and has to be there.
            whose = f" --profile {profile!r}" if profile is not None else ""
            say(f"To have notes back, with their cards and reviews: `recollect recover NOTE_ID...{whose} --into`")
        else:
            for file in written:
                show_text(str(file))
            say("In Anki, choose File > Import for each file; what is chosen in the dialog is right.")
        if found.back and not back:
            say(f"{count(len(found.back))} more came back, and are in the collection again: --back lists them, too")
        for remark in found.remarks:
            say(remark)


def _rescan(profile: str | None) -> None:
    with progress_bars():
        report = rescan_deletions(profile)
    if report.outcome is not Outcome.FAILED:
        say(report.message)
    say_what_matters([report])
    leave([report])


def _write(notes: Sequence[ArchivedNote], folder: Path) -> list[Path]:
    numbered = _told_apart(notes)
    files = import_files(
        (
            DeletedNote(number, note.note_type_id, note.note_type, note.field_names, note.fields)
            for number, note in numbered.items()
        ),
        {
            number: NoteOrigin(note.guid, note.deck or "", note.tags or ())
            for number, note in numbered.items()
            if note.guid is not None
        },
    )
    return list(write_text_folder(folder, files))


def _told_apart(notes: Sequence[ArchivedNote]) -> dict[int, ArchivedNote]:
    """Each note by its id, or by a number that no note has where an id was given again: it goes by its guid then."""
    numbered: dict[int, ArchivedNote] = {}
    for place, note in enumerate(notes, start=1):
        numbered[note.note_id if note.note_id not in numbered else -place] = note
    return numbered


def _row(note: ArchivedNote) -> tuple[object, ...]:
    first = plain_text(note.fields[0][:_LONGEST_LOOKED_AT]) if note.fields else ""
    return (
        note.note_id,
        moment_here(note.seen_at),
        _HOW[note.how],
        note.deck,
        note.note_type,
        first[:_EXCERPT],
        note.last_snapshot,
    )


def _as_json(note: ArchivedNote, *, back: bool) -> dict[str, object]:
    return {
        "note_id": note.note_id,
        "guid": note.guid,
        "note_type_id": note.note_type_id,
        "note_type": note.note_type,
        "field_names": note.field_names,
        "fields": note.fields,
        "tags": note.tags,
        "deck": note.deck,
        "modified_s": note.modified_s,
        "how": note.how.value,
        "last_snapshot": note.last_snapshot,
        "gone_in": note.gone_in,
        "seen_at": note.seen_at,
        "back": back,
    }
