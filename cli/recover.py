"""`recollect recover`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.asking import ask_yes, is_anyone_there
from cli.ending import end_with, report_json
from cli.options import AsJson, Base, Config, Repo, path_named
from cli.output import say
from cli.progress import progress_bars
from cli.session import session, usage
from flows.chains.recover import RecoverPlan, Recovery
from flows.chains.recover import recover as recover_chain
from tasks.audit import Report
from tasks.find_notes import Wanted


def recover(
    notes: Annotated[
        list[int] | None,
        typer.Argument(metavar="NOTE_ID", help="Ids of notes, which Anki's browser shows as Info.", show_default=False),
    ] = None,
    decks: Annotated[
        list[str] | None,
        typer.Option("--deck", metavar="NAME", help="All notes of this deck and those below it; may be repeated."),
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="TEXT", help="What Anki's browser would find for this.")
    ] = None,
    snapshot: Annotated[
        str | None,
        typer.Option(
            "--snapshot",
            metavar="ID",
            help="Take all from this snapshot: an id, its beginning or end, a time, or `latest`. Default: latest; for "
            "ids, and decks that are gone, the newest that holds them.",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="PROFILE", help="Whose notes. Default: the only one's.", show_default=False),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FILE.apkg",
            help="Write a package that Anki imports, with schedules and media.",
            parser=path_named,
        ),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(
            "--text", metavar="DIR", help="Write text files that Anki imports to this new folder.", parser=path_named
        ),
    ] = None,
    into: Annotated[
        bool, typer.Option("--into", metavar="", help="Add them to the profile itself. Anki must be closed.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", metavar="", help="Also set notes that are still there back to what they were."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", metavar="", help="Do not ask before notes are added.")] = False,
    base: Base = None,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Get single notes or decks back, with schedules, decks and media: as a package, as text files, or into a profile.

    Into a profile, the present state is kept as a snapshot first; the next sync carries the notes on.

    Example: recollect recover --deck Spanish --to ~/spanish.apkg
    """
    wanted = Wanted(tuple(notes or ()), tuple(decks or ()), search)
    if not wanted:
        raise usage("Say which notes: by their ids, with --deck, or with --search.")
    if [to is not None, text is not None, into].count(True) != 1:
        raise usage("Say where to, one of: --to FILE.apkg, --text DIR, or --into for the profile itself.")
    if into and not (yes or is_anyone_there()):
        raise usage("Adding notes to a profile wants to be confirmed: answer at a terminal, or pass --yes.")
    with session(config, base=base, repo=repo):
        with progress_bars():
            report, recovery = recover_chain(
                wanted,
                profile=profile,
                snapshot=snapshot,
                to=to,
                text=text,
                overwriting=overwrite,
                confirmed=_show_plan if yes else _confirmed,
            )
        end_with(report, _as_json(report, recovery) if as_json else None)


def _show_plan(plan: RecoverPlan) -> bool:
    say(plan.as_text())
    return True


def _confirmed(plan: RecoverPlan) -> bool:
    say(plan.as_text())
    return ask_yes("Add these notes?")


def _as_json(report: Report, recovery: Recovery) -> dict[str, object]:
    found, packages = recovery.found, recovery.packages
    return report_json(report) | {
        "notes": found.notes,
        "cards": sum(package.cut.cards for package in packages) if packages else None,
        "snapshots": [
            {"snapshot": one.manifest.id, "taken_at": one.manifest.taken_at, "notes": list(one.notes)}
            for one in found.found
        ],
        "missing_notes": list(found.missing_notes),
        "missing_decks": list(found.missing_decks),
        "left_out_notes": [note for package in packages for note in package.cut.left_out],
        "media": [name for package in packages for name in package.cut.media],
        "missing_media": [name for package in packages for name in package.missing_media],
        "damaged_media": [name for package in packages for name in package.damaged_media],
        "unpackable_media": [name for package in packages for name in package.cut.unpackable_media],
        "files": [str(path) for path in recovery.files],
        "added": {
            name: sum(getattr(added, name) for added in recovery.added)
            for name in ("new", "updated", "duplicates", "conflicting", "cards")
        }
        if recovery.added
        else None,
    }
