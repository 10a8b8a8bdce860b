"""Runs flows in a process of their own against a real Prefect server, and asks the server what became of them."""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from storage.audit_table import read_rows
from storage.format.audit_row import AuditRow
from storage.stores.address import open_store
from tests.servers.prefect_server import PROJECT, PrefectServer

_RECORDED_WITHIN_S = 30.0

# `end` reports a flow run that ended; the log of Prefect goes to standard error. Without heartbeats, for at the end of
# each run Prefect waits up to a second for the thread that sends them.
_PRELUDE = """
import json
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
without_heartbeats = temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
without_heartbeats.__enter__()
from pathlib import Path
from flows.backup import back_up_profile
from flows.backup_all import back_up_all
from flows.export import export_colpkg
from flows.prune import prune
from flows.restore import restore_profile

def end(state):
    print(json.dumps(str(state.state_details.flow_run_id)), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """A flow run as the server knows it."""

    server: PrefectServer
    id: str
    name: str
    state_type: str
    state: str
    message: str
    began: datetime
    ended: datetime

    def tasks(self, expected: int) -> list[dict[str, Any]]:
        """The run's `expected` task runs in the order they began. The server records them after the run has ended."""
        deadline = time.monotonic() + _RECORDED_WITHIN_S
        while True:
            found = _asked(self.server, "task_runs/filter", {"flow_runs": {"id": {"any_": [self.id]}}})
            recorded = [task for task in found if task["state_type"] in {"COMPLETED", "FAILED", "CRASHED"}]
            if len(recorded) >= expected or time.monotonic() > deadline:
                return sorted(recorded, key=lambda task: str(task["start_time"]))
            time.sleep(0.1)  # nothing announces what the server has recorded

    def children(self) -> list[Run]:
        """The runs that this one started, in that order."""
        wanted = {"flow_runs": {"parent_flow_run_id": {"any_": [self.id]}}}
        return sorted(
            (_run(self.server, found) for found in _asked(self.server, "flow_runs/filter", wanted)),
            key=lambda run: run.began,
        )

    def artifacts(self) -> dict[str, str]:
        """What the run left for people to read, by key."""
        found = _asked(self.server, "artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [self.id]}}})
        return {artifact["key"]: artifact["data"] for artifact in found}

    def events(self, expected: int) -> list[dict[str, Any]]:
        """The `expected` events of ours that name the run, in their order."""
        return self._heard({"event": {"prefix": ["recollect."]}, "related": {"id": [self._resource]}}, expected)

    def signs_of_life(self, expected: int) -> list[dict[str, Any]]:
        """The `expected` events that tell that the run goes on, in their order."""
        return self._heard(
            {"event": {"name": ["prefect.flow-run.heartbeat"]}, "resource": {"id": [self._resource]}}, expected
        )

    @property
    def _resource(self) -> str:
        return f"prefect.flow-run.{self.id}"

    def _heard(self, wanted: dict[str, Any], expected: int) -> list[dict[str, Any]]:
        """Events reach the server in their own time."""
        deadline = time.monotonic() + _RECORDED_WITHIN_S
        while True:
            answer = httpx.post(
                f"{self.server.api_url}/events/filter", json={"filter": wanted | {"order": "ASC"}}, timeout=30
            )
            answer.raise_for_status()
            found: list[dict[str, Any]] = answer.json()["events"]
            if len(found) >= expected or time.monotonic() > deadline:
                return found
            time.sleep(0.1)  # nothing announces what the server has recorded

    def log(self, least: int = logging.NOTSET) -> str:
        """The log of the run and of its tasks, as the server holds it, from the level `least` on."""
        wanted = {"logs": {"flow_run_id": {"any_": [self.id]}}, "sort": "TIMESTAMP_ASC"}
        return "\n".join(
            line["message"] for line in _asked(self.server, "logs/filter", wanted) if line["level"] >= least
        )


@dataclass(frozen=True, slots=True)
class Home:
    """A computer with Anki, as the environment of a process describes it."""

    server: PrefectServer
    folder: Path

    @property
    def base(self) -> Path:
        return self.folder / "Anki2"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **self.server.environment,
            "RECOLLECT_CONFIG": str(self.folder / "recollect.toml"),
            "RECOLLECT_BASE": str(self.base),
            "RECOLLECT_REPO": str(self.folder / "repository"),
            "RECOLLECT_CACHE": str(self.folder / "cache"),
            "RECOLLECT_STATE": str(self.folder / "state"),
        }

    def collection(self, profile: str) -> Path:
        return self.base / profile / "collection.anki2"

    def rows(self) -> list[AuditRow]:
        """The audit table, oldest row first."""
        return list(read_rows(open_store(str(self.folder / "repository"), {})).rows[::-1])

    def run(self, script: str, environment: Mapping[str, str] | None = None) -> list[Run]:
        """Run a script that hands the final states of flows to `end`; returns those runs in that order."""
        printed = self.printed(_PRELUDE + script, environment)
        return [run_of(self.server, json.loads(line)) for line in printed.splitlines()]

    def printed(self, script: str, environment: Mapping[str, str] | None = None) -> str:
        """What a Python script prints that runs with this home's environment, in a folder that is none of ours."""
        ended = subprocess.run(
            [sys.executable, "-c", script],
            env=self.environment | {"PYTHONPATH": str(PROJECT)} | dict(environment or {}),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        (self.folder / "stderr.log").write_text(ended.stderr)
        return ended.stdout

    def prefect(self, *arguments: str) -> None:
        """Run the command `prefect`."""
        program = Path(sys.executable).with_name("prefect")
        ended = subprocess.run(
            [program, *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def add_profiles(self, *names: str) -> None:
        """Add profiles to the base folder that have the same content as Ben's."""
        with closing(sqlite3.connect(self.base / "prefs21.db")) as preferences, preferences:
            for name in names:
                shutil.copytree(self.base / "Ben", self.base / name)
                preferences.execute("insert into profiles select ?, data from profiles where name = 'Ben'", (name,))


def run_of(server: PrefectServer, flow_run_id: str) -> Run:
    """The flow run of that id."""
    answer = httpx.get(f"{server.api_url}/flow_runs/{flow_run_id}", timeout=30)
    answer.raise_for_status()
    return _run(server, answer.json())


def _run(server: PrefectServer, found: Mapping[str, Any]) -> Run:
    state = found["state"]
    return Run(
        server,
        found["id"],
        found["name"],
        state["type"],
        state["name"],
        state["message"] or "",
        datetime.fromisoformat(found["start_time"]),
        datetime.fromisoformat(found["end_time"]),
    )


def _asked(server: PrefectServer, what: str, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    answer = httpx.post(f"{server.api_url}/{what}", json=wanted, timeout=30)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def pressed(url: str, body: Mapping[str, Any]) -> httpx.Response:
    """What a button of a page asks for. Pressed again while the server says that its SQLite database is busy."""
    while True:
        answer = httpx.post(url, json=dict(body), timeout=30)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            answer.raise_for_status()
            return answer
