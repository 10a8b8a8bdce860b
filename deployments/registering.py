"""Brings a Prefect server in step with the catalog: what is equal is not touched, and what people chose stays.

Ours are: where and how a deployment runs, its form, its description and its tags (further tags stay). A person's are,
from the moment a deployment is there: when it runs (its schedules, and whether they are on), whether it is paused, its
job variables, and its parameters. Only parameters that are missing are added, those that the flow no longer has are
dropped, and profile and repository are ours where they are what the deployment is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from deployments.catalog import (
    BACK_UP_ALL,
    DEFAULT_REPOSITORY,
    PROFILE_TAG,
    REFRESH,
    REPOSITORY_TAG,
    Deployment,
    Machine,
    deployment_of,
    deployments_for,
)
from deployments.errors import server_trouble
from deployments.forms import Choices, fixed, form, without
from deployments.schedules import Schedule
from deployments.work_pools import WORK_POOL, queue_of
from tasks.this_computer import HOST_TAG

GONE_TAG = "gone"
"""On the deployment of a profile or repository that is gone. It tells a pause of ours from one that somebody chose."""

_PAGE = 200
_BACKUPS = deployment_of("", "").flow


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of the deployments, by name, and what people should know besides."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    paused: tuple[str, ...] = ()
    """Those of profiles and repositories that are gone."""
    resumed: tuple[str, ...] = ()
    """Those of profiles and repositories that came back."""
    new_profiles: tuple[str, ...] = ()
    """Profiles that were not backed up by this server before, by their own names."""
    back_up_all: UUID | None = None
    """The deployment that backs up all profiles of this computer."""
    automations: tuple[str, ...] = ()
    """Names of automations that were added, changed or removed."""
    remarks: tuple[str, ...] = ()
    """Sentences."""


class _How(StrEnum):
    """What became of a deployment, in the words of `Registered`."""

    ADDED = "added"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True)
class _Step:
    id: UUID
    wanted: Deployment
    how: _How
    remark: str = ""

    @property
    def name(self) -> str:
        return self.wanted.name


@dataclass(frozen=True, slots=True)
class _There:
    """A deployment that the server has."""

    flow: str
    found: DeploymentResponse

    @property
    def host(self) -> str | None:
        return self._tagged(HOST_TAG)

    @property
    def profile(self) -> str | None:
        return self._tagged(PROFILE_TAG)

    @property
    def repository(self) -> str | None:
        """The further repository that it is for."""
        return self._tagged(REPOSITORY_TAG)

    def _tagged(self, kind: str) -> str | None:
        return next((tag.removeprefix(kind) for tag in self.found.tags if tag.startswith(kind)), None)

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
    machine = replace(machine, blocks=await repository_blocks(server))
    there = await _deployments_there(server, {_BACKUPS, *(wanted.flow for wanted in deployments_for(machine))})
    choices, others = _choices(machine, there.values())
    steps = [
        await _bring(server, machine, wanted, there.get((wanted.flow, wanted.name)), choices)
        for wanted in deployments_for(machine, others=others)
    ]
    gone = _gone(machine, there.values())
    for known in gone:
        await _pause(server, known)
    refresh = next(step.id for step in steps if step.wanted == REFRESH)
    automations = await bring_automations(server, machine, refresh)
    await register_blocks()  # at the end, for a block that was saved has put the picture of its type back
    return Registered(
        **{how.value: tuple(step.name for step in steps if step.how is how) for how in _How},
        paused=tuple(known.found.name for known in gone),
        new_profiles=tuple(
            step.wanted.profile
            for step in steps
            if step.how is _How.ADDED and step.wanted.profile is not None and step.wanted.repository is None
        ),
        # Where there are others, the one for all may be run by any of them.
        back_up_all=[step.id for step in steps if step.wanted.flow == BACK_UP_ALL.flow][-1],
        automations=automations,
        remarks=(*remarks, *(step.remark for step in steps if step.remark), *_told(machine, gone)),
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
    repositories = {*machine.all_repositories, *(name for known in elsewhere for name in known.repositories)}
    choices = Choices(
        tuple(sorted(living, key=_as_people_sort)),
        tuple(sorted(gone, key=_as_people_sort)),
        (DEFAULT_REPOSITORY, *sorted(repositories - {DEFAULT_REPOSITORY}, key=_as_people_sort)),
    )
    return choices, bool(elsewhere)


def _as_people_sort(name: str) -> tuple[str, str]:
    return name.casefold(), name


def _gone(machine: Machine, there: Iterable[_There]) -> list[_There]:
    """What is about a profile of this computer, or a repository, that is there no more, but for what is paused already.

    One that somebody paused gets no mark of ours, so it stays paused when the profile or repository comes back.
    """
    return [
        known
        for known in there
        if not known.found.paused
        and not known.gone
        and (_is_of_gone_profile(machine, known) or _is_of_gone_repository(machine, known))
    ]


def _is_of_gone_profile(machine: Machine, known: _There) -> bool:
    if not machine.profiles_known or known.flow != _BACKUPS or known.host != machine.host or known.profile is None:
        return False
    return known.profile not in {*machine.profiles, *machine.empty_profiles}


def _is_of_gone_repository(machine: Machine, known: _There) -> bool:
    if known.repository is None:
        return False
    if known.host is None:
        return known.repository not in machine.blocks
    if known.host != machine.host:
        return False
    return known.repository not in (machine.further if known.flow == _BACKUPS else machine.further_here)


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


async def _bring(
    server: PrefectClient, machine: Machine, wanted: Deployment, known: _There | None, choices: Choices
) -> _Step:
    """Add a deployment, or change of it what is not right."""
    flow = flow_of(wanted.entrypoint)
    offered = choices if wanted.host is None else Choices(machine.profiles, (), machine.all_repositories)
    if known is None:
        id_ = await _add(server, wanted, flow, offered, machine.time_zone)
        return _Step(id_, wanted, _How.ADDED)
    changes = _changes(wanted, flow, offered, known.found)
    if not changes:
        return _Step(known.found.id, wanted, _How.UNCHANGED)
    try:
        await server.update_deployment(known.found.id, DeploymentUpdate(**changes))
    except PrefectHTTPStatusError as error:
        if error.response.status_code != httpx.codes.CONFLICT:
            raise
        remark = (
            f"The deployment {wanted.name} could not be brought in step, for its form refuses the parameters that are "
            "set on it. Edit them in the Prefect UI, or delete the deployment: it is made anew"
        )
        return _Step(known.found.id, wanted, _How.UNCHANGED, remark)
    return _Step(known.found.id, wanted, _How.RESUMED if wanted.about and known.gone else _How.CHANGED)


async def _pause(server: PrefectClient, known: _There) -> None:
    """Pause what is about something that is gone, and mark it."""
    marked = DeploymentUpdate(paused=True, tags=[*known.found.tags, GONE_TAG])
    await server.update_deployment(known.found.id, marked)


def _told(machine: Machine, gone: Sequence[_There]) -> Iterator[str]:
    """A sentence for each profile and each repository that is gone."""
    of_profiles = {known.found.id for known in gone if _is_of_gone_profile(machine, known)}
    for profile in dict.fromkeys(known.profile for known in gone if known.found.id in of_profiles):
        yield (
            f"The profile {profile} is gone from {machine.host}, so its backups are paused. They go on by themselves "
            "when it comes back"
        )
    for repository in dict.fromkeys(known.repository for known in gone if known.found.id not in of_profiles):
        yield (
            f"{machine.host} has no further repository {repository} any more, so what was done for that one by itself "
            "is paused. It goes on when the repository comes back"
        )


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
    parameters = {**wanted.parameters, **theirs, **wanted.about}
    back = bool(wanted.about) and GONE_TAG in found.tags
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
