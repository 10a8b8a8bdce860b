"""Asking a person at the terminal for what must stand in no option: a passphrase, a yes."""

from __future__ import annotations

import getpass
import sys

from cli.output import harmless, say
from cli.session import usage
from storage.format.secret import Secret, refuse_weak, typed_secret
from tasks.secret import Person


def at_the_terminal() -> Person:
    """Whoever started the command: asked for a passphrase only where they sit at a terminal."""
    return Person(ask=ask_hidden if is_anyone_there() else None, tell=say)


def is_anyone_there() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def ask_hidden(question: str) -> str:
    """An answer that is not shown while it is typed; empty when there is none."""
    try:
        return getpass.getpass(harmless(question))
    except EOFError:
        return ""


def ask_new_passphrase(what_for: str) -> Secret:
    """A passphrase that is typed twice, the same each time."""
    if not is_anyone_there():
        raise usage(
            f"A passphrase is needed {what_for}, and there is no terminal to ask at: set RECOLLECT_PASSPHRASE or "
            "another setting for secrets, or use a key file"
        )
    first = ask_hidden(f"New passphrase {what_for}: ")
    secret = typed_secret(first)
    refuse_weak(secret)
    if ask_hidden("The same once more: ") != first:
        raise usage("The two are not the same, so nothing was done.")
    return secret


def ask_yes(question: str) -> bool:
    """Whether the answer is yes; anything else is a no.

    Not typer.confirm: it makes one thing of Ctrl-C and of No, and the audit table tells them apart.
    """
    sys.stderr.write(f"{harmless(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in {"y", "yes"}
