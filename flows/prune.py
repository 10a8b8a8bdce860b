"""The flow *prune*."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.chains import prune as chain
from flows.chains.sweep import sweep
from flows.form.parameters import Limit, ProfileName, RepositoryName
from flows.form.run_names import name_of_profiles
from flows.report.announcing import announce_many, show_repository
from flows.running.not_yet import unless_not_made_yet
from flows.running.right_computer import refuse_runs_of_another_computer
from flows.running.states import in_a_state, state_of_many, tell
from tasks.limits import ChosenLimits


@flow(name="prune", flow_run_name=name_of_profiles, persist_result=False)
def prune(
    profiles: list[ProfileName] | None = None,
    repository: RepositoryName = "default",
    accept: bool = False,
    accept_missing: bool = False,
    daily: Limit | None = None,
    weekly: Limit | None = None,
    monthly: Limit | None = None,
) -> State[Any]:
    """Let go of the snapshots that the retention limits no longer hold, and free the space that nothing needs.

    Args:
        profiles: Names of profiles; leave it empty for all in the repository. Only then space is freed.
        repository: "default", or the name of a repository in the settings or in a block.
        accept: Take it as right that much of the repository goes.
        accept_missing: Take it as right that snapshots are gone which nobody forgot.
        daily: How many daily snapshots to keep of each profile; leave it empty for what the profile's own backups keep.
        weekly: How many weekly ones; as with the daily ones.
        monthly: How many monthly ones; as with the daily ones.
    """
    limits = ChosenLimits(daily, weekly, monthly)

    def run() -> State[Any]:
        refuse_runs_of_another_computer()
        return unless_not_made_yet(
            repository,
            lambda: _prune(repository, profiles or [], limits, accept=accept, accept_missing=accept_missing),
        )

    return in_a_state(run, "prune")


def _prune(
    repository: str, profiles: list[str], limits: ChosenLimits, *, accept: bool, accept_missing: bool
) -> State[Any]:
    reports = chain.prune(repository, profiles, limits=limits)
    if not profiles:
        reports.append(sweep(repository, accept=accept, accept_missing=accept_missing))
    for report in reports:
        tell(report)
    summary = "; ".join(f"{report.profile or 'Repository'}: {report.message}" for report in reports)
    announce_many("prune", "Snapshots pruned", reports, summary)
    if not profiles:
        show_repository(reports)
    return state_of_many(reports, summary)
