"""`recollect up`."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from cli.options import Config
from cli.output import moment_here, say, say_trouble, show_text
from cli.session import Exit, settings_for, usage
from deployments.local.asking import is_well
from deployments.local.environment import own_api_url
from deployments.local.home import Home, home_of, made, remembered_port, what_is_up
from deployments.local.lock import holder
from deployments.local.processes import APART
from deployments.program import program
from recollect.settings import Settings

_UP_WITHIN_S = 900.0

Port = Annotated[
    int | None,
    typer.Option(
        "--port",
        metavar="N",
        min=1,
        max=65535,
        show_default=False,
        help="The server's port. Default: the one that was used last, at first 4200.",
    ),
]
Join = Annotated[
    str | None,
    typer.Option(
        "--join",
        metavar="URL",
        help="Use a Prefect server that is there already, and start none. Default: PREFECT_API_URL, if it is set.",
    ),
]


def up(
    port: Port = None,
    join: Join = None,
    detach: Annotated[
        bool, typer.Option("--detach", metavar="", help="Come back once all is up, and let it run on.")
    ] = False,
    config: Config = None,
) -> None:
    """Back up every profile each half hour, and bring up the pages from which to look, start runs and restore.

    A Prefect server and a worker run on this computer until Ctrl-C, or until `recollect down`. Nothing of it can be
    reached from another computer, and nothing is told to anyone. Profiles that are new are backed up at once, and to
    each repository that has a name in the settings once a day as well.

    Example: recollect up --detach
    """
    if join is not None and port is not None:
        raise usage("Name a port for a server of Recollect's own, or a server to join, and not both.")
    with settings_for(config) as settings:
        home = made(home_of(settings))
        server = _server_to_join(home, join, port)
        if _is_up_already(home):
            return
        if detach:
            _start_detached(home, port, join, config)
        else:
            _run(settings, port, server)


def _run(settings: Settings, port: int | None, server: str | None) -> None:
    from deployments.local.supervising import Stop, asked_by_signals, supervise

    stop = Stop()
    with asked_by_signals(stop):
        supervise(settings, stop, say, show_text, port=port, join=server)


def _server_to_join(home: Home, join: str | None, port: int | None) -> str | None:
    """The server of others that is meant, by its address with the path that Prefect's API has; None for an own one."""
    url = join or os.environ.get("PREFECT_API_URL")
    if not url or port is not None:
        return None
    # So it is set by whoever wants to use Prefect's own commands on the server that this starts.
    if join is None and url.rstrip("/") == own_api_url(remembered_port(home)):
        return None
    url = server_named(url, shown_to_all=join is not None)
    return f"{url}/api" if not url.endswith("/api") and not is_well(url) else url


def server_named(url: str, *, shown_to_all: bool = True) -> str:
    """The address of a server as a person names it; one that is `shown_to_all` may hold no password."""
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise usage("The address of a Prefect server begins with http:// or https://, such as http://nas:4200/api")
    if shown_to_all and "@" in urlsplit(url).netloc:
        raise usage(
            "A password in the address would show in the list of processes. Set PREFECT_API_AUTH_STRING=name:password "
            "in the environment, and leave it out of the address."
        )
    return url.rstrip("/")


def _is_up_already(home: Home) -> bool:
    """Whether there is nothing to start, which is said. One that is just being started is waited for."""
    until, told = time.monotonic() + _UP_WITHIN_S, False
    while (process := holder(home.lock)) is not None:
        if record := what_is_up(home):
            show_text(f"Recollect is already up at {record.ui_url} (since {moment_here(record.since)})")
            return True
        if not told:
            say(f"Another `recollect up` is just starting (process {process}); waiting for it")
            told = True
        if time.monotonic() > until:
            say_trouble(f"It did not come up. End process {process}, and try again.")
            raise typer.Exit(Exit.FAILED)
        time.sleep(0.2)  # nothing announces what another process brings up
    return False


def _start_detached(home: Home, port: int | None, join: str | None, config: Path | None) -> None:
    """Start this command as a process that nothing at this terminal ends, and wait until all is up."""
    options = [f"--port={port}"] if port else []
    options += [f"--join={join}"] if join else []
    options += [f"--config={config.absolute()}"] if config else []
    with home.log.open("ab") as log:
        began = log.tell()
        process = subprocess.Popen(  # noqa: S603 - this very command
            [*program(), "up", *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, **APART
        )
    say("Starting; the first time takes up to a minute")
    while (record := what_is_up(home)) is None:
        if (code := process.poll()) is not None:
            # It has said why, in the words for a person.
            say_trouble(home.log.read_bytes()[began:].decode("utf-8", "replace").rstrip())
            raise typer.Exit(code)
        time.sleep(0.2)  # nothing announces what another process brings up
    for remark in record.remarks:
        say(remark)
    for line in record.lines:
        show_text(line)
    show_text(f"It runs on until `recollect down`. What it says goes to {home.log}")
