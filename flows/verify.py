"""The flow *verify*."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.chains import verify as chain
from flows.form.parameters import RepositoryName
from flows.running.not_yet import unless_not_made_yet
from flows.running.right_computer import refuse_runs_of_another_computer
from flows.running.states import in_a_state, state_of
from storage.checking.verification import Scope

Percent = Annotated[float, Field(gt=0, le=100)]


@flow(name="verify", flow_run_name="repository {repository}", persist_result=False)
def verify(repository: RepositoryName = "default", read_percent: Percent | None = None) -> State[Any]:
    """Verify that a repository holds all that its snapshots need, and read a part of it back.

    Args:
        repository: "default", or the name of a repository in the settings or in a block.
        read_percent: How much of all bytes to read back, those first that were not read for the longest; leave it empty
            to read none.
    """
    scope = Scope() if read_percent is None else Scope(data=True, share=read_percent / 100)

    def run() -> State[Any]:
        refuse_runs_of_another_computer()
        return unless_not_made_yet(repository, lambda: state_of(chain.verify(repository, scope).report))

    return in_a_state(run, "verify")
