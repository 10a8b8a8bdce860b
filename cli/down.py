"""`recollect down`."""

from __future__ import annotations

import time

import typer

from cli.options import Config
from cli.output import say, say_trouble, show_text
from cli.session import Exit, settings_for
from deployments.local.home import home_of, wish_to_end
from deployments.local.lock import holder

_DOWN_WITHIN_S = 120.0


def down(config: Config = None) -> None:
    """End what `recollect up` started: first the worker with its runs, then the server.

    Example: recollect down
    """
    with settings_for(config) as settings:
        home = home_of(settings)
        if (process := holder(home.lock)) is None:
            show_text("Recollect is not up.")
            return
        wish_to_end(home)
        say("Stopping")
        until = time.monotonic() + _DOWN_WITHIN_S
        while holder(home.lock) == process:
            if time.monotonic() > until:
                say_trouble(f"Process {process} did not end within {_DOWN_WITHIN_S / 60:.0f} minutes. End it by hand.")
                raise typer.Exit(Exit.FAILED)
            time.sleep(0.1)  # nothing announces the end of another process
        show_text("Recollect is down.")
