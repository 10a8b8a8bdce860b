"""Whether a run is done where it belongs. A worker that was told of no queues takes the runs of every computer."""

from __future__ import annotations

from prefect.context import FlowRunContext

from recollect.errors import RecollectError
from recollect.settings import load_settings
from tasks.this_computer import HOST_TAG, this_host


class AnotherComputer(RecollectError):
    """The run belongs to another computer."""

    code = "another-computer"


def refuse_runs_of_another_computer() -> None:
    """Raise AnotherComputer when the flow that runs now is tagged as another computer's.

    A profile of the same name may be here, too. Backing that one up would leave the right one without, and say nothing.
    """
    context = FlowRunContext.get()
    tags = context.flow_run.tags if context is not None and context.flow_run is not None else ()
    hosts = [tag.removeprefix(HOST_TAG) for tag in tags if tag.startswith(HOST_TAG)]
    here = this_host(load_settings())
    if hosts and here not in hosts:
        raise AnotherComputer(
            f"Nothing was done, for this run belongs to {' or '.join(hosts)}, and a worker on {here} took it",
            f"Name the queues when you start that worker: `--work-queue default --work-queue '{here}'`",
        )
