"""The flow *back-up-all*."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.backup import back_up_profile
from flows.chains.backup import back_up_several
from flows.states import report_of
from recollect.errors import RecollectError
from storage.format.audit_row import Outcome


@flow(name="back-up-all", persist_result=False)
def back_up_all(
    profiles: list[str] | None = None,
    repository: str = "default",
    force: bool = False,
) -> State:
    """Back up every Anki profile of this machine, each as a run of its own; one that fails stops no other.

    Args:
        profiles: Names of profiles; leave it empty for all.
        repository: Where to: "default", or the name of a repository in the settings.
        force: Make snapshots even where nothing has changed.
    """
    try:
        result = back_up_several(
            profiles or [],
            repository,
            lambda name: report_of(back_up_profile(name, repository, force, return_state=True)),
        )
    except RecollectError as trouble:
        return Failed(message=str(trouble))
    if result.having(Outcome.FAILED):
        return Failed(message=result.summary(), data=result)
    return Completed(message=result.summary(), data=result)
