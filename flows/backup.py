"""The flow *back-up-profile*."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.chains.backup import back_up
from flows.form.parameters import ProfileName, RepositoryName
from flows.running.right_computer import refuse_runs_of_another_computer
from flows.running.states import in_a_state, state_of


@flow(name="back-up-profile", flow_run_name="{profile}", persist_result=False)
def back_up_profile(
    profile: ProfileName, repository: RepositoryName = "default", force: bool = False, accept: bool = False
) -> State[Any]:
    """Back up one Anki profile: its collection, its media and its deletion log.

    Args:
        profile: The profile's name, as Anki shows it.
        repository: Where to: "default", or the name of a repository in the settings or in a block.
        force: Make a snapshot even when nothing has changed.
        accept: Take a profile that lost much as it is; later ones are held against it.
    """

    def run() -> State[Any]:
        refuse_runs_of_another_computer()
        return state_of(back_up(profile, repository, force=force, accept=accept))

    return in_a_state(run, "backup")
