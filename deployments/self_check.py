"""Whether the server really plans runs. Its scheduler can be dead while all else looks well.

With SQLAlchemy 2.1, Prefect 3.8's scheduler fails in every round, in its own log alone: schedules show in the UI, the
server answers, and no run is ever made.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType

from deployments.catalog import TAG
from deployments.errors import server_trouble

_PAGE = 200
_EACH_S = 0.5
_AT_ONCE = 20
"""Deployments asked about together. Each has a handful of runs ahead, so that their runs fit one answer."""
_SHOWN = 3


async def schedules_that_plan_nothing(within_s: float = 90.0) -> str | None:
    """None as soon as each schedule of ours that is on has made a run to come; else, after that time, a sentence.

    Raises ServerTrouble when the server does not answer, or not as it should, and ServerUnnamed.
    """
    deadline = time.monotonic() + within_s
    with server_trouble():
        async with get_client() as server:
            missing = await _scheduled(server)
            while missing:
                planned = await _planned(server, missing)
                missing = {id_: name for id_, name in missing.items() if id_ not in planned}
                if not missing or time.monotonic() > deadline:
                    break
                await asyncio.sleep(_EACH_S)
    if not missing:
        return None
    names = sorted(missing.values(), key=str.casefold)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (
        f"The Prefect server has planned no run of {', '.join(names[:_SHOWN])}{more}, so nothing is going to run by "
        "itself: its scheduler does not work. Its log says why; mostly other versions of its libraries are installed "
        "than those in requirements.lock, above all of SQLAlchemy."
    )


async def _scheduled(server: PrefectClient) -> dict[UUID, str]:
    """Our deployments that ought to run by themselves."""
    wanted = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    found: dict[UUID, str] = {}
    offset = 0
    while page := await server.read_deployments(deployment_filter=wanted, limit=_PAGE, offset=offset):
        found |= {
            known.id: known.name
            for known in page
            if not known.paused and any(schedule.active for schedule in known.schedules)
        }
        offset += len(page)
        if len(page) < _PAGE:
            break
    return found


async def _planned(server: PrefectClient, wanted: Collection[UUID]) -> set[UUID]:
    """Those of the deployments that have a run to come."""
    ids = list(wanted)
    planned: set[UUID] = set()
    for start in range(0, len(ids), _AT_ONCE):
        runs = await server.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=ids[start : start + _AT_ONCE])),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
            ),
            limit=_PAGE,
        )
        planned |= {run.deployment_id for run in runs if run.deployment_id is not None}
    return planned
