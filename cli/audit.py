"""`recollect audit`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import AsJson, Config, Repo
from cli.output import count, moment, say, seconds, show_json, show_table, size
from cli.session import session
from storage.audit_table import read_rows
from storage.format.audit_row import AuditRow, row_values
from tasks.place import open_named


def audit(
    profile: Annotated[str | None, typer.Argument(metavar="[PROFILE]", help="A profile's name. Default: all.")] = None,
    action: Annotated[
        str | None, typer.Option("--action", metavar="NAME", help="Only this action: backup, restore, prune.")
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
        if as_json:
            show_json([row_values(row) for row in found.rows])
        else:
            _show(repository.store.url, found.rows)
        for name in found.damaged:
            say(f"{name} in the audit table is damaged; the other rows are whole")


def _show(url: str, rows: tuple[AuditRow, ...]) -> None:
    columns = {
        "When": "left",
        "Action": "left",
        "Profile": "left",
        "Outcome": "left",
        "Notes": "right",
        "Media files": "right",
        "New": "right",
        "Stored": "right",
        "Time": "right",
        "What happened": "left",
    }
    show_table(
        f"Audit table of {url}",
        columns,
        (
            (
                moment(row.started_at.astimezone()),
                row.action,
                row.profile,
                row.outcome,
                count(row.notes),
                count(row.media_files),
                size(row.bytes_new),
                size(row.bytes_stored),
                seconds(row.seconds_total),
                row.message,
            )
            for row in rows
        ),
    )
