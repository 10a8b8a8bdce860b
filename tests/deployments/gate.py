"""Holds runs in other processes at a moment that a test names, and lets them go on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.servers.prefect_server import PROJECT
from tests.servers.process import HOST

HOLDING = PROJECT / "tests" / "deployments" / "holding"
_ARRIVES_WITHIN_S = 120.0
_ENDS_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Held:
    """A run that stands at its moment."""

    process: int
    line: socket.socket

    def goes_on(self) -> None:
        """Let it go on."""
        self.line.sendall(b"\n")

    def ends(self) -> None:
        """Wait until the process is gone."""
        assert self.line.recv(1) == b""


@dataclass(frozen=True, slots=True)
class Gate:
    """Where runs stand until they are let go on."""

    listener: socket.socket

    def at(self, moment: str) -> dict[str, str]:
        """The environment of a run that stops at a moment: "object packs/" is halfway through the first of such name
        that it writes to the repository, "media 3" halfway through the third media file that it restores.
        """
        return {
            "PYTHONPATH": os.pathsep.join((str(HOLDING), str(PROJECT))),
            "RECOLLECT_TEST_MOMENT": moment,
            "RECOLLECT_TEST_GATE": str(self.listener.getsockname()[1]),
        }

    @contextmanager
    def held(self) -> Iterator[Held]:
        """The next run that stops; it goes on at the end of the block, if not before."""
        line, _ = self.listener.accept()
        with line:
            line.settimeout(_ENDS_WITHIN_S)
            yield Held(int(line.recv(32)), line)


@contextmanager
def gate() -> Iterator[Gate]:
    with socket.create_server((HOST, 0)) as listener:
        listener.settimeout(_ARRIVES_WITHIN_S)
        yield Gate(listener)
