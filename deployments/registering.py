"""Brings a Prefect server in step with the catalog: what is equal is not touched, and what people chose stays.

Ours are: where and how a deployment runs, its form, its description and its tags (further tags stay). A person's are,
from the moment a deployment is there: when it runs (its schedules, and whether they are on), whether it is paused, its
job variables, and its parameters. Only parameters that are missing are added, those that the flow no longer has are
dropped, and the profile is always ours, for it is what the deployment is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import import_module
from typing import Any
from uuid import UUID

import httpx
from prefect import Flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.filters import FlowFilter, FlowFilterName
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.workers.process import ProcessWorker

from deployments.automations import bring_automations
from deployments.blocks import register_blocks, repository_blocks
from deployments.catalog import PROFILE_TAG, REFRESH, Deployment, Machine, deployment_of, deployments_for
from deployments.errors import server_trouble
from deployments.forms import Choices, fixed, form
from deployments.schedules import Schedule
from deployments.work_pools import WORK_POOL, queue_of
from tasks.this_computer import HOST_TAG

GONE_TAG = "gone"
"""On the deployment of a profile that is gone. It tells a pause of ours from one that somebody chose."""

_PAGE = 200
_DEFAULT = "default"
_BACKUPS = deployment_of("", "").flow


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of the deployments, by name, and what people should know besides."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    paused: tuple[str, ...] = ()
    """Those of profiles that are gone."""
    resumed: tuple[str, ...] = ()
    """Those of profiles that came back."""
    automations: tuple[str, ...] = ()
    """Names of automations that were added, changed or removed."""
    remarks: tuple[str, ...] = ()
    """Sentences."""


class _How(StrEnum):
    """What became of a deployment, in the words of `Registered`."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    PAUSED = "paused"
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True)
class _Step:
    id: UUID
    name: str
    how: _How
    remark: str = ""


@dataclass(frozen=True, slots=True)
class _There:
    """A deployment that the server has."""

    flow: str
    found: DeploymentResponse

    @property
    def host(self) -> str | None:
        return next((tag.removeprefix(HOST_TAG) for tag in self.found.tags if tag.startswith(HOST_TAG)), None)

    @property
    def profile(self) -> str | None:
        return next((tag.removeprefix(PROFILE_TAG) for tag in self.found.tags if tag.startswith(PROFILE_TAG)), None)

    @property
    def gone(self) -> bool:
        return GONE_TAG in self.found.tags

    @property
    def repositories(self) -> list[str]:
        """Those that its form offers."""
        properties = (self.found.parameter_openapi_schema or {}).get("properties", {})
        return list(properties.get("repository", {}).get("enum", ()))


async def register(machine: Machine) -> Registered:
    """Bring the server that PREFECT_API_URL names in step: pool, queue, block types, deployments and automations.

    Whatever is equal already is left alone, so it can be repeated at any time, and from several computers.

    Raises ServerTrouble when the server does not answer, or not as it should, and ServerUnnamed.
    """
    with server_trouble():
        async with get_client() as server:
            return await _register(server, machine)


async def _register(server: PrefectClient, machine: Machine) -> Registered:
    remarks = [*machine.remarks, *await _prepare_pool(server, queue_of(machine.host))]
    machine = replace(machine, repositories=await _with_blocks(server, machine.repositories))
    there = await _deployments_there(server, {_BACKUPS, *(wanted.flow for wanted in deployments_for(machine))})
    choices, others = _choices(machine, there.values())
    steps = [
        await _bring(server, machine, wanted, there.get((wanted.flow, wanted.name)), choices)
        for wanted in deployments_for(machine, others=others)
    ]
    steps += [await _pause(server, machine, known) for known in _vanished(machine, there.values())]
    refresh = next(step.id for step in steps if step.name == REFRESH.name)
    automations = await bring_automations(server, machine, refresh)
    await register_blocks()  # at the end, for a block that was saved has put the picture of its type back
    return Registered(
        **{how.value: tuple(step.name for step in steps if step.how is how) for how in _How},
        automations=automations,
        remarks=(*remarks, *(step.remark for step in steps if step.remark)),
    )


