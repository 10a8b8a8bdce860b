"""Handing pages to the Prefect server, and asking it when a run is due again.

None of it may make a run fail, or hold it up for long: a backup is no worse for lacking its report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.report.page import Page
from flows.running.side_by_side import turn

_PATIENCE_S = 5.0
_RETRIES = 2
_AS_MANY_LATE = 10
"""Runs that should have begun and wait for a worker, before the one that is due next."""


def show(pages: Callable[[datetime | None], Sequence[Page]]) -> None:
    """Show the pages of the flow run that is running; `pages` is told when the same is due again, if it is."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run = context.flow_run
    try:
        with patient_client() as client:
            for page in pages(_next_run(client, run.deployment_id)):
                with turn():
                    client.create_artifact(
                        ArtifactCreate(
                            key=page.key,
                            type=page.kind,
                            description=page.description,
                            data=page.data,
                            flow_run_id=run.id,
                        )
                    )
    except Exception as trouble:  # noqa: BLE001 - the outcome stands, shown or not
        get_run_logger().warning("What is told of this run under Artifacts is not complete: %s", _told(trouble))
        get_run_logger().debug("This kept it from being shown", exc_info=True)


@contextmanager
def patient_client(patience_s: float = _PATIENCE_S, retries: int = _RETRIES) -> Iterator[SyncPrefectClient]:
    """A client that gives up soon: Prefect's own waits for minutes, as it must for a run's states."""
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: retries}),
        get_client(httpx_settings={"timeout": patience_s}, sync_client=True) as client,
    ):
        yield client


def _next_run(client: SyncPrefectClient, deployment_id: UUID | None) -> datetime | None:
    """When the deployment's schedule is due next."""
    if deployment_id is None:
        return None
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        limit=_AS_MANY_LATE,
    )
    due = (run.expected_start_time for run in found)
    return next((at for at in due if at is not None and at > datetime.now(UTC)), None)


def _told(trouble: Exception) -> str:
    return f"{type(trouble).__name__}: {trouble}".splitlines()[0]
