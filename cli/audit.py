"""`recollect audit`."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from cli.options import AsJson, Config, Repo
from cli.output import count, moment_here, outcome_text, say, seconds, show_json
from cli.session import session
from cli.tables import Column, show_table
from recollect.units import size
from storage.audit_table import read_rows
from storage.format.audit_row import AuditRow, row_values
from tasks.audit import Action, Report
from tasks.repositories import open_named

_COLUMNS = (
    Column("When"),
    Column("Action"),
    Column("Profile", folds=16),
    Column("Outcome"),
    Column("Notes", right=True, rank=2),
    Column("Media files", right=True, rank=3),
    Column("New", right=True, rank=4),
    Column("Stored", right=True, rank=1),
    Column("Time", right=True, rank=5),
    Column("What happened", folds=44),
)


def audit(
    profile: Annotated[
        str | None, typer.Argument(metavar="PROFILE", help="A profile's name. Default: all.", show_default=False)
    ] = None,
    action: Annotated[
        str | None,
        typer.Option(
            "--action",
            metavar="NAME",
            help=f"Only this action: {', '.join(get_args(Action))}.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many rows, newest first.")] = 30,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Show what was done, skipped or failed, newest first.

    Example: recollect audit Ada --limit 10
    """
    with session(config, repo=repo):
        repository = open_named()
        found = read_rows(repository.store, newest=limit, profile=profile, action=action)
        place = repository.store.url
        if as_json:
            show_json([row_values(row) for row in found.rows])
        elif found.rows:
            show_table(f"Audit table of {place}", _COLUMNS, (_row(row) for row in found.rows))
        else:
            say(f"The audit table of {place} has no row{' of that kind' if profile or action else ' yet'}")
        for name in found.damaged:
            say(f"{name} in the audit table is damaged; the other rows are whole")


def _row(row: AuditRow) -> tuple[object, ...]:
    return (
        moment_here(row.started_at),
        row.action,
        row.profile,
        outcome_text(Report(row).how),
        count(row.notes),
        count(row.media_files),
        size(row.bytes_new),
        size(row.bytes_stored),
        seconds(row.seconds_total),
        row.message,
    )
