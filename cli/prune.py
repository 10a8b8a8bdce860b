"""`recollect prune`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.ending import leave, report_json, say_what_matters
from cli.options import AsJson, Config, Daily, Monthly, Profiles, Repo, Weekly
from cli.output import say, show_json, show_text
from cli.session import session
from flows.chains.prune import plan_prune
from flows.chains.prune import prune as prune_chain
from storage.format.audit_row import Outcome
from tasks.place import open_named


def prune(
    profiles: Profiles = None,
    repo: Repo = None,
    daily: Daily = None,
    weekly: Weekly = None,
    monthly: Monthly = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Only show what would be let go, and why.")
    ] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Let go of snapshots over the retention limits: Anki's own rule. The last good snapshot always stays.

    Example: recollect prune --daily 30 --dry-run
    """
    with session(config, repo=repo, daily=daily, weekly=weekly, monthly=monthly):
        if dry_run:
            _show_plans(profiles or [], as_json=as_json)
            return
        reports = prune_chain("default", profiles or [], despite_suspects=True)
        if as_json:
            show_json([report_json(report) for report in reports])
        else:
            for report in reports:
                if report.outcome is not Outcome.FAILED:
                    show_text(f"{report.profile}: {report.message}")
            if not reports:
                say("There is no snapshot to prune")
        say_what_matters(reports)
        leave(reports)


def _show_plans(names: list[str], *, as_json: bool) -> None:
    planned = plan_prune(open_named(), names)
    if as_json:
        show_json(
            [{"profile": item.profile.name, "profile_key": item.profile.key, **item.plan.as_json()} for item in planned]
        )
    for item in planned:
        if not as_json:
            show_text(f"{item.profile.described}\n{item.plan.as_text()}\n")
        for remark in item.remarks:
            say(f"{item.profile.name}: {remark}")
    if not planned:
        say("There is no snapshot to prune")
