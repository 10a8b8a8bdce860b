"""`recollect restore`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson, Base, Config, OnServer, Repo
from cli.output import say, say_trouble, show_json, show_text
from cli.progress import progress_bars
from cli.server import use_server
from cli.session import leave, session, usage
from flows.chains.restore import RestorePlan, plan_restore
from flows.chains.restore import restore as restore_chain
from storage.format.audit_row import Outcome, row_values
from tasks.audit import Report
from tasks.catalog import LATEST
from tasks.place import open_named


def restore(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="The profile's name, or its key.")],
    snapshot: Annotated[
        str, typer.Option("--snapshot", metavar="ID", help="A snapshot's id, or its beginning or end.")
    ] = LATEST,
    to: Annotated[Path | None, typer.Option("--to", metavar="DIR", help="Restore into this empty folder.")] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Restore over the profile itself. Anki must be closed.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before restoring in place.")] = False,
    base: Base = None,
    repo: Repo = None,
    server: OnServer = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Restore a snapshot, into an empty folder or in place.

    In place the present state is kept as a snapshot first, and no media file is deleted.

    Example: recollect restore Ada --to ~/ada-restored
    """
    if (to is not None) == in_place:
        raise usage("Say where to restore: into an empty folder with --to DIR, or with --in-place over the profile.")
    with session(config, base=base, repo=repo):
        if plan:
            show_text(plan_restore(open_named(), profile, snapshot, to=to).as_text())
            return
        if in_place and not yes and not sys.stdin.isatty():
            raise usage("Restoring in place wants to be confirmed: answer at a terminal, or pass --yes.")
        report = _run(profile, snapshot, to, ask=in_place and not yes, on_server=use_server(server))
        if as_json:
            show_json(row_values(report.row) | {"remarks": report.remarks})
        else:
            (show_text if report.outcome is Outcome.COMPLETED else say_trouble)(report.message)
        for remark in report.remarks:
            say(remark)
        leave([report])


def _run(profile: str, snapshot: str, to: Path | None, *, ask: bool, on_server: bool) -> Report:
    if on_server:
        if ask:
            _confirm(plan_restore(open_named(), profile, snapshot, to=to))
        from flows.on_server import restore_on_server

        return restore_on_server(profile, snapshot, str(to.expanduser().absolute()) if to else None)
    with progress_bars():
        return restore_chain(profile, snapshot, to=to, confirmed=_confirm if ask else _show_plan)


def _show_plan(plan: RestorePlan) -> bool:
    say(plan.as_text())
    return True


def _confirm(plan: RestorePlan) -> bool:
    say(plan.as_text())
    typer.confirm("Restore this?", abort=True, err=True)
    return True
