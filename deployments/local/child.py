"""A process that ends when the one that started it does, however that ended.

    python -m deployments.local.child LOCK MODULE ARGUMENT ...

runs a module as `python -m MODULE` would, and holds the lock LOCK meanwhile. Its standard input is one end of a pipe,
of which only the parent has the other: once that is closed, by the parent or by its end, this process ends itself.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from deployments.local.lock import held

_OTHERS_END_WITHIN_S = 20.0
"""So long what this process has started may take to end in good order: a flow closes its row in the audit table."""
_PATIENCE_S = 10.0
"""So long this process may take itself."""
TAKEN = 3
"""The exit code where another process has the lock."""


def main() -> None:
    """Run the module that the arguments name."""
    lock, module, *arguments = sys.argv[1:]
    _end_with_the_parent()
    # A shell lets what it starts in the background ignore Ctrl-C, and whatever that starts in turn. The worker of
    # Prefect ends itself by that signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with held(Path(lock)) as alone:
        if not alone:
            raise SystemExit(TAKEN)
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_the_parent() -> None:
    lifeline = os.dup(0)
    # What this process starts in turn has nothing to do with the pipe.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    threading.Thread(target=_wait_for_its_end, args=(lifeline,), daemon=True, name="lifeline").start()


def _wait_for_its_end(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    if os.name == "nt":
        signal.raise_signal(signal.SIGINT)
    else:
        _end_others()
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE_S)
    os._exit(1)


def _end_others() -> None:
    """Let what this process has started end first. Prefect's worker would kill the flows that it runs: they could
    neither write their row nor tell the server, which would take them to be running for ever."""
    told = set[int]()
    until = time.monotonic() + _OTHERS_END_WITHIN_S
    while (others := _others()) and time.monotonic() < until:
        for process in others - told:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGTERM)
        told |= others
        time.sleep(0.1)  # the worker hears of their end, and this thread does not


def _others() -> set[int]:
    """The ids of the processes that this one has started, and that run; none where the system does not tell."""
    try:
        listing = subprocess.Popen(
            ["ps", "-A", "-o", "pid=,ppid=,stat="],  # noqa: S607 - wherever the system has it
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        rows = [line.split() for line in listing.communicate()[0].splitlines()]
        own = {int(pid): state for pid, parent, state in rows if parent == str(os.getpid())}
    except (OSError, ValueError):
        return set()
    return {pid for pid, state in own.items() if pid != listing.pid and not state.startswith("Z")}


if __name__ == "__main__":
    main()
