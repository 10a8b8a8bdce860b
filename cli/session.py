"""What surrounds every command: the settings in force, trouble told in a sentence, and an exit code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

import typer

from cli.output import say_trouble
from recollect.errors import RecollectError, SettingsInvalid
from recollect.settings import Settings, load_settings


class Exit(IntEnum):
    """What the command tells a calling program."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SKIPPED = 75
    """sysexits.h, EX_TEMPFAIL: nothing is wrong, it may work the next time."""
    SIGNALLED = 128
    """What shells add a signal's number to when it ended a program."""


class Stopped(KeyboardInterrupt):
    """Someone wants the command to end: Ctrl-C, or SIGTERM from a system that shuts down."""

    def __init__(self, signal_number: int) -> None:
        super().__init__()
        self.signal_number = signal_number


_CTRL_C = 2


@contextlib.contextmanager
def settings_for(config: Path | None, **overrides: object) -> Iterator[Settings]:
    """The settings that `overrides` (from the command line) and all other places give; trouble within is told."""
    try:
        yield load_settings(overrides, config=config)
    except SettingsInvalid as trouble:
        say_trouble(str(trouble))
        raise typer.Exit(Exit.USAGE) from trouble
    except RecollectError as trouble:
        say_trouble(str(trouble))
        raise typer.Exit(Exit.FAILED) from trouble
    except KeyboardInterrupt as stop:
        say_trouble("Stopped. What was stored before is untouched, and the next run goes on from there.")
        number = stop.signal_number if isinstance(stop, Stopped) else _CTRL_C
        raise typer.Exit(Exit.SIGNALLED + number) from stop
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        raise
    except OSError as trouble:
        say_trouble(refusal(trouble))
        raise typer.Exit(Exit.FAILED) from trouble


@contextlib.contextmanager
def session(config: Path | None, **overrides: object) -> Iterator[Settings]:
    """As `settings_for`, with the settings in force for the steps of a chain."""
    with settings_for(config, **overrides) as settings:
        # What a repository is made of takes a moment to import; commands that need none do without.
        from cli.asking import at_the_terminal
        from tasks.settings_in_force import using

        with using(settings, at_the_terminal()):
            yield settings


def usage(message: str) -> typer.Exit:
    """Say that the command was called in a way that makes no sense; raise what this returns."""
    say_trouble(message)
    return typer.Exit(Exit.USAGE)


def refusal(trouble: OSError) -> str:
    """What the operating system did not let us do, as a person should hear it."""
    what = f"The system refused: {(trouble.strerror or type(trouble).__name__).lower()}"
    where = f" ({trouble.filename})" if trouble.filename else ""
    return f"{what}{where}. Check that the disk is there and has room, and that you may read and write on it."
