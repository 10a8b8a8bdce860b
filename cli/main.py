"""The `recollect` command."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.audit import audit
from cli.backup import backup
from cli.deleted import deleted
from cli.output import say_trouble, show_text
from cli.profiles import profiles
from cli.prune import prune
from cli.restore import restore
from cli.sample import sample
from cli.snapshots import snapshots
from recollect import __version__

INTERRUPTED = 130
"""What a shell reports for a program that Ctrl-C ended."""

app = typer.Typer(
    name="recollect",
    help="Backs up every Anki profile, media included, and proves that it comes back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (profiles, backup, snapshots, restore, prune, audit, deleted, sample):
    app.command()(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        show_text(f"recollect {__version__}")
        raise typer.Exit


@app.callback()
def recollect(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Backs up every Anki profile, media included, and proves that it comes back.

    Example: recollect backup
    """


def main() -> None:
    """Run the command that the arguments name."""
    try:
        app()
    except KeyboardInterrupt:
        say_trouble("Stopped. What was stored before is untouched, and the next run goes on from here.")
        raise SystemExit(INTERRUPTED) from None
