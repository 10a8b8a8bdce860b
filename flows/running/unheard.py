"""A run whose worker was killed: nobody reads what it prints any more, and it goes on all the same.

A worker reads through a pipe what its runs print. Prefect prints its log with Rich, which ends a process that nobody
reads from (rich/console.py, Console.on_broken_pipe): a backup would end at the next line of its log. What the log says
gets to the server in another way.
"""

from __future__ import annotations

import logging
from functools import partial

from prefect.logging.handlers import PrefectConsoleHandler
from rich.console import Console


def go_on_unheard() -> None:
    """Let Prefect's log fall silent when nobody reads what this process prints, instead of ending the process."""
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        for handler in getattr(logger, "handlers", ()):
            if isinstance(handler, PrefectConsoleHandler):
                handler.console.on_broken_pipe = partial(_fall_silent, handler.console)  # type: ignore[method-assign]


def _fall_silent(console: Console) -> None:
    console.quiet = True
