"""What surrounds every command: the settings in force, trouble told in a sentence, and an exit code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path

import typer

from cli.output import say_trouble
from recollect.errors import RecollectError
from recollect.settings import SettingsInvalid, load_settings
from storage.format.audit_row import Outcome
from tasks.audit import Report
from tasks.place import using


class Exit(IntEnum):
    """What the command tells a calling program."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SKIPPED = 75
    """sysexits.h, EX_TEMPFAIL: nothing is wrong, it may work the next time."""


@contextlib.contextmanager
def session(config: Path | None, **overrides: object) -> Iterator[None]:
    """Do a command's work under the settings that `overrides` (from the command line) and all other places give."""
    try:
        with using(load_settings(overrides, config=config)):
            yield
    except SettingsInvalid as trouble:
        say_trouble(str(trouble))
        raise typer.Exit(Exit.USAGE) from trouble
    except RecollectError as trouble:
        say_trouble(str(trouble))
        raise typer.Exit(Exit.FAILED) from trouble


def leave(reports: Iterable[Report]) -> None:
    """End the command with the code for the worst of the outcomes."""
    outcomes = {report.outcome for report in reports}
    if Outcome.FAILED in outcomes:
        raise typer.Exit(Exit.FAILED)
    if Outcome.SKIPPED in outcomes:
        raise typer.Exit(Exit.SKIPPED)


def usage(message: str) -> typer.Exit:
    """Say that the command was called in a way that makes no sense; raise what this returns."""
    say_trouble(message)
    return typer.Exit(Exit.USAGE)
