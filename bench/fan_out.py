"""Many small profiles at once: `python -m bench.fan_out --profiles 200`.

Backs them up by the command alone, and then as the flow *back-up-all* on a Prefect server of its own, and tells what
each run costs beyond the backup. With `--workers 3` the profiles live on three computers, each with a worker that takes
its own, all into one repository. With `--each` every profile has a deployment of its own, as `recollect up` registers
them, whose runs are processes of their own, four at a time. The server keeps its data in SQLite, in a PostgreSQL that
is started for this (`--postgres`), or at `--database-url postgresql+asyncpg://…`.

Three rounds: all profiles are new; each has one more picture; nothing has changed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import httpx

from bench.postgres import postgres
from deployments.local.worker import RUNS_AT_ONCE
from profiles.sample import make_sample_base_folder
from tests.servers import prefect_server as servers
from tests.servers.prefect_server import OURS, PREFECTS, PROJECT, PrefectServer, prefect_server, running

_ROUNDS: Final = ("new", "changed", "unchanged")
_POOL: Final = "fan-out"
_PATIENCE_S: Final = 3600.0
_PAGE: Final = 200
_FINAL: Final = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
_COMMAND: Final = "from cli.main import main; main()"
_FLOW: Final = """
import sys
from flows.backup_all import back_up_all
state = back_up_all(at_once=int(sys.argv[1]), return_state=True)
print(state.state_details.flow_run_id)
"""
_DEPLOY: Final = """
import sys
from prefect.client.orchestration import get_client
from flows.backup_all import back_up_all
with get_client(sync_client=True) as client:
    flow_id = client.create_flow(back_up_all)
    for name in sys.argv[3:]:
        print(client.create_deployment(
            flow_id, name, entrypoint="flows.backup_all.back_up_all", pull_steps=[], work_pool_name=sys.argv[1],
            work_queue_name=name, parameters={"at_once": int(sys.argv[2])}, enforce_parameter_schema=False,
        ))
"""
_DEPLOY_EACH: Final = """
import sys
from prefect.client.orchestration import get_client
from flows.backup import back_up_profile
with get_client(sync_client=True) as client:
    flow_id = client.create_flow(back_up_profile)
    for name in sys.argv[3:]:
        print(client.create_deployment(
            flow_id, name, entrypoint="flows.backup.back_up_profile", pull_steps=[], work_pool_name=sys.argv[1],
            work_queue_name=sys.argv[2], parameters={"profile": name}, enforce_parameter_schema=False,
        ))
