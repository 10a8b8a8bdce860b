"""A home with Anki, whose worker runs what a real Prefect server plans, and what the tests ask that server."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from deployments.catalog import Machine
from deployments.registering import Registered, register
from tests.flows.chains.house import copy_base
from tests.flows.on_prefect import Home
from tests.servers.prefect_server import PROJECT, PrefectServer, running
from tests.servers.webhook import Receiver

HOST = "laptop"
_WITHIN_S = 120.0
_ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Workplace(Home):
    """A home of which the server knows."""

    seen: dict[str, list[str]] = field(default_factory=dict)
    """Names of deployments, as they were at moments that are gone."""
    notified: Receiver | None = None
    """Who is told when something goes wrong."""
    host: str = HOST

    @property
    def environment(self) -> dict[str, str]:
        return super(Workplace, self).environment | {
            "RECOLLECT_HOST": self.host,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PYTHONPATH": str(PROJECT),
            "RECOLLECT_NOTIFY": "" if self.notified is None else self.notified.url,
        }

    def names(self) -> list[str]:
        """Of all deployments."""
        return sorted(self._deployments())

    def deployment(self, name: str) -> dict[str, Any]:
        return self._deployments()[name]

    def automation(self, name: str) -> dict[str, Any]:
        return next(found for found in self.send("POST", "automations/filter") if found["name"] == name)

    def edit(self, name: str, **changes: Any) -> None:
        """Change a deployment, as its page in the UI does."""
        self.send("PATCH", f"deployments/{self.deployment(name)['id']}", changes)

    def start(self, name: str, environment: Mapping[str, str] | None = None, **parameters: Any) -> str:
        """Ask for a run, as a form in the browser does; its id. Raises httpx.HTTPStatusError when it is refused."""
        asked = {"parameters": parameters, "job_variables": {"env": dict(environment)} if environment else {}}
        return str(self.send("POST", f"deployments/{self.deployment(name)['id']}/create_flow_run", asked)["id"])

    def cancel(self, run: str) -> None:
        """Cancel a run, as the button on its page does."""
        self.send("POST", f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})

    def reschedule(self, name: str, schedule: dict[str, Any]) -> None:
        """Change when a deployment runs, as its page in the UI does."""
        (plan,) = self.deployment(name)["schedules"]
        # Sent with the deployment, the scheduler takes it up within seconds; by itself, within a minute.
        self.edit(name, schedules=[{"slug": plan["slug"], "schedule": schedule}])

    def run_of(self, run: str) -> dict[str, Any]:
        """The run of that id."""
        found: dict[str, Any] = self.send("GET", f"flow_runs/{run}")
        return found

    def ended(self, run: str) -> dict[str, Any] | None:
        """The run of that id, once it has ended."""
        found = self.run_of(run)
        return found if found["state_type"] in _ENDED else None

    def end_of(self, run: str) -> dict[str, Any]:
        """The run of that id, as it ended."""
        return until(lambda: self.ended(run), "the run goes on")

    def emit(self, event: str, about: dict[str, str], *related: dict[str, str], **payload: str) -> None:
        """Let the server hear of something."""
        found = {"id": str(uuid4()), "occurred": datetime.now(UTC).isoformat(), "event": event, "resource": about}
        self.send("POST", "events", [found | {"related": related, "payload": payload}])

    def send(self, method: str, path: str, content: object = None) -> Any:
        """What the server answers; it is asked again while its database is locked."""

        def answered() -> httpx.Response | None:
            url, sent = f"{self.server.api_url}/{path}", {} if content is None else content
            # The server itself waits a minute for its database.
            answer = httpx.request(method, url, json=sent, timeout=_WITHIN_S)
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

        answer = until(answered)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def runs(self, name: str, *, left_out: bool = True) -> list[dict[str, Any]]:
        """The runs of a deployment that have ended, oldest first; with or without those that were left out."""
        unwanted = set() if left_out else {"Cancelled", "Skipped"}
        return [run for run in self.all_runs(name) if run["state_type"] in _ENDED and run["state_name"] not in unwanted]

    def all_runs(self, name: str) -> list[dict[str, Any]]:
        """The runs of a deployment, also those that are yet to come."""
        wanted = {"deployments": {"id": {"any_": [self.deployment(name)["id"]]}}, "sort": "EXPECTED_START_TIME_ASC"}
        found: list[dict[str, Any]] = self.send("POST", "flow_runs/filter", wanted)
        return found

    def children_of(self, run: str) -> list[dict[str, Any]]:
        """The runs that a run has started."""
        wanted = {"flow_runs": {"parent_flow_run_id": {"any_": [run]}}}
        found: list[dict[str, Any]] = self.send("POST", "flow_runs/filter", wanted)
        return found

    def log_of(self, run: str) -> str:
        """What the page of a run shows as its log."""
        lines = self.send("POST", "logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"})
        return "\n".join(line["message"] for line in lines)

    def register(self, *profiles: str, host: str = HOST, **more: Any) -> Registered:
        """Register a computer with those profiles."""
        machine = Machine(host, "Europe/Berlin", profiles, **more)
        return self.spoken_to(lambda: asyncio.run(register(machine)))

    def spoken_to(self, action: Callable[[], T]) -> T:
        """What comes of an action that speaks to the server."""
        with temporary_settings({PREFECT_API_URL: self.server.api_url, PREFECT_HOME: self.server.home}):
            return action()

    def _deployments(self) -> dict[str, dict[str, Any]]:
        return {found["name"]: found for found in self.send("POST", "deployments/filter")}


def until(found: Callable[[], T | None], said: str = "", within_s: float = _WITHIN_S) -> T:
    """What is found in the end. Nothing announces what servers and workers do by themselves."""
    deadline = time.monotonic() + within_s
    while True:
        if (value := found()) is not None and value is not False:
            return value
        assert time.monotonic() < deadline, said or "it did not come about"
        time.sleep(0.2)


@contextmanager
def workplace(
    server: PrefectServer, sample_base: Path, scratch: Path, notified: Receiver | None = None
) -> Iterator[Workplace]:
    """`prefect deploy --all`, then a worker in a folder that is none of ours; both as README has it."""
    place = deployed(server, sample_base, scratch / "home", notified)
    with working(place):
        until(lambda: "Ben on laptop" in place.names(), "no worker made deployments of the profiles")
        until(lambda: place.runs("refresh-deployments") or None)
        yield place


def deployed(server: PrefectServer, sample_base: Path, home: Path, notified: Receiver | None = None) -> Workplace:
    """A home of whose deployments the server knows, and which has no worker yet."""
    copy_base(sample_base, home / "Anki2")
    (home / "recollect.toml").write_text('[repositories.offsite]\nurl = "./offsite"\n')
    place = Workplace(server, home, notified=notified)
    place.prefect("work-pool", "create", "recollect", "--type", "process")
    place.prefect("deploy", "--all", "--prefect-file", str(PROJECT / "prefect.yaml"))
    place.seen["deployed"] = place.names()
    return place


@contextmanager
def working(place: Workplace) -> Iterator[subprocess.Popen[bytes]]:
    """A worker for a home, until the block ends."""
    command = ["prefect", "worker", "start", "--pool", "recollect"]
    with running(command, place.folder / "worker.log", place.environment) as worker:
        yield worker
