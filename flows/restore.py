"""The flow *restore-profile*."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from flows.chains.restore import restore
from flows.states import state_of


@flow(name="restore-profile", flow_run_name="{profile} from {snapshot}", persist_result=False)
def restore_profile(
    profile: str,
    snapshot: str = "latest",
    to: str | None = None,
    in_place: bool = False,
    repository: str = "default",
) -> State:
    """Restore a snapshot of an Anki profile, into an empty folder or in place.

    Args:
        profile: The profile's name, as Anki shows it.
        snapshot: "latest", or a snapshot's id.
        to: An empty folder to restore into; leave it empty to restore in place.
        in_place: Restore over the profile itself; Anki must be closed. The present state is kept as a snapshot first.
        repository: Where from: "default", or the name of a repository in the settings.
    """
    if (to is not None) == in_place:
        return Failed(message="Nothing was restored: name a folder to restore into, or choose in place, and not both.")
    return state_of(restore(profile, snapshot, to=Path(to) if to else None, repository_name=repository))