"""


@dataclass(frozen=True, slots=True)
class Round:
    """How one round went: seconds over all, and what became of the runs, one for each profile."""

    how: str
    round: str
    profiles: int
    wall_s: float
    per_profile_s: float
    slowest_run_s: float | None
    states: dict[str, int]
    lost: int
    """Runs without a final state, and profiles without exactly one run."""


@dataclass(frozen=True, slots=True)
class Computer:
    """A computer with profiles, as the environment of a process describes it."""

    name: str
    folder: Path
    repository: Path

    @property
    def base(self) -> Path:
        return self.folder / "Anki2"

    def environment(self, server: PrefectServer | None) -> dict[str, str]:
        """What a process on it has in its environment."""
        prefect = server.environment if server else servers.prefect_environment(self.folder / "no-prefect")
        return {
            **prefect,
            "RECOLLECT_CONFIG": str(self.folder / "recollect.toml"),
            "RECOLLECT_BASE": str(self.base),
            "RECOLLECT_REPO": str(self.repository),
            "RECOLLECT_CACHE": str(self.folder / "cache"),
            "RECOLLECT_STATE": str(self.folder / "state"),
            "RECOLLECT_HOST": self.name,
            "PREFECT_LOGGING_LEVEL": "WARNING",
            "PYTHONPATH": str(PROJECT),
        }

    def does(self, script: str, arguments: Sequence[str], server: PrefectServer | None = None) -> str:
        """What a script prints that runs on it."""
        ended = subprocess.run(  # noqa: S603 - our own scripts
            [sys.executable, "-c", script, *arguments],
            env=self.environment(server),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode != 0:
            raise SystemExit(f"{' '.join(arguments)} ended with {ended.returncode}:\n{ended.stderr[-4000:]}")
        return ended.stdout

    def gets_pictures(self, round_: str) -> None:
        """One more in every profile."""
        if round_ == "changed":
            for media in self.base.glob("*/collection.media"):
                (media / "added.jpg").write_bytes(os.urandom(20_000))


def computer(name: str, folder: Path, repository: Path, profiles: int) -> Computer:
    """A computer with so many small profiles, each with a picture that no other has."""
    made = Computer(name, folder, repository)
    folder.mkdir()
    (folder / "recollect.toml").touch()
    make_sample_base_folder(made.base)
    with closing(sqlite3.connect(made.base / "prefs21.db")) as preferences, preferences:
        for number in range(profiles):
            profile = made.base / f"{name} {number:03}"
            shutil.copytree(made.base / "Ben", profile)
            (profile / "collection.media" / "own.jpg").write_bytes(os.urandom(20_000))
            preferences.execute("insert into profiles select ?, data from profiles where name = 'Ben'", (profile.name,))
        preferences.execute("delete from profiles where name in ('Ada', 'Ben')")
    for sample in ("Ada", "Ben"):
        shutil.rmtree(made.base / sample)
    return made


def by_command(here: Computer, profiles: int) -> Iterator[Round]:
    """The rounds without Prefect."""
    for round_ in _ROUNDS:
        here.gets_pictures(round_)
        began = time.monotonic()
        told = json.loads(here.does(_COMMAND, ["backup", "--no-server", "--json"]))
        wall = time.monotonic() - began
        states = Counter(str(row["outcome"]) for row in told)
        slowest = max(row["seconds_total"] for row in told)
        lost = profiles - len(told)
        yield Round("command", round_, profiles, wall, wall / profiles, slowest, dict(states), lost)


def by_flow(here: Computer, server: PrefectServer, profiles: int, at_once: int) -> Iterator[Round]:
    """The rounds as a flow in one process."""
    for round_ in _ROUNDS:
        here.gets_pictures(round_)
        began = time.monotonic()
        flow_run = here.does(_FLOW, [str(at_once)], server).split()[-1]
        wall = time.monotonic() - began
        yield _round("flow", round_, _below(server, [flow_run]), profiles=profiles, wall=wall)


def by_workers(
    all_computers: Sequence[Computer], server: PrefectServer, profiles: int, at_once: int
) -> Iterator[Round]:
    """The rounds as runs of deployments, one for each computer, which its worker takes."""
    names = [one.name for one in all_computers]
    _asked(server, "work_pools/", {"name": _POOL, "type": "process"})
    deployed = all_computers[0].does(_DEPLOY, [_POOL, str(at_once), *names], server).split()
    for round_, started, wall in _by_runs(all_computers, server, deployed):
        yield _round(f"{len(all_computers)} workers", round_, _below(server, started), profiles=profiles, wall=wall)


def by_deployments(here: Computer, server: PrefectServer, profiles: int) -> Iterator[Round]:
    """The rounds as runs of deployments, one for each profile."""
    names = sorted(profile.name for profile in here.base.iterdir() if profile.is_dir() and " " in profile.name)
    _asked(server, "work_pools/", {"name": _POOL, "type": "process"})
    deployed = here.does(_DEPLOY_EACH, [_POOL, here.name, *names], server).split()
    for round_, started, wall in _by_runs([here], server, deployed, "--limit", str(RUNS_AT_ONCE)):
        yield _round("each", round_, _of(server, started), profiles=profiles, wall=wall)


def _by_runs(
    all_computers: Sequence[Computer], server: PrefectServer, deployed: Sequence[str], *options: str
) -> Iterator[tuple[str, list[str], float]]:
    """Each round with the runs of those deployments and how many seconds it took."""
    with ExitStack() as stack:
        for one in all_computers:
            environment = one.environment(server) | {"PREFECT_WORKER_QUERY_SECONDS": "1"}
            command = ["prefect", "worker", "start", "--pool", _POOL, "--work-queue", one.name, *options]
            stack.enter_context(running(command, one.folder / "worker.log", environment))
        for round_ in _ROUNDS:
            for one in all_computers:
                one.gets_pictures(round_)
            began = time.monotonic()
            started = [_asked(server, f"deployments/{found}/create_flow_run", {})["id"] for found in deployed]
            _wait_for(server, started)
            yield round_, started, time.monotonic() - began


def _wait_for(server: PrefectServer, flow_runs: Sequence[str]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if all(run["state_type"] in _FINAL for run in _of(server, flow_runs)):
            return
        time.sleep(0.5)
    raise SystemExit("The runs did not end")


def _of(server: PrefectServer, flow_runs: Sequence[str]) -> list[Mapping[str, Any]]:
    return _runs(server, {"id": {"any_": list(flow_runs)}})


def _below(server: PrefectServer, parents: Sequence[str]) -> list[Mapping[str, Any]]:
    return _runs(server, {"parent_flow_run_id": {"any_": list(parents)}})


def _runs(server: PrefectServer, wanted: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    runs: list[Mapping[str, Any]] = []
    while True:
        page = _asked(server, "flow_runs/filter", {"flow_runs": wanted, "limit": _PAGE, "offset": len(runs)})
        runs += page
        if len(page) < _PAGE:
            return runs


def _round(how: str, round_: str, runs: Sequence[Mapping[str, Any]], *, profiles: int, wall: float) -> Round:
    states = Counter(str(run["state_name"]) for run in runs)
    each = Counter(run["name"] for run in runs)
    lost = sum(run["state_type"] not in _FINAL for run in runs)
    lost += profiles - len(each) + sum(count - 1 for count in each.values())
    slowest = max((run["total_run_time"] for run in runs), default=None)
    return Round(how, round_, profiles, wall, wall / profiles, slowest, dict(states), lost)


def _asked(server: PrefectServer, what: str, wanted: Mapping[str, Any]) -> Any:
    answer = httpx.post(f"{server.api_url}/{what}", json=dict(wanted), timeout=120)
    answer.raise_for_status()
    return answer.json()


@contextmanager
def _server(work: Path, database: str | None) -> Iterator[PrefectServer]:
    plain = servers.prefect_environment
    kept = {"PREFECT_API_DATABASE_CONNECTION_URL": database} if database else {}
    with (
        patch.object(servers, "prefect_environment", lambda home: plain(home) | kept),
        prefect_server(work, PREFECTS if database else OURS) as started,
    ):
        yield started


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.fan_out", description=__doc__.partition("\n")[0])
    parser.add_argument("--profiles", type=int, default=200, help="how many small profiles, over all computers")
    parser.add_argument("--at-once", type=int, default=2, help="how many run side by side in one process")
    parser.add_argument("--workers", type=int, default=0, help="how many computers with a worker; 0: one, without")
    parser.add_argument("--each", action="store_true", help="let each profile have a deployment of its own")
    parser.add_argument("--postgres", action="store_true", help="let the server use a PostgreSQL started for this")
    parser.add_argument("--database-url", help="let the server use this database, which must be empty")
    options = parser.parse_args()
    many = max(1, options.workers)
    counts = [options.profiles // many + (number < options.profiles % many) for number in range(many)]
    rounds: list[Round] = []
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fan-out-")))
        alone = computer("alone", work / "alone", work / "repository-of-command", options.profiles)
        _tell(rounds, by_command(alone, options.profiles))
        machines = [
            computer(f"machine-{number}", work / f"machine-{number}", work / "repository", count)
            for number, count in enumerate(counts)
        ]
        database = stack.enter_context(postgres() if options.postgres else nullcontext(options.database_url))
        server = stack.enter_context(_server(work, database))
        if options.workers:
            _tell(rounds, by_workers(machines, server, options.profiles, options.at_once))
        elif options.each:
            _tell(rounds, by_deployments(machines[0], server, options.profiles))
        else:
            _tell(rounds, by_flow(machines[0], server, options.profiles, options.at_once))
    print(json.dumps([asdict(one) for one in rounds], indent=2))


def _tell(rounds: list[Round], made: Iterator[Round]) -> None:
    """Take the figures in, and say at once what they are."""
    for one in made:
        before = next((other for other in rounds if (other.how, other.round) == ("command", one.round)), one)
        by_prefect = one.per_profile_s - before.per_profile_s
        print(
            f"{one.how:>10} {one.round:>9}: {one.wall_s:7.1f} s for {one.profiles}, {one.per_profile_s:.2f} s each, "
            f"{by_prefect:+.2f} s by Prefect; slowest run {one.slowest_run_s or 0:.1f} s; "
            f"{one.states}; lost: {one.lost}",
            file=sys.stderr,
            flush=True,
        )
        rounds.append(one)


if __name__ == "__main__":
    main()
