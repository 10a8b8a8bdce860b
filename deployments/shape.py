"""What a deployment of the catalog looks like on a server, and what of one that is there differs from that."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from prefect import Flow
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

from deployments.catalog import Deployment
from deployments.forms import Choices, fixed, form, without
from deployments.schedules import Schedule
from deployments.there import GONE_TAG
from deployments.work_pools import WORK_POOL

_LEAVE_OUT = ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)


def flow_of(entrypoint: str) -> Flow[Any, Any]:
    """The flow that an entrypoint by module names."""
    module, _, name = entrypoint.rpartition(".")
    found: Flow[Any, Any] = getattr(import_module(module), name)
    return found


def _form(wanted: Deployment, flow: Flow[Any, Any], choices: Choices, given: Mapping[str, Any]) -> dict[str, Any]:
    shown = form(wanted.flow, flow.parameters.model_dump_for_openapi(), choices, given)
    for name, value in wanted.about.items():
        shown = fixed(shown, name, value)
    # What belongs to one computer is not about all of them.
    return shown if wanted.host is None else without(shown, "everywhere")


def as_new(wanted: Deployment, flow: Flow[Any, Any], choices: Choices, time_zone: str) -> dict[str, Any]:
    """A deployment as it is when it is added, but for the flow's id; schedules go by the time zone."""
    schedules = [] if wanted.schedule is None else [_schedule(wanted.schedule, time_zone)]
    return {
        "name": wanted.name,
        "description": wanted.description,
        "entrypoint": wanted.entrypoint,
        "pull_steps": [],
        "work_pool_name": WORK_POOL,
        "work_queue_name": wanted.queue,
        "tags": list(wanted.tags),
        "parameters": dict(wanted.parameters),
        "parameter_openapi_schema": _form(wanted, flow, choices, wanted.parameters),
        "enforce_parameter_schema": True,
        "schedules": schedules,
        "concurrency_limit": 1 if wanted.alone else None,
        "concurrency_options": _LEAVE_OUT if wanted.alone else None,
    }


def differences(
    wanted: Deployment, flow: Flow[Any, Any], choices: Choices, found: DeploymentResponse
) -> dict[str, Any]:
    """What of a deployment that is there is not as it should be, with how it should be."""
    known_parameters = flow.parameters.properties
    theirs = {name: value for name, value in found.parameters.items() if name in known_parameters}
    parameters = {**wanted.parameters, **theirs, **wanted.about}
    back = bool(wanted.about) and GONE_TAG in found.tags
    tags = [*dict.fromkeys([*wanted.tags, *(tag for tag in found.tags if tag != GONE_TAG or not back)])]
    wrong: dict[str, Any] = {}
    if (found.work_pool_name, found.work_queue_name) != (WORK_POOL, wanted.queue):
        wrong |= {"work_pool_name": WORK_POOL, "work_queue_name": wanted.queue}
    if set(tags) != set(found.tags):
        wrong["tags"] = tags
    if back and found.paused:
        wrong["paused"] = False
    limit = found.global_concurrency_limit
    if wanted.alone and (limit is None or limit.limit != 1 or found.concurrency_options != _LEAVE_OUT):
        wrong |= {"concurrency_limit": 1, "concurrency_options": _LEAVE_OUT}
    for name, right, there in (
        ("description", wanted.description, found.description),
        ("entrypoint", wanted.entrypoint, found.entrypoint),
        ("pull_steps", [], found.pull_steps),
        ("parameters", parameters, found.parameters),
        ("parameter_openapi_schema", _form(wanted, flow, choices, parameters), found.parameter_openapi_schema),
        ("enforce_parameter_schema", True, found.enforce_parameter_schema),
    ):
        if right != there:
            wrong[name] = right
    return wrong


def _schedule(schedule: Schedule, time_zone: str) -> DeploymentScheduleCreate:
    when: CronSchedule | IntervalSchedule
    if schedule.cron is not None:
        when = CronSchedule(cron=schedule.cron, timezone=time_zone)
    else:
        assert schedule.interval is not None
        first = {} if schedule.first is None else {"anchor_date": schedule.first}
        when = IntervalSchedule(interval=schedule.interval, timezone=time_zone, **first)
    return DeploymentScheduleCreate(schedule=when, slug=schedule.slug, active=True)
