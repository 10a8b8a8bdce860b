"""What runs when: the deployments of this computer as the server has them, with their last and their next run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from deployments.catalog import (
    BACK_UP_ALL,
    DEFAULT_REPOSITORY,
    Deployment,
    Machine,
    back_up_all_of,
    further_deployment_of,
)
from deployments.local.asking import ask
from tasks.repository_address import BLOCK_NAME

_PAGE = 200
_ENDED = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]
_SCHEDULED = {"state": {"type": {"any_": ["SCHEDULED"]}}}
_BLOCK_TYPE = "recollect-repository"
"""`tasks.repository_block` can't be asked without Prefect."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that ended."""

    state: str
    """The name of its state, as the server shows it."""
    good: bool
    at: datetime
    message: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A deployment as the server has it."""

    deployment: Deployment
    on_server: bool
    active: bool
    """Whether its schedule is switched on, or that of one that backs up all profiles of the computer."""
    next_run: datetime | None = None
    last_run: Ran | None = None
    within: str | None = None
    """The name of the deployment that does its work, by whose schedule it goes."""


def planned(api_url: str, deployments: Iterable[Deployment], *, with_last_run: bool = False) -> tuple[Planned, ...]:
    """What the server has of these deployments. Raises ServerSilent."""
    wanted = list(deployments)
    known = _known(api_url)
    ids = {found["id"] for found in known.values()}
    upcoming = _first_of_each(_runs(api_url, ids, _SCHEDULED, "EXPECTED_START_TIME_ASC"))
    plans = []
    for deployment in wanted:
        found = known.get((deployment.flow, deployment.name))
        if found is None:
            plans.append(Planned(deployment, on_server=False, active=False))
            continue
        doing = found if _is_active(found) else _doing_all(deployment, known)
        following = doing and (upcoming.get(doing["id"]) or _one_run(api_url, doing["id"]))
        plans.append(
            Planned(
                deployment,
                on_server=True,
                active=doing is not None,
                next_run=_moment(following["expected_start_time"]) if following else None,
                last_run=_last_run(api_url, found["id"]) if with_last_run else None,
                within=str(doing["name"]) if doing is not None and doing is not found else None,
            )
        )
    return tuple(plans)


def _doing_all(deployment: Deployment, known: Mapping[tuple[str, str], dict[str, Any]]) -> dict[str, Any] | None:
    """What backs up all profiles of the computer by the clock, and so that of this deployment, too."""
    if deployment.profile is None or deployment.host is None:
        return None
    for wanted in (back_up_all_of(deployment.host), BACK_UP_ALL):
        found = known.get((wanted.flow, wanted.name))
        if found and _is_active(found):
            given = found["parameters"]
            if not given.get("profiles") and given.get("repository", DEFAULT_REPOSITORY) == DEFAULT_REPOSITORY:
                return found
    return None


@dataclass(frozen=True, slots=True)
class PlannedFurther:
    """The backups of a computer's profiles to one further repository, as the server has them."""

    repository: str
    profiles: tuple[str, ...]
    """Those that are backed up there by themselves."""
    off: tuple[str, ...]
    """Those whose schedule is switched off, or that are not on the server."""
    next_run: datetime | None
    """The next run of any of them."""
    last_runs: Mapping[str, Ran]
    """By profile, as far as one is among the last ones."""


def planned_further(api_url: str, machine: Machine) -> tuple[PlannedFurther, ...]:
    """What the server has of the backups to further repositories, those in its blocks among them. Raises ServerSilent.

    Two questions for each repository, however many profiles there are.
    """
    further = replace(machine, blocks=_blocks(api_url)).further
    known = _known(api_url) if further else {}
    return tuple(_planned_further(api_url, machine, repository, known) for repository in further)


def _planned_further(
    api_url: str, machine: Machine, repository: str, known: Mapping[tuple[str, str], dict[str, Any]]
) -> PlannedFurther:
    deployments = [further_deployment_of(profile, machine.host, repository) for profile in machine.profiles]
    found = {
        str(deployment.profile): known[deployment.flow, deployment.name]
        for deployment in deployments
        if (deployment.flow, deployment.name) in known
    }
    profiles = {str(there["id"]): profile for profile, there in found.items()}
    active = {profile for profile, there in found.items() if _is_active(there)}
    ids = [found[profile]["id"] for profile in active]
    upcoming = _runs(api_url, ids, _SCHEDULED, "EXPECTED_START_TIME_ASC", limit=1) if ids else []
    ended = _runs(api_url, profiles, {"state": {"type": {"any_": _ENDED}}}, "END_TIME_DESC") if profiles else []
    return PlannedFurther(
        repository,
        tuple(profile for profile in machine.profiles if profile in active),
        tuple(profile for profile in machine.profiles if profile not in active),
        next((_moment(run["expected_start_time"]) for run in upcoming), None),
        {profiles[run["deployment_id"]]: _ran(run) for run in _first_of_each(ended).values()},
    )


def _blocks(api_url: str) -> tuple[str, ...]:
    """The names of the repositories that stand in blocks of the server."""
    wanted = {"block_types": {"slug": {"any_": [_BLOCK_TYPE]}}}
    names = [str(found["name"]) for found in _pages(api_url, "block_documents/filter", wanted) if found["name"]]
    return tuple(sorted(name for name in names if BLOCK_NAME.fullmatch(name)))


def _known(api_url: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Every deployment on the server, by its flow's name and its own."""
    flows = {flow["id"]: str(flow["name"]) for flow in _pages(api_url, "flows/filter", {})}
    return {
        (flows.get(found["flow_id"], ""), str(found["name"])): found
        for found in _pages(api_url, "deployments/filter", {})
    }


def _pages(api_url: str, path: str, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = ask(api_url, path, {**wanted, "limit": _PAGE, "offset": len(found)})
        found += page
        if len(page) < _PAGE:
            return found


def _runs(api_url: str, ids: Iterable[str], which: Mapping[str, Any], order: str, limit: int = _PAGE) -> list[Any]:
    wanted = {
        "flow_runs": {**which, "deployment_id": {"any_": list(ids)}},
        "sort": order,
        "limit": limit,
    }
    found: list[Any] = ask(api_url, "flow_runs/filter", wanted)
    return found


def _one_run(api_url: str, deployment_id: str) -> dict[str, Any] | None:
    """The next run of a deployment that all the runs of others come before."""
    return next(iter(_runs(api_url, [deployment_id], _SCHEDULED, "EXPECTED_START_TIME_ASC", limit=1)), None)


def _first_of_each(runs: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    first: dict[str, dict[str, Any]] = {}
    for run in runs:
        first.setdefault(run["deployment_id"], run)
    return first


def _last_run(api_url: str, deployment_id: str) -> Ran | None:
    which = {"state": {"type": {"any_": _ENDED}}}
    return next((_ran(run) for run in _runs(api_url, [deployment_id], which, "END_TIME_DESC", limit=1)), None)


def _ran(run: Mapping[str, Any]) -> Ran:
    state = run["state"]
    at = run["end_time"] or state["timestamp"]
    return Ran(str(state["name"]), state["type"] == "COMPLETED", _moment(at), str(state["message"] or ""))


def _is_active(deployment: Mapping[str, Any]) -> bool:
    return not deployment["paused"] and any(plan["active"] for plan in deployment["schedules"])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
