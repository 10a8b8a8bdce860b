"""The report of a run that backed up on every computer of a server."""

from __future__ import annotations

from collections.abc import Sequence

from flows.report.markdown import bullets, heading, plain, table
from flows.report.page import Page, markdown_page
from flows.running.everywhere import How, There

_KEY = "all-computers-report"
_TITLE = "All profiles on all computers"
_WORST_FIRST = (How.FAILED, How.SUSPECT, How.WAITING, How.UNDER_WAY, How.SKIPPED, How.COMPLETED)


def computers_page(ended: Sequence[There]) -> Page:
    """One line for each computer, and below what there is to say of each, the worst first."""
    worst_first = sorted(ended, key=lambda one: _WORST_FIRST.index(one.how))
    hows = [one.how for one in ended]
    return markdown_page(
        _KEY,
        plain(_TITLE),
        heading(_TITLE),
        plain(", ".join(f"{hows.count(how)} {how}" for how in How if how in hows)),
        table(("Computer", "How it ended"), [(one.host, one.how) for one in ended]),
        bullets([f"{one.host}: {one.message}" for one in worst_first]),
    )
