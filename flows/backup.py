"""The flow *back-up-profile*."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.chains.backup import back_up
from flows.states import state_of


@flow(name="back-up-profile", flow_run_name="{profile}", persist_result=False)
def back_up_profile(profile: str, repository: str = "default", force: bool = False) -> State:
    """Back up one Anki profile: its collection, its media and its deletion log.

    Args:
        profile: The profile's name, as Anki shows it.
        repository: Where to: "default", or the name of a repository in the settings.
        force: Make a snapshot even when nothing has changed.
    """
    return state_of(back_up(profile, repository, force=force))
