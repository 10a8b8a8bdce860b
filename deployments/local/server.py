"""The Prefect server of this computer."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from deployments.local.asking import is_well
from deployments.local.environment import HOST, own_api_url, server_environment
from deployments.local.home import Home
from deployments.local.processes import Child, in_words, last_lines, start
from recollect.errors import RecollectError

SERVER = "server"
_HEALTHY_WITHIN_S = 300.0
"""The first start makes the database, which took 13 s where it was measured; a busy old laptop needs much longer."""
_TELLS_EVERY_S = 15.0
_LISTENING = "0A"


class PortTaken(RecollectError):
    """Another program has the port that the server was to have."""

    code = "port-taken"


class ServerNotUp(RecollectError):
    """The server ended, or did not answer in time."""

    code = "server-not-up"


def start_server(home: Home, port: int, inherited: Mapping[str, str]) -> Child:
    """Start the server; it answers after some seconds."""
    environment = server_environment(inherited, home, port)
    return start(SERVER, ["deployments.local.serving"], home, environment)


def wait_until_well(
    home: Home, server: Child, port: int, stopped: Callable[[float], bool], tell: Callable[[str], None]
) -> None:
    """Wait for the server's first answer, or until `stopped`, which waits a moment; `tell` that it takes long.

    Raises ServerNotUp.
    """
    began = told = time.monotonic()
    while not is_well(own_api_url(port)):
        log = home.log_of(SERVER)
        if (code := server.ended) is not None:
            raise ServerNotUp(
                f"The Prefect server ended {in_words(code)} before it answered. The last it said:\n{last_lines(log)}\n"
                "That was all",
                f"See {log} for the rest",
            )
        now = time.monotonic()
        if now - began > _HEALTHY_WITHIN_S:
            raise ServerNotUp(
                f"The Prefect server did not answer within {_HEALTHY_WITHIN_S / 60:.0f} minutes",
                f"See {log}, and try again when the computer has less to do",
            )
        if now - told > _TELLS_EVERY_S:
            tell(f"It is still starting, after {now - began:.0f} s")
            told = now
        if stopped(0.1):
            return


def refuse_taken_port(port: int) -> None:
    """Raise PortTaken, saying by whom as far as it can be told, when the server can't have the port."""
    with socket.socket() as trial:
        if os.name != "nt":  # there it would mean that several may have the port at once
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
            trial.listen()
        except PermissionError:
            raise PortTaken(
                f"The system lets only its administrator use port {port}",
                "Choose one above 1023: `recollect up --port N`",
            ) from None
        except OSError:
            pass
        else:
            return
    whose = who_listens(port)
    by = f" by {whose}" if whose else ""
    if is_well(own_api_url(port)):
        raise PortTaken(
            f"Port {port} is taken{by}: a Prefect server that Recollect did not start",
            f"Use that one with `recollect up --join {own_api_url(port)}`, or another port with "
            f"`recollect up --port {port + 1}`",
        )
    raise PortTaken(
        f"Port {port} is taken{by or ' by another program'}",
        f"End that, or choose another port: `recollect up --port {port + 1}`",
    )


def who_listens(port: int) -> str | None:
    """The program that listens on a port of this computer, as far as the system tells."""
    found = _by_proc(port) if Path("/proc/net/tcp").exists() else _by_lsof(port)
    return None if found is None else f"{found[1]} (process {found[0]})"


def _by_proc(port: int) -> tuple[int, str] | None:
    """https://docs.kernel.org/networking/proc_net_tcp.html; whose socket it is shows in the processes' open files."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                cells = line.split()
                if cells[3] == _LISTENING and int(cells[1].rpartition(":")[2], 16) == port:
                    sockets.add(f"socket:[{cells[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        # Those of other people can't be looked into.
        with contextlib.suppress(OSError):
            if any(str(file.readlink()) in sockets for file in (process / "fd").iterdir()):
                return int(process.name), (process / "comm").read_text().strip()
    return None


def _by_lsof(port: int) -> tuple[int, str] | None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired, ValueError):
        told = subprocess.run(  # noqa: S603 - a number is all that is not written here
            ["lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"],  # noqa: S607 - wherever the system has it
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        parts = {line[0]: line[1:] for line in reversed(told.stdout.splitlines()) if line}
        if "p" in parts:
            return int(parts["p"]), parts.get("c", "a program")
    return None
