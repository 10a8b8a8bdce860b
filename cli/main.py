"""The `recollect` command. Each subcommand's module is imported only when it is called or listed."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from cli.options import PLAIN_OPTIONS
from cli.output import never_fail_on_odd_letters, say, say_trouble, show_text
from cli.session import Exit, refusal
from recollect import __version__
from recollect.short_life import live_shortly

COMMANDS = {
    "profiles": "List the profiles on this computer.",
    "init": "Make an empty place a repository, encrypted unless it stays on this computer, and show its recovery key "
    "once.",
    "backup": "Back up profiles: collection, media and deletion log. Anki may be open meanwhile.",
    "adopt": "Make snapshots of the backups that Anki has written (.colpkg), each of its own time.",
    "snapshots": "List the snapshots in a repository, oldest first.",
    "diff": "Show what became of a profile between two snapshots, or since one: notes, cards, reviews, media and "
    "settings.",
    "restore": "Restore a snapshot, into an empty folder, a new profile or in place.",
    "undo": "Undo the last restore in place, or whatever else kept a profile first: put back the state before it.",
    "autosync": "Hold a profile's automatic sync off, or let it go on as it was before. Anki must be closed.",
    "recover": "Get single notes or decks back, with schedules, decks and media: as a package, as text files, or into "
    "a profile.",
    "history": "Show every version of a note over the snapshots of its profile, oldest first: fields, tags, deck and "
    "note type.",
    "export": "Write a snapshot as a package (.colpkg) that Anki imports, with its media, to any place.",
    "forget": "Move snapshots to the trash. They can be had back for a week; the last good one of a profile can't be "
    "forgotten.",
    "prune": "Let go of snapshots over the retention limits (Anki's own rule), and free the space that nothing needs "
    "any more.",
    "stats": "Show what a repository holds and what it costs, by profile and in all.",
    "verify": "Verify that a repository holds all that its snapshots need, and name what is lost if it does not.",
    "repair": "Repair a damaged repository: set aside what is damaged, save what is whole, and heal from this "
    "computer.",
    "audit": "Show what was done, skipped or failed, newest first.",
    "deleted": "List the notes that were deleted, however they went, search them, or write them as files that Anki "
    "imports.",
    "key": "Who can open an encrypted repository: its key slots.",
    "up": "Back up every profile each half hour, and bring up the pages from which to look, start runs and restore.",
    "down": "End what `recollect up` started: first the worker with its runs, then the server.",
    "status": "Show whether all is up, and how each profile stands: its last backup, its next one, and what is wrong.",
    "service": "Start `recollect up` whenever you log in: by systemd, launchd or the Task Scheduler.",
    "sample": "Make a base folder with two sample profiles, to try things out on.",
}
"""Each is a function of that name, or a group of commands, in the module of that name beside this one.

What it does stands here once more: listing the commands must not load all that they need, which takes a second.
"""


class _Commands(TyperGroup):
    """The table of commands; looking one up imports it, but for the list of all."""

    _listing = False

    def list_commands(self, _ctx: Any) -> list[str]:
        return list(COMMANDS)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if self._listing:
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name])
        # A name that is none needs them all, so that the hint can tell which ones are like it.
        for name in [cmd_name] if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                self.commands[name] = _load(name)
        return super().get_command(ctx, cmd_name)


def _load(name: str) -> Any:
    found = getattr(importlib.import_module(f"cli.{name}"), name)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    alone = typer.Typer(**PLAIN_OPTIONS)
    alone.command(name)(found)
    return typer.main.get_command(alone)


app = typer.Typer(name="recollect", cls=_Commands, no_args_is_help=True, **PLAIN_OPTIONS)


def _show_version(wanted: bool) -> None:
    if wanted:
        show_text(f"recollect {__version__}")
        raise typer.Exit


@app.callback()
def recollect(
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Backs up every Anki profile, media included, and proves that it comes back.

    Example: recollect backup

    Ends with 0 when done, 1 when failed, 2 when called wrongly, 75 when skipped because the profile was busy.
    """


def main() -> None:
    """Run the command that the arguments name."""
    live_shortly()
    never_fail_on_odd_letters()
    try:
        app()
    except SystemExit as end:
        code = end.code
    except OSError as trouble:
        say_trouble(refusal(trouble))
        code = Exit.FAILED
    except Exception as fault:  # noqa: BLE001 - a person gets a sentence, whatever it was
        say_trouble(
            f"Recollect itself went wrong: {type(fault).__name__}. What was stored before is untouched. "
            "Please report this, with the lines that follow."
        )
        say("".join(traceback.format_exception(fault)))
        code = Exit.FAILED
    raise SystemExit(code if _is_written_out() else Exit.FAILED)


def _is_written_out() -> bool:
    """Whether the last of the output got out, or nobody wanted it any more."""
    try:
        sys.stdout.flush()
    except OSError as trouble:
        # https://docs.python.org/3/library/signal.html#note-on-sigpipe: or Python complains as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(trouble, BrokenPipeError):
            say_trouble(refusal(trouble))
            return False
    return True
