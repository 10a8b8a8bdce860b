"""The flow *back-up-profile*."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext

from flows.chains.backup import back_up
from flows.form.parameters import Limit, ProfileName, RepositoryName
from flows.form.run_names import name_of_profiles
from flows.running.right_computer import refuse_runs_of_another_computer
from flows.running.states import in_a_state, state_of
from tasks.limits import NOTHING_CHOSEN, ChosenLimits


@flow(name="back-up-profile", flow_run_name=name_of_profiles, persist_result=False)
def back_up_profile(
    profile: ProfileName,
    repository: RepositoryName = "default",
    force: bool = False,
    accept: bool = False,
    daily: Limit | None = None,
    weekly: Limit | None = None,
    monthly: Limit | None = None,
) -> State[Any]:
    """Back up one Anki profile: its collection, its media and its deletion log.

    Args:
        profile: The profile's name, as Anki shows it.
        repository: Where to: "default", or the name of a repository in the settings or in a block.
        force: Make a snapshot even when nothing has changed.
        accept: Take a profile that lost much as it is; later ones are held against it.
        daily: How many daily snapshots to keep. As the deployment says it, it counts for whatever else prunes, too.
            Leave it empty for what is set, and where nothing is, for what Anki's own preferences say.
        weekly: How many weekly ones; as with the daily ones.
        monthly: How many monthly ones; as with the daily ones.
    """

    def run() -> State[Any]:
        refuse_runs_of_another_computer()
        said = ChosenLimits(daily, weekly, monthly)
        limits = said if said != NOTHING_CHOSEN or _is_deployed() else None
        return state_of(back_up(profile, repository, force=force, accept=accept, limits=limits))

    return in_a_state(run, "backup")


def _is_deployed() -> bool:
    """Whether this is a run of a deployment: one that says nothing of limits then means it."""
    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and context.flow_run.deployment_id is not None
