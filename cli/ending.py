"""The exit code for how actions ended, and the words that go with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import typer

from cli.output import say, say_trouble, show_json, show_text
from cli.session import Exit
from storage.format.audit_row import Outcome, row_values
from tasks.audit import SUSPECT, Report


def leave(reports: Iterable[Report]) -> None:
    """End the command with the code for the worst of the outcomes."""
    outcomes = {report.outcome for report in reports}
    if Outcome.FAILED in outcomes:
        raise typer.Exit(Exit.FAILED)
    if Outcome.SKIPPED in outcomes:
        raise typer.Exit(Exit.SKIPPED)


def end_with(report: Report, as_json: Mapping[str, object] | None = None) -> None:
    """Tell how the one thing that was asked for ended, in JSON where there is some, and end the command so.

    Whatever was not done counts as failed, also what somebody said no to.
    """
    if as_json is not None:
        show_json(as_json)
    if report.outcome is not Outcome.COMPLETED:
        say_trouble(report.message)
    elif as_json is None:
        show_text(report.message)
    for remark in report.remarks:
        say(remark)
    if report.outcome is not Outcome.COMPLETED:
        raise typer.Exit(Exit.FAILED)


def report_json(report: Report) -> dict[str, object]:
    """A report for programs: its row in the audit table, and the remarks."""
    return row_values(report.row) | {"remarks": report.remarks}


def say_what_matters(reports: Iterable[Report]) -> None:
    """Tell why profiles failed, were skipped or look wrong, and whatever was remarked."""
    for report in reports:
        # What is done to a repository as a whole is of no profile.
        whose = report.profile or "Repository"
        if report.outcome is Outcome.FAILED or report.row.reason == SUSPECT:
            say_trouble(f"{whose}: {report.message}")
        elif report.outcome is Outcome.SKIPPED:
            say(f"{whose}: {report.message}")
        for remark in report.remarks:
            say(f"{whose}: {remark}")
