"""`recollect prune`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.ending import leave, report_json, say_what_matters
from cli.options import AsJson, Config, Daily, Monthly, Profiles, Repo, Weekly
from cli.output import say, show_json, show_text
from cli.progress import progress_bars
from cli.session import session
from flows.chains.prune import plan_prune
from flows.chains.prune import prune as prune_chain
from flows.chains.sweep import planned_sweep, sweep
from storage.format.audit_row import Outcome
from tasks.limits import ChosenLimits
from tasks.repositories import open_named


def prune(
    profiles: Profiles = None,
    repo: Repo = None,
    daily: Daily = None,
    weekly: Weekly = None,
    monthly: Monthly = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", metavar="", help="Only show what would be let go, and why.")
    ] = False,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            metavar="",
            help="Take it as right that a profile looks wrong, or that much would go.",
        ),
    ] = False,
    accept_missing: Annotated[
        bool,
        typer.Option(
            "--accept-missing",
            metavar="",
            help="Take it as right that snapshots are gone which nobody forgot.",
        ),
    ] = False,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Let go of snapshots over the retention limits (Anki's own rule), and free the space that nothing needs any more.

    The last good snapshot of each profile always stays. What was let go can be had back for a week with `recollect
    forget --undo`. Space is freed in two steps, a day apart, so that no backup that runs meanwhile can be harmed. With
    names of profiles only their limits are applied. A profile that has lost much keeps all its snapshots for a month.

    Example: recollect prune --daily 30 --dry-run
    """
    # Limits in the settings are this computer's; whoever gives them here means every profile.
    limits = ChosenLimits(daily, weekly, monthly)
    with session(config, repo=repo, daily=daily, weekly=weekly, monthly=monthly):
        if dry_run:
            _show_plans(profiles or [], limits=limits, as_json=as_json, accept=accept, accept_missing=accept_missing)
            return
        reports = prune_chain("default", profiles or [], despite_suspects=accept, limits=limits)
        if not profiles:
            with progress_bars():
                reports.append(sweep(accept=accept, accept_missing=accept_missing))
        if as_json:
            show_json([report_json(report) for report in reports])
        else:
            for report in reports:
                if report.outcome is not Outcome.FAILED:
                    show_text(f"{report.profile or 'Repository'}: {report.message}")
        say_what_matters(reports)
        leave(reports)


def _show_plans(names: list[str], *, limits: ChosenLimits, as_json: bool, accept: bool, accept_missing: bool) -> None:
    repository = open_named()
    planned = plan_prune(repository, names, limits=limits)
    swept = None if names else planned_sweep(repository, accept=accept, accept_missing=accept_missing)
    if as_json:
        profiles = [
            {"profile": item.profile.name, "profile_key": item.profile.key, "held": item.held, **item.plan.as_json()}
            for item in planned
        ]
        show_json({"profiles": profiles, "sweep": swept.as_json() if swept else None})
    for item in planned:
        if not as_json:
            show_text(f"{item.profile.described}\n{item.plan.as_text()}\n")
        if item.held and not accept:
            say(f"{item.profile.name}: {item.held}")
        for remark in item.remarks:
            say(f"{item.profile.name}: {remark}")
    if swept and not as_json:
        show_text(swept.as_text())