async def _prepare_pool(server: PrefectClient, queue: str) -> list[str]:
    """Make the work pool and the queue where they are missing; remarks about what keeps them from working."""
    try:
        pool = await server.read_work_pool(WORK_POOL)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        try:
            pool = await server.create_work_pool(
                WorkPoolCreate(name=WORK_POOL, type=ProcessWorker.type, base_job_template=template)
            )
        except ObjectAlreadyExists:  # another computer was quicker
            pool = await server.read_work_pool(WORK_POOL)
    try:
        await server.read_work_queue_by_name(queue, work_pool_name=WORK_POOL)
    except ObjectNotFound:
        with suppress(ObjectAlreadyExists):
            await server.create_work_queue(queue, work_pool_name=WORK_POOL)
    if pool.is_paused:
        return [f"The work pool {WORK_POOL} is paused, so nothing runs. Resume it in the Prefect UI"]
    return []


async def _with_blocks(server: PrefectClient, names: Sequence[str]) -> tuple[str, ...]:
    """The names of repositories, with those that stand in blocks of the server."""
    return tuple(dict.fromkeys((*names, *await repository_blocks(server))))


async def _deployments_there(server: PrefectClient, flows: Iterable[str]) -> dict[tuple[str, str], _There]:
    """The deployments of those flows, by the flow's name and their own."""
    wanted = FlowFilter(name=FlowFilterName(any_=sorted(flows)))
    flow_names = {found.id: found.name for found in await server.read_flows(flow_filter=wanted)}
    there: dict[tuple[str, str], _There] = {}
    while page := await server.read_deployments(flow_filter=wanted, limit=_PAGE, offset=len(there)):
        before = len(there)
        for found in page:
            flow = flow_names.get(found.flow_id, "")
            there[flow, found.name] = _There(flow, found)
        if len(page) < _PAGE or len(there) == before:
            break
    return there


def _choices(machine: Machine, there: Iterable[_There]) -> tuple[Choices, bool]:
    """What the forms of deployments for all computers offer, and whether there is another computer than this one."""
    backups = [known for known in there if known.flow == _BACKUPS and known.profile and known.host]
    elsewhere = [known for known in backups if known.host != machine.host]
    living = {known.profile or "" for known in elsewhere if not known.gone} | set(machine.profiles)
    if not machine.profiles_known:
        living |= {known.profile or "" for known in backups if not known.gone}
    gone = ({known.profile or "" for known in backups} | set(machine.empty_profiles)) - living
    # In an order that is the same on every computer: else each would undo what the other did.
    repositories = {*machine.repositories, *(name for known in elsewhere for name in known.repositories)} - {_DEFAULT}
    choices = Choices(
        tuple(sorted(living, key=_as_people_sort)),
        tuple(sorted(gone, key=_as_people_sort)),
        (_DEFAULT, *sorted(repositories, key=_as_people_sort)),
    )
    return choices, bool(elsewhere)


def _as_people_sort(name: str) -> tuple[str, str]:
    return name.casefold(), name


def _vanished(machine: Machine, there: Iterable[_There]) -> list[_There]:
    """The backups of this computer's profiles that are there no more, but for those that are paused already.

    One that somebody paused gets no mark of ours, so it stays paused when the profile comes back.
    """
    if not machine.profiles_known:
        return []
    names = {*machine.profiles, *machine.empty_profiles}
    return [
        known
        for known in there
        if known.flow == _BACKUPS
        and known.host == machine.host
        and known.profile is not None
        and known.profile not in names
        and not known.found.paused
        and not known.gone
    ]


def flow_of(entrypoint: str) -> Flow[Any, Any]:
    """The flow that an entrypoint by module names."""
    module, _, name = entrypoint.rpartition(".")
    found: Flow[Any, Any] = getattr(import_module(module), name)
    return found


def _form(wanted: Deployment, flow: Flow[Any, Any], choices: Choices, given: Mapping[str, Any]) -> dict[str, Any]:
    shown = form(wanted.flow, flow.parameters.model_dump_for_openapi(), choices, given)
    return shown if wanted.profile is None else fixed(shown, "profile", wanted.profile)


