"""Brings a Prefect server in step with the catalog: what is equal is not touched, and what people chose stays.

Ours are: where and how a deployment runs, its form, its description and its tags (further tags stay). A person's are,
from the moment a deployment is there: when it runs (its schedules, and whether they are on), whether it is paused, its
job variables, and its parameters. Only parameters that are missing are added, those that the flow no longer has are
dropped, and profile and repository are ours where they are what the deployment is about.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.workers.process import ProcessWorker

from deployments.automations import bring_automations
from deployments.blocks import register_blocks, repository_blocks
from deployments.catalog import (
    BACK_UP_ALL,
    REFRESH,
    Deployment,
    Machine,
    deployments_for,
)
from deployments.errors import server_trouble
from deployments.forms import Choices
from deployments.shape import as_new, differences, flow_of
from deployments.there import BACKUPS, GONE_TAG, There, deployments_there, told_of, what_forms_offer, what_is_gone
from deployments.work_pools import WORK_POOL, queue_of


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
    there = await deployments_there(server, {BACKUPS, *(wanted.flow for wanted in deployments_for(machine))})
    choices, others = what_forms_offer(machine, there.values())
    steps = [
        await _bring(server, machine, wanted, there.get((wanted.flow, wanted.name)), choices)
        for wanted in deployments_for(machine, others=others)
    ]
    lost = what_is_gone(machine, there.values())
    for known in lost:
        await _pause(server, known)
    refresh = next(step.id for step in steps if step.wanted == REFRESH)
    automations = await bring_automations(server, machine, refresh)
    await register_blocks()  # at the end, for a block that was saved has put the picture of its type back
    return Registered(
        **{how.value: tuple(step.name for step in steps if step.how is how) for how in _How},
        paused=tuple(known.found.name for known in lost),
        new_profiles=tuple(
            step.wanted.profile
            for step in steps
            if step.how is _How.ADDED and step.wanted.profile is not None and step.wanted.repository is None
        ),
        # Where there are others, the one for all may be run by any of them.
        back_up_all=[step.id for step in steps if step.wanted.flow == BACK_UP_ALL.flow][-1],
        automations=automations,
        remarks=(*remarks, *(step.remark for step in steps if step.remark), *told_of(machine, lost)),
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


async def _bring(
    server: PrefectClient, machine: Machine, wanted: Deployment, known: There | None, choices: Choices
) -> _Step:
    """Add a deployment, or change of it what is not right."""
    flow = flow_of(wanted.entrypoint)
    offered = choices if wanted.host is None else Choices(machine.profiles, (), machine.all_repositories)
    if known is None:
        id_ = await server.create_deployment(
            flow_id=await server.create_flow_from_name(flow.name), **as_new(wanted, flow, offered, machine.time_zone)
        )
        return _Step(id_, wanted, _How.ADDED)
    wrong = differences(wanted, flow, offered, known.found)
    if not wrong:
        return _Step(known.found.id, wanted, _How.UNCHANGED)
    try:
        await server.update_deployment(known.found.id, DeploymentUpdate(**wrong))
    except PrefectHTTPStatusError as error:
        if error.response.status_code != httpx.codes.CONFLICT:
            raise
        remark = (
            f"The deployment {wanted.name} could not be brought in step, for its form refuses the parameters that are "
            "set on it. Edit them in the Prefect UI, or delete the deployment: it is made anew"
        )
        return _Step(known.found.id, wanted, _How.UNCHANGED, remark)
    return _Step(known.found.id, wanted, _How.RESUMED if wanted.about and known.gone else _How.CHANGED)


async def _pause(server: PrefectClient, known: There) -> None:
    """Pause what is about something that is gone, and mark it."""
    marked = DeploymentUpdate(paused=True, tags=[*known.found.tags, GONE_TAG])
    await server.update_deployment(known.found.id, marked)
