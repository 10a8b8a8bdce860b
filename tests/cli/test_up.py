"""`recollect up` with real processes: what it brings up, what it shows, what it speaks to, and how it ends.

The tests of the first part share one start, and the last of them ends it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.catalog import deployment_name
from deployments.local.home import Home
from deployments.local.lock import holder
from deployments.local.worker import RUNS_AT_ONCE
from flows.restore import STOP
from tests.cli.desk import RECOLLECT, Desk
from tests.deployments.local.until import eventually
from tests.flows.chains.house import copy_base
from tests.flows.on_prefect import pressed
from tests.servers.prefect_server import PROJECT
from tests.servers.process import HOST, free_port

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows sends no signals to other processes")

GUARD = PROJECT / "tests" / "deployments" / "local" / "guard"
SETTINGS = 'base = "Anki2"\nrepo = "./repository"\nstate = "state"\ncache = "cache"\nhost = "laptop"\n'
FURTHER = '[repositories.usb]\nurl = "./usb"\n'


@dataclass(frozen=True, slots=True)
class Lived:
    """A desk whose settings stand in the recollect.toml of the current folder, and where nobody may call out."""

    desk: Desk
    port: int

    @property
    def home(self) -> Home:
        return Home(self.desk.state / "prefect")

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def tried(self) -> str:
        """Each try to speak to another computer."""
        log = self.desk.home / "tried.log"
        return log.read_text() if log.exists() else ""

    def asked(self, path: str, wanted: dict[str, Any] | None = None) -> Any:
        return pressed(f"{self.url}/api/{path}", wanted or {}).json()

    def log(self, process: str) -> str:
        return self.home.log_of(process).read_text(errors="replace")


def lived(folder: Path, sample: Path, port: int) -> Lived:
    """A desk at which nothing was started yet."""
    folder.mkdir(exist_ok=True)
    copy_base(sample, folder / "Anki2")
    (folder / "recollect.toml").write_text(SETTINGS + FURTHER)
    nowhere = f"http://{HOST}:1"
    return Lived(
        Desk(
            folder,
            {
                # Empty, these count as unset: the file says it all.
                **dict.fromkeys(("RECOLLECT_BASE", "RECOLLECT_REPO", "RECOLLECT_CACHE", "RECOLLECT_STATE"), ""),
                "PYTHONPATH": os.pathsep.join((str(GUARD), str(PROJECT))),
                "RECOLLECT_TEST_GUARD": str(folder / "tried.log"),
                # Whoever went through a proxy to this computer itself would get nowhere.
                **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere),
                # Nothing is told because somebody asked for that outside.
                "DO_NOT_TRACK": "",
            },
        ),
        port,
    )


@pytest.fixture(scope="module")
def up(sample_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """Ada's and Ben's computer, on which all is up."""
    made = lived(tmp_path_factory.mktemp("up"), sample_base, free_port())
    began = made.desk.run("up", "--detach", "--port", str(made.port))
    try:
        assert began.code == 0, began.err + made.log("server")
        (made.desk.home / "shown").write_text(began.out)
        (made.desk.home / "told").write_text(began.err)
        yield made
    finally:
        made.desk.run("down")


def ended(up: Lived, run: str) -> dict[str, Any]:
    """A flow run, once it has ended."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = httpx.get(f"{up.url}/api/flow_runs/{run}", timeout=60).json()
        return found if found["state_type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else None

    return eventually(look)


def backed_up(up: Lived, profile: str, host: str = "laptop") -> str:
    """How a run of the profile's deployment ended, begun as the pages do it. One that met a run that was due by the
    schedule just then was left out, and another is begun.
    """

    def look() -> str | None:
        try:
            wanted = deployment(up, deployment_name(profile, host))["id"]
            run = up.asked(f"deployments/{wanted}/create_flow_run")["id"]
        except httpx.HTTPError:
            return None  # the server was ended a moment ago
        state = ended(up, run)["state"]
        assert state["type"] in {"COMPLETED", "CANCELLED"}, state
        return None if state["name"] in {"Skipped", "Cancelled"} else str(state["name"])

    return eventually(look)


def deployment(up: Lived, name: str) -> dict[str, Any]:
    (found,) = [found for found in up.asked("deployments/filter") if found["name"] == name]
    return found


def first_backups(up: Lived) -> list[dict[str, Any]]:
    """The runs of the deployment for all profiles: nobody starts one in these tests, but `recollect up` itself."""
    found: list[dict[str, Any]] = up.asked("flow_runs/filter", {"deployments": {"name": {"like_": "back-up-all"}}})
    return found


def test_the_guard_lets_nobody_speak_to_another_computer(tmp_path: Path) -> None:
    code = (
        "import asyncio, socket\n"
        "for call in (lambda: socket.create_connection(('192.0.2.1', 80)), lambda: socket.getaddrinfo('a.invalid', 80),"
        " lambda: asyncio.run(asyncio.open_connection('192.0.2.2', 80))):\n"
        "    try: call()\n"
        "    except OSError: print('refused')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(GUARD), "RECOLLECT_TEST_GUARD": str(tmp_path / "tried.log")}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout == "refused\n" * 3
    assert len((tmp_path / "tried.log").read_text().splitlines()) == 3


def test_what_runs_when_is_said_with_the_address_of_the_pages(up: Lived) -> None:
    said = (up.desk.home / "shown").read_text().splitlines()
    assert said[0] == f"Recollect is up at {up.url}"
    for profile in ("Ada", "Ben"):
        assert any(line.strip().startswith(f"{profile}  every half hour, next ") for line in said), said
    assert any(line.startswith("Also to usb: all of these, once a day, next ") for line in said), said
    assert str(up.home.log) in said[-1]
    # What is remarked is said here, too, and not in the log alone.
    assert "New on the server: " in (up.desk.home / "told").read_text()


def test_the_pages_are_there_and_ask_the_port_that_was_chosen(up: Lived) -> None:
    page = httpx.get(up.url, timeout=30)
    assert (page.status_code, "<html" in page.text) == (200, True)
    settings = httpx.get(f"{up.url}/ui-settings", timeout=30).json()
    assert settings["api_url"] == f"{up.url}/api"
    assert settings["default_ui"] == "v1"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a computer has but one address of its own")
def test_nobody_else_can_reach_the_server(up: Lived) -> None:
    with socket.socket() as other:
        # Listening on all addresses of this computer, it would have this one, too.
        other.bind(("127.0.0.2", up.port))


def test_a_second_start_says_that_all_is_up_and_starts_nothing(up: Lived) -> None:
    before = holder(up.home.lock), holder(up.home.lock_of("server"))
    for arguments in (("up",), ("up", "--detach"), ("up", "--port", "9")):
        ran = up.desk.run(*arguments)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith(f"Recollect is already up at {up.url} (since ")
    assert (holder(up.home.lock), holder(up.home.lock_of("server"))) == before


def test_the_first_backup_of_new_profiles_begins_at_once_and_that_is_said(up: Lived) -> None:
    assert "The first backup of Ada, Ben begins at once" in (up.desk.home / "told").read_text()
    first = eventually(lambda: next((run for run in first_backups(up) if run["state_type"] == "COMPLETED"), None))
    assert (first["name"], first["state"]["message"]) == ("Ada, Ben", "2 completed")
    below = up.asked("flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [first["id"]]}}})
    assert {run["name"] for run in below} == {"Ada", "Ben"}
    ran = up.desk.run("status", "--json")
    assert (ran.code, ran.json["up"], ran.json["worker"], ran.json["well"]) == (0, True, True, True), ran.json
    assert all(profile["next_run"] for profile in ran.json["profiles"])
    (usb,) = ran.json["further"]
    assert (usb["repository"], usb["profiles"], usb["trouble"]) == ("usb", ["Ada", "Ben"], None)
    assert usb["next_run"]
    assert "Also to usb: 2 profiles once a day, next " in up.desk.run("status").out


def test_a_run_begun_in_the_pages_goes_by_the_settings_of_the_folder_where_all_was_started(up: Lived) -> None:
    for profile in ("Ada", "Ben"):
        assert backed_up(up, profile) in {"Completed", "Unchanged"}
    rows = up.desk.run("audit", "--json").json
    assert {row["profile"] for row in rows if row["outcome"] == "completed"} == {"Ada", "Ben"}
    assert (up.desk.home / "repository" / "recollect.json").exists()
    assert up.desk.run("status").code == 0


def test_a_backup_from_the_command_line_runs_on_the_server_without_naming_it(up: Lived) -> None:
    ran = up.desk.run("backup", "Ada", "--json")
    assert ran.code == 0, ran.err
    assert f"Running on the Prefect server at {up.url}/api" in ran.err
    (report,) = ran.json
    assert httpx.get(f"{up.url}/api/flow_runs/{report['flow_run']}", timeout=30).status_code == 200
    assert "Running on" not in up.desk.run("backup", "Ada", "--no-server").err


def test_of_many_runs_at_once_the_last_waits_for_its_turn(up: Lived) -> None:
    restore = deployment(up, "restore-profile")["id"]
    wanted = {"parameters": {"profile": "Ada", "in_place": True}}
    runs = [up.asked(f"deployments/{restore}/create_flow_run", wanted)["id"] for _ in range(RUNS_AT_ONCE + 1)]

    def known(run: str) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{up.url}/api/flow_runs/{run}", timeout=30).json()
        return found

    def asking() -> list[str]:
        return [run for run in runs if known(run)["state_type"] == "PAUSED"]

    def answered(run: str) -> dict[str, Any]:
        up.asked(f"flow_runs/{run}/resume", {"run_input": {"answer": STOP}})
        return ended(up, run)

    first, *others = eventually(lambda: found if len(found := asking()) == RUNS_AT_ONCE else None)
    done = answered(first)
    (last,) = set(runs) - {first, *others}
    eventually(lambda: last in asking())
    assert datetime.fromisoformat(known(last)["start_time"]) > datetime.fromisoformat(done["end_time"])
    assert {answered(run)["state_name"] for run in (*others, last)} == {"Skipped"}


@pytest.mark.parametrize("process", ["worker", "server"])
def test_a_process_that_dies_is_started_again_and_that_is_said(up: Lived, process: str) -> None:
    before = holder(up.home.lock_of(process))
    assert before
    os.kill(before, signal.SIGKILL)
    eventually(lambda: holder(up.home.lock_of(process)) not in {before, None})
    said = up.home.log.read_text()
    assert f"The {process} ended by itself (by SIGKILL)" in said
    assert f"The {process} is started again." in said


def test_after_that_runs_go_on(up: Lived) -> None:
    assert backed_up(up, "Ben") == "Unchanged"


def test_another_computer_joins_the_server_and_leaves_it_running(up: Lived, sample_base: Path, tmp_path: Path) -> None:
    other = lived(tmp_path / "desktop", sample_base, up.port)
    (other.desk.home / "recollect.toml").write_text(SETTINGS.replace("laptop", "desktop"))
    began = other.desk.run("up", "--detach", "--join", up.url)
    try:
        assert began.code == 0, began.err
        assert f"Recollect is up at {up.url}, a server that it did not start" in began.out
        assert "The first backup" not in began.err
        name = deployment_name("Ada", "desktop")
        found = deployment(up, name)
        assert found["work_queue_name"] == "desktop"
        assert backed_up(up, "Ada", "desktop") in {"Completed", "Unchanged"}
        assert (other.desk.home / "repository" / "recollect.json").exists()
        assert holder(other.home.lock_of("server")) is None
    finally:
        assert other.desk.run("down").code == 0
    assert holder(other.home.lock_of("worker")) is None
    assert httpx.get(f"{up.url}/api/health", timeout=30).json() is True
    assert other.tried == ""


def test_a_server_that_does_not_answer_is_not_joined(up: Lived) -> None:
    desk = Desk(up.desk.home, {**up.desk.settings, "RECOLLECT_STATE": str(up.desk.home / "another-state")})
    dead = f"http://{HOST}:{free_port()}/api"
    for ran in (desk.run("up", "--join", dead), desk.having(PREFECT_API_URL=dead).run("up")):
        assert (ran.code, ran.out) == (1, "")
        assert f"No Prefect server answers at {dead}" in ran.err


def test_a_port_that_is_taken_is_said_at_once_and_nothing_is_left_running(up: Lived) -> None:
    desk = Desk(up.desk.home, {**up.desk.settings, "RECOLLECT_STATE": str(up.desk.home / "a-third-state")})
    for arguments in (("up",), ("up", "--detach")):
        ran = desk.run(*arguments, "--port", str(up.port))
        assert (ran.code, ran.out) == (1, "")
        assert f"Port {up.port} is taken" in ran.err
        assert f"recollect up --join {up.url}/api" in ran.err
        assert f"recollect up --port {up.port + 1}" in ran.err
    assert holder(Home(up.desk.home / "a-third-state" / "prefect").lock) is None


def test_secrets_stand_on_no_command_line_and_only_the_owner_may_look(up: Lived) -> None:
    process = holder(up.home.lock_of("server"))
    shown = subprocess.run(["ps", "-o", "args=", "-p", str(process)], capture_output=True, text=True, check=True).stdout
    assert "child" in shown
    assert (up.home.folder / "encryption-key").read_text() not in shown
    assert up.home.folder.stat().st_mode & 0o077 == 0


def test_down_ends_a_backup_that_is_under_way_in_good_order(up: Lived) -> None:
    luck = random.Random(7)
    for number in range(64):
        sound = up.desk.base / "Ada" / "collection.media" / f"long {number}.mp3"
        sound.write_bytes(luck.randbytes(4 << 20))
    packs = set((up.desk.home / "repository" / "packs").rglob("*.pack"))
    ada, runs = deployment(up, deployment_name("Ada", "laptop"))["id"], list[str]()

    def storing() -> bool:
        # One that met another, due by the schedule just then, was left out.
        if not runs or httpx.get(f"{up.url}/api/flow_runs/{runs[-1]}", timeout=30).json()["end_time"]:
            runs.append(up.asked(f"deployments/{ada}/create_flow_run")["id"])
        return set((up.desk.home / "repository" / "packs").rglob("*.pack")) > packs

    eventually(storing)
    assert up.desk.run("down").out == "Recollect is down.\n"
    (row,) = up.desk.run("audit", "Ada", "--json", "--limit", "1").json
    assert (row["outcome"], row["reason"]) == ("failed", "interrupted")
    # The server heard of it, too.
    assert "Finished in state Crashed" in up.log("worker")
    assert list((up.desk.home / "cache" / "staging").iterdir()) == []


def test_down_ends_all_in_order_and_once(up: Lived) -> None:
    assert {holder(up.home.lock_of(name)) for name in ("server", "worker")} == {None}
    assert "stopped!" in up.log("worker")
    assert up.home.log.read_text().endswith("Stopped\n")
    assert up.desk.run("down").out == "Recollect is not up.\n"
    ran = up.desk.run("status")
    assert (ran.code, "Recollect is not up" in ran.err) == (1, True)
    assert "Running on" not in up.desk.run("backup").err


def test_a_killed_start_takes_all_with_it_and_the_next_one_ends_by_ctrl_c(up: Lived) -> None:
    """The second start of this computer: its port is remembered, and so is all that was planned."""
    killed = subprocess.Popen(
        [RECOLLECT, "up"], env=up.desk.environment, cwd=up.desk.home, stdout=subprocess.PIPE, text=True
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == f"Recollect is up at {up.url}\n"
    server = eventually(lambda: holder(up.home.lock_of("server")))
    killed.kill()
    killed.wait()
    eventually(lambda: {holder(up.home.lock_of(name)) for name in ("server", "worker")} == {None})
    assert server

    again = subprocess.Popen(
        [RECOLLECT, "up"],
        env=up.desk.environment,
        cwd=up.desk.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert again.stdout is not None
    assert again.stdout.readline() == f"Recollect is up at {up.url}\n"
    assert len(first_backups(up)) == 1
    again.send_signal(signal.SIGINT)
    _, err = again.communicate()
    assert "The first backup" not in err
    assert again.returncode == 0, err
    assert err.endswith("Stopping; once more stops at once\nStopped\n")
    assert {holder(up.home.lock_of(name)) for name in ("server", "worker")} == {None}


def test_nothing_of_all_that_tried_to_speak_to_another_computer(up: Lived) -> None:
    assert up.tried == ""


def test_a_start_that_is_stopped_at_once_leaves_nothing_running(up: Lived) -> None:
    process = subprocess.Popen(
        [RECOLLECT, "up"], env=up.desk.environment, cwd=up.desk.home, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("Starting the Prefect server")
    eventually(lambda: holder(up.home.lock_of("server")))
    process.send_signal(signal.SIGHUP)
    process.communicate()
    assert process.returncode == 0
    assert holder(up.home.lock_of("server")) is None


def test_a_password_is_not_taken_on_the_command_line(up: Lived) -> None:
    ran = up.desk.run("up", "--join", "http://ada:hunter2@nas/api")
    assert (ran.code, "PREFECT_API_AUTH_STRING" in ran.err) == (2, True)
    assert up.desk.run("up", "--join", "nas:4200").code == 2
    assert up.desk.run("up", "--join", "http://nas/api", "--port", "4300").code == 2


def test_status_is_json_for_programs_where_nothing_is_up(desk: Desk) -> None:
    ran = desk.call("status", "--json")
    assert ran.code == 1
    assert (ran.json["up"], ran.json["ui_url"], [p["profile"] for p in ran.json["profiles"]]) == (
        False,
        None,
        ["Ada", "Ben"],
    )
    assert json.loads(ran.out) == ran.json


def test_the_service_is_shown_and_written_and_removed(desk: Desk) -> None:
    desk = desk.having(PYTHONPATH=str(PROJECT))
    shown = desk.run("service", "install", "--print", "--port", "4300")
    assert (shown.code, shown.err) == (0, "")
    assert "--port=4300" in shown.out
    assert desk.run("service", "status").code == 1
    desk.having(XDG_RUNTIME_DIR="").run("service", "install", "--port", "4300")
    (file,) = [path for path in desk.home.rglob("*recollect*") if path.read_text(errors="replace") == shown.out]
    removed = desk.run("service", "remove")
    assert f"{file} is removed" in removed.out
    assert not file.exists()