async def _bring(
    server: PrefectClient, machine: Machine, wanted: Deployment, known: _There | None, choices: Choices
) -> _Step:
    """Add a deployment, or change of it what is not right."""
    flow = flow_of(wanted.entrypoint)
    offered = choices if wanted.profile is None else Choices(machine.profiles, (), machine.repositories)
    if known is None:
        id_ = await _add(server, wanted, flow, offered, machine.time_zone)
        return _Step(id_, wanted.name, _How.ADDED)
    changes = _changes(wanted, flow, offered, known.found)
    if not changes:
        return _Step(known.found.id, wanted.name, _How.UNCHANGED)
    try:
        await server.update_deployment(known.found.id, DeploymentUpdate(**changes))
    except PrefectHTTPStatusError as error:
        if error.response.status_code != httpx.codes.CONFLICT:
            raise
        remark = (
            f"The deployment {wanted.name} could not be brought in step, for its form refuses the parameters that are "
            "set on it. Edit them in the Prefect UI, or delete the deployment: it is made anew"
        )
        return _Step(known.found.id, wanted.name, _How.UNCHANGED, remark)
    return _Step(known.found.id, wanted.name, _How.RESUMED if wanted.profile and known.gone else _How.CHANGED)


async def _pause(server: PrefectClient, machine: Machine, known: _There) -> _Step:
    """Pause the backups of a profile that is gone, and mark them."""
    marked = DeploymentUpdate(paused=True, tags=[*known.found.tags, GONE_TAG])
    await server.update_deployment(known.found.id, marked)
    remark = (
        f"The profile {known.profile} is gone from {machine.host}, so its backups are paused. They go on by themselves "
        "when it comes back"
    )
    return _Step(known.found.id, known.found.name, _How.PAUSED, remark)


async def _add(
    server: PrefectClient, wanted: Deployment, flow: Flow[Any, Any], choices: Choices, time_zone: str
) -> UUID:
    schedules = [] if wanted.schedule is None else [_schedule(wanted.schedule, time_zone)]
    return await server.create_deployment(
        flow_id=await server.create_flow_from_name(flow.name),
        name=wanted.name,
        description=wanted.description,
        entrypoint=wanted.entrypoint,
        pull_steps=[],
        work_pool_name=WORK_POOL,
        work_queue_name=wanted.queue,
        tags=list(wanted.tags),
        parameters=dict(wanted.parameters),
        parameter_openapi_schema=_form(wanted, flow, choices, wanted.parameters),
        enforce_parameter_schema=True,
        schedules=schedules,
        concurrency_limit=1 if wanted.alone else None,
        concurrency_options=_LEAVE_OUT if wanted.alone else None,
    )


_LEAVE_OUT = ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)


def _schedule(schedule: Schedule, time_zone: str) -> DeploymentScheduleCreate:
    when: CronSchedule | IntervalSchedule
    if schedule.cron is not None:
        when = CronSchedule(cron=schedule.cron, timezone=time_zone)
    else:
        assert schedule.interval is not None
        first = {} if schedule.first is None else {"anchor_date": schedule.first}
        when = IntervalSchedule(interval=schedule.interval, timezone=time_zone, **first)
    return DeploymentScheduleCreate(schedule=when, slug=schedule.slug, active=True)


def _changes(wanted: Deployment, flow: Flow[Any, Any], choices: Choices, found: DeploymentResponse) -> dict[str, Any]:
    """What of a deployment that is there is not as it should be, with how it should be."""
    known_parameters = flow.parameters.properties
    theirs = {name: value for name, value in found.parameters.items() if name in known_parameters}
    parameters = {**wanted.parameters, **theirs} | ({"profile": wanted.profile} if wanted.profile else {})
    back = wanted.profile is not None and GONE_TAG in found.tags
    tags = [*dict.fromkeys([*wanted.tags, *(tag for tag in found.tags if tag != GONE_TAG or not back)])]
    changes: dict[str, Any] = {}
    if (found.work_pool_name, found.work_queue_name) != (WORK_POOL, wanted.queue):
        changes |= {"work_pool_name": WORK_POOL, "work_queue_name": wanted.queue}
    if set(tags) != set(found.tags):
        changes["tags"] = tags
    if back and found.paused:
        changes["paused"] = False
    limit = found.global_concurrency_limit
    if wanted.alone and (limit is None or limit.limit != 1 or found.concurrency_options != _LEAVE_OUT):
        changes |= {"concurrency_limit": 1, "concurrency_options": _LEAVE_OUT}
    for name, right, there in (
        ("description", wanted.description, found.description),
        ("entrypoint", wanted.entrypoint, found.entrypoint),
        ("pull_steps", [], found.pull_steps),
        ("parameters", parameters, found.parameters),
        ("parameter_openapi_schema", _form(wanted, flow, choices, parameters), found.parameter_openapi_schema),
        ("enforce_parameter_schema", True, found.enforce_parameter_schema),
    ):
        if right != there:
            changes[name] = right
    return changes
