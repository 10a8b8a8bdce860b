"""`recollect service`: starting `recollect up` with the session."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from cli.options import PLAIN_OPTIONS, Config
from cli.output import say, say_trouble, show_text
from cli.session import Exit, settings_for, usage
from cli.up import Join, Port, server_named
from deployments.local.home import home_of, made, what_is_up
from deployments.services.installing import Done, is_known
from deployments.services.installing import install as install_unit
from deployments.services.installing import remove as remove_unit
from deployments.services.service import Unit, service_for, unit_for
from recollect.settings import Settings

service = typer.Typer(
    name="service",
    help="Start `recollect up` whenever you log in: by systemd, launchd or the Task Scheduler.\n\n"
    "Example: recollect service install",
    no_args_is_help=True,
    **PLAIN_OPTIONS,
)


@service.command()
def install(
    port: Port = None,
    join: Join = None,
    print_only: Annotated[bool, typer.Option("--print", metavar="", help="Only show what would be written.")] = False,
    config: Config = None,
) -> None:
    """Let `recollect up` start whenever you log in, and start it now.

    No secret is written down: what only the environment holds must be put into a file that recollect.toml names.

    Example: recollect service install --print
    """
    if join is not None and port is not None:
        raise usage("Name a port for a server of Recollect's own, or a server to join, and not both.")
    with settings_for(config) as settings:
        options = (f"--port={port}",) if port else ()
        if join is not None:
            options = (f"--join={server_named(join)}",)
        found = service_for(settings, os.environ, home_of(settings).log, options)
        unit = unit_for(found)
        if found.remark:
            say(found.remark)
        if print_only:
            # Not by way of the terminal's lines, which break where the window ends.
            sys.stdout.write(unit.text)
            return
        made(home_of(settings))
        by_hand = what_is_up(home_of(settings)) is not None
        done = install_unit(unit)
        _tell(done)
        show_text(unit.advice)
        if by_hand:
            say("Recollect is up already, so what was started now has ended again. It is there from the next login on.")
        _leave(done)


@service.command()
def remove(config: Config = None) -> None:
    """Let `recollect up` not start any more when you log in, and end it.

    Example: recollect service remove
    """
    with settings_for(config) as settings:
        done = remove_unit(_unit(settings))
        _tell(done)
        _leave(done)


@service.command()
def status(config: Config = None) -> None:
    """Show whether `recollect up` starts when you log in. Ends with 1 when it does not.

    Example: recollect service status
    """
    with settings_for(config) as settings:
        unit = _unit(settings)
        if not unit.file.exists():
            show_text("Nothing is installed. `recollect service install` does it.")
        elif not is_known(unit):
            show_text(
                f"{unit.file} is there, but {unit.system} does not start it. `recollect service install` mends it."
            )
        else:
            show_text(f"{unit.system} starts it when you log in, as {unit.file} says.")
            return
        raise typer.Exit(Exit.FAILED)


def _unit(settings: Settings, options: tuple[str, ...] = ()) -> Unit:
    return unit_for(service_for(settings, os.environ, home_of(settings).log, options))


def _tell(done: Done) -> None:
    for sentence in done.done:
        show_text(sentence)
    for sentence in done.by_hand:
        say_trouble(sentence)


def _leave(done: Done) -> None:
    if done.by_hand:
        raise typer.Exit(Exit.FAILED)
