"""The flow *prune*."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.chains import prune as chain
from flows.parameters import ProfileName, RepositoryName
from flows.states import in_a_state, state_of_many, tell


@flow(name="prune", persist_result=False)
def prune(profiles: list[ProfileName] | None = None, repository: RepositoryName = "default") -> State[Any]:
    """Let go of the snapshots that the retention limits no longer hold.

    Args:
        profiles: Names of profiles; leave it empty for all in the repository.
        repository: "default", or the name of a repository in the settings.
    """
    return in_a_state(lambda: _prune(repository, profiles or []))


def _prune(repository: str, profiles: list[str]) -> State[Any]:
    reports = chain.prune(repository, profiles)
    for report in reports:
        tell(report.remarks)
    summary = "; ".join(f"{report.profile}: {report.message}" for report in reports)
    return state_of_many(reports, summary or "There was nothing to prune")
