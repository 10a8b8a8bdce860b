"""The flow *prune*."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.chains import prune as chain
from recollect.errors import RecollectError
from storage.format.audit_row import Outcome


@flow(name="prune", persist_result=False)
def prune(profiles: list[str] | None = None, repository: str = "default") -> State:
    """Let go of the snapshots that the retention limits no longer hold.

    Args:
        profiles: Names of profiles; leave it empty for all in the repository.
        repository: "default", or the name of a repository in the settings.
    """
    try:
        reports = chain.prune(repository, profiles or [])
    except RecollectError as trouble:
        return Failed(message=str(trouble))
    summary = "; ".join(f"{report.profile}: {report.message}" for report in reports) or "There was nothing to prune"
    failed = any(report.outcome is Outcome.FAILED for report in reports)
    return (Failed if failed else Completed)(message=summary, data=reports)
