"""Processes that are kept running: started, ended in good order, and started again when they end by themselves."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.local.home import Home
from deployments.local.lock import holder

ENDS_WITHIN_S = 35.0
_LEFT_OVER_ENDS_WITHIN_S = 35.0
"""Longer than a process whose parent was killed takes to end itself."""
_LOOKS_EVERY_S = 0.2
_SHORTEST_DELAY_S = 1.0
_LONGEST_DELAY_S = 60.0
_STEADY_AFTER_S = 120.0
_LARGEST_LOG = 4 << 20

APART: dict[str, Any]
"""How a process is started that Ctrl-C at this terminal does not reach, nor the terminal's end."""
if sys.platform == "win32":
    APART = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    APART = {"start_new_session": True}


@dataclass(slots=True)
class Child:
    """A running process: what it is called, and how to end it."""

    name: str
    process: subprocess.Popen[bytes]

    @property
    def ended(self) -> int | None:
        """Its exit code, None while it lives."""
        return self.process.poll()

    def end(self, patience: Callable[[], float] = lambda: ENDS_WITHIN_S) -> None:
        """Let it end in good order; by force when that takes longer than `patience`, which may change meanwhile."""
        assert self.process.stdin is not None
        began = time.monotonic()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        while self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_LOOKS_EVERY_S)
            if time.monotonic() - began > patience():
                self.process.kill()


def start(name: str, arguments: list[str], home: Home, environment: Mapping[str, str]) -> Child:
    """Start a module as a child process that ends with this one, with a log and a lock of its own."""
    end_left_over(home, name)
    # Nothing of the current folder may be mistaken for a module or for settings: the process works in its own.
    command = [sys.executable, "-P", "-m", "deployments.local.child", str(home.lock_of(name)), *arguments]
    with home.log_of(name).open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - this project's own module
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=home.folder,
            **APART,
        )
    return Child(name, process)


def end_left_over(home: Home, name: str) -> None:
    """End the process of that name whose parent was killed, if it did not end by itself.

    Its lock says that the id in it is no other process's.
    """
    until = time.monotonic() + _LEFT_OVER_ENDS_WITHIN_S
    while (process := holder(home.lock_of(name))) is not None:
        if time.monotonic() > until:
            if process:
                with contextlib.suppress(OSError):
                    os.kill(process, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
            return
        time.sleep(0.1)  # the end of another one's child is not announced


@dataclass(slots=True)
class Kept:
    """A process that is started again when it ends, each time after a longer while."""

    start: Callable[[], Child]
    child: Child
    clock: Callable[[], float] = time.monotonic
    _began: float = 0.0
    _delay: float = _SHORTEST_DELAY_S
    _again_at: float | None = None

    def __post_init__(self) -> None:
        self._began = self.clock()

    def look_after(self, tell: Callable[[str], None]) -> None:
        """Start it again when it is due."""
        now = self.clock()
        if self._again_at is not None:
            if now >= self._again_at:
                self.child, self._began, self._again_at = self.start(), self.clock(), None
                tell(f"The {self.child.name} is started again.")
        elif (code := self.child.ended) is not None:
            if now - self._began > _STEADY_AFTER_S:
                self._delay = _SHORTEST_DELAY_S
            tell(f"The {self.child.name} ended by itself ({in_words(code)}); again in {self._delay:.0f} s.")
            self._again_at = now + self._delay
            self._delay = min(self._delay * 2, _LONGEST_DELAY_S)


def in_words(code: int) -> str:
    """How a process ended."""
    if code >= 0:
        return f"with code {code}"
    with contextlib.suppress(ValueError):
        return f"by {signal.Signals(-code).name}"
    return f"by signal {-code}"


def shorten(log: Path) -> None:
    """Begin a log anew once it is long; what it held stays in one file beside it.

    The process that writes goes on writing to the same file, at its end.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size > _LARGEST_LOG:
            log.with_name(f"{log.name}.1").write_bytes(log.read_bytes())
            os.truncate(log, 0)


def last_lines(log: Path, count: int = 5) -> str:
    """The end of a log, for a person to see why."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
    except OSError:
        return ""
