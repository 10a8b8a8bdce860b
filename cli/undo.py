"""`recollect undo`."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.asking import is_anyone_there
from cli.ending import end_with, report_json
from cli.options import AsJson, Base, Config, Repo
from cli.progress import progress_bars
from cli.restore import confirm_plan, show_plan
from cli.session import session, usage
from flows.chains.undo import undo as undo_chain


def undo(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="The profile's name.")],
    yes: Annotated[bool, typer.Option("--yes", metavar="", help="Do not ask first.")] = False,
    base: Base = None,
    repo: Repo = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Undo the last restore in place, or whatever else kept a profile first: put back the state before it.

    The present state is kept as a snapshot too, so that undoing twice ends where it began. A restore that was broken
    off and done again is undone as one. The plan tells which snapshot is put back, and why; any other can be had with
    `recollect restore --in-place --snapshot ID`. Anki must be closed.

    Example: recollect undo Ada
    """
    if not (yes or is_anyone_there()):
        raise usage("Undoing wants to be confirmed: answer at a terminal, or pass --yes.")
    with session(config, base=base, repo=repo):
        with progress_bars():
            report = undo_chain(profile, confirmed=show_plan if yes else confirm_plan)
        end_with(report, report_json(report) if as_json else None)
