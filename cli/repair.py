"""`recollect repair`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.asking import ask_yes, is_anyone_there
from cli.ending import leave, report_json
from cli.options import AsJson, Base, Config, Repo
from cli.output import say, say_trouble, show_json, show_text
from cli.progress import progress_bars
from cli.session import Exit, session, usage
from cli.verify import ReadData
from flows.chains.repair import MendingPlan, plan_mending
from flows.chains.repair import repair as repair_chain
from storage.checking.verification import EVERYTHING, STRUCTURE
from storage.format.audit_row import Outcome
from tasks.repositories import open_named


def repair(
    read_data: ReadData = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", metavar="", help="Only show what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", metavar="", help="Do not ask first.")] = False,
    base: Base = None,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Repair a damaged repository: set aside what is damaged, save what is whole, and heal from this computer.

    Nothing is deleted. Packs that hold damage are quarantined, and the profiles on this computer are backed up again,
    so that what the repository lost of them is stored anew. Without --read-data only what `recollect verify` found is
    repaired.

    Example: recollect repair --dry-run
    """
    if not (dry_run or yes or is_anyone_there()):
        raise usage("A repair wants to be confirmed: answer at a terminal, or pass --yes.")
    scope = EVERYTHING if read_data else STRUCTURE
    with session(config, base=base, repo=repo):
        if dry_run:
            with progress_bars():
                plan = plan_mending(open_named(), scope)
            if as_json:
                show_json(plan.as_json())
            else:
                show_text(plan.as_text())
            return
        with progress_bars():
            report = repair_chain("default", scope, confirmed=_show_plan if yes else _confirmed)
        if as_json:
            show_json(report_json(report))
        if report.outcome is Outcome.FAILED:
            say_trouble(report.message)
        elif not as_json:
            show_text(report.message)
        for remark in report.remarks:
            say(remark)
        if report.outcome is Outcome.SKIPPED:
            say("Nothing was changed")
            raise typer.Exit(Exit.FAILED)
        leave([report])


def _show_plan(plan: MendingPlan) -> bool:
    say(plan.as_text())
    return True


def _confirmed(plan: MendingPlan) -> bool:
    say(plan.as_text())
    return ask_yes("Repair this?")
