"""Backing up on every computer of a server: each does its own, as a run of its own below the run that asked for it.

A computer belongs to it once it has registered a deployment of *back-up-all* in its own queue, which the tags tell.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Completed, Failed

from recollect.errors import RecollectError
from tasks.this_computer import HOST_TAG

TAG = "recollect"
_ALL: Final = "back-up-all"
_ONE: Final = "back-up-profile"
_PAGE: Final = 200
_LOOKS_EVERY_S: Final = 2.0
_BEGINS_WITHIN_S = 300.0
"""A computer that is on begins within seconds, unless it has its hands full; one that is off, on another day."""
_ENDS_WITHIN_S: Final = 24 * 3600.0
_LEFT_OUT = "Deployment concurrency limit reached."


class ServerUnreachable(RecollectError):
    """The server could not be asked which computers there are."""

    code = "server-unreachable"


class How(StrEnum):
    """How it ended on a computer."""

    COMPLETED = "completed"
    SUSPECT = "suspect"
    SKIPPED = "skipped"
    FAILED = "failed"
    WAITING = "waiting"
    """Its run has not begun, and will once the computer is on."""
    UNDER_WAY = "under way"


@dataclass(frozen=True, slots=True)
class Computer:
    """A computer of this server, with the deployment that backs up all of its profiles."""

    host: str
    deployment: UUID | None
    """None for one that has not registered it yet."""
    paused: bool = False


@dataclass(frozen=True, slots=True)
class There:
    """What became of it on one computer."""

    host: str
    how: How
    message: str


def computers() -> tuple[Computer, ...]:
    """The computers of this server whose profiles are backed up, by name. Raises ServerUnreachable."""
    try:
        with get_client(sync_client=True) as client:
            backing_up = {host for found in _deployments(client, _ONE) if not found.paused and (host := _host(found))}
            ready: dict[str, Computer] = {}
            for found in sorted(_deployments(client, _ALL), key=lambda one: str(one.created)):
                if host := _host(found):
                    # A copy that somebody made of it is younger.
                    ready.setdefault(host, Computer(host, found.id, found.paused))
    except (httpx.HTTPError, OSError) as trouble:
        raise ServerUnreachable(
            "Nothing was backed up, for the Prefect server could not be asked which computers there are",
            "Start it again once the server answers",
        ) from trouble
    missing = [Computer(host, None) for host in backing_up - ready.keys()]
    return tuple(sorted((*ready.values(), *missing), key=lambda one: one.host))


def run_on_each(there: Sequence[Computer], parameters: Mapping[str, Any]) -> tuple[There, ...]:
    """Start the runs of all computers at once, and wait for those that begin soon; what became of each."""
    runs: dict[str, UUID] = {}
    ended: dict[str, There] = {}
    for computer in there:
        begun = _started(computer, parameters)
        if isinstance(begun, There):
            ended[computer.host] = begun
        else:
            runs[computer.host] = begun
    if runs:
        get_run_logger().info("Waiting for %s", ", ".join(runs))
        found = _waited_for(list(runs.values()))
        ended |= {host: _told(host, found.get(id_)) for host, id_ in runs.items()}
    return tuple(ended[computer.host] for computer in there)


def state_of_computers(ended: Sequence[There]) -> State[Any]:
    """One state for all: *Failed* if one failed, else *Suspect* if one is; *Skipped* where nothing was done."""
    summary = summary_of(ended)
    found = {one.how for one in ended}
    if How.FAILED in found:
        return Failed(message=summary)
    if How.SUSPECT in found:
        return Completed(name="Suspect", message=summary)
    return Completed(name="Completed" if How.COMPLETED in found else "Skipped", message=summary)


def summary_of(ended: Sequence[There]) -> str:
    """A line about all computers."""
    return "; ".join(f"{one.host}: {one.message.rstrip('.')}" for one in ended)


def _started(computer: Computer, parameters: Mapping[str, Any]) -> UUID | There:
    """The run of a computer, or why there is none."""
    if computer.deployment is None:
        told = "it has not registered all profiles as one deployment yet, and does so within half an hour"
        return There(computer.host, How.SKIPPED, told)
    if computer.paused:
        return There(computer.host, How.SKIPPED, "left out, for its deployment is paused")
    try:
        run = run_deployment(computer.deployment, parameters=dict(parameters), timeout=0)
    except (httpx.HTTPError, ObjectNotFound, OSError) as trouble:
        get_run_logger().debug("A run could not be started", exc_info=True)
        return There(computer.host, How.FAILED, _why_not(trouble, parameters))
    assert isinstance(run, FlowRun)
    return run.id


def _why_not(trouble: Exception, parameters: Mapping[str, Any]) -> str:
    if isinstance(trouble, ObjectNotFound):
        return "its deployment is gone"
    if isinstance(trouble, PrefectHTTPStatusError) and trouble.response.status_code == httpx.codes.CONFLICT:
        # Its form offers what that computer has.
        return f"it takes no such run: most likely it has no repository of the name {parameters.get('repository')}"
    return "its run could not be started, for the Prefect server did not answer as it should"


def _waited_for(ids: Sequence[UUID]) -> dict[UUID, State[Any]]:
    """The states of runs when all that began soon have ended."""
    began, states = time.monotonic(), dict[UUID, State[Any]]()
    with get_client(sync_client=True) as client:
        while True:
            try:
                states |= _states(client, ids)
            except (httpx.HTTPError, OSError):
                get_run_logger().debug("The server did not answer", exc_info=True)  # as while it is started again
            waited = time.monotonic() - began
            left = [id_ for id_ in ids if id_ not in states or not states[id_].is_final()]
            begun = [id_ for id_ in left if id_ in states and not states[id_].is_scheduled()]
            if not left or waited > _ENDS_WITHIN_S or (not begun and waited > _BEGINS_WITHIN_S):
                return states
            time.sleep(_LOOKS_EVERY_S)


def _states(client: SyncPrefectClient, ids: Sequence[UUID]) -> dict[UUID, State[Any]]:
    return {
        run.id: run.state
        for start in range(0, len(ids), _PAGE)
        for run in client.read_flow_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=list(ids[start : start + _PAGE]))), limit=_PAGE
        )
        if run.state is not None
    }


def _told(host: str, state: State[Any] | None) -> There:
    message = (state.message if state is not None else None) or "no reason was given"
    if state is None or state.is_scheduled():
        minutes = f"{_BEGINS_WITHIN_S / 60:.0f} minutes"
        return There(host, How.WAITING, f"it did not begin within {minutes}, so its run waits until the computer is on")
    if not state.is_final():
        return There(host, How.UNDER_WAY, "it is still under way")
    if state.is_cancelled() and message == _LEFT_OUT:
        return There(host, How.SKIPPED, "another run of this was under way there, and does the work")
    if not state.is_completed():
        return There(host, How.FAILED, message if state.is_failed() else f"{state.name}: {message}")
    how = {"Suspect": How.SUSPECT, "Skipped": How.SKIPPED}.get(state.name or "", How.COMPLETED)
    return There(host, how, message)


def _deployments(client: SyncPrefectClient, flow: str) -> Iterator[DeploymentResponse]:
    offset = 0
    while page := client.read_deployments(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[flow])),
        deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG])),
        limit=_PAGE,
        offset=offset,
    ):
        yield from page
        offset += len(page)
        if len(page) < _PAGE:
            return


def _host(found: DeploymentResponse) -> str | None:
    return next((tag.removeprefix(HOST_TAG) for tag in found.tags if tag.startswith(HOST_TAG)), None)
