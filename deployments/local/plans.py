"""What runs when: the deployments of this computer as the server has them, with their last and their next run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deployments.catalog import Deployment
from deployments.local.asking import ask

_PAGE = 200
_ENDED = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]


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
    """Whether its schedule is switched on."""
    next_run: datetime | None = None
    last_run: Ran | None = None


def planned(api_url: str, deployments: Iterable[Deployment], *, with_last_run: bool = False) -> tuple[Planned, ...]:
    """What the server has of these deployments. Raises ServerSilent."""
    wanted = list(deployments)
    known = _known(api_url)
    ids = {found["id"] for found in known.values()}
    upcoming = _first_of_each(
        _runs(api_url, ids, {"state": {"type": {"any_": ["SCHEDULED"]}}}, "EXPECTED_START_TIME_ASC")
    )
    plans = []
    for deployment in wanted:
        found = known.get((deployment.flow, deployment.name))
        if found is None:
            plans.append(Planned(deployment, on_server=False, active=False))
            continue
        active = not found["paused"] and any(plan["active"] for plan in found["schedules"])
        following = upcoming.get(found["id"]) or (_one_run(api_url, found["id"]) if active else None)
        plans.append(
            Planned(
                deployment,
                on_server=True,
                active=active,
                next_run=_moment(following["expected_start_time"]) if following else None,
                last_run=_last_run(api_url, found["id"]) if with_last_run else None,
            )
        )
    return tuple(plans)


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
    which = {"state": {"type": {"any_": ["SCHEDULED"]}}}
    return next(iter(_runs(api_url, [deployment_id], which, "EXPECTED_START_TIME_ASC", limit=1)), None)


def _first_of_each(runs: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    first: dict[str, dict[str, Any]] = {}
    for run in runs:
        first.setdefault(run["deployment_id"], run)
    return first


def _last_run(api_url: str, deployment_id: str) -> Ran | None:
    which = {"state": {"type": {"any_": _ENDED}}}
    for run in _runs(api_url, [deployment_id], which, "END_TIME_DESC", limit=1):
        state = run["state"]
        at = run["end_time"] or state["timestamp"]
        return Ran(str(state["name"]), state["type"] == "COMPLETED", _moment(at), str(state["message"] or ""))
    return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
