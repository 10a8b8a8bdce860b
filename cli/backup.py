"""`recollect backup`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import platformdirs
import typer

from cli.ending import leave, report_json, say_what_matters
from cli.options import AsJson, Base, Config, Daily, Monthly, OnServer, Profiles, Repo, Weekly
from cli.output import count, outcome_text, say, seconds, show_json
from cli.progress import progress_bars
from cli.server import use_server
from cli.session import session, settings_for
from cli.tables import Column, show_table
from flows.chains.backup import BackupOfAll, back_up, back_up_several
from profiles.base_folder import find_base_folder
from profiles.errors import BaseFolderMissing
from recollect.settings import Settings
from recollect.units import size
from tasks.audit import Report
from tasks.known_repositories import known_repositories
from tasks.repositories import allow_new_repository
from tasks.repository_address import address_of

_COLUMNS = (
    Column("Profile", folds=16),
    Column("Outcome"),
    Column("Notes", right=True),
    Column("Cards", right=True, rank=4),
    Column("Reviews", right=True, rank=3),
    Column("Media files", right=True),
    Column("Media", right=True, rank=5),
    Column("New", right=True, rank=1),
    Column("Stored", right=True),
    Column("Time", right=True, rank=2),
    Column("Snapshot", rank=6),
)


def backup(
    profiles: Profiles = None,
    base: Base = None,
    repo: Repo = None,
    daily: Daily = None,
    weekly: Weekly = None,
    monthly: Monthly = None,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Make a snapshot even where nothing has changed.")
    ] = False,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept", metavar="", help="Take a profile that lost much as it is: later ones are held against it."
        ),
    ] = False,
    new_repository: Annotated[
        bool,
        typer.Option(
            "--new-repository", metavar="", help="Begin a new repository where one was before and is no more."
        ),
    ] = False,
    or_sample: Annotated[
        bool,
        typer.Option(
            "--or-sample", metavar="", help="Where there is no Anki, make two sample profiles and back those up."
        ),
    ] = False,
    server: OnServer = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Back up profiles: collection, media and deletion log. Anki may be open meanwhile.

    Example: recollect backup Ada --repo sftp://nas/backups/anki
    """
    if or_sample and base is None:
        base = _sample_where_no_anki_is(config)
    with session(config, base=base, repo=repo, daily=daily, weekly=weekly, monthly=monthly) as settings:
        if new_repository:
            allow_new_repository()
        result = _run(profiles or [], force=force, accept=accept, on_server=use_server(server, settings))
        if as_json:
            show_json([report_json(report) for report in result.reports])
        else:
            _show(result, settings)
        for remark in result.remarks:
            say(remark)
        say_what_matters(result.reports)
        if settings.repo is None and not as_json:
            say("This repository is on this computer. For a copy elsewhere, name a place with --repo URL.")
        leave(result.reports)


def _run(names: list[str], *, force: bool, accept: bool, on_server: bool) -> BackupOfAll:
    if on_server:
        from flows.on_server import back_up_all_on_server

        # Prefect writes to the terminal itself.
        with progress_bars(visible=False):
            return back_up_all_on_server(names, force=force, accept=accept)
    with progress_bars():
        return back_up_several(names, "default", lambda name: back_up(name, force=force, accept=accept))


def _show(result: BackupOfAll, settings: Settings) -> None:
    title = f"Backup to {address_of(settings).shown}"
    show_table(title, _COLUMNS, map(_row, result.reports))


def _row(report: Report) -> tuple[object, ...]:
    row = report.row
    return (
        row.profile,
        outcome_text(report.how),
        count(row.notes),
        count(row.cards),
        count(row.reviews),
        count(row.media_files),
        size(row.media_bytes),
        size(row.bytes_new),
        size(row.bytes_stored),
        seconds(row.seconds_total),
        row.snapshot,
    )


def _sample_where_no_anki_is(config: Path | None) -> Path | None:
    """None where a base folder is set or found, or should be; else a sample's, made on the first call.

    Whoever named a repository, or backed up here before, has an Anki: a sample in its place would look like success.
    """
    with settings_for(config) as settings:
        sample = platformdirs.user_data_path("recollect", appauthor=False) / "sample" / "Anki2"
        has_anki = settings.base is not None or settings.repo is not None or os.environ.get("ANKI_BASE")
        if has_anki or (known_repositories(settings.state) and not sample.exists()):
            return None
        try:
            find_base_folder()
        except BaseFolderMissing as missing:
            say(f"{missing.problem}.")
        else:
            return None
        if not sample.exists():
            from profiles.sample import make_sample_base_folder

            make_sample_base_folder(sample)
        say(f"So a sample with two profiles, in {sample}, is backed up instead.")
        return sample
