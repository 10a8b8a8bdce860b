"""A real Prefect server for tests, on a free port of 127.0.0.1 and with a home of its own.

It is the one that people start who have a server of their own, or the one that `recollect up` starts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.servers.prefect_database import bring_database
from tests.servers.process import HOST, ServerProcess, free_port

PROJECT = Path(__file__).parents[2]
_HEALTHY_WITHIN_S = 120.0
_ENDED_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """A server that answers. `environment` is what a process needs to speak to it, and to no other."""

    port: int
    home: Path
    environment: Mapping[str, str]

    @property
    def api_url(self) -> str:
        return f"http://{HOST}:{self.port}/api"


PREFECTS = ("prefect", "server", "start")
OURS = ("python", "-m", "deployments.local.serving")


@contextmanager
def prefect_server(scratch: Path, program: Sequence[str] = PREFECTS) -> Iterator[PrefectServer]:
    """Start a server that keeps everything below `scratch`, and end it with the block."""
    port, home = free_port(), scratch / "prefect-home"
    home.mkdir(parents=True, mode=0o700)
    environment = prefect_environment(home) | {
        "PREFECT_SERVER_API_HOST": HOST,
        # `--port` alone would leave the pages calling the default port.
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_API_URL": f"http://{HOST}:{port}/api",
        "PYTHONPATH": str(PROJECT),
    }
    bring_database(home, environment)
    with running(program, scratch / "prefect-server.log", environment) as process:
        _wait_until_healthy(f"http://{HOST}:{port}/api/health", process, scratch / "prefect-server.log")
        yield PrefectServer(port, home, environment)


def prefect_environment(home: Path) -> dict[str, str]:
    """The environment for a Prefect process that keeps all it has in `home`, and tells nobody of anything."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "RECOLLECT_"))}
    return inherited | {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_CLI_PROMPT": "false",
        "DO_NOT_TRACK": "1",
        "NO_COLOR": "1",
    }


@contextmanager
def running(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of this environment until the block ends; its output goes to `log`."""
    program = str(Path(sys.executable).with_name(command[0]))
    with log.open("ab") as output:
        process = subprocess.Popen(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=log.parent,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=_ENDED_WITHIN_S)
        except subprocess.TimeoutExpired:
            ServerProcess(0, process).kill()


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _HEALTHY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=2).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)  # nothing announces a server that another process starts
    raise RuntimeError(f"The Prefect server did not come up:\n{log.read_text(errors='replace')[-4000:]}")
