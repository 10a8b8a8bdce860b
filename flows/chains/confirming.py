"""What becomes of a plan that nobody said yes to: nothing is touched, and the audit table says why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from recollect.errors import RecollectError
from storage.format.audit_row import Outcome
from tasks.audit import Audit


class Unanswered(RecollectError):
    """A question was put to a person, and no answer came."""

    code = "not-answered"


@contextmanager
def unless_unanswered(audit: Audit) -> Iterator[None]:
    """End an action as skipped where nobody answered a question within; anything else goes on as it is."""
    try:
        yield
    except Unanswered as trouble:
        audit.skipped(trouble)


def decline(audit: Audit, nothing: str) -> None:
    """Somebody said no; `nothing` was done, as in "Nothing was restored"."""
    audit.outcome, audit.reason = Outcome.SKIPPED, "not-confirmed"
    audit.completed(f"{nothing}: the plan was not confirmed")
