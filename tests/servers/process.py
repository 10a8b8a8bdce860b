"""Starts a server for a test on a free port of 127.0.0.1, and ends it by its process id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
_READY_WITHIN = 30.0
_ENDED_WITHIN = 10.0


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A server that accepts connections on `port`."""

    port: int
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End the server at once, as a power cut would, with the processes that serve its connections."""
        children = _children_of(self.process.pid)
        self.process.kill()
        self.process.wait()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(
    command: Callable[[int], list[str]],
    log: Path,
    *,
    port: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[ServerProcess]:
    """Run `command(port)` until the block ends; its output goes to `log`, which is shown when it doesn't come up."""
    chosen = port or free_port()
    with log.open("ab") as output:
        process = subprocess.Popen(
            command(chosen), stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment
        )
    server = ServerProcess(chosen, process)
    try:
        _wait_until_ready(server, log)
        yield server
    finally:
        server.kill()


def _wait_until_ready(server: ServerProcess, log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        with suppress(OSError), socket.create_connection((HOST, server.port), timeout=1):
            return
        time.sleep(0.02)  # nothing announces a server that another process starts
    raise RuntimeError(f"The server did not come up:\n{log.read_text(errors='replace')}")


def _children_of(process_id: int) -> list[int]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=False)
    pairs = [line.split() for line in listing.stdout.splitlines()]
    children = [int(pid) for pid, parent in pairs if int(parent) == process_id]
    return [descendant for child in children for descendant in (*_children_of(child), child)]
