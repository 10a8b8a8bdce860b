"""Telling the world how an action ended: an event for automations, and pages for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from flows.report import events
from flows.report.computers import computers_page
from flows.report.outcome import many_outcomes_page, outcome_page
from flows.report.page import Page, apart
from flows.report.pictures import profile_pictures_page, repository_pictures_page
from flows.report.showing import show
from flows.report.snapshots import snapshots_page
from flows.running.everywhere import There
from storage.format.audit_row import Outcome
from tasks.audit import Report


def announce(report: Report) -> None:
    """Tell how an action on one profile or on a repository ended.

    One that found nothing to do, as most do, makes no pages: those of the last that did are as true as they were.
    """
    events.emit(report)
    if report.outcome is not Outcome.UNCHANGED:
        _show(lambda next_run: [outcome_page(report, next_run), *_about_snapshots(report)])


def announce_many(
    kind: str, title: str, reports: Sequence[Report], summary: str, remarks: Sequence[str] = (), *, heard: bool = False
) -> None:
    """Tell how an action on several profiles ended, all on one page.

    `heard` says that each was a flow run of its own, which has told what is to be told of it.
    """
    if not heard:
        for report in reports:
            events.emit(report)
    if all(report.outcome is Outcome.UNCHANGED for report in reports):
        return

    def pages(_next_run: datetime | None) -> Iterator[Page]:
        yield many_outcomes_page(kind, title, reports, summary, remarks)
        if not heard:
            for report in reports:
                yield from _about_snapshots(report)

    _show(lambda next_run: list(pages(next_run)))


def announce_computers(ended: Sequence[There]) -> None:
    """Tell how it ended on each computer, whose own runs have told the rest."""
    _show(lambda _: [computers_page(ended)])


def show_repository(reports: Sequence[Report]) -> None:
    """Show who is protected by a repository, told by the snapshots that reports on all of its profiles have of them."""
    profiles = [report.snapshots for report in reports if report.snapshots]
    if profiles:
        now = datetime.now().astimezone()
        show(lambda _: [repository_pictures_page(reports[0].row.repository_id, profiles, now)])


def _show(pages: Callable[[datetime | None], Sequence[Page]]) -> None:
    """Show pages; those about a further repository apart from those about the default one."""
    repository = events.into()
    if repository == events.DEFAULT:
        show(pages)
    else:
        show(lambda next_run: [apart(page, repository) for page in pages(next_run)])


def _about_snapshots(report: Report) -> list[Page]:
    """The pages about a profile's snapshots, if some came or went and the action had to read them all anyway."""
    row = report.row
    if not report.snapshots or not (row.bytes_stored or row.snapshots_pruned):
        return []
    return [snapshots_page(report.snapshots), profile_pictures_page(report.snapshots, datetime.now().astimezone())]
