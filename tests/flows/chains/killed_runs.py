"""Runs of a chain in processes of their own, which are killed, or kill themselves at a moment that was agreed on.

A module of such runs calls `obey` with what one of them does. Each line on its standard input tells the moment at which
a new process, forked with everything loaded, shall kill itself ("0": never). Answered is `began <process id>`, then
`done <what it has to tell>` by the process if it was not killed, then `ended <exit code>`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[3]


def obey(run: Callable[[str], object]) -> None:
    """Run what `run` does with each line on standard input, in a process of its own."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            status = 1
            try:
                print(f"done {run(line.strip())}", flush=True)
                status = 0
            finally:
                os._exit(status)
        print(f"began {child}", flush=True)
        _, ended = os.waitpid(child, 0)
        print(f"ended {os.waitstatus_to_exitcode(ended)}", flush=True)


class Runs:
    """Starts runs in a process that obeys, and kills them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._orders, self._answers = process.stdin, process.stdout

    def whole(self, order: str = "0") -> str:
        """A run that comes to its end; what it tells."""
        self._begin(order)
        told = self._done()
        assert told is not None, "the run was killed"
        return told

    def killed_at(self, moment: int | str) -> bool:
        """A run that is killed at that moment, if it comes to it; whether it was."""
        self._begin(moment)
        return self._done() is None

    def killed_after(self, seconds: float) -> bool:
        """A run that is killed so many seconds after it began; whether it was."""
        child = self._begin(0)
        ended, _, _ = select.select([self._answers], [], [], seconds)
        if not ended:
            os.kill(child, signal.SIGKILL)
        return self._done() is None

    def _begin(self, order: int | str) -> int:
        self._orders.write(f"{order}\n")
        self._orders.flush()
        word, child = self._answers.readline().split()
        assert word == "began"
        return int(child)

    def _done(self) -> str | None:
        line = self._answers.readline()
        if line.startswith("done "):
            assert self._answers.readline() == "ended 0\n"
            return line.removeprefix("done ").strip()
        assert line == f"ended -{int(signal.SIGKILL)}\n"
        return None


@contextmanager
def runs_of(module: str, *arguments: str) -> Iterator[Runs]:
    """The runs of a module that obeys, which is started with those arguments."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        try:
            yield Runs(process)
        finally:
            process.kill()
